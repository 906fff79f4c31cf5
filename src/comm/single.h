// The group of one rank, whose collectives do nothing.
#pragma once

#include <deque>

#include "comm/communicator.h"
#include "comm/tree_sum.h"

namespace trireme {

class SingleCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string_view transport() const override { return "single"; }

  void send(int to, std::span<const std::byte> message) override;
  Message receive(int from) override;
  std::optional<Message> try_receive(int from) override;
  void receive_into(int from, std::span<std::byte> into) override;

  void barrier() override {}
  void tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                       std::int64_t count, float* out) override;
  std::vector<Message> gather(int root, std::span<const std::byte> bytes) override;
  void broadcast(int, Message&) override {}
  std::unique_ptr<Communicator> group(const std::vector<int>& ranks) override;

  void abort(std::string_view) noexcept override {}

 private:
  std::deque<Message> to_self_;
  TreeSumPlans plans_;
};

}  // namespace trireme
