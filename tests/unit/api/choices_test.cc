// Engine::choose against transformers (tests/data/golden/choices.json), against score(), and in
// what it computes.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/run_program.h"
#include "trireme/engine.h"
#include "trireme/local_engine.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;
using Json = nlohmann::ordered_json;

const fs::path source = TRIREME_SOURCE_DIR;

Options options_of(const fs::path& model) {
  Options options;
  options.model = model.string();
  options.dtype = "float32";
  options.threads = 1;
  return options;
}

Request request(const std::string& prompt, std::vector<std::string> choices) {
  Request request;
  request.prompt = prompt;
  request.choices = std::move(choices);
  return request;
}

/// A golden model of 96 tokens, with a tokenizer that knows token n as "n".
void add_tokenizer(const fs::path& model, const fs::path& folder) {
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors"}) {
    fs::copy(model / name, folder / name);
  }
  Json tokenizer;
  tokenizer["version"] = "1.0";
  tokenizer["added_tokens"] = Json::array();
  tokenizer["pre_tokenizer"] = {{"type", "WhitespaceSplit"}};
  tokenizer["model"] = {{"type", "WordLevel"}, {"unk_token", "0"}};
  for (int id = 0; id < 96; ++id) tokenizer["model"]["vocab"][std::to_string(id)] = id;
  write_file(folder / "tokenizer.json", tokenizer.dump());
}

std::string words(const Json& ids) {
  std::string text;
  for (const Json& id : ids) text += (text.empty() ? "" : " ") + std::to_string(id.get<int>());
  return text;
}

Request request_of(const Json& golden) {
  Request request;
  if (golden.contains("ids")) {
    request.token_ids = golden["ids"].get<std::vector<std::int32_t>>();
    for (const Json& ids : golden["choices"]) request.choices.push_back(words(ids));
    return request;
  }
  request.choices = golden["choices"].get<std::vector<std::string>>();
  if (golden.contains("prompt")) {
    request.prompt = golden["prompt"];
  } else {
    request.messages = Json::array({{{"role", "user"}, {"content", golden["chat"]}}}).dump();
  }
  return request;
}

void expect_golden(const Choice& choice, const Json& golden) {
  ASSERT_FALSE(choice.error) << choice.error->message;
  const auto wanted = golden["logprobs"].get<std::vector<double>>();
  ASSERT_EQ(choice.logprobs.size(), wanted.size());
  EXPECT_EQ(choice.prompt_tokens, golden["prompt_tokens"].get<std::int64_t>());
  EXPECT_EQ(choice.label, std::ranges::max_element(wanted) - wanted.begin());
  double sum = 0;
  for (const double value : wanted) sum += std::exp(value);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(choice.logprobs[i], wanted[i], 1e-4) << golden["choices"][i];
    EXPECT_NEAR(choice.probabilities[i], std::exp(wanted[i]) / sum, 1e-5) << golden["choices"][i];
  }
}

TEST(Choices, AreAsLikelyAsTransformersFindsThem) {
  const TemporaryFolder folder;
  add_tokenizer(source / "tests/data/golden/qwen2", folder.path());
  std::map<std::string, std::vector<Json>> by_model;
  for (Json& golden : Json::parse(read_file(source / "tests/data/golden/choices.json"))) {
    by_model[golden["model"]].push_back(golden);
  }
  EXPECT_EQ(by_model.size(), 4u);
  for (const auto& [model, goldens] : by_model) {
    const fs::path path = model == "golden/qwen2"     ? folder.path()
                          : model.starts_with("demo") ? source / model
                                                      : source / "tests/data" / model;
    Options options = options_of(path);
    if (model == "texts/t5") options.max_model_len = 64;
    Engine engine(options);
    std::vector<Request> requests;
    for (const Json& golden : goldens) requests.push_back(request_of(golden));
    const std::vector<Choice> choices = engine.choose(requests);
    for (std::size_t i = 0; i < goldens.size(); ++i) expect_golden(choices[i], goldens[i]);
  }
}

