// Sequences that walk through a tree of continuations (runtime/token_tree.h). A sequence computes
// one chain of the tree after the other in the same positions behind its text; what the last chain
// left there no query sees before it is written anew. Where room is left in the steps, the rest of
// a tree is halved: a new sequence shares the blocks that neither half writes any more and copies
// the one in which they part.
#include <algorithm>

#include "core/error.h"
#include "kernels/backend.h"
#include "runtime/scheduler.h"

namespace trireme {

namespace {

constexpr std::int64_t block_tokens = KvCacheView::block_tokens;

}  // namespace

std::int64_t Scheduler::Sequence::shareable() const {
  return walk ? std::min(prompt_size(), chain_position()) : total() - 1;
}

std::int64_t Scheduler::Sequence::chain_position() const {
  return prompt_size() - 1 + request.tree->chain(chain).depth;
}

/// Goes back to where the chain branches off, and on along it.
void Scheduler::Sequence::begin_chain(std::int64_t index) {
  chain = index;
  const TokenTree::Chain& way = request.tree->chain(index);
  computed = std::min(computed, chain_position());
  std::int64_t node = way.begin;
  std::int64_t kept = chain_position();
  if (node == 0) {  // the text's own last token
    ++node;
    ++kept;
  }
  request.tokens.resize(static_cast<std::size_t>(kept));
  for (; node < way.end; ++node) {
    request.tokens.push_back(request.tree->nodes[static_cast<std::size_t>(node)].token);
  }
}

/// The targets of the chain's tokens in [step_begin, computed), with the step's rows.
void Scheduler::Sequence::ask_for_targets(StepSequence& out) const {
  const TokenTree& tree = *request.tree;
  for (std::int64_t position = step_begin; position < computed; ++position) {
    const std::int64_t behind = position - chain_position();
    std::span<const std::int32_t> targets;
    if (behind >= 0) targets = tree.targets_of(tree.chain(chain).begin + behind);
    out.targets.insert(out.targets.end(), targets.begin(), targets.end());
    out.target_counts.push_back(static_cast<std::int32_t>(targets.size()));
  }
}

/// The other way round; then the next chain, or all is said.
void Scheduler::Sequence::take_targets(const std::vector<float>& given, SequenceEvent& event) {
  const TokenTree& tree = *request.tree;
  const std::int64_t behind = std::max<std::int64_t>(0, step_begin - chain_position());
  const auto node = static_cast<std::size_t>(tree.chain(chain).begin + behind);
  if (!given.empty()) {
    const auto begin = static_cast<std::size_t>(tree.nodes[node].targets_begin);
    TRIREME_ASSERT(begin + given.size() <= walk->logprobs.size());
    std::copy(given.begin(), given.end(),
              walk->logprobs.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  if (remaining() > 0) return;
  if (++chain < chain_end) {
    begin_chain(chain);
  } else if (--walk->sequences == 0) {
    event.finished = true;
    event.logprobs = std::move(walk->logprobs);
  }
}

/// Only while nobody waits: a text that has not been begun brings more to a step.
void Scheduler::share_out_trees() {
  if (!waiting_.empty()) return;
  std::int64_t spare = blocks_.available() - promised_blocks();
  for (bool any = true; any;) {
    any = false;
    for (auto it = running_.begin(); it != running_.end(); ++it) {
      if (running() >= limits_.max_sequences) return;
      any = split_tree(it, spare) || any;
    }
  }
}

/// Gives half of a sequence's chains to a new one behind it. `spare`: blocks that may be taken.
bool Scheduler::split_tree(std::list<SequencePtr>::iterator place, std::int64_t& spare) {
  Sequence& from = **place;
  if (!from.walk || from.cancelled || from.chain_end - from.chain < 2) return false;
  const TokenTree& tree = *from.request.tree;
  const std::int64_t cut = split_point(tree, from.chain, from.chain_end);
  const std::int64_t common = from.prompt_size() - 1 + tree.chain(cut).depth;
  if (cut == from.chain || from.computed < common) return false;
  const std::int64_t needed =
      ceil_div(from.prompt_size() + tree.depth, block_tokens) - common / block_tokens;
  if (spare < needed) return false;
  spare -= needed;
  auto to = std::make_unique<Sequence>(from.request, limits_.speculation);
  to->prompt_tokens = from.prompt_tokens;
  to->walk = from.walk;
  ++to->walk->sequences;
  to->chain_end = std::exchange(from.chain_end, cut);
  to->computed = common;
  to->begin_chain(cut);
  fork_blocks(from, *to);
  running_.insert(std::next(place), std::move(to));
  return true;
}

/// Steps run in the order of their emission, so what is copied is there by then.
void Scheduler::fork_blocks(const Sequence& from, Sequence& to) {
  const std::int64_t whole = to.computed / block_tokens;
  to.blocks.assign(from.blocks.begin(), from.blocks.begin() + whole);
  to.source_blocks = from.source_blocks;
  to.encoded = from.encoded;
  to.remembered_blocks = std::min(from.remembered_blocks, whole);
  for (const std::int32_t block : to.blocks) blocks_.add_user(block);
  for (const std::int32_t block : to.source_blocks) blocks_.add_user(block);
  if (to.computed % block_tokens == 0) return;
  const std::optional<std::int32_t> block = blocks_.allocate();
  TRIREME_ASSERT(block.has_value());
  copies_.push_back({from.blocks[static_cast<std::size_t>(whole)], *block});
  to.blocks.push_back(*block);
}

}  // namespace trireme
