#include "batch/channel.h"

namespace trireme {

bool LocalLink::End::send(std::string_view message) {
  out_.emplace_back(message);
  return true;
}

std::optional<std::string> LocalLink::End::try_receive() {
  if (in_.empty()) return std::nullopt;
  std::string message = std::move(in_.front());
  in_.pop_front();
  return message;
}

}  // namespace trireme
