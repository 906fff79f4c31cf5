#include "comm/mpi.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "comm/patience.h"
#include "core/error.h"
#include "core/range.h"
#include "core/rank_activity.h"

namespace trireme {

namespace {

/// MPI counts in int. A longer message goes in parts, of which all but the last say that more
/// follow. TRIREME_TEST_MPI_MOST_BYTES makes them short, so that a test needs no large message.
std::size_t most_bytes() {
  static const std::size_t bytes = [] {
    const char* const text = std::getenv("TRIREME_TEST_MPI_MOST_BYTES");
    const std::size_t asked = text != nullptr ? std::strtoull(text, nullptr, 10) : 0;
    return asked > 0 ? asked : std::size_t{1} << 30;
  }();
  return bytes;
}
enum Tag : int { last_part = 0, more_follow = 1 };

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int size = 0;
  MPI_Error_string(result, text, &size);
  fail(ErrorKind::peer_lost, "{}: {}", what, std::string(text, static_cast<std::size_t>(size)));
}

/// Waits without keeping a core from those who have work: Open MPI itself would spin for ever.
class Wait {
 public:
  explicit Wait(MpiSession& session) : session_(session) {}
  ~Wait() {
    if (began_ns_ == 0) return;
    session_.waited_ns() += static_cast<std::uint64_t>(monotonic_ns() - began_ns_);
  }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  void pause() {
    if (began_ns_ == 0) began_ns_ = monotonic_ns();
    session_.tick();
    if (!patience_.pause()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

 private:
  MpiSession& session_;
  Patience patience_;
  std::int64_t began_ns_ = 0;  // 0: there was nothing to wait for yet
};

/// Where each rank's part of a buffer begins and how long it is, in elements.
struct Parts {
  explicit Parts(int ranks) : counts(static_cast<std::size_t>(ranks)), begins(counts.size()) {}
  void set(int rank, std::int64_t begin, std::int64_t count) {
    begins[static_cast<std::size_t>(rank)] = static_cast<int>(begin);
    counts[static_cast<std::size_t>(rank)] = static_cast<int>(count);
  }
  std::vector<int> counts, begins;
};

int ranks_of_world() {
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  return ranks;
}

/// At the exit of a rank that has failed: MPI_Finalize would wait for the others, who wait for it.
void end_all_ranks(int exit_code, void*) {
  constexpr int peer_lost = 5;
  MPI_Abort(MPI_COMM_WORLD, exit_code != 0 ? exit_code : peer_lost);
}

}  // namespace

MpiSession::MpiSession() {
  int initialised = 0;
  int threads = MPI_THREAD_SINGLE;
  MPI_Initialized(&initialised);
  if (initialised != 0) {
    MPI_Query_thread(&threads);
  } else {
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &threads), "MPI_Init_thread");
    owned_ = true;
  }
  if (threads == MPI_THREAD_MULTIPLE && ranks_of_world() > 1) {
    watch_ = std::make_unique<MpiWatch>();
  }
}

MpiSession::~MpiSession() {
  if (failed_) return;
  if (watch_) watch_->leave();
  watch_.reset();
  int finalised = 0;
  MPI_Finalized(&finalised);
  if (owned_ && finalised == 0) MPI_Finalize();
}

void MpiSession::give_up() noexcept {
  if (std::exchange(failed_, true)) return;
  watch_.reset();
  on_exit(end_all_ranks, nullptr);
}

MpiCommunicator::MpiCommunicator(std::shared_ptr<MpiSession> session, MPI_Comm comm)
    : session_(std::move(session)), comm_(comm) {
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
}

MpiCommunicator::~MpiCommunicator() {
  if (std::uncaught_exceptions() > exceptions_) {
    session_->give_up();
    return;
  }
  // A message that nobody ever asks for must not keep this rank for ever.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  Wait between(*session_);
  for (reap(); !sending_.empty(); reap()) {
    if (std::chrono::steady_clock::now() > end) abort("sent messages were never received");
    between.pause();
  }
  MPI_Comm_free(&comm_);
}

void MpiCommunicator::wait(MPI_Request request) {
  Wait between(*session_);
  for (int done = 0;;) {
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "waiting for another MPI rank");
    if (done != 0) return;
    between.pause();
  }
}

/// Lets go of the messages that have left.
void MpiCommunicator::reap() {
  while (!sending_.empty()) {
    int done = 0;
    check(MPI_Test(&sending_.front().request, &done, MPI_STATUS_IGNORE),
          "sending to another MPI rank");
    if (done == 0) return;
    sending_.pop_front();
  }
}

