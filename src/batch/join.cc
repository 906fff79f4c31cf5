#include "batch/join.h"

#include <algorithm>
#include <limits>
#include <random>

#include "batch/message_io.h"
#include "batch/replicas.h"
#include "core/error.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

using std::chrono::seconds;

constexpr seconds patience_for_first_words{10};  // of somebody who knows the key
constexpr seconds patience_for_parting{5};
constexpr seconds patience_when_alone{60};
/// Who knows the key and comes too often has a fault; the others are not to suffer.
constexpr std::size_t most_guests = 128;
/// Under which nobody works.
constexpr Coordinator::WorkerId nobody = std::numeric_limits<Coordinator::WorkerId>::max();

std::uint64_t random_number() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

template <typename Message>
bool is(const std::string& encoded) {
  const auto kind = static_cast<char>(BatchMessage(Message{}).index());
  return !encoded.empty() && encoded[0] == kind;
}

/// Of "replica-3", as the replicas of the coordinator's host are called.
std::optional<int> local_number(std::string_view name) {
  constexpr std::string_view prefix = "replica-";
  constexpr std::size_t most_digits = 6;
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const bool digits = name.find_first_not_of("0123456789") == name.npos;
  if (name.empty() || name.size() > most_digits || !digits) return std::nullopt;
  return std::stoi(std::string(name));
}

const char* how_it_ended(Bye why) {
  return why == Bye::done ? "the job is done" : "the job has stopped before it was done";
}

std::string rows_text(std::uint64_t rows) {
  return fmt::format("{} row{}", rows, rows == 1 ? "" : "s");
}

}  // namespace

JoinTerms terms_of(const BatchJob& job, std::int64_t started) {
  const Options& options = job.options;
  return {.model = options.model,
          .revision = options.revision,
          .dtype = options.dtype,
          .quantization = options.quantization,
          .load_format = options.load_format,
          .load_seed = options.load_seed,
          .max_model_len = options.max_model_len,
          .chat = job.rows.chat,
          .identity = output_identity(options),
          .started = started};
}

struct JoinedWorkers::Guest {
  enum class State {
    unknown,  ///< has said nothing
    looking,  ///< a worker that compares the terms with what it has
    working,
    asking,   ///< waits until a worker has left
    parting,  ///< has been told goodbye, and is to close the connection
  };
  struct Replica {
    std::optional<WorkerId> id;  ///< under which it works
    std::uint32_t incarnation = 0;
  };

  std::unique_ptr<SecureStream> stream;
  State state = State::unknown;
  NetClock::time_point since;  ///< of this state
  std::string name;            ///< of the worker; of the one that is to leave, for who asks
  std::uint64_t instance = 0;
  std::vector<Replica> replicas;
  std::vector<WorkerId> ids;  ///< all that it has worked under
  bool draining = false;

  bool is_worker() const { return state == State::looking || state == State::working; }
  void enter(State next) {
    state = next;
    since = NetClock::now();
  }
};

JoinedWorkers::JoinedWorkers(const JoinListen& settings, JoinTerms terms, BatchServer& server,
                             WorkerId first_id, Handlers handlers)
    : limits_{.peer_timeout = settings.peer_timeout},
      terms_(std::move(terms)),
      server_(server),
      first_id_(first_id),
      next_id_(first_id),
      handlers_(std::move(handlers)),
      job_(random_number()),
      listener_(parse_host_port(settings.address, "--listen", "127.0.0.1"),
                SharedKey::read(settings.key_file), limits_) {
  handlers_.on_notice(fmt::format("workers may join at {}{}", listener_.address().text(),
                                  listener_.address().loopback()
                                      ? ", from this host only (--listen HOST:PORT for others)"
                                      : ""));
}

JoinedWorkers::~JoinedWorkers() = default;

void JoinedWorkers::post(Guest& guest, const JoinMessage& message) {
  guest.stream->post(encode(message));
}

void JoinedWorkers::add_polls(std::vector<pollfd>& polls) const {
  listener_.add_polls(polls);
  for (const auto& guest : guests_)
    polls.push_back({guest->stream->fd(), guest->stream->wants(), 0});
}

