// The processes of a run, as Accelerate's PartialState shows them: which one this is, what share of
// the inputs it takes, and how results meet again.
//
//   trireme::PartialState state;
//   const auto mine = state.split_between_processes(prompts);
//   ...                                            // a result for each of `mine`
//   const auto all = state.gather(results, mine);  // of all prompts, in order, on every process
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trireme/error.h"
#include "trireme/options.h"
#include "trireme/parcel.h"
#include "trireme/ranks.h"
#include "trireme/split.h"
#include "trireme/tensor.h"

namespace trireme {

class World;

/// What a process computes on.
struct Device {
  std::string type = "cpu";
  int index = 0;
  /// "cpu", "cuda:1": goes into Options::device.
  std::string text() const { return type == "cpu" ? type : type + ":" + std::to_string(index); }
};

struct PartialStateOptions {
  /// auto: the best that this build and this host have, a device for each local process; or cpu.
  std::string device = "auto";
};

struct SplitOptions {
  /// Repeats the last item of all until every process has equally many.
  bool apply_padding = false;
};

struct PadOptions {
  std::int64_t dim = 0;  ///< negative: counted from the last
  double pad_index = 0;  ///< the value to pad with
  bool pad_first = false;
};

enum class Reduction : std::uint8_t { mean, sum, max };

/// A value: copies are the same process of the same run, and so is another one that is made while
/// one is alive. The process leaves the run with the last of them, for good. Used by one thread at
/// a time.
///
/// What is collective below is called by all processes, in the same order. Where they differ in
/// what they call or pass, all of them throw a CommonError that says so; when one dies, or leaves
/// on an error, the others throw Error(peer_lost) within a second.
class PartialState {
 public:
  /// Finds out who has started this process: `trireme launch`, mpirun, srun, torchrun (or who sets
  /// its variables RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT), or nobody, and joins the others.
  /// Collective, but for copies. Throws Error(usage | resource).
  explicit PartialState(const PartialStateOptions& options = {});

  int process_index() const { return process_index_; }
  int num_processes() const { return num_processes_; }
  /// Among the processes of this host.
  int local_process_index() const { return local_process_index_; }
  bool is_main_process() const { return process_index_ == 0; }
  bool is_local_main_process() const { return local_process_index_ == 0; }
  bool is_last_process() const { return process_index_ == num_processes_ - 1; }
  const Device& device() const { return device_; }
  /// How the processes reach each other: single, shm, mpi, tcp.
  std::string transport() const;

  /// Collective.
  void wait_for_everyone() const;
  /// A line on standard output, once per host.
  void print(std::string_view text) const;
  void on_main_process(const std::function<void()>& action) const;
  void on_local_main_process(const std::function<void()>& action) const;
  void on_last_process(const std::function<void()>& action) const;
  void on_process(int process, const std::function<void()>& action) const;
  /// Collective: the first process acts, then the others do. When the first one throws, nobody else
  /// acts, and all throw.
  void main_process_first(const std::function<void()>& action) const;

  /// This process's part of a list, of a tensor's rows, or of columns by name: contiguous, the
  /// first ones longer by one. `inputs` stay as they are. Throws Error(usage) for columns of
  /// unequal length. Not collective: all processes pass the same inputs.
  template <typename Inputs>
  Split<Inputs> split_between_processes(const Inputs& inputs, SplitOptions options = {}) const {
    const SplitRange range = split_range(SplitTraits<Inputs>::length(inputs), process_index_,
                                         num_processes_, options.apply_padding);
    return {SplitTraits<Inputs>::take(inputs, range), range};
  }

  // Collective, with the results on every process.

  /// What every process passes, one after the other: lists, tensors (along the first dimension,
  /// which may differ), columns.
  template <typename Value>
  Value gather(const Value& own) const {
    return Parcel<Value>::join(
        exchange("gather", Parcel<Value>::kind(own), Parcel<Value>::pack(own)));
  }

  /// The results for the items of a split, without those for the padding: as many as there were
  /// inputs, in their order. Each process passes one result per item it had, or the same number
  /// for each.
  template <typename Value, typename Inputs>
  Value gather(const Value& results, const Split<Inputs>& of) const {
    const std::int64_t count = Parcel<Value>::count_of(results);
    const std::string problem = mismatch(count, of.range);
    if (!problem.empty()) exchange("gather", "", {}, problem);
    const Value kept = Parcel<Value>::first(results, without_padding(count, of.range));
    return gather(kept);
  }

  /// One from each process, by process.
  std::vector<std::string> gather_object(const std::string& own) const;
  std::vector<Bytes> gather_object(std::span<const std::byte> own) const;
  /// All lists, one after the other.
  std::vector<std::string> gather_object(const std::vector<std::string>& own) const;

  /// What process `from` passes; what the others pass does not matter.
  template <typename Value>
  Value broadcast(const Value& own, int from = 0) const {
    return Parcel<Value>::join({from_one(from, own)});
  }
  std::string broadcast(const std::string& own, int from = 0) const;

  /// Element by element over tensors of one dtype and shape, in a fixed order; 16-bit floats add up
  /// in float32. NaN is the largest. Throws CommonError for the mean of integers.
  HostTensor reduce(const HostTensor& own, Reduction reduction = Reduction::mean) const;

  /// Makes one dimension as long as it is on the process where it is longest.
  HostTensor pad_across_processes(const HostTensor& own, PadOptions options = {}) const;

  // For engines.

  /// All processes as the ranks of one plan: dp * tp * pp is their number. Collective.
  Ranks ranks(const Options& options) const;
  /// This process alone, with a whole model of its own (the sizes of the plan are 1), as
  /// Accelerate's scripts have it. The instruction set is one that all processes have, so that
  /// their results are the same bytes wherever they are computed.
  Ranks alone(const Options& options) const;

 private:
  /// Collective: the payload of every process. `kind` must be the same everywhere but where it is
  /// empty. A `problem` of one process is thrown by all.
  std::vector<Bytes> exchange(std::string_view call, const std::string& kind,
                              std::span<const std::byte> payload,
                              const std::string& problem = "") const;
  template <typename Value>
  Bytes from_one(int from, const Value& own) const {
    const bool mine = from == process_index_;
    return pick(from, mine ? Parcel<Value>::pack(own) : Bytes{});
  }
  Bytes pick(int from, const Bytes& payload) const;
  static std::string mismatch(std::int64_t results, const SplitRange& range);
  static std::int64_t without_padding(std::int64_t results, const SplitRange& range);
  HostTensor sum_of_floats(const HostTensor& own, double divisor) const;

  int process_index_ = 0;
  int num_processes_ = 1;
  int local_process_index_ = 0;
  Device device_;
  std::shared_ptr<World> world_;
};

}  // namespace trireme
