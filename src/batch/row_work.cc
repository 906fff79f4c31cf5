#include "batch/row_work.h"

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::int64_t default_candidates = 5;

std::string line_of(const RowReply& reply, const Result& result, Engine&, const RowSettings&) {
  return encode_result(reply, result);
}
std::string line_of(const RowReply& reply, const Embedding& embedding, Engine&,
                    const RowSettings&) {
  return encode_embedding(reply, embedding);
}
std::string line_of(const RowReply& reply, const Classification& result, Engine& engine,
                    const RowSettings& settings) {
  return encode_classification(reply, result, engine.labels(), settings.top_k);
}
std::string line_of(const RowReply& reply, const Choice& choice, Engine&,
                    const RowSettings& settings) {
  const bool own = !reply.choices.empty();
  return encode_choice(reply, choice, own ? reply.choices : settings.choices, settings.top_k);
}
std::string line_of(const RowReply& reply, const MaskFill& fill, Engine&, const RowSettings&) {
  return encode_mask_fill(reply, fill);
}

std::size_t new_tokens(const Result& result) { return result.token_ids.size(); }
template <typename Answer>
std::size_t new_tokens(const Answer&) {
  return 0;
}

}  // namespace

void RowWork::start(DecodedRow row) {
  const std::uint64_t index = row.reply.index;
  if (row.error) {
    answers_.push_back({index, true, encode_error(row.reply, *row.error)});
    return;
  }
  const bool fresh = replies_.emplace(index, std::move(row.reply)).second;
  TRIREME_ASSERT(fresh);
  submit(index, row.request);
}

void RowWork::submit(std::uint64_t row, const Request& request) {
  switch (settings_.task) {
    case RowTask::generate:
    case RowTask::translate:
      // Among rows that generate, those that bring labels choose.
      if (request.choices.empty()) return engine_.submit(row, request);
      [[fallthrough]];
    case RowTask::choose:
      ++choosing_;
      return engine_.submit_choice(row, request);
    case RowTask::embed:
      return engine_.submit_embedding(row, request);
    case RowTask::classify:
      return engine_.submit_classification(row, request);
    case RowTask::fill_mask:
      return engine_.submit_mask_fill(row, request);
  }
}

void RowWork::step_choices() {
  for (auto& [row, choice] : engine_.step_choices()) {
    --choosing_;
    answer(row, choice);
  }
}

void RowWork::step() {
  switch (settings_.task) {
    case RowTask::generate:
    case RowTask::translate:
      for (auto& [row, result] : engine_.step()) answer(row, result);
      if (choosing_ > 0) step_choices();
      return;
    case RowTask::choose:
      return step_choices();
    case RowTask::embed:
      for (auto& [row, embedding] : engine_.step_embeddings()) answer(row, embedding);
      return;
    case RowTask::classify:
      for (auto& [row, result] : engine_.step_classifications()) answer(row, result);
      return;
    case RowTask::fill_mask:
      const std::int64_t count = settings_.top_k > 0 ? settings_.top_k : default_candidates;
      for (auto& [row, fill] : engine_.step_mask_fills(count)) answer(row, fill);
      return;
  }
}

template <typename Answer>
void RowWork::answer(std::uint64_t row, const Answer& answer) {
  const auto reply = replies_.extract(row);
  TRIREME_ASSERT(!reply.empty());
  const RowReply& to = reply.mapped();
  answers_.push_back({row, answer.error.has_value(),
                      answer.error ? encode_error(to, located(to, *answer.error))
                                   : line_of(to, answer, engine_, settings_),
                      static_cast<std::uint64_t>(answer.prompt_tokens), new_tokens(answer)});
}

}  // namespace trireme