void MpiCommunicator::send(int to, std::span<const std::byte> message) {
  reap();
  do {
    const auto part = message.first(std::min(message.size(), most_bytes()));
    message = message.subspan(part.size());
    Sending& sending = sending_.emplace_back();
    sending.bytes.assign(part.begin(), part.end());
    check(MPI_Isend(sending.bytes.data(), static_cast<int>(part.size()), MPI_BYTE, to,
                    message.empty() ? last_part : more_follow, comm_, &sending.request),
          "sending to another MPI rank");
  } while (!message.empty());
}

MPI_Message MpiCommunicator::await(int from, MPI_Status& status) {
  Wait between(*session_);
  for (;;) {
    int there = 0;
    MPI_Message arriving = MPI_MESSAGE_NULL;
    check(MPI_Improbe(from, MPI_ANY_TAG, comm_, &there, &arriving, &status),
          "receiving from another MPI rank");
    if (there != 0) return arriving;
    reap();
    between.pause();
  }
}

Message MpiCommunicator::take(MPI_Message arriving, const MPI_Status& status) {
  int size = 0;
  MPI_Get_count(&status, MPI_BYTE, &size);
  Message message(static_cast<std::size_t>(size));
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Imrecv(message.data(), size, MPI_BYTE, &arriving, &request),
        "receiving from another MPI rank");
  wait(request);
  return message;
}

Message MpiCommunicator::receive_rest(int from, Message message, bool more) {
  while (more) {
    MPI_Status status;
    MPI_Message arriving = await(from, status);
    const Message part = take(arriving, status);
    message.insert(message.end(), part.begin(), part.end());
    more = status.MPI_TAG == more_follow;
  }
  return message;
}

Message MpiCommunicator::receive(int from) { return receive_rest(from, {}, true); }

std::optional<Message> MpiCommunicator::try_receive(int from) {
  heartbeat();
  reap();
  int there = 0;
  MPI_Status status;
  MPI_Message arriving = MPI_MESSAGE_NULL;
  check(MPI_Improbe(from, MPI_ANY_TAG, comm_, &there, &arriving, &status),
        "receiving from another MPI rank");
  if (there == 0) return std::nullopt;
  Message first = take(arriving, status);
  return receive_rest(from, std::move(first), status.MPI_TAG == more_follow);
}

void MpiCommunicator::receive_into(int from, std::span<std::byte> into) {
  for (bool more = true; more;) {
    MPI_Status status;
    MPI_Message arriving = await(from, status);
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    TRIREME_ASSERT(static_cast<std::size_t>(size) <= into.size());
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Imrecv(into.data(), size, MPI_BYTE, &arriving, &request),
          "receiving from another MPI rank");
    wait(request);
    into = into.subspan(static_cast<std::size_t>(size));
    more = status.MPI_TAG == more_follow;
  }
  TRIREME_ASSERT(into.empty());
}

void MpiCommunicator::barrier() {
  reap();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(comm_, &request), "waiting at a barrier of MPI ranks");
  wait(request);
}

void MpiCommunicator::tree_all_reduce(const TreeSum& sum, std::span<const float* const> partials,
                                      std::int64_t count, float* out) {
  TRIREME_ASSERT(static_cast<int>(sum.held.size()) == size_ && count >= 0);
  const TreeSumPlan& plan = plans_.get(sum);
  TRIREME_ASSERT(static_cast<std::int64_t>(partials.size()) == plan.pieces(rank_).size());
  if (size_ == 1) return plan.evaluate(partials, count, out);
  reap();
  constexpr std::int64_t most_floats = 1 << 24;  // keeps buffers small and counts within int
  const std::int64_t chunk =
      std::max<std::int64_t>(1, most_floats / std::max<std::int64_t>(1, plan.piece_count()));
  std::vector<const float*> from(partials.begin(), partials.end());
  for (std::int64_t begin = 0; begin < count; begin += chunk) {
    const std::int64_t size = std::min(chunk, count - begin);
    reduce_chunk(plan, from, size, out + begin);
    for (const float*& partial : from) partial += size;
  }
}

