// `trireme embed`, `classify`, `fill-mask` and `translate`: from texts to what the pipelines of
// transformers answer (tests/data/texts), and the manners of the verbs.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

namespace trireme::testing {
namespace {

using Json = nlohmann::json;

std::string model(const std::string& name) { return in_tree("tests/data/texts/" + name); }

Json golden(const std::string& name) {
  return Json::parse(read_file(model(name) + "/golden.json"));
}

/// The rows without what they are to become.
std::string rows_of(const Json& rows, const std::string& prefix = "") {
  std::string text;
  for (const Json& row : rows) {
    Json out;
    out["text"] = prefix + row["text"].get<std::string>();
    if (row.contains("text_pair")) out["text_pair"] = row["text_pair"];
    text += out.dump() + "\n";
  }
  return text;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

/// The lines that a verb answers to rows on standard input.
std::vector<Json> answers(const std::string& verb, const std::string& name, const std::string& rows,
                          const Words& more = {}, int exit_code = 0) {
  const Outcome outcome = trireme(
      Words{verb, "--model", model(name), "-i", "-", "-o", "-", "--threads", "1"} + more, rows);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  return lines_of(outcome.out);
}

/// Exit code 2, and a message with these words.
void mistake(const Words& words, const std::string& expected, int exit_code = 2) {
  const Outcome outcome = trireme(words);
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.out;
  EXPECT_NE(outcome.err.find(expected), std::string::npos) << outcome.err;
}

TEST(Texts, ScoresAreThoseOfTransformers) {
  const Json rows = golden("classify")["rows"];
  const std::vector<Json> got = answers("classify", "classify", rows_of(rows), {"--truncate"});
  ASSERT_EQ(got.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(got[i]["id"], i);
    EXPECT_EQ(got[i]["label"], rows[i]["label"]) << rows[i];
    ASSERT_EQ(got[i]["scores"].size(), 3u);
    EXPECT_EQ(got[i]["score"], got[i]["scores"][got[i]["label"].get<std::string>()]);
    for (const auto& [label, score] : rows[i]["scores"].items()) {
      EXPECT_NEAR(got[i]["scores"][label].get<double>(), score.get<double>(), 1e-5) << rows[i];
    }
  }
}

TEST(Texts, MasksAreFilledAsTransformersDoes) {
  const Json rows = golden("masked")["rows"];
  const std::vector<Json> got = answers("fill-mask", "masked", rows_of(rows));
  ASSERT_EQ(got.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Json& wanted = rows[i]["masks"];
    ASSERT_EQ(got[i]["masks"].size(), wanted.size());
    for (std::size_t mask = 0; mask < wanted.size(); ++mask) {
      ASSERT_EQ(got[i]["masks"][mask].size(), 5u);
      for (std::size_t k = 0; k < 5; ++k) {
        const Json& candidate = got[i]["masks"][mask][k];
        EXPECT_EQ(candidate["token_id"], wanted[mask][k]["token_id"]) << rows[i]["text"];
        EXPECT_EQ(candidate["token"], wanted[mask][k]["token"]);
        EXPECT_NEAR(candidate["probability"].get<double>(),
                    wanted[mask][k]["probability"].get<double>(), 1e-5);
      }
    }
  }
}

TEST(Texts, VectorsAreThoseOfAPaddedBatch) {
  const Json rows = golden("sentence")["rows"];
  const std::vector<Json> got = answers("embed", "sentence", rows_of(rows));
  ASSERT_EQ(got.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(got[i]["prompt_tokens"], rows[i]["prompt_tokens"]);
    EXPECT_EQ(got[i].value("truncated", false), rows[i]["truncated"].get<bool>());
    ASSERT_EQ(got[i]["embedding"].size(), rows[i]["embedding"].size());
    for (std::size_t k = 0; k < rows[i]["embedding"].size(); ++k) {
      EXPECT_NEAR(got[i]["embedding"][k].get<double>(), rows[i]["embedding"][k].get<double>(), 2e-5)
          << rows[i]["text"];
    }
  }
}

TEST(Texts, AnswersAreThoseOfTransformers) {
  const Json all = golden("t5")["rows"];
  for (const Json& row : all) {
    const std::string rows = rows_of(Json::array({row}));
    const std::string prefix = row["prefix"].get<std::string>();
    const Json by_prefix =
        answers("translate", "t5", rows, {"--task-prefix", prefix, "-n", "12"})[0];
    EXPECT_EQ(by_prefix["text"], row["text_of_12"]) << row["text"];
    EXPECT_EQ(by_prefix["prompt_tokens"], row["tokens"]);
    if (!row.contains("translation")) continue;
    const Words task{"--task", "translation_en_to_de"};  // and its length
    EXPECT_EQ(answers("translate", "t5", rows, task)[0]["text"], row["translation"]);
    const Words languages{"--source-lang", "en", "--target-lang", "de"};
    EXPECT_EQ(answers("translate", "t5", rows, languages)[0]["text"], row["translation"]);
    const Words named{"--source-lang", "English", "--target-lang", "German", "-n", "12"};
    EXPECT_EQ(answers("translate", "t5", rows, named)[0]["text"], row["text_of_12"]);
    // The same without the verb.
    EXPECT_EQ(answers("batch", "t5", rows_of(Json::array({row}), prefix), {"-n", "12"})[0]["text"],
              row["text_of_12"]);
  }
}

TEST(Texts, AnswersAreAsLongAsTransformersLetsThemGet) {
  const Json lengths = golden("t5")["new_tokens_by_max_length"];
  const TemporaryFolder folder;
  const std::filesystem::path copy = folder / "t5";
  std::filesystem::copy(model("t5"), copy);
  const Json plain = Json::parse(read_file(copy / "generation_config.json"));
  for (const auto& [length, new_tokens] : lengths.items()) {
    Json generation = plain;
    if (length != "None") generation["max_length"] = std::stoi(length);
    write_file(copy / "generation_config.json", generation.dump());
    const Outcome outcome = trireme({"batch", "-m", copy, "-i", "-", "-o", "-", "--threads", "1"},
                                    rows_of(Json::array({golden("t5")["rows"][0]})));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(Json::parse(outcome.out)["completion_tokens"], new_tokens) << length;
  }
}

TEST(Texts, OneTextIsAnsweredOnTheTerminal) {
  const Json label = golden("classify")["rows"][0];
  const std::string text = label["text"];
  const std::string scores = trireme({"classify", "-m", model("classify"), text}).out;
  EXPECT_NE(scores.find(label["label"].get<std::string>() + "\n"), std::string::npos) << scores;
  EXPECT_EQ(std::count(scores.begin(), scores.end(), '\n'), 3);
  for (const Words& plan : {Words{"-tp", "2"}, {"-pp", "3"}}) {
    EXPECT_EQ(trireme(Words{"classify", "-m", model("classify"), text} + plan).out, scores);
  }
  EXPECT_EQ(trireme({"classify", "-m", model("classify")}, text + "\n").out, scores);
  const std::string best = trireme({"classify", "-m", model("classify"), text, "--top-k", "1"}).out;
  EXPECT_EQ(best, scores.substr(0, scores.find('\n') + 1));

  const Json pair = golden("classify")["rows"].back();
  const std::string both = trireme({"classify", "-m", model("classify"), pair["text"],
                                    "--text-pair", pair["text_pair"].get<std::string>()})
                               .out;
  EXPECT_NE(both.find(pair["label"].get<std::string>()), std::string::npos) << both;

  const Json vector = Json::parse(trireme({"embed", "-m", model("sentence"), text}).out);
  EXPECT_EQ(vector.size(), 32u);
  const Json mask = golden("masked")["rows"][0];
  const std::string tokens =
      trireme({"fill-mask", "-m", model("masked"), mask["text"], "--top-k", "2"}).out;
  EXPECT_NE(tokens.find(mask["masks"][0][1]["token"].get<std::string>()), std::string::npos);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), '\n'), 2);

