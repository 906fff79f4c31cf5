#include "runtime/logits.h"

#include <cmath>

#include "core/bytes.h"
#include "core/error.h"
#include "plan/memory.h"
#include "runtime/local_logits.h"

namespace trireme {

namespace {

/// Hands out a sequence's targets, row by row.
class Targets {
 public:
  explicit Targets(const StepSequence& sequence) : sequence_(sequence) {}

  std::span<const std::int32_t> of_row(std::size_t row) {
    if (sequence_.targets.empty()) return {};
    const bool one = sequence_.target_counts.empty();
    const auto count =
        one ? std::size_t{1} : static_cast<std::size_t>(sequence_.target_counts[row]);
    const std::span<const std::int32_t> taken(sequence_.targets.data() + next_, count);
    next_ += count;
    return one && taken[0] < 0 ? std::span<const std::int32_t>{} : taken;
  }

 private:
  const StepSequence& sequence_;
  std::size_t next_ = 0;
};

std::vector<WantedRow> wanted_rows(const StepPlan& plan) {
  std::vector<WantedRow> wanted;
  std::int64_t row = 0;
  for (std::size_t s = 0; s < plan.sequences.size(); ++s) {
    const StepSequence& sequence = plan.sequences[s];
    const std::size_t rows = sequence.tokens.size();
    Targets targets(sequence);
    auto at = sequence.logits_at.begin();
    std::int64_t sampled = 0;
    for (std::size_t i = 0; i < rows; ++i, ++row) {
      WantedRow w{.row = row, .sequence = s};
      w.sample = sequence.sample && i + 1 + static_cast<std::size_t>(sequence.drafts) >= rows;
      if (w.sample) w.ahead = sampled++;
      w.targets = targets.of_row(i);
      w.returned =
          sequence.logits || (at != sequence.logits_at.end() && static_cast<std::size_t>(*at) == i);
      if (w.returned && !sequence.logits) ++at;
      w.all_logits = w.returned || (w.sample && !sequence.sampler.is_argmax());
      if (w.sample || !w.targets.empty() || w.all_logits) wanted.push_back(w);
    }
  }
  return wanted;
}

/// Walks through the parts of all ranks, row by row.
class PartsReader {
 public:
  PartsReader(const LogitsReader& r, std::span<const Message> messages) {
    for (std::size_t rank = 0; rank < messages.size(); ++rank) {
      parts_.push_back(decode_part(messages[rank]));
      vocab_.push_back(tensor_shard(r.model, r.shard.size, static_cast<int>(rank)).vocab);
    }
    block_ = r.model.vocab_shards.width();
    vocab_size_ = r.model.vocab_size;
  }

  /// The largest logit over all ranks; the lowest id among equals, since ranks come in order of
  /// ids.
  std::int32_t next_top() {
    Top best{-INFINITY, -1};
    for (const LogitsPart& part : parts_) {
      const Top& top = part.tops[tops_];
      if (best.index < 0 || top.value > best.value) best = top;
    }
    ++tops_;
    return best.index;
  }

  /// The token that was drawn where the logits are.
  std::int32_t next_drawn() { return parts_.front().drawn[drawn_++]; }

  /// log softmax of a row's targets: block sums join in the order of the vocabulary.
  void next_logprobs(std::span<const std::int32_t> targets, std::vector<float>& out) {
    double max = -INFINITY;
    for_each_sum([&](const ExpSum& s) { max = std::max(max, static_cast<double>(s.max)); });
    double sum = 0;
    for_each_sum([&](const ExpSum& s) {
      sum += static_cast<double>(s.sum) * std::exp(static_cast<double>(s.max) - max);
    });
    ++sums_;
    for (const std::int32_t target : targets) {
      out.push_back(static_cast<float>(next_target(target) - max - std::log(sum)));
    }
  }

  std::vector<float> next_logits() {
    std::vector<float> row;
    row.reserve(static_cast<std::size_t>(vocab_size_));
    for (std::size_t rank = 0; rank < parts_.size(); ++rank) {
      const std::int64_t cols = vocab_[rank].size();
      const auto begin = parts_[rank].logits.begin() + static_cast<std::int64_t>(logits_) * cols;
      row.insert(row.end(), begin, begin + cols);
    }
    ++logits_;
    return row;
  }

 private:
  double next_target(std::int32_t target) {
    double logit = 0;
    for (std::size_t rank = 0; rank < parts_.size(); ++rank) {
      if (vocab_[rank].contains(target)) {
        logit = static_cast<double>(parts_[rank].targets[targets_]);
      }
    }
    ++targets_;
    return logit;
  }

