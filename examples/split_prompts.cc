// Each process answers its share of the prompts with a model of its own and writes a file of its
// own, as the first script of Accelerate's guide to distributed inference does.
//
//   trireme launch --num_processes 2 split_prompts demo/llama
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "trireme/engine.h"
#include "trireme/partial_state.h"

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: split_prompts MODEL [FOLDER]\n"), 2;
  const std::string folder = argc > 2 ? argv[2] : ".";
  try {
    const trireme::PartialState state;
    trireme::Options options;
    options.model = argv[1];
    options.device = state.device().text();
    trireme::Engine pipe(state.alone(options));

    std::vector<trireme::Request> prompts(2);
    prompts[0].prompt = "a dog";
    prompts[1].prompt = "a cat";

    const auto prompt = state.split_between_processes(prompts);
    std::ofstream file(folder + "/result_" + std::to_string(state.process_index()) + ".txt");
    for (const trireme::Result& result : pipe.generate(prompt)) file << result.text << "\n---\n";
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
