// A dry run: which rank would hold what, whether it fits, how fast it would be. Reads config.json
// and the checkpoint's headers only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trireme/error.h"
#include "trireme/model_kind.h"
#include "trireme/options.h"

namespace trireme {

/// Indices [begin, end).
struct PlanRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// What one rank holds, and the bytes of memory it takes.
struct RankShare {
  int rank = 0;
  int replica = 0;      ///< its place along data parallelism
  int stage = 0;        ///< along pipeline parallelism
  int tensor_rank = 0;  ///< along tensor parallelism
  PlanRange blocks;     ///< of the model's list: embedding, layers, head
  PlanRange layers;
  bool embedding = false;
  bool head = false;
  PlanRange heads;              ///< query heads of each of its layers
  PlanRange kv_heads;           ///< every key/value head that those read
  PlanRange mlp;                ///< columns of the MLP
  PlanRange vocab;              ///< rows of the embedding and of the head
  std::string device;           ///< of the device map: "cpu:1"; "cuda:0"; empty without either
  std::int64_t disk_bytes = 0;  ///< of weights that stay on disk, and pass through memory
  PlanRange disk_blocks;        ///< which blocks they are of
  std::int64_t weight_bytes = 0;
  std::int64_t kv_cache_bytes = 0;
  std::int64_t activation_bytes = 0;  ///< and the rotary tables; on a GPU its kernels' scratch, too
  /// Code, tokenizer, stacks, messages: about the same everywhere. On a GPU what its driver keeps
  /// for the process.
  std::int64_t program_bytes = 0;
  std::int64_t total() const {
    return weight_bytes + kv_cache_bytes + activation_bytes + program_bytes;
  }
};

/// Fixed boundaries at which a dimension may be cut among tensor-parallel ranks: at multiples of
/// `width`. They belong to the model, not to the plan, so every plan adds up in the same order.
struct VirtualShardReport {
  std::string dimension;  ///< "attention heads", "mlp", "vocabulary"
  std::int64_t size = 0;
  std::int64_t width = 0;  ///< the last may be narrower
  std::int64_t count = 0;
};

/// Flags that would fit where the asked ones do not.
struct PlanSuggestion {
  std::string flags;            ///< "--kv-cache-memory 512M"
  std::string consequence;      ///< in words
  std::int64_t host_bytes = 0;  ///< on the fullest host or GPU
};

/// What the hosts are like, where this one is not the measure.
struct PlanSettings {
  int ranks_per_host = 0;        ///< 0: all ranks of the run share one host
  std::int64_t host_memory = 0;  ///< bytes that a host gives; 0: what this one has available
  /// Bytes of each GPU, all of it; with it GPUs need not be here. 0: those of this host.
  std::int64_t gpu_memory = 0;
  int gpus = 0;  ///< on each host; 0: those of this one, with gpu_memory as many as its ranks
  /// Predicts the speed on this host by running a few of the model's layers, with made-up weights,
  /// on all threads of the plan. Takes a second or two, more for large models.
  bool rehearse = false;
  /// Bytes/s that a host reads from memory: gives a bound on the speed of hosts unlike this one.
  double memory_bandwidth = 0;  ///< with GPUs: that one of them reads
};

/// Tokens per second of the whole plan, predicted. Zeros where it was not.
struct PlanSpeed {
  double prefill = 0;          ///< prompts, all ranks busy
  double decode = 0;           ///< one sequence
  std::int64_t sequences = 0;  ///< that run at once in `batch`, over all replicas
  double batch = 0;            ///< so many sequences
  std::int64_t context = 0;    ///< tokens before each of those generated
  std::int64_t layers = 0;     ///< that were rehearsed
};

struct PlanReport {
  // The model.
  std::string directory;
  std::string architecture;
  ModelKind kind = ModelKind::decoder;
  std::string dtype;         ///< computed in
  std::string quantization;  ///< of the weights: none, int8, int4, stored int4
  std::int64_t parameters = 0;
  std::int64_t checkpoint_bytes = 0;  ///< of the tensors in the files
  std::int64_t num_layers = 0;
  std::int64_t encoder_layers = 0;  ///< the first so many, of an encoder-decoder model
  std::int64_t max_tensor_parallel = 0;
  std::int64_t max_pipeline_parallel = 0;
  std::vector<VirtualShardReport> virtual_shards;
  /// generation_config.json says how long an answer may get.
  bool says_how_long = false;
  /// What is odd about the files: weights that config.json has no use for.
  std::vector<std::string> warnings;
  /// What generation_config.json asks for and Trireme does not do; matters to who generates.
  std::vector<std::string> generation_warnings;

  // The plan.
  int data_parallel_size = 1;
  int tensor_parallel_size = 1;
  int pipeline_parallel_size = 1;
  std::vector<RankShare> ranks;  ///< all of them, by rank
  std::int64_t max_model_len = 0;
  std::int64_t max_sequences = 0;
  std::int64_t kv_cache_tokens = 0;  ///< that a replica's cache holds

  // Memory: a host's, or where ranks are on GPUs that of one GPU.
  int ranks_per_host = 1;
  int gpus_per_host = 0;              ///< 0: ranks are on CPUs
  std::int64_t gpu_memory_bytes = 0;  ///< of each, all of it
  std::int64_t available_bytes = 0;   ///< on a host; the part of a GPU's memory that may be filled
  /// Needed on the fullest host, where replicas share weights, or on the fullest GPU.
  std::int64_t host_bytes = 0;
  bool fits = true;
  std::string shortage;  ///< why it does not fit; empty if it does
  std::vector<PlanSuggestion> suggestions;

  // Speed.
  PlanSpeed speed;
  std::string no_speed;  ///< why there is no prediction though one was asked for; or empty
  /// An upper bound and no prediction: reading the weights is all that is counted. 0: unknown.
  double memory_bandwidth = 0;          ///< bytes/s of a host
  double decode_tokens_per_second = 0;  ///< at most, of one sequence
};

/// Throws Error(usage) for sizes that the model cannot be cut into, Error(input) for an unusable
/// model. Memory that does not suffice is no error: see PlanReport::fits.
PlanReport make_plan(const Options& options, const PlanSettings& settings = {});

}  // namespace trireme