void JoinedWorkers::turn() {
  for (auto& stream : listener_.turn()) {
    if (guests_.size() >= most_guests) break;
    guests_.push_back(std::make_unique<Guest>());
    guests_.back()->stream = std::move(stream);
    guests_.back()->enter(Guest::State::unknown);
  }
  for (const std::string& text : listener_.take_refusals()) handlers_.on_notice(text);
  // By index: a guest may end another one's stay, never the list.
  for (std::size_t i = 0; i < guests_.size(); ++i) take_in(*guests_[i]);
  std::erase_if(guests_, [](const auto& guest) { return guest->stream == nullptr; });
}

/// One guest's messages. What is wrong with them ends the guest's stay and nothing else.
void JoinedWorkers::take_in(Guest& guest) {
  if (!guest.stream) return;
  guest.stream->turn();
  try {
    while (guest.stream && guest.state != Guest::State::parting) {
      const std::optional<std::string> bytes = guest.stream->try_receive();
      if (!bytes) break;
      take(guest, decode_join(*bytes));
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::peer_lost) throw;  // the output's, say
    refuse(guest, error.what());
  }
  if (!guest.stream) return;
  while (guest.state == Guest::State::parting && guest.stream->try_receive()) {
  }
  const auto spent = NetClock::now() - guest.since;
  if (guest.stream->closed()) {
    close(guest);
  } else if ((guest.state == Guest::State::unknown && spent > patience_for_first_words) ||
             (guest.state == Guest::State::parting && spent > patience_for_parting)) {
    guest.stream.reset();
  } else if (guest.draining && guest.is_worker() && !at_work(guest)) {
    say_goodbye(guest);
  }
}

/// The connection is over.
void JoinedWorkers::close(Guest& guest) {
  if (guest.is_worker()) {
    const std::uint64_t rows = rows_of(guest);
    handlers_.on_notice(
        fmt::format("worker {} is lost ({}); its unfinished rows go to whoever is "
                    "free",
                    guest.name, guest.stream->reason()));
    forget_replicas(guest);
    tell_askers(guest.name, rows, "it was lost before it could leave; its rows go to others");
  }
  guest.stream.reset();
}

void JoinedWorkers::forget_replicas(Guest& guest) {
  for (Guest::Replica& replica : guest.replicas) {
    if (!replica.id) continue;
    replicas_.erase(*replica.id);
    handlers_.lose(*std::exchange(replica.id, std::nullopt), 0);
  }
}

/// Whatever a guest is told last: it closes the connection, for what is on its way must not be
/// answered by a reset that takes the words away.
void JoinedWorkers::refuse(Guest& guest, const std::string& reason) {
  const std::string who = guest.name.empty() ? guest.stream->peer() : guest.name;
  handlers_.on_notice(fmt::format("worker {} was refused: {}", who, on_one_line(reason)));
  forget_replicas(guest);
  post(guest, RefusalMessage{reason});
  guest.enter(Guest::State::parting);
}

void JoinedWorkers::take(Guest& guest, const JoinMessage& message) {
  using State = Guest::State;
  if (guest.state == State::unknown) return take_first(guest, message);
  if (const auto* refusal = std::get_if<RefusalMessage>(&message)) {
    handlers_.on_notice(fmt::format("worker {} {}: {}", guest.name,
                                    guest.state == State::looking ? "cannot join" : "has given up",
                                    on_one_line(refusal->reason)));
    forget_replicas(guest);
    guest.enter(State::parting);
  } else if (std::holds_alternative<AcceptMessage>(message) && guest.state == State::looking) {
    guest.enter(State::working);
    handlers_.on_notice(fmt::format("worker {} has joined with {} replica{}", guest.name,
                                    guest.replicas.size(), guest.replicas.size() == 1 ? "" : "s"));
  } else if (std::holds_alternative<LeavingMessage>(message) && guest.is_worker()) {
    drain(guest);
  } else if (const auto* replica = std::get_if<ReplicaMessage>(&message);
             replica != nullptr && guest.state == State::working) {
    take_replica(guest, *replica);
  } else if (const auto* lost = std::get_if<ReplicaLostMessage>(&message);
             lost != nullptr && guest.state == State::working) {
    take_lost(guest, *lost);
  } else {
    fail_malformed("not expected now");
  }
}

