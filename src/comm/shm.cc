#include "comm/shm.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::int64_t line_floats = 16;  // slices start on cache lines

std::vector<int> all_ranks(int count) {
  std::vector<int> ranks(static_cast<std::size_t>(count));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

void copy_floats(const float* from, float* to, Range range) {
  if (range.empty()) return;
  std::memcpy(to + range.begin, from + range.begin,
              static_cast<std::size_t>(range.size()) * sizeof(float));
}

}  // namespace

/// A sum that is taken in chunks of `chunk` elements, so that the pieces of one fit into an area.
struct ShmCommunicator::Reduction {
  const TreeSumPlan& plan;
  std::span<const float* const> partials;
  std::int64_t count;
  float* out;
  int ranks;
  std::int64_t chunk = 0;

  std::int64_t chunks() const { return ceil_div(count, chunk); }
  Range elements(std::int64_t index) const {
    return {index * chunk, std::min(count, (index + 1) * chunk)};
  }
  /// Floats from one piece of a chunk to the next, in an area.
  std::int64_t stride(std::int64_t index) const {
    return round_up(elements(index).size(), line_floats);
  }
  /// The elements of a chunk, counted from its start, that `rank` adds up.
  Range slice(std::int64_t index, int rank) const {
    const std::int64_t size = elements(index).size();
    const Range lines = even_part(ceil_div(size, line_floats), ranks, rank);
    return {std::min(size, lines.begin * line_floats), std::min(size, lines.end * line_floats)};
  }
  /// Slicing moves fewer bytes, but waits twice. For two ranks with a piece each both move the
  /// same.
  bool at_once() const {
    constexpr std::int64_t worth_a_wait = 4096;  // floats moved within about half a microsecond
    const std::int64_t whole = plan.piece_count() * (ranks - 1);
    const std::int64_t sliced = ceil_div(whole, ranks) + (ranks - 1);
    return (whole - sliced) * std::min(count, chunk) <= worth_a_wait * ranks;
  }
};

ShmCommunicator::ShmCommunicator(std::shared_ptr<ShmSegment> segment, int rank)
    : members_(all_ranks(segment->ranks())), rank_(rank) {
  TRIREME_ASSERT(rank >= 0 && rank < segment->ranks());
  endpoint_ = std::make_shared<ShmEndpoint>(std::move(segment), rank);
}

ShmCommunicator::ShmCommunicator(std::shared_ptr<ShmEndpoint> endpoint, int slot,
                                 std::vector<int> members)
    : endpoint_(std::move(endpoint)),
      slot_(slot),
      id_(endpoint_->segment().group(slot).id),
      members_(std::move(members)) {
  const auto place = std::find(members_.begin(), members_.end(), endpoint_->rank());
  rank_ = static_cast<int>(place - members_.begin());
}

ShmCommunicator::~ShmCommunicator() {
  if (id_ != 0) endpoint_->segment().leave_group(slot_);
}

int ShmCommunicator::world(int rank) const {
  TRIREME_ASSERT(rank >= 0 && rank < size());
  return members_[static_cast<std::size_t>(rank)];
}

void ShmCommunicator::send(int to, std::span<const std::byte> message) {
  endpoint_->send(channel(), world(to), message);
}

Message ShmCommunicator::receive(int from) { return endpoint_->receive(channel(), world(from)); }

std::optional<Message> ShmCommunicator::try_receive(int from) {
  return endpoint_->try_receive(channel(), world(from));
}

void ShmCommunicator::receive_into(int from, std::span<std::byte> into) {
  endpoint_->receive_into(channel(), world(from), into);
}

/// Tells the group that this rank has done its part of the collective's next step.
void ShmCommunicator::signal() {
  const ShmSegment& segment = endpoint_->segment();
  segment.sequence(slot_, rank_).value.store(++sequence_);
  for (int i = 1; i < size(); ++i)
    segment.notify(members_[static_cast<std::size_t>((rank_ + i) % size())]);
}

/// Returns once every rank has signalled as often as this one.
void ShmCommunicator::wait_for_all() {
  for (int i = 1; i < size(); ++i) {
    const int peer = (rank_ + i) % size();
    const auto& value = endpoint_->segment().sequence(slot_, peer).value;
    endpoint_->wait(members_[static_cast<std::size_t>(peer)],
                    [&] { return value.load() >= sequence_; });
  }
}

void ShmCommunicator::barrier() {
  signal();
  wait_for_all();
}

float* ShmCommunicator::area(int member, std::uint64_t turn) const {
  return endpoint_->segment().area(slot_, member, static_cast<int>(turn % 2));
}

void ShmCommunicator::tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                                      std::int64_t count, float* out) {
  TRIREME_ASSERT(static_cast<int>(sum.held.size()) == size() && count >= 0);
  const TreeSumPlan& plan = plans_.get(sum);
  TRIREME_ASSERT(static_cast<std::int64_t>(partials.size()) == plan.pieces(rank_).size());
  if (count == 0) return;
  if (size() == 1) return plan.evaluate(partials, count, out);
  Reduction reduction{plan, partials, count, out, size()};
  const std::int64_t fits = ShmSegment::area_floats / std::max<std::int64_t>(1, plan.most_pieces());
  reduction.chunk = std::max(line_floats, fits / line_floats * line_floats);
  if (reduction.at_once()) {
    reduce_at_once(reduction);
  } else {
    reduce_by_slices(reduction);
  }
}

