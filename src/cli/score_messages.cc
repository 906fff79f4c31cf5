#include "cli/score_messages.h"

#include "core/bytes.h"

namespace trireme {

namespace {

enum class Kind : std::uint8_t { scored_row, logits_part, limits };

void put(ByteWriter& out, const ScoredRow& message) {
  out.value(Kind::scored_row);
  out.value(message.row);
  out.value(message.failed);
  out.array(message.token_ids);
  out.string(message.line);
}

void put(ByteWriter& out, const LogitsPart& message) {
  out.value(Kind::logits_part);
  out.value(message.row);
  out.value(message.first);
  out.array(message.logits);
}

void put(ByteWriter& out, const ScoreLimits& message) {
  out.value(Kind::limits);
  out.value(message.rows_below);
  out.value(message.floats_taken);
  out.value(message.stop);
}

ScoredRow take_scored_row(ByteReader& in) {
  ScoredRow message;
  message.row = in.value<std::uint64_t>();
  message.failed = in.value<bool>();
  message.token_ids = in.array<std::int32_t>();
  message.line = in.string();
  return message;
}

LogitsPart take_logits_part(ByteReader& in) {
  LogitsPart message;
  message.row = in.value<std::uint64_t>();
  message.first = in.value<std::int64_t>();
  message.logits = in.array<float>();
  return message;
}

ScoreLimits take_limits(ByteReader& in) {
  ScoreLimits message;
  message.rows_below = in.value<std::uint64_t>();
  message.floats_taken = in.value<std::uint64_t>();
  message.stop = in.value<bool>();
  return message;
}

}  // namespace

std::string encode(const ScoreMessage& message) {
  ByteWriter out;
  std::visit([&](const auto& some) { put(out, some); }, message);
  const std::vector<std::byte> bytes = out.take();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ScoreMessage decode_score_message(std::string_view bytes) {
  ByteReader in(std::as_bytes(std::span(bytes)));
  switch (in.value<Kind>()) {
    case Kind::scored_row:
      return take_scored_row(in);
    case Kind::logits_part:
      return take_logits_part(in);
    case Kind::limits:
      return take_limits(in);
  }
  fail(ErrorKind::peer_lost, "a message from another rank is of no known kind");
}

}  // namespace trireme
