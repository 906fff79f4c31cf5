// The transport of ranks on several hosts without MPI: collectives and messages over TCP.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/environment.h"
#include "comm/tcp_endpoint.h"
#include "comm/tree_sum.h"

namespace trireme {

/// Used by one thread at a time, but for heartbeat() and abort().
class TcpCommunicator final : public Communicator {
 public:
  /// All ranks of the endpoint.
  explicit TcpCommunicator(std::shared_ptr<TcpEndpoint> endpoint);

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }
  std::string_view transport() const override { return "tcp"; }

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
  void abort(std::string_view reason) noexcept override { endpoint_->abort(reason); }

 private:
  TcpCommunicator(std::shared_ptr<TcpEndpoint> endpoint, TcpChannel channel,
                  std::vector<int> members);

  int world(int rank) const;
  /// Every rank's part for this one, which gives `part(r)` to rank r; by rank, its own one empty.
  template <typename Part>
  std::vector<Message> exchange(const Part& part);
  void reduce_chunk(const TreeSumPlan& plan, std::span<const float* const> partials,
                    std::int64_t count, float* out);

  std::shared_ptr<TcpEndpoint> endpoint_;
  TcpChannel channel_ = 0;    // and channel_ + 1 for collectives
  std::vector<int> members_;  // world ranks
  int rank_ = 0;
  TreeSumPlans plans_;
};

/// Joins the ranks of torchrun's variables. Throws Error(usage | resource | peer_lost).
std::unique_ptr<Communicator> connect_tcp(const RankEnvironment& environment);

}  // namespace trireme
