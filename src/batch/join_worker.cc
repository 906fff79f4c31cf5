#include "batch/join_worker.h"

#include <poll.h>

#include <chrono>
#include <future>
#include <optional>
#include <random>
#include <set>

#include "batch/join_link.h"
#include "batch/message_io.h"
#include "batch/messages.h"
#include "batch/replicas.h"
#include "core/error.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

using std::chrono::milliseconds;

constexpr int stopped = 5;

Options merged(const Options& own, const JoinTerms& terms) {
  Options options = own;
  if (options.model.empty()) {
    options.model = terms.model;
    options.revision = terms.revision;
  }
  options.dtype = terms.dtype;
  options.quantization = terms.quantization;
  options.load_format = terms.load_format;
  options.load_seed = terms.load_seed;
  options.max_model_len = terms.max_model_len;
  return options;
}

std::uint64_t random_number() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

StreamLimits limits_of(const JoinSettings& settings) {
  return {.peer_timeout = settings.peer_timeout};
}

/// A replica, as it looks from between it and the coordinator.
struct RelayedReplica {
  std::optional<std::string> ready;  ///< what it said first
  std::optional<std::string> job;    ///< what it was told first
  std::set<std::uint64_t> held;      ///< rows that it has
  std::uint32_t incarnation = 0;
  bool announced = false;  ///< to the coordinator, by this connection
  bool ending = false;     ///< gets nothing any more
  bool discard = false;    ///< the rows that it has are another job's
};

class JoinedWorker {
 public:
  explicit JoinedWorker(const JoinSettings& settings)
      : settings_(settings),
        link_(settings.address, settings.key_file, limits_of(settings)),
        instance_(random_number()) {}

  int run() {
    while (!exit_code_) {
      heed_signals();
      wait();
      look_at_link();
      look_at_identity();
      look_at_replicas();
    }
    return *exit_code_;
  }

 private:
  void heed_signals() {
    const int stops = settings_.stop_requests ? settings_.stop_requests() : 0;
    if (stops > 1) {
      exit_code_ = stopped;
    } else if (stops > 0 && !leaving_) {
      leaving_ = true;
      if (!welcomed_) {
        exit_code_ = 0;  // nobody counts on this worker
        return;
      }
      settings_.on_notice("leaving: rows at work are finished first (Ctrl-C again stops at once)");
      link_.post(LeavingMessage{});
    }
  }

  void wait() {
    std::vector<pollfd> polls;
    link_.add_poll(polls);
    if (replicas_) {
      replicas_->turn(polls);
    } else {
      constexpr int at_most = 50;  // milliseconds: the identity may be there
      ::poll(polls.data(), polls.size(), at_most);
    }
  }

  void look_at_link() {
    switch (link_.turn()) {
      case JoinLink::Event::connected:
        link_.post(HelloMessage{join_protocol, std::string(version()), settings_.name, instance_,
                                static_cast<std::uint32_t>(settings_.options.data_parallel_size)});
        break;
      case JoinLink::Event::lost:
        lose_link();
        break;
      case JoinLink::Event::failed:
        tell_down(link_.reason());
        break;
      case JoinLink::Event::none:
        break;
    }
    try {
      while (auto message = link_.try_receive()) {
        take(*message);
        if (exit_code_) return;
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::peer_lost) give_up(error.what());
      throw;
    }
    if (!exit_code_ && link_.down_for() > settings_.reconnect_for) {
      settings_.on_notice(fmt::format("no coordinator at {} for {} s: {}", settings_.address,
                                      settings_.reconnect_for.count(), link_.reason()));
      exit_code_ = stopped;
    }
  }

  void lose_link() {
    told_down_ = false;
    welcomed_ = working_ = false;
    if (leaving_) {
      settings_.on_notice("the coordinator is gone; so is this worker");
      exit_code_ = 0;
      return;
    }
    tell_down(link_.reason());
    for (std::size_t i = 0; i < states_.size(); ++i) {
      states_[i].announced = false;
      // The coordinator gives these rows to others; what is at work may still be of use.
      if (!states_[i].held.empty()) post_to(i, encode(RecallMessage{}));
    }
  }

  void tell_down(const std::string& reason) {
    if (std::exchange(told_down_, true)) return;
    settings_.on_notice(fmt::format("no connection to the coordinator at {} ({}); trying for {} s",
                                    settings_.address, reason, settings_.reconnect_for.count()));
  }

  void take(const JoinMessage& message) {
    if (const auto* welcome = std::get_if<WelcomeMessage>(&message)) {
      take_welcome(*welcome);
    } else if (const auto* refusal = std::get_if<RefusalMessage>(&message)) {
      link_.part();
      fail(ErrorKind::usage, "the coordinator at {} refuses this worker: {}", settings_.address,
           on_one_line(refusal->reason));
    } else if (const auto* replica = std::get_if<ReplicaMessage>(&message)) {
      take_for_replica(*replica);
    } else if (const auto* bye = std::get_if<ByeMessage>(&message)) {
      take_bye(*bye);
    } else {
      fail_malformed("a coordinator does not say this");
    }
  }

