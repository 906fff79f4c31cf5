// The coordinator's side of workers that join a batch from elsewhere: who they are, which of their
// replicas works under which number, and what becomes of their rows when they leave or are lost.
#pragma once

#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "batch/job.h"
#include "batch/join_messages.h"
#include "batch/server.h"
#include "net/listener.h"

namespace trireme {

/// What a joining worker must have, too.
JoinTerms terms_of(const BatchJob& job, std::int64_t started);

class JoinedWorkers {
 public:
  using WorkerId = Coordinator::WorkerId;

  struct Handlers {
    /// A replica is gone; see BatchServer::lose.
    std::function<void(WorkerId, int crash)> lose;
    OnBatchNotice on_notice;
    /// Asks the replica of this host with that number to leave; false if there is none.
    std::function<bool(int replica)> leave_local;
  };

  /// Listens at once. Replicas that join get numbers from `first_id` up. Throws Error(usage |
  /// resource) for what is wrong with the address or the key.
  JoinedWorkers(const JoinListen& settings, JoinTerms terms, BatchServer& server, WorkerId first_id,
                Handlers handlers);
  ~JoinedWorkers();
  JoinedWorkers(const JoinedWorkers&) = delete;
  JoinedWorkers& operator=(const JoinedWorkers&) = delete;

  /// What turn() waits for.
  void add_polls(std::vector<pollfd>& polls) const;
  /// Takes in what has come, lets in who wants to join, and notices who is lost. Call often.
  void turn();
  bool owns(WorkerId worker) const { return worker >= first_id_; }
  void post(WorkerId worker, const std::string& message);

  /// Workers that have joined, or are about to.
  std::size_t workers() const;
  /// While nobody else is left: whether somebody may still join. Says so once, and waits a minute.
  bool may_go_on();
  /// Whoever asked a replica of this host to leave is told that it has.
  void local_left(int replica, std::uint64_t rows);
  /// The job is over: tells everybody, and waits a moment until they have heard.
  void end(Bye why, const std::function<bool()>& hurry);

 private:
  struct Guest;

  void take_in(Guest& guest);
  void take(Guest& guest, const JoinMessage& message);
  void take_first(Guest& guest, const JoinMessage& message);
  void welcome(Guest& guest, const HelloMessage& hello);
  void start_leaving(Guest& asker, const LeaveRequest& request);
  void take_replica(Guest& guest, const ReplicaMessage& message);
  void take_lost(Guest& guest, const ReplicaLostMessage& message);
  void drain(Guest& guest);
  void say_goodbye(Guest& guest);
  void refuse(Guest& guest, const std::string& reason);
  void close(Guest& guest);
  void forget_replicas(Guest& guest);
  std::uint64_t rows_of(const Guest& guest) const;
  std::uint64_t rows_of(const std::string& name) const;
  bool at_work(const Guest& guest) const;
  Guest* find(const std::string& name);
  std::string free_name(const std::string& wanted);
  std::string names() const;
  void tell_askers(const std::string& name, std::uint64_t rows, const std::string& text);
  static void post(Guest& guest, const JoinMessage& message);

  StreamLimits limits_;
  JoinTerms terms_;
  BatchServer& server_;
  WorkerId first_id_;
  WorkerId next_id_;
  Handlers handlers_;
  std::uint64_t job_;
  Listener listener_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::map<WorkerId, std::pair<Guest*, std::uint32_t>> replicas_;  ///< the number within the guest
  std::optional<NetClock::time_point> alone_since_;
};

}  // namespace trireme
