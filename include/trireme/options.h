// How an engine is set up: the model, the plan and the machine. Every field has the value that a
// user who says nothing gets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace trireme {

struct Options {
  // The model.
  /// A directory, a GGUF file, org/name in the local Hugging Face cache, or "shape:llama-1b" and
  /// the like: a well-known model's sizes with made-up weights, without tokenizer (see bench.h).
  std::string model;
  std::string revision = "main";  ///< branch or commit within the cache
  std::string dtype = "auto";     ///< auto (the checkpoint's), float32, bfloat16, float16
  /// int8, int4: weights rounded when they are loaded, with a scale for each group of inputs;
  /// activations are rounded to eight bits where they meet them. auto: nothing is rounded, and what
  /// a GPTQ or AWQ checkpoint has in four bits stays so in memory where it can; none: the numbers
  /// that these bits stand for, in dtype. See docs/quantization.md.
  std::string quantization = "auto";
  std::string load_format = "auto";  ///< auto, or dummy: weights made up from config.json
  std::uint64_t load_seed = 0;       ///< for dummy weights

  // The plan. The product is the number of ranks.
  int data_parallel_size = 1;
  int tensor_parallel_size = 1;
  int pipeline_parallel_size = 1;
  /// Names of the blocks that pipeline stages after the first begin with ("model.layers.8"): one
  /// fewer than there are stages. Empty: stages of about the same cost.
  std::vector<std::string> split_points;
  /// Micro-batches that the pipeline cuts a batch into; 0: as many as it has stages.
  int num_chunks = 0;

  // Devices instead of sizes; see docs/device-maps.md.
  /// auto, balanced, balanced_low_0 or sequential; or a map, {"model.embed_tokens": "cpu:0", ...},
  /// as JSON or the name of a JSON file. Every device that holds blocks is a pipeline stage.
  /// Engines take maps only: see place_on_devices(). Empty: none.
  std::string device_map;
  /// What each device may take, by name: "cpu:0" and "cpu:1" are groups of this host's cores, a
  /// number n means the n-th device; "disk" is what may stay there. Empty: one device, all memory
  /// that is free.
  std::map<std::string, std::int64_t> max_memory;
  /// A folder for blocks that no device has room for. They are packed into a file there, which
  /// nobody else sees and which ends with the process, and read whenever they are needed.
  std::string offload_folder;

  // The machine.
  /// cpu; cuda: each of a host's ranks takes one of its GPUs in turn, or cuda:1, ... for one of
  /// them; auto: GPUs where there are any. See docs/gpu.md.
  std::string device = "cpu";
  /// The share of a GPU's memory that weights, activations and KV cache may fill together.
  double gpu_memory_utilization = 0.9;
  /// reference, avx2, avx512, avx512bf16, amx; auto: the best, or TRIREME_ISA.
  std::string isa = "auto";
  int threads = 0;  ///< per rank; 0: the host's cores divided among its ranks
  /// Per rank; 0: what max_sequences of max_model_len need, within memory. A cache that cannot hold
  /// one sequence of max_model_len is Error(resource) when the engine starts.
  std::int64_t kv_cache_bytes = 0;

  /// A directory in which packed weights are kept, so that the next start maps a file instead of
  /// reading and packing the checkpoint; empty: none. One file for each model, way of keeping its
  /// weights and rank's share; whatever is wrong with one costs a warning, and it is written anew.
  /// The directory must be nobody else's to write: hashes prove against accidents, not malice.
  std::string packed_cache;
  /// Hears of what goes wrong without harm to the output; may be called by another thread.
  std::function<void(const std::string&)> on_warning;

  // Scheduling. None of these changes a byte of the output, but for sequences beyond max_model_len.
  std::int64_t max_model_len = 0;   ///< longest sequence, tokens; 0: the model's own limit
  std::int64_t max_sequences = 64;  ///< running at once, per replica
  std::int64_t max_step_tokens =
      512;  ///< tokens per step and micro-batch: longer prompts are chunked
  /// Most tokens guessed ahead per sequence and step, 0: none. They are what followed the last
  /// prompt_lookup_max (or fewer, down to prompt_lookup_min) tokens where these came before in the
  /// sequence; a step computes them all at once and keeps those that it would have chosen. See
  /// docs/speculation.md.
  std::int64_t num_speculative_tokens = 0;
  std::int64_t prompt_lookup_max = 4;
  std::int64_t prompt_lookup_min = 2;
};

}  // namespace trireme
