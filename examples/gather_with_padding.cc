// Three prompts over any number of processes, padded to shares of equal length, and all results on
// every process. In Accelerate the caller drops what the padding gave; here gather() knows it.
//
//   trireme launch --num_processes 2 gather_with_padding demo/llama
#include <cstdio>
#include <string>
#include <vector>

#include "trireme/engine.h"
#include "trireme/partial_state.h"

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: gather_with_padding MODEL\n"), 2;
  try {
    const trireme::PartialState state;
    trireme::Options options;
    options.model = argv[1];
    options.device = state.device().text();
    trireme::Engine pipe(state.alone(options));

    std::vector<trireme::Request> prompts(3);
    prompts[0].prompt = "a dog";
    prompts[1].prompt = "a cat";
    prompts[2].prompt = "a chicken";

    const auto prompt = state.split_between_processes(prompts, {.apply_padding = true});
    std::vector<std::string> texts;
    for (const trireme::Result& result : pipe.generate(prompt)) texts.push_back(result.text);

    for (const std::string& text : state.gather(texts, prompt)) {
      if (state.is_main_process()) std::printf("%s\n---\n", text.c_str());
    }
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