  void take_welcome(const WelcomeMessage& welcome) {
    welcomed_ = true;
    told_down_ = false;
    offered_job_ = welcome.job;
    if (replicas_ && welcome.terms == terms_) return accept();
    replicas_.reset();
    states_.clear();
    pending_.clear();
    terms_ = welcome.terms;
    settings_.on_notice(
        fmt::format("joining the job at {} as {}", settings_.address, welcome.name));
    options_ = merged(settings_.options, terms_);
    or_give_up([&] {
      if (settings_.check) settings_.check(options_);
    });
    // Reads a little of every tensor, from a slow disk perhaps: the link must not fall silent.
    identity_ =
        std::async(std::launch::async, [options = options_] { return output_identity(options); });
  }

  void look_at_identity() {
    if (!identity_.valid() || identity_.wait_for(milliseconds(0)) != std::future_status::ready) {
      return;
    }
    std::string own;
    or_give_up([&] { own = identity_.get(); });
    if (!welcomed_) return;  // the next welcome asks again
    const std::string difference = first_difference(terms_.identity, own);
    or_give_up([&] {
      if (difference.empty()) return;
      fail(ErrorKind::input, "{} would not give the same answers: {}", options_.model, difference);
    });
    accept();
  }

  /// What `action` throws is told to the coordinator, too.
  template <typename Action>
  void or_give_up(Action action) {
    try {
      action();
    } catch (const Error& error) {
      give_up(error.what());
      throw;
    }
  }

  void give_up(const std::string& reason) {
    link_.post(RefusalMessage{reason});
    link_.part();
  }

  void accept() {
    if (job_ != offered_job_) {
      pending_.clear();
      for (RelayedReplica& state : states_) state.discard = !state.held.empty();
      job_ = offered_job_;
    }
    if (!replicas_) or_give_up([this] { start_replicas(); });
    link_.post(AcceptMessage{});
    working_ = true;
    if (leaving_) return link_.post(LeavingMessage{});
    for (const ReplicaMessage& message : std::exchange(pending_, {})) link_.post(message);
    for (std::size_t i = 0; i < states_.size(); ++i) announce(i);
  }

  void start_replicas() {
    states_.assign(static_cast<std::size_t>(options_.data_parallel_size), {});
    replicas_.emplace(
        ReplicaSettings{.options = options_,
                        .arguments = settings_.arguments(options_, terms_.chat),
                        .started = terms_.started,
                        .max_restarts = settings_.max_restarts,
                        .stats = settings_.stats},
        Replicas::Handlers{
            .on_message = [this](int replica,
                                 const std::string& m) { take_from_replica(replica, m); },
            .on_ended = [](int) {},
            .on_lost = [this](int replica, int crash) { return lose_replica(replica, crash); },
            .on_notice =
                [this](const std::string& text) {
                  last_notice_ = text;
                  settings_.on_notice(text);
                },
            .rows_done = [this] { return answered_; }});
    replicas_->start();
  }

  void post_to(std::size_t replica, const std::string& message) {
    replicas_->post(static_cast<int>(replica), message);
  }

  /// The replica can have rows, and has none: another connection's would be in the way, since no
  /// row can be at work twice.
  void announce(std::size_t replica) {
    RelayedReplica& state = states_[replica];
    if (!working_ || leaving_ || state.announced || !state.ready || !state.held.empty()) return;
    state.announced = true;
    state.discard = false;
    ++state.incarnation;
    link_.post(
        ReplicaMessage{static_cast<std::uint32_t>(replica), state.incarnation, *state.ready});
  }

  void take_from_replica(int replica, const std::string& bytes) {
    const auto number = static_cast<std::size_t>(replica);
    RelayedReplica& state = states_[number];
    const BatchMessage message = decode(bytes);
    if (std::holds_alternative<ReadyMessage>(message)) {
      state.ready = bytes;
    } else if (const auto* answered = std::get_if<ResultsMessage>(&message)) {
      for (const RowResult& result : answered->results) state.held.erase(result.row);
      answered_ += answered->results.size();
      pass_on_results(number, bytes);
    } else if (const auto* returned = std::get_if<ReturnedMessage>(&message)) {
      for (const std::uint64_t row : returned->rows) state.held.erase(row);
      pass_on(number, bytes);
    } else {
      pass_on(number, bytes);
    }
    announce(number);
  }

  /// What is of use by this connection only.
  void pass_on(std::size_t replica, const std::string& bytes) {
    const RelayedReplica& state = states_[replica];
    if (!state.announced) return;
    link_.post(ReplicaMessage{static_cast<std::uint32_t>(replica), state.incarnation, bytes});
  }

  /// Answers to rows of a connection that was lost go to the next one of the same job: somebody
  /// else may not have come to them yet.
  void pass_on_results(std::size_t replica, const std::string& bytes) {
    const RelayedReplica& state = states_[replica];
    if (state.discard) return;
    ReplicaMessage message{static_cast<std::uint32_t>(replica), state.incarnation, bytes};
    if (working_) {
      link_.post(message);
    } else {
      pending_.push_back(std::move(message));
    }
  }

