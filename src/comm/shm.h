// The transport of ranks on one host: collectives and messages through a shared memory segment.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/shm_endpoint.h"
#include "comm/shm_segment.h"
#include "comm/tree_sum.h"

namespace trireme {

/// Used by one thread at a time, but for heartbeat() and abort().
class ShmCommunicator final : public Communicator {
 public:
  /// All ranks of the segment, as its rank `rank`.
  ShmCommunicator(std::shared_ptr<ShmSegment> segment, int rank);
  ~ShmCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  std::string_view transport() const override { return "shm"; }

  void send(int to, std::span<const std::byte> message) override;
  Message receive(int from) override;
  std::optional<Message> try_receive(int from) override;
  void receive_into(int from, std::span<std::byte> into) override;

  void barrier() override;
  void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                       std::int64_t count, float* out) override;
  std::vector<Message> gather(int root, std::span<const std::byte> bytes) override;
  void broadcast(int root, Message& bytes) override;
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks) override;

  std::uint64_t waited_ns() const override { return endpoint_->waited_ns(); }
  RankActivity* activity(int rank) override {
    return &endpoint_->segment().rank(world(rank)).activity;
  }
  TraceRing* trace() override { return &endpoint_->segment().trace(endpoint_->rank()); }

  void heartbeat() override { endpoint_->heartbeat(); }
  void abort(std::string_view reason) noexcept override { endpoint_->segment().abort(reason); }

 private:
  struct Reduction;  // what one tree_all_reduce works on

  ShmCommunicator(std::shared_ptr<ShmEndpoint> endpoint, int slot, std::vector<int> members);

  int world(int rank) const;
  ShmChannel channel() const { return 2 * id_; }
  ShmChannel collective_channel() const { return 2 * id_ + 1; }
  float* area(int member, std::uint64_t turn) const;
  void signal();
  void wait_for_all();
  void reduce_at_once(const Reduction& reduction);
  void reduce_by_slices(const Reduction& reduction);
  void publish(const Reduction& reduction, std::int64_t index, std::uint64_t turn, Range except);
  std::span<const float* const> locate(const Reduction& reduction, std::int64_t index,
                                       std::uint64_t turn, std::int64_t offset);
  void add_slice(const Reduction& reduction, std::int64_t index, std::uint64_t turn);
  void collect(const Reduction& reduction, std::int64_t index, std::uint64_t turn);

  std::shared_ptr<ShmEndpoint> endpoint_;
  int slot_ = 0;
  std::uint32_t id_ = 0;
  std::vector<int> members_;  // world ranks
  int rank_ = 0;
  std::uint64_t sequence_ = 0;  // steps of collectives signalled
  std::uint64_t turn_ = 0;      // publications; alternates the two buffers of the area
  TreeSumPlans plans_;
  std::vector<const float*> pieces_;
};

}  // namespace trireme
