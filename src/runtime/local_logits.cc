#include "runtime/local_logits.h"

#include <algorithm>

#include "core/bytes.h"
#include "plan/memory.h"

namespace trireme {

namespace {

/// Runs the head over the wanted rows of x: [rows, vocab_local].
Tensor local_logits(const LogitsReader& r, std::span<const WantedRow> wanted, Tensor x) {
  const std::int64_t count = std::ssize(wanted);
  const std::int64_t first = wanted.front().row;
  if (wanted.back().row + 1 - first == count) {  // they follow one another: no need to copy them
    return r.head.forward(r.forward, {x.data + first * x.cols, count, x.cols});
  }
  std::vector<std::int32_t> indices;
  for (const WantedRow& w : wanted) indices.push_back(static_cast<std::int32_t>(w.row));
  const Tensor rows = r.forward.scratch.matrix(count, x.cols);
  r.forward.backend.gather_rows(r.forward.threads, x.data, x.cols, x.cols, indices, rows.data);
  return r.head.forward(r.forward, rows);
}

DrawRow draw_row(const StepSequence& sequence, std::int64_t ahead) {
  const SamplerSettings& s = sequence.sampler;
  const std::uint64_t position = s.position + static_cast<std::uint64_t>(ahead);
  return {.greedy = s.greedy,
          .temperature = s.temperature,
          .top_k = s.top_k,
          .top_p = s.top_p,
          .min_p = s.min_p,
          .repetition_penalty = s.repetition_penalty,
          .uniform = uniform(s.seed, s.row, position),
          .penalized = sequence.penalized};
}

class PartReader {
 public:
  PartReader(const LogitsReader& reader, const StepPlan& plan, std::span<const WantedRow> wanted,
             Tensor logits)
      : r_(reader),
        backend_(reader.forward.backend),
        plan_(plan),
        wanted_(wanted),
        logits_(logits) {}

  LogitsPart read() {
    for_runs(&WantedRow::wants_top, [this](Range rows) { read_tops(rows); });
    for_runs([](const WantedRow& w) { return w.drawn; }, [this](Range rows) { draw(rows); });
    for_runs([](const WantedRow& w) { return !w.targets.empty(); },
             [this](Range rows) { read_sums(rows); });
    for_runs([](const WantedRow& w) { return w.all_logits; },
             [this](Range rows) { read_logits(rows); });
    read_targets();
    return std::move(part_);
  }

 private:
  /// Visits the rows that are `such` in runs: on a device one call for many costs what one for a
  /// single row does.
  template <typename Such, typename Visit>
  void for_runs(const Such& such, const Visit& visit) const {
    Range run;
    for (std::int64_t row = 0; row <= std::ssize(wanted_); ++row) {
      const bool is_such =
          row < std::ssize(wanted_) && std::invoke(such, wanted_[static_cast<std::size_t>(row)]);
      if (is_such && run.empty()) run.begin = row;
      if (is_such) run.end = row + 1;
      if (is_such || run.empty()) continue;
      visit(run);
      run = {};
    }
  }

  const float* row(std::int64_t index) const { return logits_.data + index * logits_.cols; }

  /// Appends `count` values that `fill` leaves in the backend's memory.
  template <typename T, typename Fill>
  void append(std::vector<T>& values, std::int64_t count, const Fill& fill) const {
    static_assert(sizeof(T) % sizeof(float) == 0);
    const Workspace::Scope scope(r_.forward.scratch);
    const Tensor room = r_.forward.scratch.matrix(count, sizeof(T) / sizeof(float));
    T* const place = reinterpret_cast<T*>(room.data);
    fill(place);
    values.resize(values.size() + static_cast<std::size_t>(count));
    const std::span<T> added = std::span(values).last(static_cast<std::size_t>(count));
    backend_.download(std::as_writable_bytes(added), place);
  }

  void read_tops(Range rows) {
    if (logits_.cols == 0) return;
    append(part_.tops, rows.size(), [&](Top* tops) {
      backend_.argmax(r_.forward.threads, row(rows.begin), rows.size(), logits_.cols, logits_.cols,
                      tops);
    });
    for (Top& top : std::span(part_.tops).last(static_cast<std::size_t>(rows.size()))) {
      top.index += static_cast<std::int32_t>(r_.shard.vocab.begin);
    }
  }