  void take_for_replica(const ReplicaMessage& message) {
    if (message.replica >= states_.size()) fail_malformed("a replica's number");
    RelayedReplica& state = states_[message.replica];
    if (!state.announced || state.ending || state.incarnation != message.incarnation) return;
    const BatchMessage content = decode(message.message);
    if (std::holds_alternative<JobMessage>(content)) {
      if (state.job && *state.job != message.message) return start_over(message.replica);
      if (std::exchange(state.job, message.message)) return;  // it knows
    } else if (const auto* rows = std::get_if<RowsMessage>(&content)) {
      for (const RawRow& row : rows->rows) {
        if (!state.held.insert(row.index).second) fail_malformed("a row that is at work already");
      }
    } else if (!std::holds_alternative<RecallMessage>(content)) {
      fail_malformed("a replica is not told this");
    }
    post_to(message.replica, message.message);
  }

  /// The same model, but rows are to be read otherwise.
  void start_over(std::uint32_t replica) {
    states_[replica].ending = true;
    replicas_->kill(static_cast<int>(replica), "the job reads its rows otherwise");
  }

  bool lose_replica(int replica, int crash) {
    RelayedReplica& state = states_[static_cast<std::size_t>(replica)];
    if (state.announced) {
      link_.post(ReplicaLostMessage{static_cast<std::uint32_t>(replica), crash, last_notice_});
    }
    state = RelayedReplica{.incarnation = state.incarnation};
    return !leaving_;
  }

  void look_at_replicas() {
    if (!replicas_ || exit_code_) return;
    if (replicas_->failure()) {
      give_up(replicas_->failure()->reason);
      settings_.on_notice(replicas_->failure()->reason);
      exit_code_ = replicas_->failure()->exit_code;
    } else if (!replicas_->any_running() && !leaving_) {
      give_up("no replica is left");
      settings_.on_notice("no replica is left");
      exit_code_ = stopped;
    }
  }

  void take_bye(const ByeMessage& bye) {
    link_.part();
    const std::string rows =
        fmt::format("{} row{} answered here", bye.rows, bye.rows == 1 ? " was" : "s were");
    switch (bye.why) {
      case Bye::done:
        settings_.on_notice("the job is done; " + rows);
        break;
      case Bye::left:
        settings_.on_notice("this worker has left; " + rows);
        break;
      case Bye::stopped:
        settings_.on_notice("the job has stopped before it was done; " + rows);
        break;
    }
    exit_code_ = bye.why == Bye::stopped ? stopped : 0;
    if (replicas_ && bye.why != Bye::stopped) {
      const int before = settings_.stop_requests ? settings_.stop_requests() : 0;
      replicas_->dismiss(
          [&] { return settings_.stop_requests && settings_.stop_requests() > before; });
    }
  }

  const JoinSettings& settings_;
  JoinLink link_;
  std::uint64_t instance_;
  bool told_down_ = false;
  bool welcomed_ = false;  ///< by this connection
  bool working_ = false;   ///< by this connection
  bool leaving_ = false;
  std::uint64_t offered_job_ = 0;
  std::uint64_t job_ = 0;
  JoinTerms terms_;
  Options options_;
  std::future<std::string> identity_;
  std::optional<Replicas> replicas_;
  std::vector<RelayedReplica> states_;
  std::vector<ReplicaMessage> pending_;  ///< results that there was no connection for
  std::uint64_t answered_ = 0;
  std::string last_notice_;
  std::optional<int> exit_code_;
};

}  // namespace

int join_batch(const JoinSettings& settings) { return JoinedWorker(settings).run(); }

int ask_to_leave(const JoinSettings& settings, const std::string& name) {
  JoinLink link(settings.address, settings.key_file, limits_of(settings));
  for (;;) {
    std::vector<pollfd> polls;
    link.add_poll(polls);
    ::poll(polls.data(), polls.size(), 100);
    const JoinLink::Event event = link.turn();
    if (event == JoinLink::Event::connected) {
      link.post(LeaveRequest{join_protocol, std::string(version()), name});
    } else if (event != JoinLink::Event::none) {
      fail(ErrorKind::peer_lost, "{}: {}", settings.address, link.reason());
    }
    if (settings.stop_requests && settings.stop_requests() > 0) return stopped;
    while (const auto message = link.try_receive()) {
      link.part();
      if (const auto* bye = std::get_if<ByeMessage>(&*message)) {
        settings.on_notice(fmt::format("{} has answered {} row{}{}", name, bye->rows,
                                       bye->rows == 1 ? "" : "s",
                                       bye->text.empty() ? "" : "; " + on_one_line(bye->text)));
        return 0;
      }
      const auto* refusal = std::get_if<RefusalMessage>(&*message);
      fail(ErrorKind::input, "{}", refusal != nullptr ? on_one_line(refusal->reason) : "no answer");
    }
  }
}

}  // namespace trireme
