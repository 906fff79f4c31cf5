// Runs the benchmark over the ranks of this run and puts its report together.
#include "trireme/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "api/bench_phases.h"
#include "api/machine_limits.h"
#include "comm/environment.h"
#include "core/bytes.h"
#include "core/error.h"
#include "core/machine_peaks.h"
#include "models/shapes.h"
#include "plan/host.h"
#include "plan/memory.h"

namespace trireme {

namespace {

ParallelSizes sizes_of(const Options& options) {
  return {options.data_parallel_size, options.tensor_parallel_size, options.pipeline_parallel_size};
}

void check(const BenchOptions& options) {
  const auto at_least = [](std::int64_t value, std::int64_t least, const char* flag) {
    constexpr std::int64_t most = std::int64_t{1} << 30;
    if (value >= least && value <= most) return;
    fail(ErrorKind::usage, "{} {}: expected a number from {} to {}", flag, value, least, most);
  };
  at_least(options.prompt_tokens, 1, "--prompt-tokens");
  at_least(options.new_tokens, 1, "--new-tokens");
  at_least(options.sequences, 1, "--sequences");
  at_least(options.repetitions, 1, "--repetitions");
  if (options.processor_time && sizes_of(options.engine).world() > 1) {
    fail(ErrorKind::usage, "--processor-time: measures one rank; leave out -dp, -tp and -pp");
  }
  const std::int64_t longest = options.engine.max_model_len;
  if (longest > 0 && longest < options.prompt_tokens + options.new_tokens) {
    fail(ErrorKind::usage, "--max-model-len {}: less than the {} prompt and {} new tokens", longest,
         options.prompt_tokens, options.new_tokens);
  }
}

double load_average() {
  double minute = 0;
  return getloadavg(&minute, 1) == 1 ? minute : 0;
}

/// The benchmark on one rank. Its functions are collective.
class BenchRun {
 public:
  BenchRun(const BenchOptions& options, const Ranks::Check& check);

  BenchReport report();

 private:
  void load();
  void check_cache() const;
  void describe(BenchReport& report);
  void measure_peaks(BenchReport& report);
  void warm_up();
  void repeat(BenchReport& report, int repetition);
  template <typename Work>
  BenchPhase timed(const Work& work);
  std::string output_hash();

  int rank() const { return world_->rank(); }
  int hosts() const { return std::max(1, world_->size() / ranks_per_host_); }