/// Slices of the pieces go all to all; every rank adds up its slice; the finished slices are
/// gathered.
void MpiCommunicator::reduce_chunk(const TreeSumPlan& plan, std::span<const float* const> partials,
                                   std::int64_t count, float* out) {
  const Range mine = even_part(count, size_, rank_);
  const auto own_pieces = static_cast<std::int64_t>(partials.size());
  Parts sent(size_), received(size_), finished(size_);
  outgoing_.resize(static_cast<std::size_t>(own_pieces * count));
  incoming_.resize(static_cast<std::size_t>(plan.piece_count() * mine.size()));
  float* to = outgoing_.data();
  for (int peer = 0; peer < size_; ++peer) {
    const Range slice = even_part(count, size_, peer);
    sent.set(peer, to - outgoing_.data(), own_pieces * slice.size());
    received.set(peer, plan.pieces(peer).begin * mine.size(),
                 plan.pieces(peer).size() * mine.size());
    finished.set(peer, slice.begin, slice.size());
    for (const float* const partial : partials) {
      to = std::copy(partial + slice.begin, partial + slice.end, to);
    }
  }
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ialltoallv(outgoing_.data(), sent.counts.data(), sent.begins.data(), MPI_FLOAT,
                       incoming_.data(), received.counts.data(), received.begins.data(), MPI_FLOAT,
                       comm_, &request),
        "exchanging partial sums between MPI ranks");
  wait(request);
  std::vector<const float*> pieces;
  for (std::int64_t i = 0; i < plan.piece_count(); ++i) {
    pieces.push_back(incoming_.data() + i * mine.size());
  }
  plan.evaluate(pieces, mine.size(), out + mine.begin);
  check(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, out, finished.counts.data(),
                        finished.begins.data(), MPI_FLOAT, comm_, &request),
        "gathering sums from MPI ranks");
  wait(request);
}

/// In rounds, since MPI counts all that arrives in one int.
std::vector<Message> MpiCommunicator::gather(int root, std::span<const std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  std::vector<std::uint64_t> left(static_cast<std::size_t>(size_));
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(&size, 1, MPI_UINT64_T, left.data(), 1, MPI_UINT64_T, comm_, &request),
        "gathering from MPI ranks");
  wait(request);
  std::vector<Message> messages(rank_ == root ? left.size() : 0);
  for (std::size_t i = 0; i < messages.size(); ++i) messages[i].reserve(left[i]);
  const std::uint64_t most = std::max<std::uint64_t>(1, most_bytes() / left.size());
  while (*std::max_element(left.begin(), left.end()) > 0) {
    std::vector<int> sizes;
    for (std::uint64_t& rest : left) {
      sizes.push_back(static_cast<int>(std::min(rest, most)));
      rest -= static_cast<std::uint64_t>(sizes.back());
    }
    const auto part = bytes.first(static_cast<std::size_t>(sizes[static_cast<std::size_t>(rank_)]));
    gather_part(root, part, sizes, messages);
    bytes = bytes.subspan(part.size());
  }
  return messages;
}

void MpiCommunicator::gather_part(int root, std::span<const std::byte> part,
                                  const std::vector<int>& sizes, std::vector<Message>& messages) {
  std::vector<int> begins(sizes.size());
  std::exclusive_scan(sizes.begin(), sizes.end(), begins.begin(), 0);
  Message all(rank_ == root ? static_cast<std::size_t>(begins.back() + sizes.back()) : 0);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Igatherv(part.data(), static_cast<int>(part.size()), MPI_BYTE, all.data(), sizes.data(),
                     begins.data(), MPI_BYTE, root, comm_, &request),
        "gathering from MPI ranks");
  wait(request);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto begin = all.begin() + begins[i];
    messages[i].insert(messages[i].end(), begin, begin + sizes[i]);
  }
}

void MpiCommunicator::broadcast(int root, Message& bytes) {
  std::uint64_t size = bytes.size();
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibcast(&size, 1, MPI_UINT64_T, root, comm_, &request), "broadcasting to MPI ranks");
  wait(request);
  bytes.resize(size);
  for (std::size_t begin = 0; begin < size; begin += most_bytes()) {
    const int part = static_cast<int>(std::min<std::size_t>(most_bytes(), size - begin));
    check(MPI_Ibcast(bytes.data() + begin, part, MPI_BYTE, root, comm_, &request),
          "broadcasting to MPI ranks");
    wait(request);
  }
}

std::unique_ptr<Communicator> MpiCommunicator::group(const std::vector<int>& ranks) {
  MPI_Group all = MPI_GROUP_NULL, some = MPI_GROUP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Comm_group(comm_, &all);
  MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some);
  const int result = MPI_Comm_create_group(comm_, some, 0, &comm);
  MPI_Group_free(&some);
  MPI_Group_free(&all);
  check(result, "making a group of MPI ranks");
  TRIREME_ASSERT(comm != MPI_COMM_NULL);
  return std::make_unique<MpiCommunicator>(session_, comm);
}

void MpiCommunicator::abort(std::string_view reason) noexcept {
  std::fprintf(stderr, "trireme: MPI rank %d ends the run: %.*s\n", rank_,
               static_cast<int>(reason.size()), reason.data());
  constexpr int peer_lost = 5;
  MPI_Abort(MPI_COMM_WORLD, peer_lost);
  std::abort();
}

}  // namespace trireme

extern "C" __attribute__((visibility("default"))) trireme::Communicator* trireme_mpi_connect() {
  using namespace trireme;
  auto session = std::make_shared<MpiSession>();
  MPI_Comm world = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &world), "MPI_Comm_dup");
  return new MpiCommunicator(std::move(session), world);
}