// Why no buffer is overwritten while somebody still reads it: turn t + 2 fills the buffer of turn
// t. A rank gives the signal of turn t + 1 only once it needs nothing more of turn t, and nobody
// fills turn t + 2 before having seen that signal from everybody.

/// Copies this rank's pieces of a chunk to where the others can read them, but for the elements
/// `except`, which only this rank adds up.
void ShmCommunicator::publish(const Reduction& reduction, std::int64_t index, std::uint64_t turn,
                              Range except) {
  const Range elements = reduction.elements(index);
  float* to = area(rank_, turn);
  for (const float* const partial : reduction.partials) {
    copy_floats(partial + elements.begin, to, {0, except.begin});
    copy_floats(partial + elements.begin, to, {except.end, elements.size()});
    to += reduction.stride(index);
  }
}

/// Where every piece of a chunk lies, from element `offset` of the chunk on.
std::span<const float* const> ShmCommunicator::locate(const Reduction& reduction,
                                                      std::int64_t index, std::uint64_t turn,
                                                      std::int64_t offset) {
  pieces_.clear();
  for (int member = 0; member < size(); ++member) {
    const float* shared = area(member, turn) + offset;
    for (std::int64_t i = 0; i < reduction.plan.pieces(member).size(); ++i) {
      const float* const own = member == rank_ ? reduction.partials[static_cast<std::size_t>(i)] +
                                                     reduction.elements(index).begin + offset
                                               : nullptr;
      pieces_.push_back(member == rank_ ? own : shared);
      shared += reduction.stride(index);
    }
  }
  return pieces_;
}

/// Every rank publishes its pieces and adds up everything: one wait per chunk.
void ShmCommunicator::reduce_at_once(const Reduction& reduction) {
  for (std::int64_t index = 0; index < reduction.chunks(); ++index, ++turn_) {
    const Range elements = reduction.elements(index);
    publish(reduction, index, turn_, {0, 0});
    signal();
    const auto pieces = locate(reduction, index, turn_, 0);
    wait_for_all();
    reduction.plan.evaluate(pieces, elements.size(), reduction.out + elements.begin);
  }
}

/// Every rank adds up its slice of a chunk and the others copy it: the volume of a ring all-reduce.
/// The next chunk is published before the wait for this one's slices: one wait per chunk, and one.
void ShmCommunicator::reduce_by_slices(const Reduction& reduction) {
  publish(reduction, 0, turn_, reduction.slice(0, rank_));
  signal();
  for (std::int64_t index = 0; index < reduction.chunks(); ++index, ++turn_) {
    wait_for_all();
    if (index > 0) collect(reduction, index - 1, turn_ - 1);
    add_slice(reduction, index, turn_);
    if (index + 1 < reduction.chunks()) {
      publish(reduction, index + 1, turn_ + 1, reduction.slice(index + 1, rank_));
    }
    signal();
  }
  wait_for_all();
  collect(reduction, reduction.chunks() - 1, turn_ - 1);
}

void ShmCommunicator::add_slice(const Reduction& reduction, std::int64_t index,
                                std::uint64_t turn) {
  const Range slice = reduction.slice(index, rank_);
  if (slice.empty()) return;
  float* const out = reduction.out + reduction.elements(index).begin + slice.begin;
  reduction.plan.evaluate(locate(reduction, index, turn, slice.begin), slice.size(), out);
  copy_floats(out, area(rank_, turn) + ShmSegment::area_floats, {0, slice.size()});
}

void ShmCommunicator::collect(const Reduction& reduction, std::int64_t index, std::uint64_t turn) {
  float* const out = reduction.out + reduction.elements(index).begin;
  for (int i = 1; i < size(); ++i) {
    const int member = (rank_ + i) % size();
    const Range slice = reduction.slice(index, member);
    copy_floats(area(member, turn) + ShmSegment::area_floats, out + slice.begin, {0, slice.size()});
  }
}

std::vector<Message> ShmCommunicator::gather(int root, std::span<const std::byte> bytes) {
  if (rank_ != root) {
    endpoint_->send(collective_channel(), world(root), bytes);
    return {};
  }
  std::vector<Message> all;
  for (int member = 0; member < size(); ++member) {
    all.push_back(member == rank_ ? Message(bytes.begin(), bytes.end())
                                  : endpoint_->receive(collective_channel(), world(member)));
  }
  return all;
}

void ShmCommunicator::broadcast(int root, Message& bytes) {
  if (rank_ != root) {
    bytes = endpoint_->receive(collective_channel(), world(root));
    return;
  }
  for (int i = 1; i < size(); ++i) {
    endpoint_->send(collective_channel(), world((rank_ + i) % size()), bytes);
  }
}

std::unique_ptr<Communicator> ShmCommunicator::group(const std::vector<int>& ranks) {
  std::vector<int> members;
  for (const int rank : ranks) members.push_back(world(rank));
  TRIREME_ASSERT(std::count(members.begin(), members.end(), endpoint_->rank()) == 1);
  const int slot = endpoint_->segment().join_group(members, endpoint_->next_group(members));
  return std::unique_ptr<Communicator>(new ShmCommunicator(endpoint_, slot, std::move(members)));
}

}  // namespace trireme