void JoinedWorkers::take_first(Guest& guest, const JoinMessage& message) {
  const auto check_version = [](const std::string& theirs) {
    if (theirs == version()) return;
    fail(ErrorKind::peer_lost,
         "the worker is Trireme {}, the coordinator {}: install the same version on both",
         on_one_line(theirs), version());
  };
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    check_version(hello->version);
    welcome(guest, *hello);
  } else if (const auto* request = std::get_if<LeaveRequest>(&message)) {
    check_version(request->version);
    start_leaving(guest, *request);
  } else {
    fail_malformed("not a first message");
  }
}

void JoinedWorkers::welcome(Guest& guest, const HelloMessage& hello) {
  for (const auto& other : guests_) {
    if (!other->stream || !other->is_worker() || other->instance != hello.instance) continue;
    // It has come back before anybody noticed that it was gone; who was asked to leave still is.
    guest.draining = guest.draining || other->draining;
    guest.ids.insert(guest.ids.end(), other->ids.begin(), other->ids.end());
    forget_replicas(*other);
    other->stream.reset();
  }
  guest.name = free_name(hello.name);
  guest.instance = hello.instance;
  guest.replicas.resize(hello.replicas);
  guest.enter(Guest::State::looking);
  post(guest, WelcomeMessage{guest.name, job_, terms_});
}

std::string JoinedWorkers::free_name(const std::string& wanted) {
  std::string name = wanted;
  // "replica-0" is a name of the job's own.
  for (int i = 2; find(name) != nullptr || local_number(name); ++i) {
    const std::string end = fmt::format("-{}", i);
    constexpr std::size_t most = 64;
    name = wanted.substr(0, most - end.size()) + end;
  }
  return name;
}

JoinedWorkers::Guest* JoinedWorkers::find(const std::string& name) {
  const auto found = std::find_if(guests_.begin(), guests_.end(), [&](const auto& guest) {
    return guest->stream && guest->is_worker() && guest->name == name;
  });
  return found == guests_.end() ? nullptr : found->get();
}

std::string JoinedWorkers::names() const {
  std::string text;
  for (const auto& guest : guests_) {
    if (guest->stream && guest->is_worker()) text += (text.empty() ? "" : ", ") + guest->name;
  }
  return text.empty() ? "nobody has joined" : "joined: " + text;
}

void JoinedWorkers::start_leaving(Guest& asker, const LeaveRequest& request) {
  asker.name = request.name;
  asker.enter(Guest::State::asking);
  if (Guest* const worker = find(request.name)) {
    handlers_.on_notice(fmt::format("worker {} was asked to leave", request.name));
    return drain(*worker);
  }
  const std::optional<int> number = local_number(request.name);
  if (number && handlers_.leave_local(*number)) return;
  post(asker, RefusalMessage{fmt::format("no worker is called {} ({}; replicas of the "
                                         "coordinator's host are replica-0, replica-1, ...)",
                                         request.name, names())});
  asker.enter(Guest::State::parting);
}

void JoinedWorkers::drain(Guest& guest) {
  guest.draining = true;
  for (const Guest::Replica& replica : guest.replicas) {
    if (replica.id) server_.retire(*replica.id);
  }
}

void JoinedWorkers::take_replica(Guest& guest, const ReplicaMessage& message) {
  if (message.replica >= guest.replicas.size()) fail_malformed("a replica's number");
  Guest::Replica& replica = guest.replicas[message.replica];
  if (is<ReadyMessage>(message.message)) {
    if (replica.id) fail_malformed("a replica that is ready twice");
    if (guest.draining) return;
    replica.id = next_id_++;
    replica.incarnation = message.incarnation;
    if (guest.ids.empty()) {
      handlers_.on_notice(fmt::format("worker {} is ready for rows", guest.name));
    }
    guest.ids.push_back(*replica.id);
    replicas_[*replica.id] = {&guest, message.replica};
    server_.receive(*replica.id, message.message);
  } else if (is<ResultsMessage>(message.message)) {
    // Those of rows from before a connection was lost, too: they are as good.
    server_.receive(replica.id.value_or(nobody), message.message);
  } else if (replica.id && replica.incarnation == message.incarnation) {
    server_.receive(*replica.id, message.message);
  }
}

void JoinedWorkers::take_lost(Guest& guest, const ReplicaLostMessage& message) {
  if (message.replica >= guest.replicas.size()) fail_malformed("a replica's number");
  Guest::Replica& replica = guest.replicas[message.replica];
  handlers_.on_notice(fmt::format("worker {}, replica {}: {}", guest.name, message.replica,
                                  on_one_line(message.text)));
  if (!replica.id) return;
  replicas_.erase(*replica.id);
  handlers_.lose(*std::exchange(replica.id, std::nullopt),
                 is_own_fault(message.crash) ? message.crash : 0);
}

