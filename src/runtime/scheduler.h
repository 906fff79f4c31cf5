// Continuous batching: decides, step by step, which tokens of which sequences are computed. It sees
// sequences and blocks, never tensors. Nothing that it decides can change a byte of the output.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/block_manager.h"
#include "runtime/prompt_lookup.h"
#include "runtime/step_plan.h"
#include "runtime/token_tree.h"

namespace trireme {

/// One sequence to continue (or to score), as token ids.
struct SequenceRequest {
  std::uint64_t id = 0;              ///< the caller's, unique among unfinished ones
  std::vector<std::int32_t> tokens;  ///< at least one; of an encoder-decoder model the decoder's
  std::vector<float> features;       ///< [tokens, hidden_size] in place of tokens, which only count
  std::vector<std::int32_t> type_ids;  ///< one per token, or empty: all 0
  /// Of an encoder-decoder model: what the encoder reads.
  std::vector<std::int32_t> source;
  std::vector<float> source_features;
  SamplerSettings sampler;
  std::int64_t max_new_tokens = 0;
  std::vector<std::int32_t> end_tokens;  ///< end the sequence when chosen
  bool score = false;                    ///< log-probabilities of `tokens` instead of new ones
  bool logits = false;                   ///< with score: the logits too
  /// All tokens at once, and then over: pooled vector, hidden states, or logits_at.
  bool whole = false;
  bool hidden = false;                  ///< with whole: hidden states where vectors are pooled
  std::vector<std::int32_t> logits_at;  ///< with whole: the tokens whose logits to return
  /// Log-probabilities of what may follow `tokens`, instead of new ones.
  std::shared_ptr<const TokenTree> tree;
};

/// What a step brought one sequence.
struct SequenceEvent {
  std::uint64_t id = 0;
  std::vector<std::int32_t> tokens;  ///< new ones; more than one where guesses came true
  bool finished = false;  ///< with the last of them, by length or an end token; see also cancel()
  bool ended_by_token = false;  ///< finished because the last of them is an end token
  std::vector<float> logprobs;  ///< scoring, when finished; of a tree: one for each target
  /// Scoring, if asked for: of this step's tokens, of which the first is the `first_logits`th of
  /// the sequence. They come step by step, so that nobody has to hold them all; once more, and the
  /// same, after a preemption.
  std::vector<float> logits;
  std::int64_t first_logits = 0;
  std::vector<float> values;  ///< of a whole sequence, when finished
};

struct SchedulerLimits {
  std::int64_t blocks = 0;  ///< of the cache
  std::int64_t max_sequences = 64;
  std::int64_t max_step_tokens = 512;
  std::int64_t max_model_len = 0;   ///< longest sequence, prompt and output
  std::int64_t max_source_len = 0;  ///< of an encoder-decoder model; 0: it is none
  bool whole_sequences = false;     ///< a step holds whole sequences, and no blocks are kept
  int micro_batches = 1;            ///< steps in flight at once: the number of pipeline stages
  SpeculationLimits speculation;
};

class Scheduler {
 public:
  /// The cache must hold one sequence of max_model_len, so that the oldest sequence always
  /// advances.
  explicit Scheduler(const SchedulerLimits& limits);

  /// The request must fit max_model_len.
  void add(SequenceRequest request);
  /// Forgets an unfinished sequence (e.g. a stop string was found): no event of it follows. One in
  /// flight goes when its step completes, and its blocks with it.
  void cancel(std::uint64_t id);

  /// The next step; nothing when there is nothing to do until a step in flight completes.
  std::optional<StepPlan> schedule();
  /// Takes in the result of the oldest step in flight.
  std::vector<SequenceEvent> complete(StepResult result);

  bool idle() const { return running_.empty() && waiting_.empty(); }
  std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  /// Cache blocks that running sequences hold; those that are only remembered do not count.
  std::int64_t used_blocks() const { return blocks_.total() - blocks_.available(); }
  std::int64_t preemptions() const { return preemptions_; }
  /// Tokens that were guessed and computed, and those among them that were kept.
  std::int64_t drafted() const { return drafted_; }
  std::int64_t accepted() const { return accepted_; }

 private:
  /// A tree while sequences walk through it.
  struct TreeWalk {
    std::vector<float> logprobs;  ///< one for each target
    std::int64_t sequences = 1;   ///< that have not come to an end
  };

