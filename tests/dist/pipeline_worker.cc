// A pipeline with everything that can be asked of it, for pipeline_test.
// pipeline_worker MODEL [chunks=N] [gather] [generate] [SPLIT POINT...]
#include <cstdio>
#include <string>

#include "trireme/pipeline.h"

namespace trireme {
namespace {

HostTensor ids(std::int64_t rows, std::int64_t tokens, std::int64_t first) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < rows * tokens; ++i) values.push_back(3 + (first + 7 * i) % 80);
  return {{rows, tokens}, values};
}

/// "process 1: ..." where there are results, "process 0: nothing" where there are none.
void print(const PartialState& state, const TensorMap& results) {
  std::string line = "process " + std::to_string(state.process_index()) + ":";
  if (results.empty()) line += " nothing";
  for (const auto& [name, tensor] : results) {
    line += " " + name + " " + tensor.description();
    double sum = 0;
    for (const float value : tensor.values<float>()) sum += static_cast<double>(value);
    char text[40];
    std::snprintf(text, sizeof(text), " %.17g", sum);
    line += text;
  }
  for (const std::string& each : state.gather_object(std::vector<std::string>{line})) {
    if (state.is_main_process()) std::printf("%s\n", each.c_str());
  }
}

void work(int argc, char** argv) {
  const PartialState state;
  Options options;
  options.model = argv[1];
  options.max_model_len = 64;
  PipelineOptions pipeline;
  bool generates = false;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "generate") {
      generates = true;
    } else if (word == "gather") {
      pipeline.gather_output = true;
    } else if (word.starts_with("chunks=")) {
      pipeline.num_chunks = std::stoi(word.substr(7));
    } else {
      pipeline.split_points.push_back(word);
    }
  }
  Pipeline model = prepare_pipeline(state, options, pipeline);
  if (state.is_main_process()) {
    for (const std::string& stage : model.stages()) std::printf("stage %s\n", stage.c_str());
  }
  TensorMap arguments{{"input_ids", ids(7, 9, 0)}};
  const bool pairs = model.engine().kind() == ModelKind::encoder_decoder;
  if (pairs) arguments["decoder_input_ids"] = ids(7, 5, 1);
  print(state, model(arguments));
  if (!generates) return;
  std::vector<Request> requests(3);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].token_ids = {static_cast<std::int32_t>(5 + i), 7, 11};
    requests[i].sampling.max_new_tokens = 6;
  }
  std::vector<std::int32_t> tokens;
  for (const Result& result : model.generate(requests)) {
    tokens.insert(tokens.end(), result.token_ids.begin(), result.token_ids.end());
  }
  std::string line;
  for (const std::int32_t token : tokens) line += " " + std::to_string(token);
  for (const std::string& each : state.gather_object(std::vector<std::string>{line})) {
    if (state.is_main_process()) std::printf("generated:%s\n", each.c_str());
  }
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  try {
    trireme::work(argc, argv);
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
