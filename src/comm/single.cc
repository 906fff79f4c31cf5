#include "comm/single.h"

#include <algorithm>

#include "core/error.h"

namespace trireme {

void SingleCommunicator::send(int to, std::span<const std::byte> message) {
  TRIREME_ASSERT(to == 0);
  to_self_.emplace_back(message.begin(), message.end());
}

Message SingleCommunicator::receive(int from) {
  std::optional<Message> message = try_receive(from);
  TRIREME_ASSERT(message.has_value());  // nobody else could ever send it
  return std::move(*message);
}

std::optional<Message> SingleCommunicator::try_receive(int from) {
  TRIREME_ASSERT(from == 0);
  if (to_self_.empty()) return std::nullopt;
  Message message = std::move(to_self_.front());
  to_self_.pop_front();
  return message;
}

void SingleCommunicator::receive_into(int from, std::span<std::byte> into) {
  const Message message = receive(from);
  TRIREME_ASSERT(message.size() == into.size());
  std::copy(message.begin(), message.end(), into.begin());
}

void SingleCommunicator::tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                                         std::int64_t count, float* out) {
  TRIREME_ASSERT(sum.held.size() == 1);
  plans_.get(sum).evaluate(partials, count, out);
}

std::vector<Message> SingleCommunicator::gather(int root, std::span<const std::byte> bytes) {
  TRIREME_ASSERT(root == 0);
  return {Message(bytes.begin(), bytes.end())};
}

std::unique_ptr<Communicator> SingleCommunicator::group(const std::vector<int>& ranks) {
  TRIREME_ASSERT(ranks == std::vector<int>{0});
  return std::make_unique<SingleCommunicator>();
}

}  // namespace trireme
