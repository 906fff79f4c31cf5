#include "api/predict_speed.h"

#include <algorithm>
#include <array>

#include "api/bench_work.h"
#include "core/error.h"
#include "kernels/registry.h"
#include "plan/host.h"
#include "plan/report.h"
#include "runtime/rehearsal.h"
#include "runtime/replica.h"

namespace trireme {

namespace {

constexpr std::int64_t most_context = 512;
constexpr std::int64_t most_prompt = 512;
constexpr std::int64_t least_prompt = 32;
/// A prompt through the rehearsed layers takes no more: half a second of a few cores.
constexpr double most_operations = 2e11;

/// The steps whose times say how fast a plan is.
struct Steps {
  Rehearsal::Step prompt;
  Rehearsal::Step one;
  Rehearsal::Step batch;

  std::array<Rehearsal::Step, 3> all() const { return {prompt, one, batch}; }
};

Steps steps_of(const PlanReport& report, const Options& options, const ModelSpec& model) {
  const std::int64_t longest = report.max_model_len;
  const double per_token = BenchWork(model).layer_operations(0) *
                           static_cast<double>(Rehearsal::layers_for(model)) /
                           static_cast<double>(model.num_layers());
  const bool on_gpus = report.gpus_per_host > 0;
  const auto affordable =
      on_gpus ? most_prompt : static_cast<std::int64_t>(most_operations / per_token);
  const std::int64_t prompt = std::min({std::clamp(affordable, least_prompt, most_prompt), longest,
                                        std::max<std::int64_t>(1, options.max_step_tokens)});
  const std::int64_t context = std::min(most_context, longest - 1);
  // Pipeline stages work on different sequences at the same time.
  const std::int64_t held = std::max<std::int64_t>(1, report.kv_cache_tokens / (context + 1));
  const std::int64_t rows = ceil_div(std::min(report.max_sequences, held),
                                     static_cast<std::int64_t>(report.pipeline_parallel_size));
  return {{1, prompt, 0}, {1, 1, context}, {rows, 1, context}};
}

/// As many layers as a GPU has room for; 0: not even two.
std::int64_t layers_on_gpu(const ModelSpec& model, std::span<const Rehearsal::Step> steps,
                           std::int64_t free_bytes) {
  const std::int64_t least = std::min<std::int64_t>(2, model.num_layers());
  const auto fits = [&](std::int64_t layers) {
    return Rehearsal::bytes_for(model, steps, layers) <= free_bytes / 10 * 8;
  };
  std::int64_t layers = model.num_layers();
  while (layers > least && !fits(layers)) --layers;
  return fits(layers) ? layers : 0;
}

/// One GPU runs the model alone. Ranks on other GPUs do their shares at the same time, those on one
/// GPU take turns, and what they send to each other is not counted: tensor-parallel GPUs share each
/// step, pipeline stages and replicas work on different sequences, so many rows gain from all.
void predict_on_gpus(PlanReport& report, const Options& options, Model& model, const Steps& steps) {
  const std::array<Rehearsal::Step, 3> all = steps.all();
  const std::unique_ptr<Backend> backend = make_backend(options.device, options.isa, 0);
  const std::int64_t layers = layers_on_gpu(model.spec(), all, backend->memory().free);
  if (layers == 0) {
    report.no_speed = "not predicted: there is not enough free memory on the GPU to run two layers";
    return;
  }
  Rehearsal rehearsal(model, *backend, all, layers);
  ThreadPool threads(1);
  const BusyGpus gpus = busy_gpus(report);
  PlanSpeed& speed = report.speed;
  speed.layers = layers;
  speed.prefill = static_cast<double>(gpus.all * steps.prompt.tokens) /
                  rehearsal.seconds(threads, steps.prompt);
  speed.decode = static_cast<double>(gpus.of_stage) / rehearsal.seconds(threads, steps.one);
  speed.batch = static_cast<double>(gpus.all * steps.batch.sequences) /
                rehearsal.seconds(threads, steps.batch);
}

}  // namespace

void predict_speed(PlanReport& report, const Options& options, Model& model) {
  const Steps steps = steps_of(report, options, model.spec());
  PlanSpeed& speed = report.speed;
  speed.context = steps.one.context;
  speed.sequences =
      steps.batch.sequences * report.pipeline_parallel_size * report.data_parallel_size;
  if (report.gpus_per_host > 0) return predict_on_gpus(report, options, model, steps);
  const std::array<Rehearsal::Step, 3> all = steps.all();
  const std::int64_t layers = Rehearsal::layers_for(model.spec());
  const std::int64_t bytes = Rehearsal::bytes_for(model.spec(), all, layers);
  if (bytes > host_memory().available / 2) {
    report.no_speed = "not predicted: there is not enough free memory to run a few layers";
    return;
  }
  const std::unique_ptr<Backend> backend = make_backend(options.isa);
  Rehearsal rehearsal(model, *backend, all, layers);

  // Every rank of a host is busy while there are rows enough, and what they do together is what
  // all their threads do in one pass through the whole model. One sequence keeps the ranks of one
  // stage busy at a time.
  const int per_host = report.ranks_per_host;
  const std::int64_t hosts = ceil_div(static_cast<std::int64_t>(report.ranks.size()), per_host);
  const int cores = host_cores().allowed;
  const int threads = threads_per_rank(options, per_host);
  ThreadPool host(std::min(cores, threads * per_host));
  ThreadPool stage(std::min(cores, threads * std::min(per_host, report.tensor_parallel_size)));
  const std::int64_t hosts_of_stage = ceil_div(report.tensor_parallel_size, per_host);

  speed.layers = layers;
  speed.prefill =
      static_cast<double>(hosts * steps.prompt.tokens) / rehearsal.seconds(host, steps.prompt);
  speed.decode = static_cast<double>(hosts_of_stage) / rehearsal.seconds(stage, steps.one);
  speed.batch =
      static_cast<double>(hosts * steps.batch.sequences) / rehearsal.seconds(host, steps.batch);
}

}  // namespace trireme
