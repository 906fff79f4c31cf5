// What a request means: its own fields, then generation_config.json, then generate()'s defaults.
#include "tasks/generation_defaults.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"

namespace trireme {
namespace {

class Defaults : public ::testing::Test {
 protected:
  GenerationDefaults with(const std::string& generation_config,
                          const std::string& config = R"({"eos_token_id": 2})") {
    directory_ = std::filesystem::path(::testing::TempDir()) / "generation_defaults";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    if (!generation_config.empty()) {
      std::ofstream(directory_ / "generation_config.json") << generation_config;
    }
    return {directory_, HfConfig::parse(config, "config.json")};
  }

  std::filesystem::path directory_;
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