  struct Sequence {
    explicit Sequence(SequenceRequest its, const SpeculationLimits& speculation)
        : request(std::move(its)),
          prompt_tokens(request.tokens.size()),
          lookup(speculation),
          pace(speculation.max_drafts) {}

    SequenceRequest request;
    std::size_t prompt_tokens;
    /// Tokens whose keys and values are in the cache, or will be. Drafts count once they hold.
    std::int64_t computed = 0;
    std::vector<std::int32_t> blocks;
    std::vector<std::int32_t> source_blocks;
    bool encoded = false;  ///< the source is kept in source_blocks, or will be by its step
    std::int64_t remembered_blocks = 0;
    bool in_flight = false;
    bool cancelled = false;       ///< while in flight
    std::int64_t step_begin = 0;  ///< the first token of its last step
    std::vector<float> logprobs;
    PromptLookup lookup;
    DraftPace pace;
    std::int64_t drafts = 0;  ///< of the step in flight
    /// Of a tree: what all sequences that walk through it bring together, and the chains that are
    /// this one's. Its tokens are the text's and the way to the end of the first of them.
    std::shared_ptr<TreeWalk> walk;
    std::int64_t chain = 0;
    std::int64_t chain_end = 0;

    std::int64_t total() const { return static_cast<std::int64_t>(request.tokens.size()); }
    std::int64_t generated() const { return total() - static_cast<std::int64_t>(prompt_tokens); }
    std::int64_t remaining() const { return total() - computed; }
    std::int64_t prompt_size() const { return static_cast<std::int64_t>(prompt_tokens); }
    /// Tokens before the first that something is asked about: others' blocks may hold them.
    std::int64_t shareable() const;
    std::int64_t chain_position() const;  ///< of the first token that the chain asks about
    void begin_chain(std::int64_t index);
    void ask_for_targets(StepSequence& out) const;
    void take_targets(const std::vector<float>& given, SequenceEvent& event);
    /// All of a tree that was this sequence's; others may still be at theirs.
    bool is_over() const { return walk != nullptr && chain == chain_end; }
    std::int64_t room() const;  ///< positions that its blocks have beyond its tokens
  };
  using SequencePtr = std::unique_ptr<Sequence>;

  struct Step {
    std::vector<Sequence*> sequences;
    bool encode = false;
  };

  std::optional<StepPlan> schedule_sources(std::int64_t tokens_left);
  void emit_source(Sequence& sequence, Step& step, StepPlan& plan);
  std::int64_t blocks_of(const Sequence& sequence) const;
  bool keeps_prefixes() const { return !limits_.whole_sequences && limits_.max_source_len == 0; }
  bool place(Sequence& sequence, std::int64_t tokens);
  bool place(const Sequence& sequence, std::vector<std::int32_t>& blocks, std::int64_t positions);
  bool make_room(const Sequence& wanting);
  void preempt(std::list<SequencePtr>::iterator victim);
  void admit(std::int64_t tokens_left);
  std::int64_t promised_blocks() const;
  void share_prefix(Sequence& sequence);
  void remember_full_blocks(Sequence& sequence);
  void share_out_trees();
  bool split_tree(std::list<SequencePtr>::iterator place, std::int64_t& spare);
  void fork_blocks(const Sequence& from, Sequence& to);
  void emit(Sequence& sequence, std::int64_t tokens, Step& step, StepPlan& plan);
  void add_drafts(const Step& step, StepPlan& plan);
  std::int64_t draft(Sequence& sequence, std::int64_t most, std::int64_t& spare, StepSequence& out);
  void trim(Sequence& sequence);
  void give_back(Sequence& sequence);
  SequenceEvent advance(Sequence& sequence, SequenceOutput& output);
  void take_tokens(Sequence& sequence, const SequenceOutput& output, SequenceEvent& event);
  void settle_drafts(Sequence& sequence, std::int64_t accepted, std::int64_t kept);

  SchedulerLimits limits_;
  BlockManager blocks_;
  std::list<SequencePtr> running_;  ///< oldest first
  std::deque<SequencePtr> waiting_;
  std::vector<BlockCopy> copies_;  ///< for the next step
  std::deque<Step> steps_;         ///< in flight, oldest first
  std::int64_t preemptions_ = 0;
  std::int64_t drafted_ = 0;
  std::int64_t accepted_ = 0;
};

}  // namespace trireme
