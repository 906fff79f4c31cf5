// A dry run over a model's headers.
#include "trireme/plan.h"

#include "api/engine_impl.h"
#include "api/predict_speed.h"
#include "core/error.h"
#include "kernels/cuda_plugin.h"
#include "models/unused_tensors.h"
#include "plan/host.h"
#include "plan/report.h"
#include "runtime/placement.h"
#include "runtime/replica.h"
#include "tasks/generation_defaults.h"

namespace trireme {

namespace {

bool names_gpus(const std::string& device) {
  return device == "cuda" || device.starts_with("cuda:");
}

/// Of "cuda:1" the 1; -1 of "cuda". Throws Error(usage) for a number that is none of `count`.
int only_gpu(const std::string& device, int count) {
  const int gpu = device == "auto" ? -1 : named_gpu(device).value_or(-1);
  if (gpu < count) return gpu;
  fail(ErrorKind::usage, "--device {}: there are {} GPUs, from cuda:0 on", device, count);
}

/// GPUs as `settings` describe them, wherever they are.
GpuHost described_gpus(const Options& options, const PlanSettings& settings) {
  if (!names_gpus(options.device)) {
    fail(ErrorKind::usage, "--gpu-memory and --gpus are for a plan with --device cuda, not {}",
         options.device);
  }
  const int world =
      options.data_parallel_size * options.tensor_parallel_size * options.pipeline_parallel_size;
  const int on_host =
      settings.ranks_per_host > 0 ? std::min(settings.ranks_per_host, world) : world;
  GpuHost host{.count = settings.gpus > 0 ? settings.gpus : on_host,
               .memory = settings.gpu_memory,
               .utilization = options.gpu_memory_utilization};
  host.only = only_gpu(options.device, host.count);
  return host;
}

/// The GPUs that ranks are on; none where they are on CPUs.
std::optional<GpuHost> gpus_of(const Options& options, const PlanSettings& settings) {
  if (settings.gpu_memory > 0) return described_gpus(options, settings);
  if (!is_gpu(options.device)) {
    if (settings.gpus > 0) described_gpus(options, settings);  // says what is wrong
    return std::nullopt;
  }
  GpuHost host{.count = static_cast<int>(gpus().size()),
               .utilization = options.gpu_memory_utilization};
  host.only = only_gpu(options.device, host.count);
  host.memory = gpus()[static_cast<std::size_t>(std::max(0, host.only))].memory;
  if (host.only < 0) {
    for (const GpuInfo& gpu : gpus()) host.memory = std::min(host.memory, gpu.memory);
  }
  if (settings.gpus > 0) host.count = settings.gpus;
  return host;
}

void refuse_disk(const Placement& placement, const Options& options) {
  for (const Placement::Stage& stage : placement.stages) {
    if (stage.on_disk().size() == 0) continue;
    fail(ErrorKind::usage,
         "--device {}: all blocks must be in the GPUs' memory; leave disk out of --device-map and "
         "--max-memory",
         options.device);
  }
}

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
  request.gpus = gpus_of(options, settings);
  if (request.gpus && request.placement) refuse_disk(*request.placement, options);
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
  // For one sequence: tensor-parallel hosts (or GPUs) read at the same time, pipeline stages one
  // after another.
  const int readers = report.gpus_per_host > 0
                          ? busy_gpus(report).of_stage
                          : std::max(1, report.tensor_parallel_size / report.ranks_per_host);
  report.decode_tokens_per_second =
      memory_bandwidth * readers / static_cast<double>(bytes_read_per_token(model));
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
  if (!settings.rehearse || !report.fits) return report;
  if (settings.gpu_memory > 0 || settings.gpus > 0) {
    report.no_speed = "not predicted: the GPUs are described, and nothing can be run on them";
    return report;
  }
  predict_speed(report, options, *files.model);
  return report;
}

}  // namespace trireme
