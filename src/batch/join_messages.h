// What a worker on another host and the coordinator say to each other besides the messages of a
// batch, as bytes. The transport delivers whole messages from somebody who knows the key; nothing
// in them is trusted all the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace trireme {

/// To be raised when any message changes, those in messages.h too.
inline constexpr std::uint32_t join_protocol = 1;
inline constexpr std::uint32_t most_joined_replicas = 4096;

/// What determines the output, as the coordinator has it.
struct JoinTerms {
  std::string model;
  std::string revision;
  std::string dtype;
  std::string quantization;
  std::string load_format;
  std::uint64_t load_seed = 0;
  std::int64_t max_model_len = 0;
  bool chat = false;
  std::string identity;      ///< see output_identity()
  std::int64_t started = 0;  ///< when the job began, seconds since the epoch

  bool operator==(const JoinTerms&) const = default;
};

/// Worker -> coordinator, first. The version of the protocol comes first in every first message, so
// that any other version can be told.
struct HelloMessage {
  std::uint32_t protocol = join_protocol;
  std::string version;         ///< of the program
  std::string name;            ///< for people
  std::uint64_t instance = 0;  ///< a random number that the process keeps
  std::uint32_t replicas = 1;
};

/// Somebody -> coordinator, first: this worker is to leave.
struct LeaveRequest {
  std::uint32_t protocol = join_protocol;
  std::string version;
  std::string name;
};

/// Coordinator -> worker: what you would work on.
struct WelcomeMessage {
  std::string name;       ///< by which the worker is known
  std::uint64_t job = 0;  ///< a random number: another one, other rows
  JoinTerms terms;
};

/// Either side: this does not work, and why.
struct RefusalMessage {
  std::string reason;
};

/// Worker -> coordinator: the terms are met.
struct AcceptMessage {};

/// Either direction: a message of batch/messages.h from or to a replica of the worker.
struct ReplicaMessage {
  std::uint32_t replica = 0;
  /// Counts how often the replica has said that it is ready: what was sent to an earlier one is not
  /// for this one.
  std::uint32_t incarnation = 0;
  std::string message;
};

/// Worker -> coordinator: the replica has ended.
struct ReplicaLostMessage {
  std::uint32_t replica = 0;
  std::int32_t crash = 0;  ///< the signal, if it was a fault of its own making
  std::string text;
};

/// Worker -> coordinator: no more rows, please; I leave when those that I have are answered.
struct LeavingMessage {};

enum class Bye : std::uint8_t {
  done,     ///< all rows are answered
  left,     ///< you have left
  stopped,  ///< the job has ended before it was done
};

/// Coordinator -> worker, last.
struct ByeMessage {
  Bye why = Bye::done;
  std::uint64_t rows = 0;  ///< that the worker has answered
  std::string text;
};

using JoinMessage =
    std::variant<HelloMessage, LeaveRequest, WelcomeMessage, RefusalMessage, AcceptMessage,
                 ReplicaMessage, ReplicaLostMessage, LeavingMessage, ByeMessage>;

std::string encode(const JoinMessage& message);

/// Throws Error(peer_lost) for bytes that `encode` cannot have made, names and numbers beyond what
/// there can be, and first messages of another version, which it names.
JoinMessage decode_join(std::string_view bytes);

/// Letters, digits and "._:@-", at most 64.
bool is_worker_name(std::string_view name);

/// A peer's words on one line of a terminal, and not too many.
std::string on_one_line(std::string_view text);

/// The first line in which two output_identity() texts differ: "dtype=float32 at the coordinator,
/// dtype=bfloat16 here". Empty if none does.
std::string first_difference(std::string_view coordinator, std::string_view here);

}  // namespace trireme