  template <typename Visit>
  void for_each_sum(const Visit& visit) const {
    for (std::size_t rank = 0; rank < parts_.size(); ++rank) {
      const std::int64_t blocks = ceil_div(vocab_[rank].size(), block_);
      const std::int64_t begin = static_cast<std::int64_t>(sums_) * blocks;
      for (std::int64_t i = begin; i < begin + blocks; ++i) {
        visit(parts_[rank].sums[static_cast<std::size_t>(i)]);
      }
    }
  }

  std::vector<LogitsPart> parts_;
  std::vector<Range> vocab_;
  std::int64_t block_ = 1;
  std::int64_t vocab_size_ = 0;
  std::size_t tops_ = 0;
  std::size_t sums_ = 0;
  std::size_t targets_ = 0;
  std::size_t logits_ = 0;
  std::size_t drawn_ = 0;
};

/// Rows of one sequence whose next tokens are drawn from all their logits.
struct Draws {
  std::size_t sequence = 0;
  std::vector<std::vector<float>> rows;
};

void take_top(const StepSequence& sequence, std::int32_t token, SequenceOutput& output) {
  if (goes_on(sequence, output)) output.tokens.push_back(token);
}

void take_row(PartsReader& parts, const StepPlan& plan, const WantedRow& w, StepResult& result,
              std::vector<Draws>& draws) {
  SequenceOutput& output = result[w.sequence];
  const StepSequence& sequence = plan.sequences[w.sequence];
  if (w.wants_top()) take_top(sequence, parts.next_top(), output);
  if (w.drawn) take_top(sequence, parts.next_drawn(), output);
  if (!w.targets.empty()) parts.next_logprobs(w.targets, output.logprobs);
  if (!w.all_logits) return;
  std::vector<float> logits = parts.next_logits();
  if (w.returned) {
    output.logits.insert(output.logits.end(), logits.begin(), logits.end());
  }
  if (!w.sample) return;
  if (draws.empty() || draws.back().sequence != w.sequence) draws.push_back({w.sequence, {}});
  draws.back().rows.push_back(std::move(logits));
}

/// Row by row as long as the drafts hold, each with the random number that it would have in a step
/// of its own.
void draw(const LogitsReader& r, const StepSequence& sequence, Draws& draws,
          SequenceOutput& output) {
  for (std::vector<float>& logits : draws.rows) {
    if (!goes_on(sequence, output)) return;
    output.tokens.push_back(draw_one(r, sequence, std::ssize(output.tokens), logits));
  }
}

/// Sequences are drawn for apart from each other, so threads may share them out.
void draw_tokens(const LogitsReader& r, const StepPlan& plan, std::vector<Draws>& draws,
                 StepResult& result) {
  const auto draw_rows = [&](std::int64_t i) {
    Draws& rows = draws[static_cast<std::size_t>(i)];
    draw(r, plan.sequences[rows.sequence], rows, result[rows.sequence]);
  };
  const std::int64_t count = std::ssize(draws);
  if (!r.forward.backend.draws()) return r.forward.threads.parallel_for(count, draw_rows);
  for (std::int64_t i = 0; i < count; ++i) draw_rows(i);
}

}  // namespace

std::optional<StepResult> read_outputs(const LogitsReader& reader, const StepPlan& plan, Tensor x) {
  std::vector<WantedRow> wanted = wanted_rows(plan);
  if (draws_in_place(reader)) {
    for (WantedRow& w : wanted) w.draw_in_place();
  }
  StepResult result(plan.sequences.size());
  for (std::size_t begin = 0; begin < wanted.size(); begin += logit_rows) {
    const std::size_t count = std::min<std::size_t>(logit_rows, wanted.size() - begin);
    const std::span<const WantedRow> some(wanted.data() + begin, count);
    const Workspace::Scope scope(reader.forward.scratch);
    const Message part = read_part(reader, plan, some, x);
    const std::vector<Message> messages = reader.forward.tensor_group.ranks().gather(0, part);
    if (reader.shard.rank != 0) continue;
    PartsReader parts(reader, messages);
    std::vector<Draws> draws;
    for (const WantedRow& w : some) take_row(parts, plan, w, result, draws);
    draw_tokens(reader, plan, draws, result);
  }
  if (reader.shard.rank != 0) return std::nullopt;
  return result;
}

}  // namespace trireme