void JoinedWorkers::post(WorkerId worker, const std::string& message) {
  const auto found = replicas_.find(worker);
  if (found == replicas_.end()) return;
  auto& [guest, number] = found->second;
  if (!guest->stream || guest->state != Guest::State::working) return;
  post(*guest, ReplicaMessage{number, guest->replicas[number].incarnation, message});
}

bool JoinedWorkers::at_work(const Guest& guest) const {
  return std::any_of(guest.replicas.begin(), guest.replicas.end(), [&](const auto& replica) {
    return replica.id && server_.coordinator().in_flight(*replica.id) > 0;
  });
}

std::uint64_t JoinedWorkers::rows_of(const Guest& guest) const {
  std::uint64_t rows = 0;
  for (const WorkerId id : guest.ids) rows += server_.rows_answered(id);
  return rows;
}

/// By somebody's name, of a worker's or of this host's replica.
std::uint64_t JoinedWorkers::rows_of(const std::string& name) const {
  for (const auto& guest : guests_) {
    if (!guest->ids.empty() && guest->name == name) return rows_of(*guest);
  }
  const std::optional<int> number = local_number(name);
  return number ? server_.rows_answered(static_cast<WorkerId>(*number)) : 0;
}

void JoinedWorkers::say_goodbye(Guest& guest) {
  const std::uint64_t rows = rows_of(guest);
  forget_replicas(guest);
  post(guest, ByeMessage{Bye::left, rows, ""});
  guest.enter(Guest::State::parting);
  handlers_.on_notice(
      fmt::format("worker {} has left; it has answered {}", guest.name, rows_text(rows)));
  tell_askers(guest.name, rows, "");
}

void JoinedWorkers::tell_askers(const std::string& name, std::uint64_t rows,
                                const std::string& text) {
  for (const auto& guest : guests_) {
    if (!guest->stream || guest->state != Guest::State::asking || guest->name != name) continue;
    post(*guest, ByeMessage{Bye::left, rows, text});
    guest->enter(Guest::State::parting);
  }
}

void JoinedWorkers::local_left(int replica, std::uint64_t rows) {
  tell_askers(fmt::format("replica-{}", replica), rows, "");
}

std::size_t JoinedWorkers::workers() const {
  return static_cast<std::size_t>(
      std::count_if(guests_.begin(), guests_.end(),
                    [](const auto& guest) { return guest->stream && guest->is_worker(); }));
}

bool JoinedWorkers::may_go_on() {
  if (workers() > 0) {
    alone_since_.reset();
    return true;
  }
  if (!alone_since_) {
    alone_since_ = NetClock::now();
    handlers_.on_notice(fmt::format("no replica is left; waiting {} s for a worker to join",
                                    patience_when_alone.count()));
  }
  return NetClock::now() - *alone_since_ < patience_when_alone;
}

void JoinedWorkers::end(Bye why, const std::function<bool()>& hurry) {
  std::erase_if(guests_, [](const auto& guest) { return guest->stream == nullptr; });
  for (const auto& guest : guests_) {
    if (guest->state == Guest::State::parting) continue;
    const bool asks = guest->state == Guest::State::asking;
    // Whom it asked to leave ends with the job.
    const std::uint64_t rows = asks ? rows_of(guest->name) : rows_of(*guest);
    post(*guest, ByeMessage{why, rows, asks ? how_it_ended(why) : ""});
    guest->enter(Guest::State::parting);
  }
  const auto until = NetClock::now() + patience_for_parting;
  while (!guests_.empty() && NetClock::now() < until && !hurry()) {
    std::vector<pollfd> polls;
    for (const auto& guest : guests_) {
      polls.push_back({guest->stream->fd(), guest->stream->wants(), 0});
    }
    constexpr int milliseconds = 100;
    ::poll(polls.data(), polls.size(), milliseconds);
    for (const auto& guest : guests_) {
      guest->stream->turn();
      while (guest->stream->try_receive()) {
      }
    }
    std::erase_if(guests_, [](const auto& guest) { return guest->stream->closed(); });
  }
}

}  // namespace trireme