TEST(Choices, AreWhatScoreSaysOfPromptAndLabel) {
  Engine engine(options_of(source / "demo/llama"));
  const std::string prompt = "JULIET:\nO Romeo, Romeo! wherefore art thou";
  const std::vector<std::string> labels{" Romeo", " the king", " here", " my love?"};
  const Choice choice = engine.choose(std::vector{request(prompt, labels)}).at(0);
  ASSERT_FALSE(choice.error);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const Score score = engine.score(std::vector{request(prompt + labels[i], {})}).at(0);
    const auto first = score.logprobs.begin() + choice.prompt_tokens - 1;
    EXPECT_NEAR(choice.logprobs[i], std::accumulate(first, score.logprobs.end(), 0.0), 1e-5);
  }
  EXPECT_NEAR(std::accumulate(choice.probabilities.begin(), choice.probabilities.end(), 0.0), 1,
              1e-6);
}

/// Labels of two tokens that begin alike in tens, and of one.
std::vector<std::string> numbers(int count) {
  std::vector<std::string> labels;
  for (int i = 0; i < count; ++i) {
    labels.push_back(std::to_string(10 + i / 10) + " " + std::to_string(20 + i % 10));
  }
  return labels;
}

class ComputedOnce : public ::testing::TestWithParam<int> {};

TEST_P(ComputedOnce, ThePromptAndEachTokenThatLabelsShare) {
  const TemporaryFolder folder;
  add_tokenizer(source / "tests/data/golden/qwen2", folder.path());
  const int prompt_tokens = GetParam();
  Request asked = request("", numbers(60));
  asked.prompt.reset();
  asked.token_ids.emplace(static_cast<std::size_t>(prompt_tokens), 7);
  std::vector<float> first;
  for (const std::int64_t sequences : {1, 3, 64}) {
    Options options = options_of(folder.path());
    options.max_sequences = sequences;
    Engine engine(options);
    const Choice choice = engine.choose(std::vector{asked}).at(0);
    ASSERT_FALSE(choice.error) << choice.error->message;
    // Six first tokens besides the prompt's own; the last token of a label is never computed.
    EXPECT_EQ(engine.stats().computed_tokens, prompt_tokens + 6);
    EXPECT_EQ(engine.stats().prompt_tokens, prompt_tokens);
    if (first.empty()) first = choice.logprobs;
    EXPECT_EQ(choice.logprobs, first) << "to the bit";
  }
}

INSTANTIATE_TEST_SUITE_P(WhereverThePromptEnds, ComputedOnce,
                         ::testing::Values(1, 5, 31, 32, 33, 64, 65, 100));

TEST(Choices, OfOneTokenCostNothingBeyondThePrompt) {
  const TemporaryFolder folder;
  add_tokenizer(source / "tests/data/golden/qwen2", folder.path());
  Engine engine(options_of(folder.path()));
  (void)engine.choose(std::vector{request("5 6 7 8", {"9", "10", "11"})});
  EXPECT_EQ(engine.stats().computed_tokens, 4);
  EXPECT_EQ(engine.stats().steps, 1);
}

TEST(Choices, FitACacheThatHoldsOneOfThem) {
  const TemporaryFolder folder;
  add_tokenizer(source / "tests/data/golden/qwen2", folder.path());
  std::vector<Request> requests;
  for (const int length : {3, 40, 61, 62}) {
    requests.push_back(request("", numbers(86)));
    requests.back().prompt.reset();
    requests.back().token_ids.emplace(static_cast<std::size_t>(length), 7);
  }
  Options options = options_of(folder.path());
  options.max_model_len = 64;
  Engine roomy(options);
  const std::vector<Choice> wanted = roomy.choose(requests);
  options.kv_cache_bytes = roomy.stats().kv_blocks > 0 ? 1 : 0;
  // The least that is allowed: what the refusal of one byte names.
  try {
    Engine engine(options);
    FAIL() << "one byte is no cache";
  } catch (const Error& error) {
    const std::string what = error.what();
    const std::size_t at = what.find("--kv-cache-memory ", what.find("which takes"));
    options.kv_cache_bytes = std::stoll(what.substr(at + 18)) * 1024;
  }
  Engine tight(options);
  EXPECT_EQ(tight.stats().kv_blocks, 2);
  const std::vector<Choice> got = tight.choose(requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_FALSE(got[i].error) << got[i].error->message;
    EXPECT_EQ(got[i].logprobs, wanted[i].logprobs);
  }
}

