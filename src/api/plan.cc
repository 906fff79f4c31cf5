// A dry run over a model's headers.
#include "trireme/plan.h"

#include "api/engine_impl.h"
#include "api/predict_speed.h"
#include "core/error.h"
#include "models/unused_tensors.h"
#include "plan/host.h"
#include "plan/report.h"
#include "runtime/placement.h"
#include "runtime/replica.h"
#include "tasks/generation_defaults.h"

namespace trireme {

namespace {

PlanRequest request_of(const Options& options, const ModelSpec& model,
                       const PlanSettings& settings) {
  PlanRequest request{.dp = options.data_parallel_size,
                      .tp = options.tensor_parallel_size,
                      .pp = options.pipeline_parallel_size};
  request.placement = placement_of(options, model);
  request.limits = memory_limits(options, model);
  request.kv_cache_bytes = options.kv_cache_bytes;
  request.ranks_per_host = settings.ranks_per_host;
  request.available_bytes =
      settings.host_memory > 0 ? settings.host_memory : host_memory().available;
  return request;
}

void describe_model(PlanReport& report, const OpenModel& files) {
  const ModelSpec& model = files.model->spec();
  report.directory = files.texts->where();
  report.architecture = model.architecture;
  report.dtype = name_of(model.dtype);
  report.quantization = name_of(model.quantization);
  report.kind = kind_of(model);
  report.num_layers = model.num_layers();
  for (std::int64_t i = 0; i < model.encoder_blocks; ++i) {
    const bool layer = model.blocks[static_cast<std::size_t>(i)].kind == BlockKind::layer;
    report.encoder_layers += layer ? 1 : 0;
  }
  report.max_tensor_parallel = model.max_tensor_parallel();
  report.max_pipeline_parallel = static_cast<std::int64_t>(model.blocks.size());
  for (const TensorInfo* tensor : files.source->tensors()) {
    report.parameters += tensor->elements();
    report.checkpoint_bytes += tensor->bytes_in_file();
  }
  const std::string unused = unused_tensors_warning(model, *files.source);
  if (!unused.empty()) report.warnings.push_back(unused);
  if (!files.warning.empty()) report.warnings.push_back(files.warning);
  const auto add = [&](const char* name, const VirtualShards& shards) {
    report.virtual_shards.push_back({name, shards.size(), shards.width(), shards.count()});
  };
  add("attention heads", model.head_shards);
  add("mlp", model.mlp_shards);
  add("vocabulary", model.vocab_shards);
}

void describe_generation(PlanReport& report, const OpenModel& files) {
  const GenerationDefaults defaults(*files.texts, files.config);
  report.says_how_long = defaults.says_how_long();
  if (!defaults.warning().empty()) report.generation_warnings.push_back(defaults.warning());
}

void bound_speed(PlanReport& report, const ModelSpec& model, double memory_bandwidth) {
  report.memory_bandwidth = memory_bandwidth;
  // For one sequence: tensor-parallel hosts read at the same time, pipeline stages one after
  // another.
  const int hosts = std::max(1, report.tensor_parallel_size / report.ranks_per_host);
  report.decode_tokens_per_second =
      memory_bandwidth * hosts / static_cast<double>(bytes_read_per_token(model));
}

}  // namespace

PlanReport make_plan(const Options& options, const PlanSettings& settings) {
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  const PlanRequest request = request_of(options, model, settings);
  PlanReport report = lay_out(model, request);
  describe_model(report, files);
  if (model.generates()) describe_generation(report, files);
  if (!report.fits) report.suggestions = suggest_plans(model, request);
  // What is rehearsed and counted is a decoder, a token at a time.
  if (report.kind != ModelKind::decoder) {
    report.no_speed = "not predicted: that is done for models that go on with a text";
    return report;
  }
  if (settings.memory_bandwidth > 0) bound_speed(report, model, settings.memory_bandwidth);
  if (settings.rehearse && report.fits) predict_speed(report, options, *files.model);
  return report;
}

}  // namespace trireme
