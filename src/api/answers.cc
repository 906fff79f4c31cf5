#include "api/answers.h"

#include <optional>

#include "core/bytes.h"

namespace trireme {

namespace {

void put(ByteWriter& out, const std::optional<RequestError>& error) {
  out.value(error.has_value());
  out.string(error ? error->code : "");
  out.string(error ? error->message : "");
}

std::optional<RequestError> take_error(ByteReader& in) {
  const bool there = in.value<bool>();
  RequestError error;
  error.code = in.string();
  error.message = in.string();
  return there ? std::optional(std::move(error)) : std::nullopt;
}

}  // namespace

Message encode(const Result& r) {
  ByteWriter out;
  out.string(r.text);
  out.array(r.token_ids);
  out.value(r.prompt_tokens);
  out.value(r.finish_reason);
  put(out, r.error);
  return out.take();
}

void decode(const Message& bytes, Result& r) {
  ByteReader in(bytes);
  r.text = in.string();
  r.token_ids = in.array<std::int32_t>();
  r.prompt_tokens = in.value<std::int64_t>();
  r.finish_reason = in.value<FinishReason>();
  r.error = take_error(in);
}

Message encode(const Score& s) {
  ByteWriter out;
  out.array(s.token_ids);
  out.array(s.logprobs);
  out.value(s.sum);
  out.array(s.logits);
  put(out, s.error);
  return out.take();
}

void decode(const Message& bytes, Score& s) {
  ByteReader in(bytes);
  s.token_ids = in.array<std::int32_t>();
  s.logprobs = in.array<float>();
  s.sum = in.value<double>();
  s.logits = in.array<float>();
  s.error = take_error(in);
}

Message encode(const Embedding& e) {
  ByteWriter out;
  out.array(e.values);
  out.value(e.prompt_tokens);
  out.value(e.truncated);
  put(out, e.error);
  return out.take();
}

void decode(const Message& bytes, Embedding& e) {
  ByteReader in(bytes);
  e.values = in.array<float>();
  e.prompt_tokens = in.value<std::int64_t>();
  e.truncated = in.value<bool>();
  e.error = take_error(in);
}

Message encode(const Classification& c) {
  ByteWriter out;
  out.array(c.logits);
  out.array(c.scores);
  out.value(c.label);
  out.value(c.prompt_tokens);
  out.value(c.truncated);
  put(out, c.error);
  return out.take();
}

void decode(const Message& bytes, Classification& c) {
  ByteReader in(bytes);
  c.logits = in.array<float>();
  c.scores = in.array<float>();
  c.label = in.value<std::int64_t>();
  c.prompt_tokens = in.value<std::int64_t>();
  c.truncated = in.value<bool>();
  c.error = take_error(in);
}

Message encode(const Choice& c) {
  ByteWriter out;
  out.value(c.label);
  out.array(c.probabilities);
  out.array(c.logprobs);
  out.value(c.prompt_tokens);
  put(out, c.error);
  return out.take();
}

void decode(const Message& bytes, Choice& c) {
  ByteReader in(bytes);
  c.label = in.value<std::int64_t>();
  c.probabilities = in.array<float>();
  c.logprobs = in.array<float>();
  c.prompt_tokens = in.value<std::int64_t>();
  c.error = take_error(in);
}

Message encode(const MaskFill& f) {
  ByteWriter out;
  out.value<std::uint64_t>(f.masks.size());
  for (const auto& candidates : f.masks) {
    out.value<std::uint64_t>(candidates.size());
    for (const MaskFill::Candidate& candidate : candidates) {
      out.value(candidate.token_id);
      out.string(candidate.token);
      out.value(candidate.probability);
    }
  }
  out.value(f.prompt_tokens);
  out.value(f.truncated);
  put(out, f.error);
  return out.take();
}

void decode(const Message& bytes, MaskFill& f) {
  ByteReader in(bytes);
  const auto masks = in.value<std::uint64_t>();
  for (std::uint64_t i = 0; i < masks; ++i) {
    auto& candidates = f.masks.emplace_back();
    const auto count = in.value<std::uint64_t>();
    for (std::uint64_t j = 0; j < count; ++j) {
      MaskFill::Candidate& candidate = candidates.emplace_back();
      candidate.token_id = in.value<std::int32_t>();
      candidate.token = in.string();
      candidate.probability = in.value<float>();
    }
  }
  f.prompt_tokens = in.value<std::int64_t>();
  f.truncated = in.value<bool>();
  f.error = take_error(in);
}

Message encode(const std::vector<float>& values) {
  ByteWriter out;
  out.array(values);
  return out.take();
}

void decode(const Message& bytes, std::vector<float>& values) {
  ByteReader in(bytes);
  values = in.array<float>();
}

}  // namespace trireme
