// The engine as a program that feeds it sees it: several kinds of requests at once, requests that
// are dropped, and what it refuses.
#include "trireme/engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>

#include "support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using testing::write_file;

const fs::path demo = fs::path(TRIREME_SOURCE_DIR) / "demo/llama";

Options options_of(const fs::path& model = demo) {
  Options options;
  options.model = model.string();
  options.threads = 1;
  options.max_model_len = 256;
  return options;
}

Request request(const std::string& prompt, std::int64_t new_tokens = 8) {
  Request request;
  request.prompt = prompt;
  request.sampling.max_new_tokens = new_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

/// Steps until nothing is left.
struct Answers {
  std::map<std::uint64_t, std::string> texts;
  std::map<std::uint64_t, double> sums;
};
Answers finish(Engine& engine) {
  Answers answers;
  for (int steps = 0; engine.unfinished() > 0; ++steps) {
    if (steps > 1000) {
      ADD_FAILURE() << "requests stay unfinished";
      break;
    }
    for (const auto& [tag, result] : engine.step()) {
      EXPECT_TRUE(answers.texts.emplace(tag, result.text).second) << tag;
    }
    for (const auto& [tag, score] : engine.step_scores()) {
      EXPECT_TRUE(answers.sums.emplace(tag, score.sum).second) << tag;
    }
  }
  return answers;
}

template <typename Call>
std::string refusal(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Engine, GeneratesAndScoresAtOnceUnderTheSameTags) {
  Engine engine(options_of());
  engine.submit(0, request("ROMEO:"));
  engine.submit(1, request("JULIET:"));
  const Answers alone = finish(engine);
  engine.submit_score(0, request("To be or not to be"));
  engine.submit_score(1, request("Now is the winter"));
  const Answers scored = finish(engine);
  ASSERT_EQ(scored.sums.size(), 2u);

  engine.submit(0, request("ROMEO:"));
  engine.submit_score(0, request("To be or not to be"));
  engine.submit_score(1, request("Now is the winter"));
  engine.submit(1, request("JULIET:"));
  const Answers both = finish(engine);
  EXPECT_EQ(both.texts, alone.texts);
  EXPECT_EQ(both.sums, scored.sums);
}

TEST(Engine, OneKindOfStepFinishesBothKinds) {
  Engine engine(options_of());
  engine.submit(7, request("ROMEO:"));
  engine.submit_score(7, request("To be or not to be"));
  std::vector<Engine::Finished> finished;
  for (int i = 0; i < 20 && finished.empty(); ++i) finished = engine.step();
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(engine.unfinished(), 1) << "the score's result has not been taken";
  EXPECT_EQ(engine.step_scores().size(), 1u);
  EXPECT_EQ(engine.unfinished(), 0);
}

TEST(Engine, CollectiveCallsDoNotMixWithUnfinishedRequests) {
  Engine engine(options_of());
  const std::vector<Request> requests{request("ROMEO:"), request("JULIET:")};
  const std::vector<Result> before = engine.generate(requests);
  engine.submit(1, request("HAMLET:"));
  for (const auto& call : {std::function([&] { engine.generate(requests); }),
                           std::function([&] { engine.score(requests); })}) {
    const std::string message = refusal(ErrorKind::usage, call);
    EXPECT_NE(message.find("1 requests"), std::string::npos) << message;
  }
  EXPECT_EQ(finish(engine).texts.size(), 1u);
  EXPECT_EQ(engine.score(requests).size(), 2u);
  EXPECT_EQ(engine.generate(requests)[1].text, before[1].text);
}

TEST(Engine, ATagIsOneUnfinishedRequests) {
  Engine engine(options_of());
  engine.submit(3, request("ROMEO:"));
  const std::string message =
      refusal(ErrorKind::usage, [&] { engine.submit(3, request("JULIET:")); });
  EXPECT_NE(message.find("tag 3"), std::string::npos) << message;
  EXPECT_EQ(finish(engine).texts.size(), 1u);
  engine.submit(3, request("JULIET:"));
  EXPECT_EQ(finish(engine).texts.size(), 1u);
}

TEST(Engine, ACancelledRequestHasNoResult) {
  Engine engine(options_of());
  engine.submit(0, request("ROMEO:"));
  const std::string text = finish(engine).texts.at(0);

  engine.submit(0, request("ROMEO:"));
  engine.submit(1, request("JULIET:", 100));
  engine.submit(2, request("HAMLET:", 100));
  engine.submit_score(1, request("To be or not to be"));
  EXPECT_TRUE(engine.cancel(2)) << "it waits";
  EXPECT_TRUE(engine.step().empty());
  EXPECT_TRUE(engine.cancel(1)) << "it runs";
  EXPECT_FALSE(engine.cancel(1));
  EXPECT_FALSE(engine.cancel(99));
  engine.submit(1, request("ROMEO:"));
  const Answers answers = finish(engine);
  EXPECT_EQ(answers.texts, (std::map<std::uint64_t, std::string>{{0, text}, {1, text}}));
  EXPECT_EQ(answers.sums.size(), 1u) << "tags of scores are others";
  EXPECT_FALSE(engine.cancel(0)) << "it has finished";

  engine.submit_score(4, request("To be or not to be"));
  EXPECT_TRUE(engine.cancel_score(4));
  EXPECT_FALSE(engine.cancel_score(4));
  EXPECT_EQ(engine.unfinished(), 0);
}

TEST(Engine, WhoHearsTextMayCancel) {
  Engine engine(options_of());
  std::string heard;
  engine.submit(0, request("ROMEO:", 50), [&](std::string_view piece) {
    heard += piece;
    EXPECT_TRUE(engine.cancel(0));
    engine.cancel(1);
  });
  engine.submit(1, request("JULIET:", 50));
  engine.submit(2, request("HAMLET:", 4));
  const Answers answers = finish(engine);
  EXPECT_EQ(answers.texts.size(), 1u);
  EXPECT_TRUE(answers.texts.contains(2));
  EXPECT_FALSE(heard.empty());
}

TEST(Engine, DraftsChangeNoText) {
  Options options = options_of();
  Engine plain(options);
  options.num_speculative_tokens = 6;
  options.prompt_lookup_min = 1;
  Engine drafting(options);
  std::vector<std::string> texts;
  for (Engine* engine : {&plain, &drafting}) {
    Request greedy = request("KING: no no no no no no no no", 200);
    greedy.sampling.temperature = 0.0f;
    std::string heard;
    engine->submit(0, greedy, [&](std::string_view piece) { heard += piece; });
    texts.push_back(finish(*engine).texts.at(0));
    EXPECT_EQ(heard, texts.back());
  }
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(plain.stats().drafted_tokens, 0);
  EXPECT_GT(drafting.stats().accepted_tokens, 40);
  EXPECT_EQ(drafting.stats().steps, plain.stats().steps - drafting.stats().accepted_tokens);

  // Whoever cancels hears none of the tokens that the same step brought besides.
  Request greedy = request("KING: no no no no no no no no", 200);
  greedy.sampling.temperature = 0.0f;
  for (std::size_t enough = 20; enough < 60; ++enough) {
    std::string heard;
    std::size_t pieces = 0;
    drafting.submit(0, greedy, [&](std::string_view piece) {
      heard += piece;
      if (++pieces == enough) drafting.cancel(0);
    });
    EXPECT_TRUE(finish(drafting).texts.empty());
    EXPECT_EQ(pieces, enough);
    EXPECT_TRUE(texts[0].starts_with(heard));
  }
}

TEST(Engine, FlagsOfDraftsThatMakeNoSenseAreRefused) {
  Options options = options_of();
  options.prompt_lookup_min = 5;
  const std::string message = refusal(ErrorKind::usage, [&] { Engine engine(options); });
  EXPECT_NE(message.find("--prompt-lookup-max, which is 4"), std::string::npos) << message;
}

/// The demo model, to be spoiled.
class SpoiledModel : public ::testing::Test {
 protected:
  void SetUp() override { fs::copy(demo, model); }
  const TemporaryFolder folder;
  const fs::path model = folder / "model";
};

TEST_F(SpoiledModel, IsToldByPrepare) {
  const auto prepare = [&](bool chat) {
    Engine engine(options_of(model));
    engine.prepare(chat);
  };
  write_file(model / "chat_template.jinja", "{% for %}");
  prepare(false);
  EXPECT_NE(refusal(ErrorKind::input, [&] { prepare(true); }).find("chat_template.jinja"),
            std::string::npos);
  fs::remove(model / "chat_template.jinja");
  EXPECT_NE(refusal(ErrorKind::input, [&] { prepare(true); }).find("no chat template"),
            std::string::npos);
  write_file(model / "generation_config.json", R"({"eos_token_id": "two"})");
  EXPECT_NE(refusal(ErrorKind::input, [&] { prepare(false); }).find("generation_config.json"),
            std::string::npos);
  fs::remove(model / "generation_config.json");
  fs::remove(model / "tokenizer.json");
  EXPECT_NE(refusal(ErrorKind::input, [&] { prepare(false); }).find("no tokenizer"),
            std::string::npos);
}

/// Reading it again for each row of a batch would take longer than the rows.
TEST_F(SpoiledModel, ABrokenChatTemplateIsReadOnce) {
  fs::remove(model / "chat_template.jinja");
  write_file(model / "chat_template.json", "{\"chat_template\": ");
  Engine engine(options_of(model));
  Request chat;
  chat.messages = R"([{"role": "user", "content": "Hi"}])";
  const auto error = [&] {
    engine.submit(0, chat);
    const std::vector<Engine::Finished> finished = engine.step();
    return finished.at(0).result.error.value().message;
  };
  const std::string first = error();
  EXPECT_NE(first.find("chat_template.json"), std::string::npos) << first;
  write_file(model / "chat_template.json", R"({"chat_template": "{{ messages[0].content }}"})");
  EXPECT_EQ(error(), first);
}

}  // namespace
}  // namespace trireme
