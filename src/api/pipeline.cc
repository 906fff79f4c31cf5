#include "trireme/pipeline.h"

#include "api/answers.h"
#include "core/bytes.h"
#include "core/error.h"
#include "runtime/placement.h"
#include "runtime/replica.h"

namespace trireme {

namespace {

std::string packed(const std::vector<Result>& results) {
  ByteWriter out;
  for (const Result& result : results) out.array(encode(result));
  const Message bytes = out.take();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<Result> unpacked(const std::string& text) {
  std::vector<Result> results;
  for (ByteReader in(std::as_bytes(std::span(text))); !in.done();) {
    decode(in.array<std::byte>(), results.emplace_back());
  }
  return results;
}

std::vector<std::string> first_blocks(const Options& options) {
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  std::vector<std::string> names;
  for (const Range blocks : placement_of(options, model).ranges()) {
    names.push_back(model.blocks[static_cast<std::size_t>(blocks.begin)].name);
  }
  return names;
}

}  // namespace

TensorMap Pipeline::operator()(const TensorMap& arguments) {
  TensorMap results = state_.broadcast(engine_.forward(arguments));
  if (!gather_ && !state_.is_last_process()) results.clear();
  return results;
}

std::vector<Result> Pipeline::generate(std::span<const Request> requests) {
  const std::string results = state_.broadcast(packed(engine_.generate(requests)));
  if (!gather_ && !state_.is_last_process()) return {};
  return unpacked(results);
}

Pipeline prepare_pipeline(const PartialState& state, Options options,
                          const PipelineOptions& pipeline) {
  if (options.data_parallel_size != 1 || options.tensor_parallel_size != 1) {
    fail(ErrorKind::usage,
         "prepare_pipeline(): each process is one stage, so -dp and -tp are 1; an Engine over "
         "PartialState::ranks() combines them");
  }
  if (pipeline.num_chunks < 0) {
    fail(ErrorKind::usage, "prepare_pipeline(): num_chunks is {}; expected 0 or more",
         pipeline.num_chunks);
  }
  options.pipeline_parallel_size = state.num_processes();
  options.split_points = pipeline.split_points;
  options.num_chunks = pipeline.num_chunks;
  std::vector<std::string> stages = first_blocks(options);
  return Pipeline(state, Engine(state.ranks(options)), std::move(stages), pipeline.gather_output);
}

}  // namespace trireme