  void draw(Range rows) {
    std::vector<DrawRow> draws;
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const WantedRow& w = wanted_[static_cast<std::size_t>(i)];
      draws.push_back(draw_row(plan_.sequences[w.sequence], w.ahead));
    }
    const auto tokens = backend_.draw(row(rows.begin), logits_.cols, logits_.cols, draws);
    part_.drawn.insert(part_.drawn.end(), tokens.begin(), tokens.end());
  }

  void read_sums(Range rows) {
    const std::int64_t block = r_.model.vocab_shards.width();
    append(part_.sums, rows.size() * ceil_div(logits_.cols, block), [&](ExpSum* sums) {
      backend_.exp_sums(r_.forward.threads, row(rows.begin), rows.size(), logits_.cols,
                        logits_.cols, block, sums);
    });
  }

  void read_logits(Range rows) {
    const std::size_t before = part_.logits.size();
    part_.logits.resize(before + static_cast<std::size_t>(rows.size() * logits_.cols));
    backend_.download(std::as_writable_bytes(std::span(part_.logits).subspan(before)),
                      row(rows.begin));
  }

  void read_targets() {
    std::vector<std::int32_t> indices;  // into logits_, of those that are here
    std::vector<std::size_t> places;    // of their values
    for (std::int64_t i = 0; i < std::ssize(wanted_); ++i) {
      for (const std::int32_t target : wanted_[static_cast<std::size_t>(i)].targets) {
        part_.targets.push_back(0.0f);
        if (!r_.shard.vocab.contains(target)) continue;
        places.push_back(part_.targets.size() - 1);
        indices.push_back(
            static_cast<std::int32_t>(i * logits_.cols + target - r_.shard.vocab.begin));
      }
    }
    std::vector<float> found;
    for (std::size_t begin = 0; begin < indices.size(); begin += targets_at_once) {
      const std::size_t count = std::min<std::size_t>(targets_at_once, indices.size() - begin);
      append(found, static_cast<std::int64_t>(count), [&](float* values) {
        // Rows of one number.
        backend_.gather_rows(r_.forward.threads, logits_.data, 1, 1,
                             {indices.data() + begin, count}, values);
      });
    }
    for (std::size_t i = 0; i < found.size(); ++i) part_.targets[places[i]] = found[i];
  }

  const LogitsReader& r_;
  const Backend& backend_;
  const StepPlan& plan_;
  std::span<const WantedRow> wanted_;
  Tensor logits_;
  LogitsPart part_;
};

}  // namespace

LogitsPart decode_part(const Message& message) {
  ByteReader in(message);
  LogitsPart part;
  part.tops = in.array<Top>();
  part.sums = in.array<ExpSum>();
  part.targets = in.array<float>();
  part.logits = in.array<float>();
  part.drawn = in.array<std::int32_t>();
  return part;
}

Message read_part(const LogitsReader& reader, const StepPlan& plan,
                  std::span<const WantedRow> wanted, Tensor x) {
  const Tensor logits = local_logits(reader, wanted, x);
  const LogitsPart part = PartReader(reader, plan, wanted, logits).read();
  ByteWriter out;
  out.array(part.tops);
  out.array(part.sums);
  out.array(part.targets);
  out.array(part.logits);
  out.array(part.drawn);
  return out.take();
}

bool draws_in_place(const LogitsReader& reader) {
  return reader.forward.backend.draws() && reader.forward.tensor_group.size() == 1;
}

std::int32_t draw_one(const LogitsReader& reader, const StepSequence& sequence, std::int64_t ahead,
                      std::span<float> logits) {
  const Backend& backend = reader.forward.backend;
  if (!backend.draws()) {
    SamplerSettings sampler = sequence.sampler;
    sampler.position += static_cast<std::uint64_t>(ahead);
    return choose(logits, sampler, sequence.penalized);
  }
  const Workspace::Scope scope(reader.forward.scratch);
  const Tensor row = reader.forward.scratch.matrix(1, std::ssize(logits));
  backend.upload(row.data, std::as_bytes(logits));
  const DrawRow drawn = draw_row(sequence, ahead);
  return backend.draw(row.data, row.cols, row.cols, {&drawn, 1}).front();
}

}  // namespace trireme
