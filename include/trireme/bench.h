// Measuring the engine: prompts of random tokens through a model (or the mere shape of one), beside
// what the machine can do at most, measured in the same run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trireme/error.h"
#include "trireme/options.h"
#include "trireme/ranks.h"

namespace trireme {

struct BenchOptions {
  /// `engine.model` may be "shape:NAME", see bench_shapes(). The number of sequences is up to
  /// `sequences`; max_model_len is what they need unless it is given.
  Options engine;
  std::int64_t prompt_tokens = 512;  ///< of each sequence
  std::int64_t new_tokens = 32;      ///< of each sequence; 3 are needed to measure decoding
  std::int64_t sequences = 1;        ///< at once, over all replicas
  int repetitions = 1;               ///< each with other prompts; the median counts
  bool measure_limits = true;        ///< the machine's own, too; takes a second or two
  /// Time is what the processor spent on us, divided by the threads, and not what passed on the
  /// wall: for a machine that does other work, too. For one rank; exact for one thread only, since
  /// threads that wait for each other spend time.
  bool processor_time = false;
};

/// Names of shapes: well-known models' sizes, run with made-up weights.
std::vector<std::string> bench_shapes();

/// The options that run_bench() gives the engine: for a dry run of the plan beforehand. Throws
/// Error(usage) when the numbers of tokens and sequences make no sense.
Options bench_engine_options(const BenchOptions& options);

/// One phase of one repetition, over all replicas.
struct BenchPhase {
  std::int64_t tokens = 0;       ///< prompt tokens computed, or tokens generated
  std::int64_t drafted = 0;      ///< tokens guessed ahead (num_speculative_tokens)
  std::int64_t accepted = 0;     ///< of these, among `tokens`
  std::int64_t steps = 0;        ///< passes over the model's weights (micro-batches count each)
  double seconds = 0;            ///< on the wall, of the slowest replica
  double processor_seconds = 0;  ///< of the drivers' processes, all their threads
  /// What the computation calls for: two operations per weight of a matrix and token, and those
  /// of attention with earlier positions. What a plan or a kernel does in addition does not count.
  double operations = 0;
  /// Weights once per step, keys and values once per step and sequence, in the dtype they are in.
  double bytes = 0;

  double tokens_per_s() const { return rate(static_cast<double>(tokens)); }
  double operations_per_s() const { return rate(operations); }
  double bytes_per_s() const { return rate(bytes); }

 private:
  double rate(double amount) const { return seconds > 0 ? amount / seconds : 0; }
};

/// What the host of rank 0 reads from memory with so many threads.
struct ReadPeak {
  int threads = 0;
  double bytes_per_s = 0;
};

struct BenchReport {
  // The configuration.
  std::string model;
  std::string architecture;
  std::string dtype;
  std::string quantization;  ///< of the weights: none, int8, int4, stored int4
  std::int64_t parameters = 0;
  std::string isa;
  std::string transport;
  std::string processor;  ///< the CPU's name
  int cores = 0;          ///< of rank 0's host that this process may use
  int threads = 0;        ///< per rank
  int ranks_per_host = 1;
  double load_average =
      0;  ///< of the host over the minute before the run: other work if it is high
  BenchOptions options;

  // What it took to get ready.
  double load_seconds = 0;
  std::int64_t weight_bytes = 0;  ///< packed, of one replica

  // The machine's own limits, all hosts of the run together.
  std::vector<ReadPeak> read_peaks;  ///< for 1, 2, 4, ... threads; of GPUs none
  double read_bytes_per_s = 0;  ///< with all threads; of GPUs: when they copy, read and written
  std::string math_unit;        ///< "AVX-512 float32 fused multiply-add", ...
  double math_operations_per_s = 0;  ///< 0: not measured, as on GPUs

  // What was reached. By repetition.
  std::vector<BenchPhase> prefill;  ///< all prompts, up to the first new token of each sequence
  std::vector<BenchPhase> decode;   ///< while all sequences run, a token per step each

  /// FNV-1a over the log-probabilities of the tokens of a short prompt and the new tokens of every
  /// sequence of the first repetition. The same for every plan, thread count and chunk size.
  std::string output_hash;

  /// The repetition with the median rate.
  const BenchPhase& median(const std::vector<BenchPhase>& phases) const;
};

/// Loads the model and measures. Collective over the ranks of the plan; rank 0 gets the report, the
/// others an empty one. Throws what Engine throws, and Error(resource) when not all sequences fit
/// in the cache at once. `check`: see Ranks.
BenchReport run_bench(const BenchOptions& options, const Ranks::Check& check = {});

}  // namespace trireme