  BenchOptions options_;
  ParallelSizes sizes_;
  RankEnvironment environment_;
  std::unique_ptr<Communicator> world_;
  int ranks_per_host_ = 1;
  std::vector<std::int64_t> sequences_;  ///< of this replica
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<BenchPhases> phases_;  ///< drivers only
  std::vector<float> fingerprint_;       ///< drivers only: log-probabilities of the warm-up
};

BenchRun::BenchRun(const BenchOptions& options, const Ranks::Check& check)
    : options_(options), sizes_(sizes_of(options.engine)), environment_(rank_environment()) {
  Ranks ranks(bench_engine_options(options), check);
  if (environment_.replicas > 1) {
    fail(ErrorKind::usage, "the replicas of a benchmark are ranks of one group");
  }
  options_.engine = ranks.options();
  world_ = ranks.take_world();
  ranks_per_host_ = std::clamp(environment_.local_size, 1, world_->size());
  for (std::int64_t i = point_of(rank(), sizes_).dp; i < options.sequences; i += sizes_.dp) {
    sequences_.push_back(i);
  }
}

void BenchRun::load() {
  std::unique_ptr<Communicator> ranks =
      world_->group(replica_group(point_of(rank(), sizes_).dp, sizes_));
  replica_ = std::make_unique<Replica>(options_.engine, std::move(ranks), environment_.local_size,
                                       environment_.weights_fd);
  check_cache();
  if (replica_->is_driver()) phases_ = std::make_unique<BenchPhases>(*replica_, options_);
  world_->barrier();
}

/// Sequences that take turns in the cache would be computed twice.
void BenchRun::check_cache() const {
  const std::int64_t length = options_.prompt_tokens + options_.new_tokens;
  const std::int64_t each = ceil_div(length, kv_block_tokens);
  const std::int64_t wanted = options_.engine.max_sequences * each;
  const std::int64_t there = replica_->counters().kv_blocks;
  if (wanted <= there) return;
  fail(ErrorKind::resource,
       "--sequences {}: {} sequences of {} tokens per replica need {} cache blocks of {} tokens, "
       "and there is memory for {}; use fewer or shorter sequences, or more ranks",
       options_.sequences, options_.engine.max_sequences, length, wanted, kv_block_tokens, there);
}

void BenchRun::describe(BenchReport& report) {
  std::int64_t packed = replica_->counters().weight_bytes;
  const std::vector<Message> parts =
      replica_->ranks().gather(0, std::as_bytes(std::span<const std::int64_t>(&packed, 1)));
  for (const Message& part : parts) {
    std::int64_t bytes = 0;
    std::memcpy(&bytes, part.data(), sizeof(bytes));
    report.weight_bytes += bytes;
  }
  report.model = options_.engine.model;
  report.architecture = replica_->spec().architecture;
  report.dtype = name_of(replica_->spec().dtype);
  report.quantization = name_of(replica_->spec().quantization);
  report.parameters = BenchWork(replica_->spec()).parameters();
  report.isa = replica_->backend().name();
  report.transport = world_->transport();
  report.processor = processor_name();
  report.cores = host_cores().allowed;
  report.threads = replica_->threads();
  report.ranks_per_host = ranks_per_host_;
  report.options = options_;
}

/// On rank 0, while the others wait. Keeps what an earlier call found, where that was more: the
/// machine's limit is what it does when nothing disturbs it.
void BenchRun::measure_peaks(BenchReport& report) {
  const Backend& backend = replica_->backend();
  if (rank() == 0 && options_.measure_limits && !backend.uses_host_memory()) {
    report.read_bytes_per_s =
        std::max(report.read_bytes_per_s, measure_copies(backend) * world_->size());
  } else if (rank() == 0 && options_.measure_limits) {
    const PeakClock clock = options_.processor_time ? PeakClock::processor : PeakClock::wall;
    const int all = std::min(replica_->threads() * ranks_per_host_, host_cores().allowed);
    std::vector<int> counts;
    for (int count = 1; count < all; count *= 2) counts.push_back(count);
    counts.push_back(all);
    report.read_peaks.resize(counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) {
      ThreadPool pool(counts[i]);
      ReadPeak& peak = report.read_peaks[i];
      peak = {counts[i], std::max(peak.bytes_per_s, measure_read_peak(pool, clock))};
      world_->heartbeat();
    }
    ThreadPool pool(all);
    const MathUnit unit = unit_of(backend.name(), replica_->spec());
    report.math_unit = name_of(unit);
    report.math_operations_per_s =
        std::max(report.math_operations_per_s, measure_math_peak(pool, unit, clock) * hosts());
    double best = 0;  // fewer threads can read more than all when the cores are shared
    for (const ReadPeak& peak : report.read_peaks) best = std::max(best, peak.bytes_per_s);
    report.read_bytes_per_s = best * hosts();
  }
  world_->barrier();
}

/// Runs `work` on every driver, the other ranks following. Rank 0 gets the sum over the replicas;
/// the slowest one's time counts.
template <typename Work>
BenchPhase BenchRun::timed(const Work& work) {
  BenchPhase mine;
  world_->barrier();
  if (replica_->is_driver()) {
    mine = work();
    if (options_.processor_time) mine.seconds = mine.processor_seconds / replica_->threads();
    replica_->stop();
  } else {
    replica_->follow();
  }
  const std::vector<Message> parts =
      world_->gather(0, std::as_bytes(std::span<const BenchPhase>(&mine, 1)));
  BenchPhase all;
  for (const Message& part : parts) {
    BenchPhase phase;
    std::memcpy(&phase, part.data(), sizeof(phase));
    all.tokens += phase.tokens;
    all.drafted += phase.drafted;
    all.accepted += phase.accepted;
    all.steps += phase.steps;
    all.seconds = std::max(all.seconds, phase.seconds);
    all.processor_seconds += phase.processor_seconds;
    all.operations += phase.operations;
    all.bytes += phase.bytes;
  }
  return all;
}

void BenchRun::warm_up() {
  timed([&] {
    fingerprint_ = phases_->warm_up();
    return BenchPhase{};
  });
}

void BenchRun::repeat(BenchReport& report, int repetition) {
  report.prefill.push_back(timed([&] { return phases_->prefill(sequences_, repetition); }));
  report.decode.push_back(timed([&] { return phases_->decode(sequences_, repetition); }));
  if (repetition == 0) report.output_hash = output_hash();
}

/// FNV-1a, 64 bits, of 32-bit words, lowest byte first.
class Fnv {
 public:
  void add(std::uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash_ = (hash_ ^ ((word >> shift) & 0xffu)) * 0x100000001b3u;
    }
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

/// Over the warm-up's log-probabilities, then the new tokens of the sequences in order.
std::string BenchRun::output_hash() {
  ByteWriter mine;
  if (replica_->is_driver()) {
    for (const auto& [sequence, tokens] : phases_->generated()) {
      mine.value(sequence);
      mine.array(tokens);
    }
  }
  std::map<std::int64_t, TokenIds> all;
  for (const Message& part : world_->gather(0, mine.take())) {
    for (ByteReader in(part); !in.done();) {
      const auto sequence = in.value<std::int64_t>();
      all[sequence] = in.array<std::int32_t>();
    }
  }
  Fnv hash;
  for (const float logprob : fingerprint_) hash.add(std::bit_cast<std::uint32_t>(logprob));
  for (const auto& [sequence, tokens] : all) {
    for (const std::int32_t token : tokens) hash.add(static_cast<std::uint32_t>(token));
  }
  return hash.text();
}

BenchReport BenchRun::report() {
  BenchReport report;
  report.load_average = load_average();
  const auto start = std::chrono::steady_clock::now();
  load();
  report.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  describe(report);
  measure_peaks(report);
  warm_up();
  for (int i = 0; i < options_.repetitions; ++i) repeat(report, i);
  measure_peaks(report);
  return rank() == 0 ? report : BenchReport{};
}

}  // namespace

std::vector<std::string> bench_shapes() { return shape_names(); }

Options bench_engine_options(const BenchOptions& options) {
  check(options);
  Options engine = options.engine;
  engine.max_sequences = ceil_div(options.sequences, std::max(1, engine.data_parallel_size));
  if (engine.max_model_len == 0) engine.max_model_len = options.prompt_tokens + options.new_tokens;
  return engine;
}

const BenchPhase& BenchReport::median(const std::vector<BenchPhase>& phases) const {
  TRIREME_ASSERT(!phases.empty());
  std::vector<const BenchPhase*> sorted;
  for (const BenchPhase& phase : phases) sorted.push_back(&phase);
  std::ranges::sort(sorted, {}, [](const BenchPhase* phase) { return phase->tokens_per_s(); });
  return *sorted[(sorted.size() - 1) / 2];
}

BenchReport run_bench(const BenchOptions& options, const Ranks::Check& check) {
  return BenchRun(options, check).report();
}

}  // namespace trireme