  const Json row = golden("t5")["rows"][0];
  const Words translate{"translate",     "-m",          model("t5"), row["text"],
                        "--task-prefix", row["prefix"], "-n",        "12"};
  EXPECT_EQ(trireme(translate).out, row["text_of_12"].get<std::string>() + "\n");
  EXPECT_EQ(trireme(translate + Words{"-tp", "2"}).out,
            row["text_of_12"].get<std::string>() + "\n");
  EXPECT_EQ(trireme({"run", "-m", model("t5"),
                     row["prefix"].get<std::string>() + row["text"].get<std::string>(), "-n", "12"})
                .out,
            row["text_of_12"].get<std::string>() + "\n");
}

TEST(Texts, LongTextsAreCutOrErrors) {
  std::string text = R"({"text": ")";
  for (int i = 0; i < 60; ++i) text += "be ";
  const std::string end = "\"}\n";
  const Json cut = answers("embed", "sentence", text + end)[0];
  EXPECT_EQ(cut["truncated"], true);
  EXPECT_EQ(cut["prompt_tokens"], 40);
  EXPECT_EQ(answers("embed", "sentence", text + end, {"--no-truncate"}, 3)[0]["error"]["code"],
            "context_length_exceeded");
  const Json refused = answers("classify", "classify", text + "be be be be be" + end, {}, 3)[0];
  EXPECT_EQ(refused["error"]["code"], "context_length_exceeded");
  const std::string own = text + "be be be be be\", \"truncate\": true}\n";
  EXPECT_EQ(answers("classify", "classify", own, {})[0]["prompt_tokens"], 64);
  EXPECT_EQ(answers("classify", "classify", text + "be be be be be" + end,
                    {"--truncate"})[0]["truncated"],
            true);
}

