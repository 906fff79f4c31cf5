// The transport over MPI 3, for ranks on several hosts. Built as a plug-in (libtrireme_mpi.so).
#pragma once

#include <mpi.h>

#include <deque>
#include <exception>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi_watch.h"
#include "comm/tree_sum.h"

namespace trireme {

/// MPI itself, from MPI_Init to MPI_Finalize, and the watch over its ranks; the communicators share
/// it.
class MpiSession {
 public:
  /// Collective over MPI_COMM_WORLD.
  MpiSession();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// This rank's main thread progresses.
  void tick() noexcept {
    if (watch_) watch_->tick();
  }
  /// That this rank has spent waiting for others, in all its groups.
  std::uint64_t& waited_ns() { return waited_ns_; }
  /// This rank has failed: the others are ended when it exits, after it has said why, with its exit
  /// code. Until then it shows no sign of life.
  void give_up() noexcept;

 private:
  bool owned_ = false;
  bool failed_ = false;
  std::uint64_t waited_ns_ = 0;
  std::unique_ptr<MpiWatch> watch_;  // none where MPI is not for several threads
};

class MpiCommunicator final : public Communicator {
 public:
  /// Takes over `comm`, which nobody else may use: message order is kept per MPI communicator.
  MpiCommunicator(std::shared_ptr<MpiSession> session, MPI_Comm comm);
  ~MpiCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string_view transport() const override { return "mpi"; }

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

  std::uint64_t waited_ns() const override { return session_->waited_ns(); }
  void heartbeat() override { session_->tick(); }
  void abort(std::string_view reason) noexcept override;

 private:
  /// A message that MPI may still read.
  struct Sending {
    Message bytes;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void wait(MPI_Request request);
  void reap();
  MPI_Message await(int from, MPI_Status& status);
  Message take(MPI_Message arriving, const MPI_Status& status);
  Message receive_rest(int from, Message message, bool more);
  void gather_part(int root, std::span<const std::byte> part, const std::vector<int>& sizes,
                   std::vector<Message>& messages);
  void reduce_chunk(const TreeSumPlan& plan, std::span<const float* const> partials,
                    std::int64_t count, float* out);

  std::shared_ptr<MpiSession> session_;
  MPI_Comm comm_;
  int rank_ = 0;
  int size_ = 1;
  std::deque<Sending> sending_;  // addresses stay valid
  TreeSumPlans plans_;
  int exceptions_ = std::uncaught_exceptions();  // more of them at the end: this rank has failed
  std::vector<float> outgoing_, incoming_;
};

}  // namespace trireme
