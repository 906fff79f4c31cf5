// PyTorch's two examples for one process: torch.nn.DataParallel, which replicates a model over
// devices and scatters a batch, and a model whose encoder is on one device and whose decoder is on
// another. On a machine without GPUs devices are groups of cores.
//
//   data_and_model_parallel nn-transformer 512
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "trireme/local_engine.h"

namespace {

trireme::HostTensor inputs(std::int64_t rows, std::int64_t tokens, std::int64_t d_model) {
  std::vector<float> values(static_cast<std::size_t>(rows * tokens * d_model));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(static_cast<float>(i) * 0.7f);
  }
  return {{rows, tokens, d_model}, values};
}

void print_some(const char* name, const trireme::TensorMap& outputs) {
  const trireme::HostTensor& output = outputs.at("output");
  std::printf("%s: %s", name, output.description().c_str());
  for (const float value : output.values<float>().subspan(0, 4)) {
    std::printf(" %.9g", static_cast<double>(value));
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    return std::fprintf(stderr, "usage: data_and_model_parallel MODEL D_MODEL\n"), 2;
  }
  try {
    trireme::Options options;
    options.model = argv[1];
    options.max_model_len = 64;
    const trireme::HostTensor input = inputs(5, 16, std::atoi(argv[2]));

    trireme::DataParallel parallel_model(options, {"cpu:0", "cpu:1"});
    print_some("data parallel", parallel_model({{"src", input}, {"tgt", input}}));

    trireme::ModelParallel model(options, {{"encoder", "cpu:0"}, {"decoder", "cpu:1"}});
    print_some("model parallel", model({{"src", input}, {"tgt", input}}));
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
