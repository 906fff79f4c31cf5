// How a worker and the coordinator exchange whole messages, whatever carries them.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace trireme {

class RowChannel {
 public:
  virtual ~RowChannel() = default;
  /// False when the other side is gone.
  virtual bool send(std::string_view message) = 0;
  /// The next message if it has arrived.
  virtual std::optional<std::string> try_receive() = 0;
  /// Sleeps until there may be a message, but not for long. False when the other side is gone.
  virtual bool wait() = 0;
};

/// Both sides in one process, taking turns.
class LocalLink {
 public:
  class End : public RowChannel {
   public:
    End(std::deque<std::string>& out, std::deque<std::string>& in) : out_(out), in_(in) {}
    bool send(std::string_view message) override;
    std::optional<std::string> try_receive() override;
    bool wait() override { return true; }

   private:
    std::deque<std::string>& out_;
    std::deque<std::string>& in_;
  };

  End& worker() { return worker_; }
  End& coordinator() { return coordinator_; }

 private:
  std::deque<std::string> to_worker_;
  std::deque<std::string> to_coordinator_;
  End worker_{to_coordinator_, to_worker_};
  End coordinator_{to_worker_, to_coordinator_};
};

}  // namespace trireme
