// Plans near an impossible one that would fit.
#include <fmt/core.h>

#include <functional>

#include "plan/report.h"

namespace trireme {

namespace {

constexpr std::size_t most_suggestions = 4;
constexpr std::int64_t mebi = std::int64_t{1} << 20;

class Search {
 public:
  Search(const ModelSpec& model, const PlanRequest& request) : model_(model), request_(request) {}

  /// Tries a changed request; true if it fits.
  bool offer(const ModelSpec& model, const PlanRequest& changed, const std::string& flags,
             const std::string& consequence) {
    const PlanReport report = lay_out(model, changed);
    if (!report.fits) return false;
    if (found_.size() < most_suggestions) found_.push_back({flags, consequence, report.host_bytes});
    return true;
  }

  void enough_cache();
  void less_cache();
  void shorter_sequences();
  void smaller_steps();
  void fewer_replicas();
  void narrower_numbers();
  void integers();
  void fuller_gpus();
  void more_gpus();
  void more_hosts();
  std::vector<PlanSuggestion> take() { return std::move(found_); }

 private:
  const ModelSpec& model_;
  const PlanRequest& request_;
  std::vector<PlanSuggestion> found_;
};

/// The cache of one sequence, when the asked one is smaller.
void Search::enough_cache() {
  const CacheRequest cache = cache_request(model_, request_);
  if (cache.asked_bytes == 0 || cache_shortage(cache).empty()) return;
  PlanRequest changed = request_;
  changed.kv_cache_bytes = bytes_of_one_sequence(cache);
  offer(model_, changed, "--kv-cache-memory " + memory_for_one_sequence(cache),
        "the longest sequence fits");
}

/// The largest cache that fits, in whole MiB, when the asked one is too large.
void Search::less_cache() {
  if (request_.kv_cache_bytes == 0) return;
  PlanRequest changed = request_;
  for (std::int64_t size = request_.kv_cache_bytes / 2 / mebi; size >= 1; size /= 2) {
    changed.kv_cache_bytes = size * mebi;
    const std::string flags = fmt::format("--kv-cache-memory {}M", size);
    if (offer(model_, changed, flags, "fewer tokens are kept; the output stays the same")) return;
  }
}

void Search::shorter_sequences() {
  constexpr std::int64_t shortest = 128;
  PlanRequest changed = request_;
  const CacheRequest cache = cache_request(model_, request_);
  const std::int64_t cached = cache_shortage(cache).empty() ? 0 : length_that_fits(cache);
  if (cached > 0) {
    changed.limits.max_model_len = cached;
    const std::string flags = fmt::format("--max-model-len {}", cached);
    if (offer(model_, changed, flags, "longer prompts are refused")) return;
  }
  for (std::int64_t length = request_.limits.max_model_len / 2; length >= shortest; length /= 2) {
    changed.limits.max_model_len = length;
    const std::string flags = fmt::format("--max-model-len {}", length);
    if (offer(model_, changed, flags, "longer prompts are refused")) return;
  }
}

void Search::smaller_steps() {
  constexpr std::int64_t smallest = 64;
  PlanRequest changed = request_;
  for (std::int64_t rows = request_.limits.max_step_tokens / 2; rows >= smallest; rows /= 2) {
    changed.limits.max_step_tokens = rows;
    const std::string flags = fmt::format("--max-num-batched-tokens {}", rows);
    if (offer(model_, changed, flags, "long prompts take more steps")) return;
  }
}

void Search::fewer_replicas() {
  PlanRequest changed = request_;
  for (int dp = request_.dp - 1; dp >= 1; --dp) {
    changed.dp = dp;
    const std::string flags = fmt::format("--data-parallel-size {}", dp);
    if (offer(model_, changed, flags, "fewer rows run at once")) return;
  }
}

void Search::narrower_numbers() {
  if (model_.dtype != DType::f32) return;
  ModelSpec narrow = model_;
  narrow.dtype = DType::bf16;
  offer(narrow, request_, "--dtype bfloat16", "half the bytes; other rounding");
}

/// Rounded weights, where the checkpoint's own are not; with shorter sequences if need be.
void Search::integers() {
  if (model_.quantization != Quantization::none) return;
  ModelSpec rounded = model_;
  for (const char* const name : {"int8", "int4"}) {
    rounded.quantization = *quantization_from_name(name);
    const std::string flags = fmt::format("--quantization {}", name);
    if (offer(rounded, request_, flags, "rounded weights: other output")) return;
    PlanRequest shorter = request_;
    shorter.limits.max_model_len = length_that_fits(cache_request(rounded, request_));
    if (shorter.limits.max_model_len == 0) continue;
    offer(rounded, shorter,
          fmt::format("{} --max-model-len {}", flags, shorter.limits.max_model_len),
          "rounded weights: other output; longer prompts are refused");
  }
}

void Search::fuller_gpus() {
  constexpr double most = 0.95;
  if (request_.gpus->utilization >= most) return;
  PlanRequest changed = request_;
  changed.gpus->utilization = most;
  offer(model_, changed, fmt::format("--gpu-memory-utilization {}", most),
        "less room for other programs");
}

/// The fewest GPUs, a rank each, that hold the model between them: a host's own before those of
/// more hosts.
void Search::more_gpus() {
  constexpr int most_gpus = 64;
  const int per_host = request_.gpus->count;
  const int used = std::min(request_.world(), request_.gpus->usable());
  const auto blocks = static_cast<int>(model_.blocks.size());
  PlanRequest changed = request_;
  changed.dp = 1;
  changed.gpus->only = -1;
  changed.placement.reset();
  const std::string device = request_.gpus->only >= 0 ? " --device cuda" : "";
  for (int gpus = used + 1; gpus <= most_gpus; ++gpus) {
    changed.ranks_per_host = std::min(gpus, per_host);
    const std::string start =
        gpus <= per_host
            ? fmt::format("{} of this host's {} GPUs", gpus, per_host)
            : fmt::format("{} GPUs like these, over hosts by mpirun -n {}", gpus, gpus);
    changed.pp = 1;
    changed.tp = gpus;
    if (gpus <= model_.max_tensor_parallel() &&
        offer(model_, changed, fmt::format("--tensor-parallel-size {}{}", gpus, device), start)) {
      return;
    }
    changed.pp = gpus;
    changed.tp = 1;
    if (gpus <= blocks &&
        offer(model_, changed, fmt::format("--pipeline-parallel-size {}{}", gpus, device), start)) {
      return;
    }
  }
}

/// The fewest hosts, a rank each, that hold the model between them.
void Search::more_hosts() {
  if (request_.per_host() == 1 && request_.world() > 1) return;
  constexpr int most_hosts = 64;
  const auto blocks = static_cast<int>(model_.blocks.size());
  PlanRequest changed = request_;
  changed.dp = 1;
  changed.ranks_per_host = 1;
  for (int hosts = 2; hosts <= most_hosts; ++hosts) {
    const std::string start =
        fmt::format("a host like this for each of {} ranks: mpirun -n {}", hosts, hosts);
    changed.pp = hosts;
    changed.tp = 1;
    if (hosts <= blocks &&
        offer(model_, changed, fmt::format("--pipeline-parallel-size {}", hosts), start)) {
      return;
    }
    changed.pp = 1;
    changed.tp = hosts;
    if (hosts <= model_.max_tensor_parallel() &&
        offer(model_, changed, fmt::format("--tensor-parallel-size {}", hosts), start)) {
      return;
    }
  }
}

}  // namespace

std::vector<PlanSuggestion> suggest_plans(const ModelSpec& model, const PlanRequest& request) {
  Search search(model, request);
  search.enough_cache();
  search.less_cache();
  search.shorter_sequences();
  search.smaller_steps();
  search.fewer_replicas();
  if (!request.gpus) {
    search.narrower_numbers();
    search.more_hosts();
    return search.take();
  }
  search.fuller_gpus();
  search.more_gpus();
  search.narrower_numbers();
  search.integers();
  return search.take();
}

}  // namespace trireme
