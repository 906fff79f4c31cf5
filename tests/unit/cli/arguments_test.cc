#include "cli/arguments.h"

#include <gtest/gtest.h>

#include "trireme/error.h"

namespace trireme {
namespace {

using Words = std::vector<std::string>;

TEST(RewriteParallelFlags, EverySpelling) {
  EXPECT_EQ(rewrite_parallel_flags({"-dp", "2", "-tp2", "-pp=3"}),
            (Words{"--data-parallel-size", "2", "--tensor-parallel-size=2",
                   "--pipeline-parallel-size=3"}));
}

TEST(RewriteParallelFlags, LeavesTheRestAlone) {
  const Words words{"-d", "-tpx", "--tp", "tp", "-p", "-", "", "--", "-tp", "2"};
  EXPECT_EQ(rewrite_parallel_flags(words), words);
}

/// A verb like `run`.
struct Parsed {
  Options options;
  SamplingParams sampling;
  std::string prompt;
  bool go_on = false;
};

Parsed parse(Words words) {
  Parsed parsed;
  Arguments arguments("try", "Tries.", {"trireme try"});
  arguments.app().add_option("prompt", parsed.prompt, "The prompt");
  arguments.add_model(parsed.options, &parsed.sampling.seed);
  arguments.add_plan(parsed.options);
  arguments.add_machine(parsed.options);
  arguments.add_sampling(parsed.sampling);
  words.insert(words.begin(), "try");
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  parsed.go_on = arguments.parse(static_cast<int>(pointers.size()), pointers.data());
  return parsed;
}

/// The message of the usage error that the words cause.
std::string complaint(const Words& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Arguments, FillsOptions) {
  const Parsed parsed =
      parse({"-m", "dir", "-dp", "2", "-tp3", "-pp=4", "--dtype", "float32", "--max-num-seqs", "7",
             "--max-num-batched-tokens=99", "--kv-cache-memory", "1M", "--threads", "3",
             "--num-speculative-tokens", "5", "--prompt-lookup-max=6", "--prompt-lookup-min=3"});
  EXPECT_TRUE(parsed.go_on);
  EXPECT_EQ(parsed.options.model, "dir");
  EXPECT_EQ(parsed.options.data_parallel_size, 2);
  EXPECT_EQ(parsed.options.tensor_parallel_size, 3);
  EXPECT_EQ(parsed.options.pipeline_parallel_size, 4);
  EXPECT_EQ(parsed.options.dtype, "float32");
  EXPECT_EQ(parsed.options.max_sequences, 7);
  EXPECT_EQ(parsed.options.max_step_tokens, 99);
  EXPECT_EQ(parsed.options.kv_cache_bytes, 1 << 20);
  EXPECT_EQ(parsed.options.threads, 3);
  EXPECT_EQ(parsed.options.num_speculative_tokens, 5);
  EXPECT_EQ(parsed.options.prompt_lookup_max, 6);
  EXPECT_EQ(parsed.options.prompt_lookup_min, 3);
  EXPECT_EQ(parse({}).options.num_speculative_tokens, 0);
}

TEST(Arguments, SamplingIsSetOnlyWhenGiven) {
  const SamplingParams none = parse({}).sampling;
  EXPECT_FALSE(none.max_new_tokens || none.temperature || none.top_k || none.seed ||
               none.ignore_eos);
  EXPECT_TRUE(none.stop.empty());
  const Parsed all = parse({"-n", "5", "--temperature", "0.5", "--top-k", "-1", "--top-p=0.9",
                            "--min-p", "0.1", "--repetition-penalty", "1.1", "--seed", "9",
                            "--ignore-eos", "--stop", "a", "--stop", "b", "the prompt"});
  EXPECT_EQ(all.sampling.max_new_tokens, 5);
  EXPECT_EQ(all.sampling.temperature, 0.5f);
  EXPECT_EQ(all.sampling.top_k, -1);
  EXPECT_EQ(all.sampling.top_p, 0.9f);
  EXPECT_EQ(all.sampling.min_p, 0.1f);
  EXPECT_EQ(all.sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(all.sampling.seed, 9u);
  EXPECT_EQ(all.options.load_seed, 9u);
  EXPECT_EQ(all.sampling.ignore_eos, true);
  EXPECT_EQ(all.sampling.stop, (Words{"a", "b"}));
  EXPECT_EQ(all.prompt, "the prompt");
  EXPECT_EQ(parse({"--max-tokens", "6"}).sampling.max_new_tokens, 6);
  EXPECT_EQ(parse({"--max-new-tokens", "7"}).sampling.max_new_tokens, 7);
}

TEST(Arguments, APromptMayBeginWithADashAfterTheSeparator) {
  EXPECT_EQ(parse({"--", "-tp"}).prompt, "-tp");
}

TEST(Arguments, DidYouMean) {
  EXPECT_NE(complaint({"--temprature", "1"}).find("did you mean --temperature?"),
            std::string::npos);
  EXPECT_NE(complaint({"--tensor-paralell-size=2"}).find("did you mean --tensor-parallel-size?"),
            std::string::npos);
  EXPECT_NE(complaint({"-tpp", "2"}).find("unknown flag -tpp"), std::string::npos);
  EXPECT_NE(complaint({"one", "two"}).find("unexpected argument 'two'"), std::string::npos);
}

TEST(Arguments, RefusesBadValues) {
  for (const Words& words : {Words{"-tp", "0"},
                             {"-tp", "-1"},
                             {"-dp", "x"},
                             {"-pp", "99999"},
                             {"--top-k", "many"},
                             {"--temperature", "warm"},
                             {"--seed", "-1"},
                             {"--threads", "0"},
                             {"--max-model-len", "0"},
                             {"--kv-cache-memory", "lots"},
                             {"--device", "gpu"},
                             {"-tp"}}) {
    EXPECT_NE(complaint(words), "") << words[0];
  }
}

TEST(Arguments, CudaIsMissingNotMistyped) {
  try {
    parse({"--device", "cuda"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resource);
  }
}

TEST(Arguments, HelpNamesEverything) {
  ::testing::internal::CaptureStdout();
  const bool go_on = parse({"--help"}).go_on;
  const std::string help = ::testing::internal::GetCapturedStdout();
  EXPECT_FALSE(go_on);
  for (const char* part : {"-dp N", "-tp N", "-pp N", "--kv-cache-memory",
                           "Examples:", "Exit codes:", "generation_config.json"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(help.find("\n\n\n"), std::string::npos);
}

TEST(Sampling, WhatCanNotBeMeantIsWrongUsage) {
  const auto message = [](const Words& words) {
    try {
      parse(words);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return std::string(error.what());
    }
    return std::string();
  };
  for (const Words& words : {Words{"--temperature", "-1"},
                             {"--temperature", "nan"},
                             {"--temperature", "warm"},
                             {"--top-k", "-2"},
                             {"--top-p", "0"},
                             {"--top-p", "1.5"},
                             {"--min-p", "-0.1"},
                             {"--repetition-penalty", "0"},
                             {"-n", "0"},
                             {"-n", "x"},
                             {"--stop", ""}}) {
    EXPECT_NE(message(words).find(words[0] == "-n" ? "--max-new-tokens" : words[0]),
              std::string::npos)
        << words[0] << " " << words[1] << ": " << message(words);
  }
  EXPECT_EQ(message({"--temperature", "0", "--top-k", "-1", "--top-p", "1", "--min-p", "0", "-n",
                     "1", "--repetition-penalty", "0.9"}),
            "");
}

}  // namespace
}  // namespace trireme
