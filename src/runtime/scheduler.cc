#include "runtime/scheduler.h"

#include <algorithm>

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

}  // namespace

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits), blocks_(limits.blocks) {
  TRIREME_ASSERT(limits.blocks * block_tokens >= limits.max_model_len);
}

void Scheduler::add(SequenceRequest request) {
  TRIREME_ASSERT(!request.tokens.empty());
  TRIREME_ASSERT(static_cast<std::int64_t>(request.tokens.size()) <= limits_.max_model_len);
  auto sequence = std::make_unique<Sequence>();
  sequence->prompt_tokens = request.tokens.size();
  sequence->request = std::move(request);
  waiting_.push_back(std::move(sequence));
}

void Scheduler::cancel(std::uint64_t id) {
  const auto is_it = [&](const SequencePtr& s) { return s->request.id == id; };
  if (const auto it = std::find_if(running_.begin(), running_.end(), is_it); it != running_.end()) {
    if ((*it)->in_flight) {
      (*it)->cancelled = true;
      return;
    }
    give_back(**it);
    running_.erase(it);
    return;
  }
  std::erase_if(waiting_, is_it);
}

std::optional<StepPlan> Scheduler::schedule() {
  std::int64_t tokens_left = limits_.max_step_tokens;
  admit(tokens_left);
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
      const std::int64_t tokens = std::min(sequence.remaining(), tokens_left);
      if (!place(sequence, tokens)) break;
      emit(sequence, tokens, step, plan);
      tokens_left -= tokens;
      // `it` may have been preempted while room was made; find our place again.
      it = std::next(std::find_if(running_.begin(), running_.end(),
                                  [&](const SequencePtr& s) { return s.get() == &sequence; }));
    }
  }
  if (step.sequences.empty()) return std::nullopt;
  steps_.push_back(std::move(step));
  return plan;
}

/// Starts waiting sequences while there is room for their prompts.
void Scheduler::admit(std::int64_t tokens_left) {
  std::int64_t promised = 0;  // blocks that admitted prompts have yet to take
  for (const SequencePtr& sequence : running_) {
    const auto needed =
        ceil_div(static_cast<std::int64_t>(sequence->request.tokens.size()) + 1, block_tokens);
    promised +=
        std::max<std::int64_t>(0, needed - static_cast<std::int64_t>(sequence->blocks.size()));
  }
  while (!waiting_.empty() && running() < limits_.max_sequences && tokens_left > 0) {
    Sequence& next = *waiting_.front();
    const std::int64_t needed =
        ceil_div(static_cast<std::int64_t>(next.request.tokens.size()) + 1, block_tokens);
    if (!running_.empty() && promised + needed > blocks_.available()) return;
    share_prefix(next);
    promised += needed - static_cast<std::int64_t>(next.blocks.size());
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

/// Takes over remembered blocks of earlier sequences that begin alike. At least one token is left
/// to compute, and scoring needs every row.
void Scheduler::share_prefix(Sequence& sequence) {
  if (sequence.request.score) return;
  const std::vector<std::int32_t>& tokens = sequence.request.tokens;
  std::int32_t parent = -1;
  while (sequence.computed + block_tokens < static_cast<std::int64_t>(tokens.size())) {
    const std::span<const std::int32_t> next(tokens.data() + sequence.computed,
                                             static_cast<std::size_t>(block_tokens));
    const std::optional<std::int32_t> block = blocks_.share(parent, next);
    if (!block) return;
    sequence.blocks.push_back(*block);
    sequence.computed += block_tokens;
    ++sequence.remembered_blocks;
    parent = *block;
  }
}

/// Gets the blocks for the next `tokens` tokens, preempting younger sequences if need be.
bool Scheduler::place(Sequence& sequence, std::int64_t tokens) {
  const auto needed = static_cast<std::size_t>(ceil_div(sequence.computed + tokens, block_tokens));
  while (sequence.blocks.size() < needed) {
    if (const std::optional<std::int32_t> block = blocks_.allocate()) {
      sequence.blocks.push_back(*block);
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
    if ((*it)->in_flight || (*it)->blocks.empty()) continue;
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
  sequence.blocks.clear();
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
  if (request.score) {
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

/// Steps run in the order of their emission, so a block may be shared as soon as it is emitted.
void Scheduler::remember_full_blocks(Sequence& sequence) {
  for (std::int64_t i = sequence.remembered_blocks; (i + 1) * block_tokens <= sequence.computed;
       ++i) {
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
    if (!sequence.cancelled) event = advance(sequence, result[i]);
    const bool over = event.finished || sequence.cancelled;
    if (event.finished || event.token >= 0 || !event.logits.empty()) {
      events.push_back(std::move(event));
    }
    if (!over) continue;
    give_back(sequence);
    running_.remove_if([&](const SequencePtr& s) { return s.get() == &sequence; });
  }
  return events;
}

SequenceEvent Scheduler::advance(Sequence& sequence, SequenceOutput& output) {
  SequenceRequest& request = sequence.request;
  SequenceEvent event{.id = request.id};
  if (request.score) {
    sequence.logprobs.insert(sequence.logprobs.end(), output.logprobs.begin(),
                             output.logprobs.end());
    event.logits = std::move(output.logits);
    event.first_logits = sequence.step_begin;
    event.finished = sequence.remaining() == 0;
    if (event.finished) event.logprobs = std::move(sequence.logprobs);
  } else if (output.token >= 0) {
    event.token = output.token;
    request.tokens.push_back(output.token);
    const auto total = static_cast<std::int64_t>(request.tokens.size());
    const auto generated = total - static_cast<std::int64_t>(sequence.prompt_tokens);
    event.ended_by_token = contains(request.end_tokens, output.token);
    event.finished = event.ended_by_token || generated >= request.max_new_tokens ||
                     total >= limits_.max_model_len;
  }
  return event;
}

}  // namespace trireme