TEST(Choices, GoTogetherWithTextsAndScores) {
  Engine engine(options_of(source / "demo/llama"));
  Request text = request("ROMEO:", {});
  text.sampling.max_new_tokens = 6;
  const Request asked = request("My love is as deep as the ", {"sea", "sky", "ocean"});
  const std::string alone = engine.generate(std::vector{text}).at(0).text;
  const std::vector<float> logprobs = engine.choose(std::vector{asked}).at(0).logprobs;
  engine.submit(5, text);
  engine.submit_choice(5, asked);
  engine.submit_score(5, request("To be or not to be", {}));
  std::vector<float> chosen;
  std::string written;
  while (engine.unfinished() > 0) {
    for (const auto& [tag, result] : engine.step()) written = result.text;
    for (const auto& [tag, choice] : engine.step_choices()) chosen = choice.logprobs;
    (void)engine.step_scores();
  }
  EXPECT_EQ(chosen, logprobs);
  EXPECT_EQ(written, alone);
}

TEST(Choices, AreTheSameOverThreads) {
  const std::vector<Request> requests{
      request("My love is as deep as the ", {"sea", "sky", "ocean"}),
      request("The king said", {" yes", " no", " nothing"}), request("", {"A", "B"})};
  Options options = options_of(source / "demo/llama");
  std::vector<Choice> wanted;
  {
    Engine engine(options);
    wanted = engine.choose(requests);
  }
  options.data_parallel_size = 2;
  options.tensor_parallel_size = 2;
  LocalEngine engine(options);
  const std::vector<Choice> got = engine.choose(requests);
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].logprobs, wanted[i].logprobs);
}

class Refusals : public ::testing::Test {
 protected:
  Refusals() {
    add_tokenizer(source / "tests/data/golden/qwen2", folder_.path());
    Options options = options_of(folder_.path());
    options.max_model_len = 40;
    engine_.emplace(options);
  }

  std::string refusal(const Request& request) {
    const Choice choice = engine_->choose(std::vector{request}).at(0);
    return choice.error ? choice.error->code + ": " + choice.error->message : "none";
  }

  TemporaryFolder folder_;
  std::optional<Engine> engine_;
};

TEST_F(Refusals, SayWhatIsWrongWithTheLabels) {
  EXPECT_NE(refusal(request("1 2", {})).find("no label to choose from"), std::string::npos);
  EXPECT_NE(refusal(request("1 2", {"3", ""})).find("label 2 is empty"), std::string::npos);
  EXPECT_NE(refusal(request("1 2", {"3", "4", "3"})).find("labels 1 and 3 are both \"3\""),
            std::string::npos);
  EXPECT_NE(refusal(request("1 2", {"3", "  "})).find("label \"  \" has no tokens"),
            std::string::npos);
  EXPECT_NE(refusal(request("1 2", {"3 4", "3  4"})).find("are the same tokens"),
            std::string::npos);
  std::vector<std::string> many(10'001);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = std::to_string(i);
  EXPECT_NE(refusal(request("1 2", many)).find("at most 10000"), std::string::npos);
}

TEST_F(Refusals, SayWhatDoesNotFit) {
  Request asked = request("", {"3", "4 5 6"});
  asked.prompt.reset();
  asked.token_ids.emplace(38, 7);
  EXPECT_NE(refusal(asked).find("context_length_exceeded: the prompt has 38 tokens and the longest "
                                "label 3"),
            std::string::npos);
  asked.token_ids->pop_back();
  EXPECT_EQ(refusal(asked), "none");
}

TEST_F(Refusals, NeedAnEndWhereALabelBeginsAnother) {
  EXPECT_EQ(refusal(request("1 2", {"3", "3 4"})), "none") << "the model has an end token";
  for (const char* name : {"config.json", "generation_config.json"}) {
    Json json = Json::parse(read_file(folder_.path() / name));
    json.erase("eos_token_id");
    json["eos_token_id"] = nullptr;
    write_file(folder_.path() / name, json.dump());
  }
  engine_.emplace(options_of(folder_.path()));
  EXPECT_NE(refusal(request("1 2", {"3", "3 4"})).find("label \"3\" begins another one"),
            std::string::npos);
  EXPECT_EQ(refusal(request("1 2", {"3", "4"})), "none");
}

TEST(Choices, AreRefusedOfModelsThatGenerateNothing) {
  Engine engine(options_of(source / "tests/data/texts/classify"));
  EXPECT_THROW((void)engine.choose(std::vector{request("a", {"b", "c"})}), Error);
}

}  // namespace
}  // namespace trireme
