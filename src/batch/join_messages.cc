#include "batch/join_messages.h"

#include <algorithm>
#include <cctype>

#include "batch/message_io.h"

namespace trireme {

namespace {

constexpr std::size_t most_name = 64;

template <typename Io, typename Terms>
void visit_terms(Io& io, Terms& terms) {
  io.text(terms.model);
  io.text(terms.revision);
  io.text(terms.dtype);
  io.text(terms.quantization);
  io.text(terms.load_format);
  io.number(terms.load_seed);
  io.number(terms.max_model_len);
  io.flag(terms.chat);
  io.text(terms.identity);
  io.number(terms.started);
}

/// The fields of each message, for writing (a const message) and for reading.
constexpr auto fields = []<typename Io, typename M>(Io& io, M& message) {
  using Message = std::remove_const_t<M>;
  if constexpr (std::is_same_v<Message, HelloMessage>) {
    io.number(message.protocol);
    io.text(message.version);
    io.text(message.name);
    io.number(message.instance);
    io.number(message.replicas);
  } else if constexpr (std::is_same_v<Message, LeaveRequest>) {
    io.number(message.protocol);
    io.text(message.version);
    io.text(message.name);
  } else if constexpr (std::is_same_v<Message, WelcomeMessage>) {
    io.text(message.name);
    io.number(message.job);
    visit_terms(io, message.terms);
  } else if constexpr (std::is_same_v<Message, RefusalMessage>) {
    io.text(message.reason);
  } else if constexpr (std::is_same_v<Message, ReplicaMessage>) {
    io.number(message.replica);
    io.number(message.incarnation);
    io.text(message.message);
  } else if constexpr (std::is_same_v<Message, ReplicaLostMessage>) {
    io.number(message.replica);
    io.number(message.crash);
    io.text(message.text);
  } else if constexpr (std::is_same_v<Message, ByeMessage>) {
    io.choice(message.why, Bye::stopped);
    io.number(message.rows);
    io.text(message.text);
  } else {
    static_assert(std::is_same_v<Message, AcceptMessage> ||
                  std::is_same_v<Message, LeavingMessage>);
  }
};

/// Before anything else of a first message is read.
void check_protocol(std::string_view bytes) {
  constexpr std::uint8_t first_messages = 2;
  if (bytes.empty() || static_cast<std::uint8_t>(bytes[0]) >= first_messages) return;
  MessageReader reader(bytes.substr(1));
  std::uint32_t protocol = 0;
  reader.number(protocol);
  if (protocol == join_protocol) return;
  fail(ErrorKind::peer_lost,
       "the worker speaks version {} of the protocol, the coordinator version {}: install the "
       "same Trireme on both",
       protocol, join_protocol);
}

void check_name(const std::string& name) {
  if (!is_worker_name(name)) fail_malformed("a worker's name");
}

void check(const JoinMessage& message) {
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    check_name(hello->name);
    if (hello->replicas == 0 || hello->replicas > most_joined_replicas) {
      fail_malformed("a number of replicas");
    }
  } else if (const auto* request = std::get_if<LeaveRequest>(&message)) {
    check_name(request->name);
  } else if (const auto* welcome = std::get_if<WelcomeMessage>(&message)) {
    check_name(welcome->name);
  } else if (const auto* replica = std::get_if<ReplicaMessage>(&message)) {
    if (replica->replica >= most_joined_replicas) fail_malformed("a replica's number");
  } else if (const auto* lost = std::get_if<ReplicaLostMessage>(&message)) {
    if (lost->replica >= most_joined_replicas) fail_malformed("a replica's number");
  }
}

/// Takes the next line off the front of `text`.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string or_nothing(std::string_view line) {
  return line.empty() ? "nothing" : on_one_line(line);
}

}  // namespace

std::string encode(const JoinMessage& message) { return encode_message(message, fields); }

JoinMessage decode_join(std::string_view bytes) {
  check_protocol(bytes);
  JoinMessage message = decode_message<JoinMessage>(bytes, fields);
  check(message);
  return message;
}

bool is_worker_name(std::string_view name) {
  constexpr std::string_view signs = "._:@-";
  return !name.empty() && name.size() <= most_name &&
         std::all_of(name.begin(), name.end(), [&](unsigned char c) {
           return std::isalnum(c) != 0 || signs.find(static_cast<char>(c)) != signs.npos;
         });
}

std::string on_one_line(std::string_view text) {
  constexpr std::size_t most = 2000;
  std::string out(text.substr(0, most));
  constexpr unsigned char space = 0x20, del = 0x7f;
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < space || byte == del) c = ' ';
  }
  return out;
}

std::string first_difference(std::string_view coordinator, std::string_view here) {
  while (!coordinator.empty() || !here.empty()) {
    const std::string_view theirs = next_line(coordinator);
    const std::string_view ours = next_line(here);
    if (theirs == ours) continue;
    return or_nothing(theirs) + " at the coordinator, " + or_nothing(ours) + " here";
  }
  return "";
}

}  // namespace trireme
