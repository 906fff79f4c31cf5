#include "kernels/cuda/step_context.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace trireme::cuda {

namespace {

constexpr std::size_t alignment = 256;
constexpr std::size_t staging_count = 3;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

std::int64_t keys_of(const SequenceSpan& sequence) {
  return std::max(sequence.keys, sequence.position_begin + sequence.rows);
}

std::int64_t table_length(const SequenceSpan& sequence) {
  return sequence.rows == 0 ? 0 : ceil_div(keys_of(sequence), KvCacheView::block_tokens);
}

/// So many that launches sized for them are recorded again at every doubling only.
std::int64_t rounded_keys(std::span<const SequenceSpan> sequences) {
  std::int64_t most = 256;
  for (const SequenceSpan& sequence : sequences) most = std::max(most, keys_of(sequence));
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(most)));
}

}  // namespace

/// Lays arrays out, one after another.
class StepContext::Layout {
 public:
  std::size_t add(std::size_t bytes) {
    const std::size_t offset = size_;
    size_ += aligned(bytes);
    return offset;
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

/// Sequences, and where in the arena what kernels read of them is.
struct StepContext::List {
  List(std::span<const SequenceSpan> of, Layout& layout) : spans(of) {
    for (const SequenceSpan& span : spans) {
      row_count += span.rows;
      table_entries += table_length(span);
    }
    list = layout.add(spans.size() * sizeof(DeviceSequence));
    rows = layout.add(static_cast<std::size_t>(row_count) * sizeof(std::int32_t));
  }
  /// Tables come last: their size differs between steps whose other sizes are the same.
  void add_table(Layout& layout) {
    table = layout.add(static_cast<std::size_t>(table_entries) * sizeof(std::int32_t));
  }

  /// Fills in the list as it will be at `there`.
  DeviceSequences write(std::byte* here, const std::byte* there) const;

  std::span<const SequenceSpan> spans;
  std::size_t list = 0, rows = 0, table = 0;  ///< offsets
  std::int64_t row_count = 0;
  std::int64_t table_entries = 0;
};

DeviceSequences StepContext::List::write(std::byte* here, const std::byte* there) const {
  auto* const sequences = reinterpret_cast<DeviceSequence*>(here + list);
  auto* sequence_of_row = reinterpret_cast<std::int32_t*>(here + rows);
  auto* entries = reinterpret_cast<std::int32_t*>(here + table);
  const auto* block_table = reinterpret_cast<const std::int32_t*>(there + table);
  std::int64_t first = 0;
  bool one_row_each = true;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const SequenceSpan& span = spans[i];
    sequences[i] = {span.row_begin, span.rows, span.position_begin, span.keys, first, block_table};
    sequence_of_row = std::fill_n(sequence_of_row, span.rows, static_cast<std::int32_t>(i));
    entries = std::copy_n(span.block_table, table_length(span), entries);
    block_table += table_length(span);
    first += span.rows;
    one_row_each = one_row_each && span.rows == 1;
  }
  return {.list = reinterpret_cast<const DeviceSequence*>(there + list),
          .sequence_of_row = reinterpret_cast<const std::int32_t*>(there + rows),
          .count = static_cast<std::int32_t>(spans.size()),
          .rows = static_cast<std::int32_t>(row_count),
          .most_keys = rounded_keys(spans),
          .one_row_each = one_row_each};
}

StepContext::StepContext(std::shared_ptr<Device> device) : device_(std::move(device)) {
  stream = device_->stream();
  traits = device_->traits();
  stagings_.resize(staging_count);
}

void StepContext::reserve_arena(std::size_t bytes) {
  if (arena_.size() >= bytes) return;
  TRIREME_ASSERT(!recording_);
  if (arena_.data() != nullptr) retired_.push_back(std::move(arena_));
  arena_ = device_->allocate(std::bit_ceil(std::max<std::size_t>(bytes, std::size_t{1} << 16)));
  ++generation_;
}

StepContext::Staging& StepContext::next_staging(std::size_t bytes) {
  Staging& staging = stagings_[next_staging_];
  next_staging_ = (next_staging_ + 1) % stagings_.size();
  device_->wait(staging.arrived);
  if (staging.memory.size() < bytes) staging.memory = PinnedBuffer(std::bit_ceil(bytes));
  return staging;
}

void StepContext::begin_step(const StepInputs& inputs) {
  device_->use();
  retired_.clear();
  if (!recorded_) outgrown_.clear();
  others_used_ = 0;
  arrays_.clear();
  sequences_.clear();
  Layout layout;
  const std::span<const std::int32_t> plain[] = {inputs.token_ids, inputs.positions,
                                                 inputs.type_ids};
  std::size_t places[std::size(plain)];
  for (std::size_t i = 0; i < std::size(plain); ++i) places[i] = layout.add(plain[i].size_bytes());
  List lists[] = {{inputs.sequences, layout}, {inputs.sources, layout}};
  for (List& list : lists) list.add_table(layout);
  most_keys_ = {rounded_keys(inputs.sequences), rounded_keys(inputs.sources)};
  reserve_arena(layout.size());
  if (layout.size() == 0) return;

  Staging& staging = next_staging(layout.size());
  for (std::size_t i = 0; i < std::size(plain); ++i) {
    if (plain[i].empty()) continue;
    std::memcpy(staging.memory.data() + places[i], plain[i].data(), plain[i].size_bytes());
    arrays_[{plain[i].data(), plain[i].size_bytes()}] = arena_.data() + places[i];
  }
  for (const List& list : lists) {
    if (list.spans.empty()) continue;
    sequences_[{list.spans.data(), list.spans.size()}] =
        list.write(staging.memory.data(), arena_.data());
  }
  check(cudaMemcpyAsync(arena_.data(), staging.memory.data(), layout.size(), cudaMemcpyHostToDevice,
                        stream),
        "a step's inputs");
  staging.arrived.record(stream);
}

DeviceSequences StepContext::sequences(std::span<const SequenceSpan> sequences) {
  const auto found = sequences_.find({sequences.data(), sequences.size()});
  if (found != sequences_.end()) return found->second;
  // Of no step: a test's, or a benchmark's.
  TRIREME_ASSERT(!recording_);
  begin_step({.sequences = sequences});
  const auto made = sequences_.find({sequences.data(), sequences.size()});
  return made == sequences_.end() ? DeviceSequences{} : made->second;
}

const void* StepContext::step_bytes(std::span<const std::byte> bytes, const void* name) {
  const auto found = arrays_.find({name, bytes.size()});
  if (found != arrays_.end()) return found->second;
  TRIREME_ASSERT(!recording_);
  if (others_used_ + aligned(bytes.size()) > others_.size()) {
    const std::size_t size = std::max({2 * others_.size(), bytes.size(), std::size_t{1} << 16});
    if (others_.data() != nullptr) retired_.push_back(std::move(others_));
    others_ = device_->allocate(std::bit_ceil(size));
    others_used_ = 0;
  }
  std::byte* const place = others_.data() + others_used_;
  others_used_ += aligned(bytes.size());
  device_->upload(place, bytes);
  return place;
}

const void* StepContext::constant_bytes(std::span<const std::byte> bytes) {
  const std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto found = constants_.find(content);
  if (found != constants_.end()) return found->second.data();
  TRIREME_ASSERT(!recording_);
  DeviceBuffer memory = device_->allocate(std::max<std::size_t>(bytes.size(), 1));
  device_->upload(memory.data(), bytes);
  return constants_.emplace(content, std::move(memory)).first->second.data();
}

std::byte* StepContext::scratch(std::size_t bytes) {
  if (scratch_.size() < bytes) {
    TRIREME_ASSERT(!recording_);
    // Recorded work goes on with the memory that it knows.
    if (recorded_) outgrown_.push_back(std::move(scratch_));
    scratch_ = {};
    scratch_ = device_->allocate(std::bit_ceil(std::max<std::size_t>(bytes, std::size_t{1} << 20)));
  }
  return scratch_.data();
}

}  // namespace trireme::cuda
