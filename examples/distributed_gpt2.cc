// The Megatron-style GPT-2's program (run.py) with its options: tensor parallelism over 1 to 4
// workers, which here are threads of this process.
//
//   distributed_gpt2 --model gpt2 --start "What is the answer to life?" --workers 2
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "trireme/local_engine.h"

namespace {

constexpr const char* usage =
    "Usage: distributed_gpt2 --model DIR [OPTIONS]\n"
    "  -mt, --max_tokens INTEGER  How many new tokens to generate. [100]\n"
    "  -t, --temperature FLOAT    The temperature of the sampling; 0: greedy. [0.8]\n"
    "  -tk, --top_k INTEGER       The top_k of the sampling. [200]\n"
    "  -d, --device TEXT          The device to run on. [cpu]\n"
    "  -w, --workers [1|2|3|4]    The number of workers. [2]\n"
    "  -s, --start TEXT           The start of the prompt to use for generation.\n";

struct Settings {
  trireme::Options options;
  trireme::Request request;
};

/// False for what is no option of this program.
bool take(std::string_view flag, const std::string& value, Settings& settings) {
  const auto is = [&](std::string_view brief, std::string_view whole) {
    return flag == brief || flag == whole;
  };
  trireme::SamplingParams& sampling = settings.request.sampling;
  if (flag == "--model") {
    settings.options.model = value;
  } else if (is("-mt", "--max_tokens")) {
    sampling.max_new_tokens = std::atoi(value.c_str());
  } else if (is("-t", "--temperature")) {
    sampling.temperature = std::strtof(value.c_str(), nullptr);
  } else if (is("-tk", "--top_k")) {
    sampling.top_k = std::atoi(value.c_str());
  } else if (is("-d", "--device")) {
    settings.options.device = value;
  } else if (is("-w", "--workers")) {
    settings.options.tensor_parallel_size = std::atoi(value.c_str());
  } else if (is("-s", "--start")) {
    settings.request.prompt = value;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  settings.options.tensor_parallel_size = 2;
  settings.request.sampling.max_new_tokens = 100;
  settings.request.sampling.temperature = 0.8f;
  settings.request.sampling.top_k = 200;
  for (int i = 1; i < argc; i += 2) {
    const bool known = i + 1 < argc && take(argv[i], argv[i + 1], settings);
    if (!known) return std::fputs(usage, stderr), 2;
  }
  const int workers = settings.options.tensor_parallel_size;
  if (settings.options.model.empty() || workers < 1 || workers > 4) {
    return std::fputs(usage, stderr), 2;
  }
  if (!settings.request.prompt) {
    std::cout << "Prompt: " << std::flush;
    std::string line;
    std::getline(std::cin, line);
    settings.request.prompt = line;
  }
  try {
    trireme::LocalEngine engine(settings.options);
    const trireme::Result result = engine.generate({&settings.request, 1}).front();
    if (result.error) return std::fprintf(stderr, "%s\n", result.error->message.c_str()), 1;
    std::printf("%s%s\n", settings.request.prompt->c_str(), result.text.c_str());
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
