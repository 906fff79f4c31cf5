// What a request means: its own fields, then generation_config.json, then generate()'s defaults.
#include "tasks/generation_defaults.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "support/scratch.h"

namespace trireme {
namespace {

class Defaults : public ::testing::Test {
 protected:
  GenerationDefaults with(const std::string& generation_config,
                          const std::string& config = R"({"eos_token_id": 2})") {
    std::filesystem::remove(directory_.file("generation_config.json"));
    if (!generation_config.empty()) directory_.write("generation_config.json", generation_config);
    return {DirectoryTexts(directory_.path()), HfConfig::parse(config, "config.json")};
  }

  const Scratch directory_;
};

TEST_F(Defaults, AreGreedyAndTwentyTokensWithoutAFile) {
  const ResolvedSampling out = with("").resolve({}, 5, 100);
  EXPECT_TRUE(out.sampler.greedy);
  EXPECT_EQ(out.max_new_tokens, 20);
  EXPECT_EQ(out.end_tokens, (std::vector<std::int32_t>{2}));
}

TEST_F(Defaults, ComeFromTheFile) {
  const ResolvedSampling out =
      with(R"({"do_sample": true, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [7, 8],
               "max_length": 50})")
          .resolve({}, 5, 100);
  EXPECT_FALSE(out.sampler.greedy);
  EXPECT_FLOAT_EQ(out.sampler.temperature, 0.6f);
  EXPECT_FLOAT_EQ(out.sampler.top_p, 0.9f);
  EXPECT_EQ(out.sampler.top_k, 50);
  EXPECT_EQ(out.max_new_tokens, 45) << "max_length counts the prompt";
  EXPECT_EQ(out.end_tokens, (std::vector<std::int32_t>{7, 8}));
}

TEST_F(Defaults, YieldToTheRequest) {
  Request request;
  request.sampling.temperature = 0.0f;
  request.sampling.max_new_tokens = 3;
  request.sampling.ignore_eos = true;
  const ResolvedSampling out = with(R"({"do_sample": true})").resolve(request, 5, 100);
  EXPECT_TRUE(out.sampler.greedy);
  EXPECT_EQ(out.max_new_tokens, 3);
  EXPECT_TRUE(out.end_tokens.empty());
}

TEST_F(Defaults, SamplingIsOnWhenARequestSaysHow) {
  Request request;
  request.sampling.top_p = 0.5f;
  EXPECT_FALSE(with("").resolve(request, 5, 100).sampler.greedy);
  request.sampling.do_sample = false;
  EXPECT_TRUE(with("").resolve(request, 5, 100).sampler.greedy);
}

TEST_F(Defaults, NewTokensEndWithTheContext) {
  Request request;
  request.sampling.max_new_tokens = 1000;
  EXPECT_EQ(with("").resolve(request, 5, 17).max_new_tokens, 17);
}

TEST_F(Defaults, ALengthThatThePromptHasUsedUpLeavesOneToken) {
  EXPECT_EQ(with(R"({"max_length": 4})").resolve({}, 5, 100).max_new_tokens, 1);
}

TEST_F(Defaults, SwitchingTopKOffIsNoWishToSample) {
  Request request;
  request.sampling.top_k = 0;
  EXPECT_TRUE(with("").resolve(request, 5, 100).sampler.greedy);
  EXPECT_EQ(with(R"({"do_sample": true})").resolve(request, 5, 100).sampler.top_k, 0);
  EXPECT_EQ(with(R"({"do_sample": true, "top_k": null})").resolve({}, 5, 100).sampler.top_k, 0);
}

TEST_F(Defaults, AFileIsCheckedWhenItIsRead) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("max_new_tokens": 0)", "max_new_tokens is 0; expected an integer of at least 1"},
      {R"("max_length": -9223372036854775808)", "max_length is -9223372036854775808; expected"},
      {R"("max_length": 1.5)", "max_length is 1.5; expected an integer"},
      {R"("temperature": -0.5)", "temperature is -0.5; expected a number from 0 (greedy) up"},
      {R"("temperature": 1e39)", "temperature is 1e+39; expected"},
      {R"("top_k": -2)", "top_k is -2; expected a positive number, or 0 or -1 for all"},
      {R"("top_p": 0)", "top_p is 0; expected a number above 0 and at most 1"},
      {R"("min_p": 1.5)", "min_p is 1.5; expected a number from 0 to 1"},
      {R"("repetition_penalty": 1e-60)", "repetition_penalty is 1e-60; expected a number above 0"},
      {R"("eos_token_id": -1)", "eos_token_id is -1; expected token ids"},
  };
  for (const auto& [field, expected] : cases) {
    try {
      (void)with(std::string("{") + field + "}");
      ADD_FAILURE() << field;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      const std::string message = error.what();
      EXPECT_NE(message.find("generation_config.json: " + std::string(expected)), std::string::npos)
          << message;
    }
  }
}

TEST_F(Defaults, ABrokenLinkIsNotAsIfThereWereNoFile) {
  std::filesystem::create_symlink("blob", directory_.path() / "generation_config.json");
  try {
    GenerationDefaults(DirectoryTexts(directory_.path()), HfConfig::parse("{}", "config.json"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("generation_config.json: cannot open"),
              std::string::npos);
  }
}

TEST_F(Defaults, WarnOfWhatIsNotHeeded) {
  EXPECT_EQ(with(R"({"num_beams": 1, "typical_p": 1.0, "suppress_tokens": [], "min_length": 0,
                     "bad_words_ids": null, "token_healing": false, "guidance_scale": 1.0,
                     "length_penalty": 2.0, "use_cache": true, "pad_token_id": 0})")
                .warning(),
            "");
  const std::string warning =
      with(R"({"num_beams": 4, "no_repeat_ngram_size": 3, "bad_words_ids": [[7, 8]],
               "forced_eos_token_id": 0, "typical_p": 0.9})")
          .warning();
  for (const char* part :
       {"generation_config.json: ", "num_beams is 4, ", "typical_p is 0.9",
        "no_repeat_ngram_size is 3", "bad_words_ids is [[7,8]]", "forced_eos_token_id is 0"}) {
    EXPECT_NE(warning.find(part), std::string::npos) << warning << "\nlacks: " << part;
  }
  EXPECT_EQ(warning.find('\n'), std::string::npos);
}

TEST_F(Defaults, RefuseWhatIsOutOfRangeByName) {
  Request request;
  request.sampling.top_p = 1.5f;
  try {
    (void)with("").resolve(request, 5, 100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("top_p"), std::string::npos);
  }
}

}  // namespace
}  // namespace trireme
