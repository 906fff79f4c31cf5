#include "plan/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "comm/topology.h"
#include "core/error.h"
#include "plan/stages.h"

namespace trireme {

namespace {

PlanRange as_plan(Range range) { return {range.begin, range.end}; }

PlanRange layers_of(const ModelSpec& model, Range blocks) {
  PlanRange layers;
  std::int64_t layer = 0;
  for (std::int64_t i = 0; i < blocks.end; ++i) {
    if (i == blocks.begin) layers.begin = layer;
    layer += model.blocks[static_cast<std::size_t>(i)].kind == BlockKind::layer ? 1 : 0;
  }
  layers.end = layer;
  return layers;
}

RankShare share_of(const ModelSpec& model, const PlanRequest& request, int rank,
                   const Placement& placement) {
  const RankPoint point = point_of(rank, {request.dp, request.tp, request.pp});
  const Placement::Stage& stage = placement.stages[static_cast<std::size_t>(point.pp)];
  const Range blocks = stage.blocks;
  const TensorShard shard = tensor_shard(model, request.tp, point.tp);
  RankShare share{.rank = rank, .replica = point.dp, .stage = point.pp, .tensor_rank = point.tp};
  share.blocks = as_plan(blocks);
  share.layers = layers_of(model, blocks);
  share.embedding = blocks.contains(0);
  share.head = blocks.contains(static_cast<std::int64_t>(model.blocks.size()) - 1);
  share.heads = as_plan(shard.heads);
  share.kv_heads = as_plan(shard.kv_heads);
  share.mlp = as_plan(shard.mlp);
  share.vocab = as_plan(shard.vocab);
  share.device = stage.device;
  if (request.gpus) {
    share.device = fmt::format("cuda:{}", request.gpus->gpu_of(rank % request.per_host()));
  }
  share.disk_blocks = as_plan(stage.on_disk());
  share.disk_bytes = disk_weight_bytes(model, shard, blocks, stage.disk_begin);
  share.weight_bytes =
      resident_weight_bytes(model, shard, blocks, stage.disk_begin,
                            request.gpus ? WeightPacking::gpu : WeightPacking::cpu);
  share.activation_bytes = workspace_floats(model, shard, blocks, request.limits) *
                               static_cast<std::int64_t>(sizeof(float)) +
                           rotary_bytes(model, request.limits) +
                           step_cache_bytes(model, shard, blocks, request.limits);
  share.program_bytes = program_bytes;
  if (request.gpus) {
    share.activation_bytes += gpu_scratch_bytes(model, shard, blocks, request.limits);
    share.program_bytes = gpu_context_bytes + (request.tp * request.pp > 1 ? gpu_links_bytes : 0);
  }
  share.kv_cache_bytes = kv_bytes_per_block(model, shard, blocks);  // of one block, so far
  return share;
}

/// A host, or one of its GPUs.
using Place = std::pair<int, std::string>;

Place place_of(const RankShare& rank, const PlanRequest& request) {
  return {rank.rank / request.per_host(), request.gpus ? rank.device : ""};
}

/// Bytes that each place needs: replicas on one host share their weights, those on a GPU do not.
std::map<Place, std::int64_t> bytes_of_places(const std::vector<RankShare>& ranks,
                                              const PlanRequest& request) {
  std::map<Place, std::int64_t> bytes;
  std::map<Place, std::set<std::pair<int, int>>> held;
  for (const RankShare& rank : ranks) {
    const Place place = place_of(rank, request);
    bytes[place] += rank.total();
    const bool new_share = held[place].insert({rank.stage, rank.tensor_rank}).second;
    if (!new_share && !request.gpus) bytes[place] -= rank.weight_bytes;
  }
  return bytes;
}

std::int64_t fullest_place(const std::vector<RankShare>& ranks, const PlanRequest& request) {
  std::int64_t most = 0;
  for (const auto& [place, sum] : bytes_of_places(ranks, request)) most = std::max(most, sum);
  return most;
}

void check_sizes(const ModelSpec& model, const PlanRequest& request) {
  if (request.dp < 1 || request.tp < 1 || request.pp < 1) {
    fail(ErrorKind::usage, "-dp {} -tp {} -pp {}: each must be at least 1", request.dp, request.tp,
         request.pp);
  }
  if (request.tp <= model.max_tensor_parallel()) return;
  fail(ErrorKind::usage,
       "--tensor-parallel-size {}: this model has {} virtual shards of attention heads, {} of the "
       "MLP and {} of the vocabulary, so it can be at most {}; use -pp or -dp for more ranks",
       request.tp, model.head_shards.count(), model.mlp_shards.count(), model.vocab_shards.count(),
       model.max_tensor_parallel());
}

/// Ranks as they would be with a cache of one block.
std::vector<RankShare> shares_of(const ModelSpec& model, const PlanRequest& request) {
  check_sizes(model, request);
  // A suggestion for another number of stages has no placement yet.
  const bool placed = request.placement.has_value() &&
                      static_cast<int>(request.placement->stages.size()) == request.pp;
  const Placement placement = placed ? *request.placement : by_cost(model, request.pp);
  std::vector<RankShare> ranks;
  for (int rank = 0; rank < request.world(); ++rank) {
    ranks.push_back(share_of(model, request, rank, placement));
  }
  return ranks;
}

/// By what is left on each GPU.
CacheRequest gpu_cache(const std::vector<RankShare>& bare, const std::vector<RankShare>& ranks,
                       const PlanRequest& request) {
  const std::map<Place, std::int64_t> taken = bytes_of_places(bare, request);
  std::vector<GpuRank> rooms;
  for (const RankShare& rank : ranks) {
    const std::int64_t free = request.gpus->memory - taken.at(place_of(rank, request));
    rooms.push_back({gpu_memory_left(request.gpus->memory, free, request.gpus->utilization),
                     rank.kv_cache_bytes});
  }
  return gpu_cache_request(request.limits, request.kv_cache_bytes, rooms,
                           ranks_per_gpu(request.per_host(), request.gpus->usable()));
}

CacheRequest cache_request(const std::vector<RankShare>& ranks, const PlanRequest& request) {
  CacheRequest cache{.limits = request.limits,
                     .asked_bytes = request.kv_cache_bytes,
                     .ranks_per_host = request.per_host()};
  std::vector<RankShare> bare = ranks;
  std::map<int, std::int64_t> blocks;
  for (RankShare& rank : bare) {
    const std::int64_t bytes = std::exchange(rank.kv_cache_bytes, 0);
    cache.block_bytes = std::max(cache.block_bytes, bytes);
    std::int64_t& host = blocks[rank.rank / request.per_host()];
    host += bytes;
    cache.host_block_bytes = std::max(cache.host_block_bytes, host);
  }
  if (request.gpus) return gpu_cache(bare, ranks, request);
  cache.free_bytes = request.available_bytes - fullest_place(bare, request);
  // What is accepted here must still fit when the run has loaded and measures what is left.
  cache.reserve_bytes = std::max<std::int64_t>(0, cache.free_bytes / 10);
  return cache;
}

void judge(PlanReport& report, const CacheRequest& cache) {
  report.shortage = cache_shortage(cache);
  if (report.host_bytes > report.available_bytes) {
    report.shortage =
        fmt::format("{} bytes are needed on a {}, {} are available", report.host_bytes,
                    report.gpus_per_host > 0 ? "GPU" : "host", report.available_bytes);
  }
  report.fits = report.shortage.empty();
}

}  // namespace

PlanReport lay_out(const ModelSpec& model, const PlanRequest& request) {
  PlanReport report;
  report.ranks = shares_of(model, request);
  report.data_parallel_size = request.dp;
  report.tensor_parallel_size = request.tp;
  report.pipeline_parallel_size = request.pp;
  report.max_model_len = request.limits.max_model_len;
  report.max_sequences = request.limits.max_sequences;
  report.ranks_per_host = request.per_host();
  report.available_bytes = request.available_bytes;
  if (request.gpus) {
    report.available_bytes = request.gpus->budget();
    report.gpus_per_host = request.gpus->count;
    report.gpu_memory_bytes = request.gpus->memory;
  }
  const CacheRequest cache = cache_request(report.ranks, request);
  const std::int64_t blocks = cache_blocks(cache);
  for (RankShare& rank : report.ranks) rank.kv_cache_bytes *= blocks;
  report.kv_cache_tokens = blocks * kv_block_tokens;
  report.host_bytes = fullest_place(report.ranks, request);
  judge(report, cache);
  return report;
}

CacheRequest cache_request(const ModelSpec& model, const PlanRequest& request) {
  return cache_request(shares_of(model, request), request);
}

BusyGpus busy_gpus(const PlanReport& report) {
  std::set<Place> all;
  std::set<Place> of_stage;
  for (const RankShare& rank : report.ranks) {
    const Place place{rank.rank / report.ranks_per_host, rank.device};
    all.insert(place);
    if (rank.replica == 0 && rank.stage == 0) of_stage.insert(place);
  }
  return {static_cast<int>(all.size()), static_cast<int>(of_stage.size())};
}

std::int64_t bytes_read_per_token(const ModelSpec& model) {
  double bytes = 0;
  for (const BlockSpec& block : model.blocks) {
    if (block.kind == BlockKind::embed) continue;
    for (const ParameterSpec& parameter : block.parameters) {
      if (parameter.is_vector()) continue;
      bytes +=
          static_cast<double>(parameter.elements()) * bytes_per_weight(model.format_of(parameter));
    }
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace trireme