TEST(Texts, RowsMayBeTokensOrComeFromATable) {
  const std::string by_ids =
      answers("classify", "classify", "{\"token_ids\": [2, 70, 71, 3]}\n")[0].dump();
  EXPECT_NE(by_ids.find("\"prompt_tokens\":4"), std::string::npos) << by_ids;
  // No tokenizer is needed for these.
  const TemporaryFolder folder;
  const std::filesystem::path copy = folder / "classify";
  std::filesystem::create_directory(copy);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(model("classify") + "/" + name, copy / name);
  }
  const Words bare{"classify", "-m", copy, "-i", "-", "-o", "-"};
  EXPECT_EQ(lines_of(trireme(bare, "{\"token_ids\": [2, 70, 71, 3]}\n").out)[0].dump(), by_ids);
  EXPECT_NE(trireme(bare, "{\"text\": \"x\"}\n").err.find("no tokenizer"), std::string::npos);

  const Json pair = golden("classify")["rows"][7];
  const std::string json = rows_of(Json::array({pair}));
  const Json wanted = answers("classify", "classify", json)[0];
  const std::string table = "id,a,text_pair\n0,\"" + pair["text"].get<std::string>() + "\",\"" +
                            pair["text_pair"].get<std::string>() + "\"\n";
  const Words csv{"--input-format", "csv", "--prompt-template", "{a}"};
  Json got = answers("classify", "classify", table, csv)[0];
  EXPECT_EQ(got["scores"], wanted["scores"]);
  got =
      answers("classify", "classify", table, csv + Words{"--pair-template", "{text_pair} {a}"})[0];
  EXPECT_NE(got["scores"], wanted["scores"]);
}

TEST(Texts, PromptsOfAModelGoBeforeItsTexts) {
  const TemporaryFolder folder;
  const std::filesystem::path copy = folder / "sentence";
  std::filesystem::copy(model("sentence"), copy, std::filesystem::copy_options::recursive);
  const auto vector = [&](const std::string& text, const Words& more = {}) {
    return trireme(Words{"embed", "-m", copy, text} + more).out;
  };
  const std::string plain = vector("Peace!");
  const std::string asked = vector("query: Peace!");
  Json config{{"prompts", {{"query", "query: "}, {"passage", "passage: "}}},
              {"default_prompt_name", nullptr}};
  write_file(copy / "config_sentence_transformers.json", config.dump());
  EXPECT_EQ(vector("Peace!"), plain);
  EXPECT_EQ(vector("Peace!", {"--prompt-name", "query"}), asked);
  mistake({"embed", "-m", copy, "x", "--prompt-name", "q"}, "passage, query");
  config["default_prompt_name"] = "query";
  write_file(copy / "config_sentence_transformers.json", config.dump());
  EXPECT_EQ(vector("Peace!"), asked);
  EXPECT_NE(vector("Peace!", {"--prompt-name", "passage"}), asked);
  const Words rows{"embed", "-m", copy, "-i", "-", "-o", "-"};
  const std::string line = trireme(rows, "{\"text\": \"Peace!\"}\n").out;
  EXPECT_NE(line.find(asked.substr(0, asked.size() - 2)), std::string::npos) << line;
  config["default_prompt_name"] = "q";
  write_file(copy / "config_sentence_transformers.json", config.dump());
  mistake({"embed", "-m", copy, "x"}, "default_prompt_name is", 1);
}

TEST(Texts, OpenAiRowsOfVectors) {
  const Json row = golden("sentence")["rows"][2];
  Json asked{{"custom_id", "one"},
             {"method", "POST"},
             {"url", "/v1/embeddings"},
             {"body", {{"model", "tiny"}, {"input", row["text"]}}}};
  const Json got = answers("embed", "sentence", asked.dump() + "\n")[0];
  EXPECT_EQ(got["custom_id"], "one");
  EXPECT_EQ(got["response"]["status_code"], 200);
  const Json& body = got["response"]["body"];
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["usage"]["prompt_tokens"], row["prompt_tokens"]);
  EXPECT_EQ(body["usage"]["total_tokens"], row["prompt_tokens"]);
  EXPECT_EQ(body["data"][0]["object"], "embedding");
  EXPECT_EQ(body["data"][0]["index"], 0);
  EXPECT_EQ(body["data"][0]["embedding"].size(), 32u);
}

