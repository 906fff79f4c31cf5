#include "trireme/partial_state.h"

#include <cstdio>

#include "api/world.h"
#include "core/bytes.h"
#include "core/error.h"
#include "kernels/cuda_plugin.h"
#include "kernels/registry.h"

namespace trireme {

namespace {

Device choose_device(const std::string& asked) {
  if (!is_gpu(asked)) return {};
  return {"cuda", gpu_of(asked, rank_environment().local_rank)};
}

void check_process(int process, int processes) {
  if (process >= 0 && process < processes) return;
  fail(ErrorKind::usage, "there is no process {}: they are 0 to {}", process, processes - 1);
}

}  // namespace

SplitRange split_range(std::int64_t total, int process, int processes, bool apply_padding) {
  if (total < 0 || processes < 1 || process < 0 || process >= processes) {
    fail(ErrorKind::usage, "cannot split {} items for process {} of {}", total, process, processes);
  }
  const std::int64_t each = total / processes;
  const std::int64_t extra = total % processes;
  SplitRange range{total, each * process + std::min<std::int64_t>(process, extra), 0, 0};
  range.end = range.begin + each + (process < extra ? 1 : 0);
  const std::int64_t longest = each + (extra > 0 ? 1 : 0);
  if (apply_padding) range.padding = longest - (range.end - range.begin);
  return range;
}

std::int64_t SplitTraits<HostTensor>::length(const HostTensor& inputs) {
  if (!inputs.shape().empty()) return inputs.rows();
  fail(ErrorKind::usage, "split_between_processes: a tensor {} has no rows to split",
       inputs.description());
}

PartialState::PartialState(const PartialStateOptions& options)
    : device_(choose_device(options.device)), world_(World::join()) {
  process_index_ = world_->ranks().rank();
  num_processes_ = world_->ranks().size();
  local_process_index_ = world_->environment().local_rank;
}

std::string PartialState::transport() const { return std::string(world_->ranks().transport()); }

void PartialState::wait_for_everyone() const { exchange("wait_for_everyone", "", {}); }

void PartialState::print(std::string_view text) const {
  if (!is_local_main_process()) return;
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void PartialState::on_main_process(const std::function<void()>& action) const {
  if (is_main_process()) action();
}

void PartialState::on_local_main_process(const std::function<void()>& action) const {
  if (is_local_main_process()) action();
}

void PartialState::on_last_process(const std::function<void()>& action) const {
  if (is_last_process()) action();
}

void PartialState::on_process(int process, const std::function<void()>& action) const {
  check_process(process, num_processes_);
  if (process == process_index_) action();
}

void PartialState::main_process_first(const std::function<void()>& action) const {
  std::string problem;
  if (is_main_process()) {
    try {
      action();
    } catch (const std::exception& error) {
      problem = error.what();
    }
  }
  exchange("main_process_first", "", {}, problem);
  if (!is_main_process()) action();
}

std::vector<Bytes> PartialState::exchange(std::string_view call, const std::string& kind,
                                          std::span<const std::byte> payload,
                                          const std::string& problem) const {
  return trireme::exchange(world_->ranks(), call, kind, payload, problem);
}

Bytes PartialState::pick(int from, const Bytes& payload) const {
  check_process(from, num_processes_);
  return exchange(fmt::format("broadcast from {}", from), "",
                  payload)[static_cast<std::size_t>(from)];
}

/// What is wrong with so many results for the items of a split, or "".
std::string PartialState::mismatch(std::int64_t results, const SplitRange& range) {
  const std::int64_t items = range.size();
  if (results >= 0 && (items == 0 ? results == 0 : results % items == 0 && results > 0)) return "";
  if (results < 0) return "the columns of the results are not equally long";
  return fmt::format(
      "{} results for the {} items that split_between_processes gave; pass one for each, in order "
      "(or the same number for each)",
      results, items);
}

std::int64_t PartialState::without_padding(std::int64_t results, const SplitRange& range) {
  return range.size() == 0 ? 0 : results / range.size() * (range.size() - range.padding);
}

std::vector<Bytes> PartialState::gather_object(std::span<const std::byte> own) const {
  return exchange("gather_object", "one object", own);
}

std::vector<std::string> PartialState::gather_object(const std::string& own) const {
  std::vector<std::string> all;
  for (const Bytes& bytes : gather_object(std::as_bytes(std::span(own)))) {
    all.push_back(text_of(bytes));
  }
  return all;
}

std::vector<std::string> PartialState::gather_object(const std::vector<std::string>& own) const {
  using Strings = Parcel<std::vector<std::string>>;
  return Strings::join(exchange("gather_object", Strings::kind(own), Strings::pack(own)));
}

std::string PartialState::broadcast(const std::string& own, int from) const {
  const auto bytes = std::as_bytes(std::span(own));
  return text_of(pick(from, from == process_index_ ? Bytes(bytes.begin(), bytes.end()) : Bytes{}));
}

Ranks PartialState::ranks(const Options& options) const { return Ranks(options); }

Ranks PartialState::alone(const Options& options) const {
  if (options.data_parallel_size != 1 || options.tensor_parallel_size != 1 ||
      options.pipeline_parallel_size != 1) {
    fail(ErrorKind::usage,
         "-dp {} -tp {} -pp {}: PartialState::alone() is for one process, with all sizes 1; "
         "PartialState::ranks() puts all processes to work on one plan",
         options.data_parallel_size, options.tensor_parallel_size, options.pipeline_parallel_size);
  }
  Options agreed = options;
  agreed.isa = asked_backend(options.isa);
  if (agreed.isa.empty()) agreed.isa = world_->isa();
  return Ranks::alone(agreed);
}

}  // namespace trireme
