#include "runtime/logits.h"

#include <cmath>
#include <cstring>

#include "core/bytes.h"
#include "core/error.h"
#include "plan/memory.h"

namespace trireme {

namespace {

/// A row of logits that the plan asks about.
struct WantedRow {
  std::int64_t row = 0;  ///< of the step
  std::size_t sequence = 0;
  std::span<const std::int32_t> targets;  ///< log-probabilities of these ids
  bool sample = false;
  bool returned = false;    ///< the row is part of the output
  bool all_logits = false;  ///< the whole row must come together

  bool wants_top() const { return sample && !all_logits; }
};

/// What the ranks send to the first one, per wanted row, and what it makes of it.
struct Gathered {
  std::vector<Top> tops;       ///< rows that want the largest logit
  std::vector<ExpSum> sums;    ///< [rows with targets, vocabulary blocks]
  std::vector<float> targets;  ///< of rows with targets: their logits, where they are here
  std::vector<float> logits;   ///< rows that want all: this rank's columns
};

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
    for (std::size_t i = 0; i < rows; ++i, ++row) {
      WantedRow w{.row = row, .sequence = s};
      w.sample = sequence.sample && i + 1 + static_cast<std::size_t>(sequence.drafts) >= rows;
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

/// Copies the wanted rows of x together and runs the head over them: [rows, vocab_local].
Tensor local_logits(const LogitsReader& r, std::span<const WantedRow> wanted, Tensor x) {
  const Tensor rows = r.forward.scratch.matrix(static_cast<std::int64_t>(wanted.size()), x.cols);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    std::memcpy(rows.data + static_cast<std::int64_t>(i) * x.cols, x.data + wanted[i].row * x.cols,
                static_cast<std::size_t>(x.cols) * sizeof(float));
  }
  return r.head.forward(r.forward, rows);
}

Message local_part(const LogitsReader& r, std::span<const WantedRow> wanted, Tensor logits) {
  const std::int64_t block = r.model.vocab_shards.width();
  const std::int64_t blocks = ceil_div(logits.cols, block);
  Gathered part;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const WantedRow& w = wanted[i];
    const float* row = logits.data + static_cast<std::int64_t>(i) * logits.cols;
    if (w.wants_top() && logits.cols > 0) {
      Top& top = part.tops.emplace_back();
      r.forward.backend.argmax(r.forward.threads, row, 1, logits.cols, logits.cols, &top);
      top.index += static_cast<std::int32_t>(r.shard.vocab.begin);
    }
    if (!w.targets.empty()) {
      part.sums.resize(part.sums.size() + static_cast<std::size_t>(blocks));
      r.forward.backend.exp_sums(r.forward.threads, row, 1, logits.cols, logits.cols, block,
                                 part.sums.data() + part.sums.size() - blocks);
      for (const std::int32_t target : w.targets) {
        const bool here = r.shard.vocab.contains(target);
        part.targets.push_back(here ? row[target - r.shard.vocab.begin] : 0.0f);
      }
    }
    if (w.all_logits) part.logits.insert(part.logits.end(), row, row + logits.cols);
  }
  ByteWriter out;
  out.array(part.tops);
  out.array(part.sums);
  out.array(part.targets);
  out.array(part.logits);
  return out.take();
}

/// Walks through the parts of all ranks, row by row.
class PartsReader {
 public:
  PartsReader(const LogitsReader& r, std::span<const Message> messages) {
    for (std::size_t rank = 0; rank < messages.size(); ++rank) {
      ByteReader in(messages[rank]);
      Gathered part;
      part.tops = in.array<Top>();
      part.sums = in.array<ExpSum>();
      part.targets = in.array<float>();
      part.logits = in.array<float>();
      parts_.push_back(std::move(part));
      vocab_.push_back(tensor_shard(r.model, r.shard.size, static_cast<int>(rank)).vocab);
    }
    block_ = r.model.vocab_shards.width();
    vocab_size_ = r.model.vocab_size;
  }

  /// The largest logit over all ranks; the lowest id among equals, since ranks come in order of
  /// ids.
  std::int32_t next_top() {
    Top best{-INFINITY, -1};
    for (const Gathered& part : parts_) {
      const Top& top = part.tops[tops_];
      if (best.index < 0 || top.value > best.value) best = top;
    }
    ++tops_;
    return best.index;
  }

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

  std::vector<Gathered> parts_;
  std::vector<Range> vocab_;
  std::int64_t block_ = 1;
  std::int64_t vocab_size_ = 0;
  std::size_t tops_ = 0;
  std::size_t sums_ = 0;
  std::size_t targets_ = 0;
  std::size_t logits_ = 0;
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
void draw(const StepSequence& sequence, Draws& draws, SequenceOutput& output) {
  SamplerSettings sampler = sequence.sampler;
  for (std::vector<float>& logits : draws.rows) {
    if (!goes_on(sequence, output)) return;
    sampler.position = sequence.sampler.position + output.tokens.size();
    output.tokens.push_back(choose(logits, sampler, sequence.penalized));
  }
}

/// Sequences are drawn for apart from each other, so threads may share them out.
void draw_tokens(ThreadPool& threads, const StepPlan& plan, std::vector<Draws>& draws,
                 StepResult& result) {
  threads.parallel_for(static_cast<std::int64_t>(draws.size()), [&](std::int64_t i) {
    Draws& rows = draws[static_cast<std::size_t>(i)];
    draw(plan.sequences[rows.sequence], rows, result[rows.sequence]);
  });
}

}  // namespace

std::optional<StepResult> read_outputs(const LogitsReader& reader, const StepPlan& plan, Tensor x) {
  const std::vector<WantedRow> wanted = wanted_rows(plan);
  StepResult result(plan.sequences.size());
  for (std::size_t begin = 0; begin < wanted.size(); begin += logit_rows) {
    const std::size_t count = std::min<std::size_t>(logit_rows, wanted.size() - begin);
    const std::span<const WantedRow> some(wanted.data() + begin, count);
    const Workspace::Scope scope(reader.forward.scratch);
    const Message part = local_part(reader, some, local_logits(reader, some, x));
    const std::vector<Message> messages = reader.forward.tensor_group.gather(0, part);
    if (reader.shard.rank != 0) continue;
    PartsReader parts(reader, messages);
    std::vector<Draws> draws;
    for (const WantedRow& w : some) take_row(parts, plan, w, result, draws);
    draw_tokens(reader.forward.threads, plan, draws, result);
  }
  if (reader.shard.rank != 0) return std::nullopt;
  return result;
}

}  // namespace trireme