TEST(Texts, VerbsSayWhichOneFits) {
  const Words rows{"-i", "/dev/null", "-o", "-"};
  mistake(Words{"batch", "-m", model("classify")} + rows, "use `trireme classify`");
  mistake(Words{"embed", "-m", model("classify")} + rows, "is a classifier");
  mistake(Words{"classify", "-m", model("sentence")} + rows, "use `trireme embed`");
  mistake(Words{"classify", "-m", model("masked")} + rows, "use `trireme fill-mask`");
  mistake(Words{"score", "-m", model("t5"), "-i", "/dev/null"}, "use `trireme translate`");
  mistake(Words{"translate", "-m", llama()} + rows, "use `trireme run`");
  mistake(Words{"run", "-m", model("sentence"), "x"}, "use `trireme embed`");
  mistake({"bench", "-m", model("sentence")}, "use `trireme embed`");
  mistake(Words{"embed", "-m", model("classify"), "-tp", "2"} + rows, "is a classifier");
}

TEST(Texts, MistakesAreExplained) {
  const Words classify{"classify", "-m", model("classify")};
  mistake(classify + Words{"a", "-i", "b"}, "not both");
  mistake(classify + Words{"a", "-o", "b"}, "--output: goes with -i");
  mistake(classify + Words{"a", "-dp", "2"}, "one replica answers");
  mistake(classify + Words{"a", "--truncate", "--no-truncate"}, "excludes");
  mistake(classify + Words{"a", "--top-k", "0"}, "top-k");
  mistake(classify + Words{"a", "--num-speculative-tokens", "2"}, "unknown flag");
  mistake(classify + Words{"-i", "/dev/null", "--pair-template", "{"}, "--pair-template: a {");
  mistake({"fill-mask", "-m", model("masked"), "no mask here"}, "no [MASK]", 1);
  const Words translate{"translate", "-m", model("t5"), "x"};
  mistake(translate + Words{"--task", "sing"}, "summarization, translation_en_to_de");
  mistake(translate + Words{"--source-lang", "en", "--target-lang", "fr"}, "translation_en_to_fr");
  mistake(translate + Words{"--source-lang", "en"}, "go together");
  mistake(translate + Words{"--task-prefix", "a", "--task", "summarization"}, "give one of them");
}

TEST(Texts, AJobThatGoesOnKnowsWhatItWasAskedFor) {
  const TemporaryFolder folder;
  const std::string out = folder / "out.jsonl";
  const auto words = [&](const Words& more) {
    return Words{"fill-mask", "-m", model("masked"), "-i", folder / "rows.jsonl", "-o", out} + more;
  };
  // A journal without an output: what a run leaves behind that is killed.
  write_file(folder / "rows.jsonl", "{\"text\": \"a [MASK]\"}\n");
  const Outcome killed = run(
      "sh", {"-c", "printf '{\"text\": \"a [MASK]\"}\\n' | (cat; sleep 5) | timeout -s KILL 2 " +
                       trireme_program() + " fill-mask -m " + model("masked") + " -i - -o " + out +
                       " --top-k 3"});
  EXPECT_NE(killed.exit_code, 0);
  ASSERT_TRUE(std::filesystem::exists(out + ".trireme-journal"));
  const Outcome other = trireme(words({"--top-k", "4"}));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("answers=4 here, answers=3 in the unfinished run"), std::string::npos)
      << other.err;
  EXPECT_EQ(trireme(words({"--top-k", "3"})).exit_code, 0);
  EXPECT_EQ(lines_of(read_file(out))[0]["masks"][0].size(), 3u);
}

TEST(Texts, PlansSayWhatTheModelIs) {
  const std::string text = trireme({"plan", "-m", model("t5"), "-pp", "3"}).out;
  EXPECT_NE(text.find("embed+enc 0-1"), std::string::npos) << text;
  EXPECT_NE(text.find("dec 2+head"), std::string::npos) << text;
  EXPECT_NE(text.find("Speed      not predicted"), std::string::npos) << text;
  const Json json = Json::parse(trireme({"plan", "-m", model("t5"), "--json"}).out);
  EXPECT_EQ(json["kind"], "encoder_decoder");
  EXPECT_EQ(json["encoder_layers"], 2);
  EXPECT_EQ(json["num_layers"], 5);
  const std::string encoder = trireme({"plan", "-m", model("sentence")}).out;
  EXPECT_NE(encoder.find("KV cache   none: whole texts of at most 64 tokens"), std::string::npos)
      << encoder;
}

}  // namespace
}  // namespace trireme::testing
