#include "runtime/scheduler.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "kernels/backend.h"

namespace trireme {

namespace {

constexpr std::int64_t block_tokens = KvCacheView::block_tokens;

bool contains(const std::vector<std::int32_t>& values, std::int32_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::vector<std::int32_t> distinct(std::vector<std::int32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::int64_t size_of_list(const std::vector<std::int32_t>& list) {
  return static_cast<std::int64_t>(list.size());
}

}  // namespace

/// Blocks of a sequence and its next token, or its whole tree, and of its source.
std::int64_t Scheduler::blocks_of(const Sequence& sequence) const {
  if (limits_.whole_sequences) return 0;
  const TokenTree* const tree = sequence.request.tree.get();
  const std::int64_t positions =
      tree == nullptr ? sequence.total() + 1 : sequence.prompt_size() + tree->depth;
  return ceil_div(positions, block_tokens) +
         ceil_div(size_of_list(sequence.request.source), block_tokens);
}

std::int64_t Scheduler::Sequence::room() const {
  return static_cast<std::int64_t>(blocks.size()) * block_tokens - total();
}

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits), blocks_(limits.blocks) {
  TRIREME_ASSERT(limits.whole_sequences ||
                 limits.blocks >= ceil_div(limits.max_model_len, block_tokens) +
                                      ceil_div(limits.max_source_len, block_tokens));
  TRIREME_ASSERT(limits.max_step_tokens >= limits.max_source_len);
  TRIREME_ASSERT(!limits.whole_sequences || limits.max_step_tokens >= limits.max_model_len);
}

void Scheduler::add(SequenceRequest request) {
  TRIREME_ASSERT(!request.tokens.empty());
  TRIREME_ASSERT(size_of_list(request.tokens) <= limits_.max_model_len);
  TRIREME_ASSERT(size_of_list(request.source) <= limits_.max_source_len);
  TRIREME_ASSERT(request.source.empty() == (limits_.max_source_len == 0));
  TRIREME_ASSERT(request.whole || !limits_.whole_sequences);
  auto sequence = std::make_unique<Sequence>(std::move(request), limits_.speculation);
  if (const TokenTree* const tree = sequence->request.tree.get()) {
    TRIREME_ASSERT(sequence->total() + tree->depth <= limits_.max_model_len);
    sequence->walk = std::make_shared<TreeWalk>();
    sequence->walk->logprobs.resize(tree->targets.size());
    sequence->chain_end = static_cast<std::int64_t>(tree->chains.size());
    sequence->begin_chain(0);
  }
  waiting_.push_back(std::move(sequence));
}

void Scheduler::cancel(std::uint64_t id) {
  const auto is_it = [&](const SequencePtr& s) { return s->request.id == id; };
  for (auto it = running_.begin(); it != running_.end();) {
    Sequence& sequence = **it;
    if (!is_it(*it)) {
      ++it;
    } else if (sequence.in_flight) {
      sequence.cancelled = true;
      ++it;
    } else {
      give_back(sequence);
      it = running_.erase(it);
    }
  }
  std::erase_if(waiting_, is_it);
}

std::optional<StepPlan> Scheduler::schedule() {
  std::int64_t tokens_left = limits_.max_step_tokens;
  admit(tokens_left);
  share_out_trees();
  if (limits_.max_source_len > 0) {
    if (std::optional<StepPlan> sources = schedule_sources(tokens_left)) return sources;
  }
  // An equal share of the sequences per micro-batch keeps every pipeline stage busy.
  const std::int64_t share = ceil_div(running(), limits_.micro_batches);
  Step step;
  StepPlan plan;
  // Sequences that wait for one token go first: their users see every delay.
  for (const bool decoding : {true, false}) {
    for (auto it = running_.begin(); it != running_.end();) {
      Sequence& sequence = **it;
      ++it;  // making room may take away later sequences, never this one
      const bool full = static_cast<std::int64_t>(step.sequences.size()) >= share;
      if (full || tokens_left == 0) break;
      if (sequence.in_flight || (sequence.remaining() == 1) != decoding) continue;
      if (limits_.max_source_len > 0 && !sequence.encoded) continue;
      // Blocks of sequences that were admitted with this one are remembered by now.
      if (!decoding) share_prefix(sequence);
      const std::int64_t tokens = std::min(sequence.remaining(), tokens_left);
      if (sequence.request.whole && tokens < sequence.remaining()) break;
      if (!place(sequence, tokens)) break;
      emit(sequence, tokens, step, plan);
      tokens_left -= tokens;
      // `it` may have been preempted while room was made; find our place again.
      it = std::next(std::find_if(running_.begin(), running_.end(),
                                  [&](const SequencePtr& s) { return s.get() == &sequence; }));
    }
  }
  if (step.sequences.empty()) return std::nullopt;
  plan.copies = std::exchange(copies_, {});
  if (limits_.speculation.max_drafts > 0) add_drafts(step, plan);
  steps_.push_back(std::move(step));
  return plan;
}

/// A step that brings sources through the encoder, whole ones: as many as fit.
std::optional<StepPlan> Scheduler::schedule_sources(std::int64_t tokens_left) {
  const std::int64_t share = ceil_div(running(), limits_.micro_batches);
  Step step{.encode = true};
  StepPlan plan;
  plan.encode = true;
  for (auto it = running_.begin(); it != running_.end();) {
    Sequence& sequence = **it;
    ++it;  // as in schedule()
    const std::int64_t tokens = size_of_list(sequence.request.source);
    if (sequence.in_flight || sequence.encoded) continue;
    if (static_cast<std::int64_t>(step.sequences.size()) >= share || tokens > tokens_left) break;
    if (!place(sequence, sequence.source_blocks, tokens)) break;
    emit_source(sequence, step, plan);
    tokens_left -= tokens;
    it = std::next(std::find_if(running_.begin(), running_.end(),
                                [&](const SequencePtr& s) { return s.get() == &sequence; }));
  }
  if (step.sequences.empty()) return std::nullopt;
  plan.copies = std::exchange(copies_, {});
  steps_.push_back(std::move(step));
  return plan;
}

void Scheduler::emit_source(Sequence& sequence, Step& step, StepPlan& plan) {
  StepSequence& out = plan.sequences.emplace_back();
  out.tokens = sequence.request.source;
  out.features = sequence.request.source_features;
  out.source_blocks = sequence.source_blocks;
  out.source_tokens = size_of_list(out.tokens);
  sequence.encoded = true;
  sequence.in_flight = true;
  step.sequences.push_back(&sequence);
}

/// Blocks that running sequences have yet to take for what they are known to need.
std::int64_t Scheduler::promised_blocks() const {
  std::int64_t promised = 0;
  for (const SequencePtr& sequence : running_) {
    promised += std::max<std::int64_t>(0, blocks_of(*sequence) - size_of_list(sequence->blocks) -
                                              size_of_list(sequence->source_blocks));
  }
  return promised;
}

/// Starts waiting sequences while there is room for their prompts.
void Scheduler::admit(std::int64_t tokens_left) {
  std::int64_t promised = promised_blocks();
  while (!waiting_.empty() && running() < limits_.max_sequences && tokens_left > 0) {
    Sequence& next = *waiting_.front();
    const std::int64_t needed = blocks_of(next);
    if (!running_.empty() && promised + needed > blocks_.available()) return;
    share_prefix(next);
    promised += needed - static_cast<std::int64_t>(next.blocks.size());
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

/// Takes over remembered blocks of other sequences that go on alike, also in place of a block that
/// this one has only begun. What is asked about is left to compute, and scoring needs every row. A
/// tree's own blocks are written again and again, so of it the text alone is shared.
void Scheduler::share_prefix(Sequence& sequence) {
  if (sequence.request.score || sequence.request.whole || !keeps_prefixes()) return;
  const std::vector<std::int32_t>& tokens = sequence.request.tokens;
  const std::int64_t most = sequence.shareable();
  auto whole = static_cast<std::size_t>(sequence.remembered_blocks);
  std::int32_t parent = whole == 0 ? -1 : sequence.blocks[whole - 1];
  for (;;) {
    const std::int64_t begin = static_cast<std::int64_t>(whole) * block_tokens;
    if (begin + block_tokens > most) return;
    const std::span<const std::int32_t> next(tokens.data() + begin,
                                             static_cast<std::size_t>(block_tokens));
    const std::optional<std::int32_t> block = blocks_.share(parent, next);
    if (!block) return;
    if (whole < sequence.blocks.size()) {
      blocks_.release(std::exchange(sequence.blocks[whole], *block));
    } else {
      sequence.blocks.push_back(*block);
    }
    sequence.computed = begin + block_tokens;
    ++sequence.remembered_blocks;
    ++whole;
    parent = *block;
  }
}

/// Gets the blocks for the next `tokens` tokens, preempting younger sequences if need be.
bool Scheduler::place(Sequence& sequence, std::int64_t tokens) {
  if (limits_.whole_sequences) return true;
  return place(sequence, sequence.blocks, sequence.computed + tokens);
}

/// Makes `blocks` of `sequence` enough for so many positions.
bool Scheduler::place(const Sequence& sequence, std::vector<std::int32_t>& blocks,
                      std::int64_t positions) {
  const auto needed = static_cast<std::size_t>(ceil_div(positions, block_tokens));
  while (blocks.size() < needed) {
    if (const std::optional<std::int32_t> block = blocks_.allocate()) {
      blocks.push_back(*block);
    } else if (!make_room(sequence)) {
      return false;
    }
  }
  return true;
}

/// Preempts the youngest sequence that may go. False when none may: steps in flight must end first.
bool Scheduler::make_room(const Sequence& wanting) {
  for (auto it = running_.rbegin(); it != running_.rend(); ++it) {
    if (it->get() == &wanting) return false;  // never an older one: the oldest always advances
    if ((*it)->in_flight || ((*it)->blocks.empty() && (*it)->source_blocks.empty())) continue;
    preempt(std::prev(it.base()));
    return true;
  }
  return false;
}

/// Takes all blocks from a sequence; it will be computed again from its start, with the same bytes.
void Scheduler::preempt(std::list<SequencePtr>::iterator victim) {
  ++preemptions_;
  give_back(**victim);
  (*victim)->computed = 0;
  (*victim)->logprobs.clear();
  waiting_.push_front(std::move(*victim));
  running_.erase(victim);
}

void Scheduler::give_back(Sequence& sequence) {
  for (const std::int32_t block : sequence.blocks) blocks_.release(block);
  for (const std::int32_t block : sequence.source_blocks) blocks_.release(block);
  sequence.blocks.clear();
  sequence.source_blocks.clear();
  sequence.encoded = false;
  sequence.remembered_blocks = 0;
}

void Scheduler::emit(Sequence& sequence, std::int64_t tokens, Step& step, StepPlan& plan) {
  const SequenceRequest& request = sequence.request;
  StepSequence& out = plan.sequences.emplace_back();
  const auto first = request.tokens.begin() + sequence.computed;
  out.position_begin = sequence.computed;
  out.tokens.assign(first, first + tokens);
  out.blocks = sequence.blocks;
  sequence.step_begin = sequence.computed;
  sequence.computed += tokens;
  const bool complete = sequence.remaining() == 0;
  if (limits_.max_source_len > 0) {
    out.source_blocks = sequence.source_blocks;
    out.source_tokens = size_of_list(request.source);
  }
  if (request.whole) {
    out.features = request.features;
    out.type_ids = request.type_ids;
    out.logits_at = request.logits_at;
    out.hidden = request.hidden;
  } else if (request.tree) {
    sequence.ask_for_targets(out);
  } else if (request.score) {
    out.targets.assign(first + 1, first + tokens + (complete ? 0 : 1));
    if (complete) out.targets.push_back(-1);
    out.logits = request.logits;
  } else if (complete) {
    out.sample = true;
    out.sampler = request.sampler;
    out.sampler.position = request.tokens.size();
    if (request.sampler.repetition_penalty != 1.0f) out.penalized = distinct(request.tokens);
  }
  remember_full_blocks(sequence);
  sequence.in_flight = true;
  step.sequences.push_back(&sequence);
}

/// Drafts take what nobody else wants: rows that are left over in the step, and blocks that neither
/// a running nor a waiting sequence could use.
void Scheduler::add_drafts(const Step& step, StepPlan& plan) {
  std::int64_t rows = std::min(limits_.max_step_tokens, limits_.speculation.max_rows) - plan.rows();
  const bool blocks_are_short = !waiting_.empty() && running() < limits_.max_sequences;
  std::int64_t spare = blocks_are_short ? 0 : blocks_.available() - promised_blocks();
  for (std::size_t i = 0; i < step.sequences.size() && rows > 0; ++i) {
    StepSequence& out = plan.sequences[i];
    if (!out.sample || out.tokens.size() != 1) continue;
    const auto left = static_cast<std::int64_t>(step.sequences.size() - i);
    rows -= draft(*step.sequences[i], ceil_div(rows, left), spare, out);
  }
}

/// Adds up to `most` drafts to a sequence's step; how many. `spare`: blocks that may be taken.
std::int64_t Scheduler::draft(Sequence& sequence, std::int64_t most, std::int64_t& spare,
                              StepSequence& out) {
  const std::int64_t length = std::min(sequence.request.max_new_tokens - sequence.generated(),
                                       limits_.max_model_len - sequence.total());
  most = std::min(most, length - 1);  // one token comes without a draft
  if (most > 0) most = std::min(most, sequence.pace.next());
  if (most <= 0) return 0;
  const std::vector<std::int32_t> drafts = sequence.lookup.propose(sequence.request.tokens, most);
  const auto wanted = static_cast<std::int64_t>(drafts.size());
  for (; sequence.room() < wanted && spare > 0; --spare) {
    const std::optional<std::int32_t> block = blocks_.allocate();
    TRIREME_ASSERT(block.has_value());
    sequence.blocks.push_back(*block);
    out.blocks.push_back(*block);
  }
  out.drafts = std::min(wanted, sequence.room());
  out.tokens.insert(out.tokens.end(), drafts.begin(), drafts.begin() + out.drafts);
  sequence.drafts = out.drafts;
  return out.drafts;
}

/// Gives back blocks that were taken for drafts which do not hold.
void Scheduler::trim(Sequence& sequence) {
  const auto needed = static_cast<std::size_t>(ceil_div(sequence.computed, block_tokens));
  for (; sequence.blocks.size() > needed; sequence.blocks.pop_back()) {
    blocks_.release(sequence.blocks.back());
  }
}

/// Steps run in the order of their emission, so a block may be shared as soon as it is emitted.
void Scheduler::remember_full_blocks(Sequence& sequence) {
  if (!keeps_prefixes()) return;
  std::int64_t known = sequence.computed;
  if (sequence.walk) known = std::min(known, sequence.prompt_size());
  for (std::int64_t i = sequence.remembered_blocks; (i + 1) * block_tokens <= known; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const std::int32_t parent = i == 0 ? -1 : sequence.blocks[index - 1];
    blocks_.remember(sequence.blocks[index], parent,
                     {sequence.request.tokens.data() + i * block_tokens,
                      static_cast<std::size_t>(block_tokens)});
    ++sequence.remembered_blocks;
  }
}

std::vector<SequenceEvent> Scheduler::complete(StepResult result) {
  TRIREME_ASSERT(!steps_.empty() && steps_.front().sequences.size() == result.size());
  const Step step = std::move(steps_.front());
  steps_.pop_front();
  std::vector<SequenceEvent> events;
  for (std::size_t i = 0; i < result.size(); ++i) {
    Sequence& sequence = *step.sequences[i];
    sequence.in_flight = false;
    SequenceEvent event;
    if (!sequence.cancelled && !step.encode) event = advance(sequence, result[i]);
    const bool over = event.finished || sequence.cancelled || sequence.is_over();
    if (event.finished || !event.tokens.empty() || !event.logits.empty()) {
      events.push_back(std::move(event));
    }
    if (!over) continue;
    give_back(sequence);
    running_.remove_if([&](const SequencePtr& s) { return s.get() == &sequence; });
  }
  return events;
}

SequenceEvent Scheduler::advance(Sequence& sequence, SequenceOutput& output) {
  SequenceEvent event{.id = sequence.request.id};
  if (sequence.request.whole) {
    event.values = std::move(output.values);
    event.logits = std::move(output.logits);
    event.finished = true;
  } else if (sequence.request.tree) {
    sequence.take_targets(output.logprobs, event);
  } else if (sequence.request.score) {
    sequence.logprobs.insert(sequence.logprobs.end(), output.logprobs.begin(),
                             output.logprobs.end());
    event.logits = std::move(output.logits);
    event.first_logits = sequence.step_begin;
    event.finished = sequence.remaining() == 0;
    if (event.finished) event.logprobs = std::move(sequence.logprobs);
  } else if (!output.tokens.empty()) {
    take_tokens(sequence, output, event);
  }
  return event;
}

/// New tokens, up to the one that ends the sequence.
void Scheduler::take_tokens(Sequence& sequence, const SequenceOutput& output,
                            SequenceEvent& event) {
  SequenceRequest& request = sequence.request;
  const auto accepted = static_cast<std::int64_t>(output.tokens.size()) - 1;
  TRIREME_ASSERT(accepted <= sequence.drafts);
  for (const std::int32_t token : output.tokens) {
    event.tokens.push_back(token);
    request.tokens.push_back(token);
    event.ended_by_token = contains(request.end_tokens, token);
    event.finished = event.ended_by_token || sequence.generated() >= request.max_new_tokens ||
                     sequence.total() >= limits_.max_model_len;
    if (event.finished) break;
  }
  if (sequence.drafts == 0) return;
  settle_drafts(sequence, accepted, static_cast<std::int64_t>(event.tokens.size()) - 1);
}

/// `kept` of the drafts are in the cache as if they had been computed one by one. What the others
/// left there is behind the sequence's end, where no query looks, until those positions are
/// computed again.
void Scheduler::settle_drafts(Sequence& sequence, std::int64_t accepted, std::int64_t kept) {
  sequence.pace.record(sequence.drafts, accepted);
  drafted_ += sequence.drafts;
  accepted_ += kept;
  sequence.drafts = 0;
  sequence.computed += kept;
  remember_full_blocks(sequence);
  trim(sequence);
}

}  // namespace trireme
