#include "tasks/model_rows.h"

#include <numeric>

#include "core/error.h"

namespace trireme {

void drop_padding_at_the_end(const Replica& replica, std::vector<std::int32_t>& ids) {
  const ModelSpec& model = replica.spec();
  const std::optional<std::int64_t> pad = replica.files().config.integer("pad_token_id");
  if (!model.causal || model.output != Output::labels || !pad) return;
  while (ids.size() > 1 && ids.back() == *pad) ids.pop_back();
}

SequenceRequest ModelRows::request_of(const ModelRow& row) const {
  const ModelSpec& model = replica_.spec();
  SequenceRequest request{.tokens = row.ids, .features = row.features, .type_ids = row.type_ids};
  request.source = row.source;
  request.source_features = row.source_features;
  drop_padding_at_the_end(replica_, request.tokens);
  if (!request.type_ids.empty()) request.type_ids.resize(request.tokens.size());
  const auto width = static_cast<std::size_t>(model.hidden_size);
  if (model.takes_features) {
    request.tokens.resize(row.features.size() / width);
    request.source.resize(row.source_features.size() / width);
  }
  if (model.generates() && !model.is_encoder_decoder()) {  // may be cut into chunks
    request.score = request.logits = true;
    return request;
  }
  request.whole = true;
  request.hidden = model.output == Output::sentence;
  if (model.output == Output::logits) {
    request.logits_at.resize(request.tokens.size());
    std::iota(request.logits_at.begin(), request.logits_at.end(), 0);
  }
  return request;
}

void ModelRows::submit(std::uint64_t tag, const ModelRow& row) {
  const std::uint64_t number = sequences_.add(*this, request_of(row));
  active_.emplace(number, Finished{tag, {}});
}

void ModelRows::take(SequenceEvent& event) {
  const auto found = active_.find(event.id);
  TRIREME_ASSERT(found != active_.end());
  std::vector<float>& values = found->second.values;
  if (!event.logits.empty()) {
    // Once more, and the same, after a preemption.
    values.resize(static_cast<std::size_t>(event.first_logits * replica_.spec().vocab_size));
    values.insert(values.end(), event.logits.begin(), event.logits.end());
  }
  if (!event.finished) return;
  if (!event.values.empty()) values = std::move(event.values);
  finished_.push_back(std::move(found->second));
  active_.erase(found);
}

}  // namespace trireme
