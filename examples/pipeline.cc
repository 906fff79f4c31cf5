// Accelerate's example of pipeline parallelism: a model cut into one stage for each process, a
// batch on its way through all of them at once, and the result on the last process.
//
//   trireme launch --num_processes 2 pipeline gpt2-for-sequence-classification
#include "trireme/pipeline.h"

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

/// torch.randint(0, 90, (rows, tokens)), without torch.
trireme::HostTensor random_ids(std::int64_t rows, std::int64_t tokens) {
  std::vector<std::int64_t> ids;
  std::uint64_t state = 1;
  for (std::int64_t i = 0; i < rows * tokens; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    ids.push_back(static_cast<std::int64_t>((state >> 33) % 90));
  }
  return {{rows, tokens}, ids};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: pipeline MODEL\n"), 2;
  try {
    const trireme::PartialState state;
    trireme::Options options;
    options.model = argv[1];
    options.device = state.device().text();
    auto model = trireme::prepare_pipeline(state, options, {.num_chunks = 2});
    for (const std::string& block : model.stages()) {
      if (state.is_main_process()) std::fprintf(stderr, "a stage begins with %s\n", block.c_str());
    }

    const trireme::TensorMap output = model({{"input_ids", random_ids(5, 16)}});

    if (state.is_last_process()) {
      const trireme::HostTensor& logits = output.at("logits");
      std::printf("%s\n", logits.description().c_str());
      for (const float logit : logits.values<float>()) {
        std::printf("%.9g\n", static_cast<double>(logit));
      }
    }
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
