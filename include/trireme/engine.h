// The engine: a model, loaded over the ranks of this run, that answers requests.
//
// One process is enough: `Engine engine(options)` with the default plan. With more ranks, start the
// same program on each (`trireme launch -n 4 -- ./program`, or mpirun, or Slurm) and construct the
// engine with the same options everywhere; the product of the three parallel sizes is the number of
// ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trireme/error.h"
#include "trireme/model_kind.h"
#include "trireme/options.h"
#include "trireme/rank_sample.h"
#include "trireme/ranks.h"
#include "trireme/request.h"
#include "trireme/result.h"
#include "trireme/split.h"
#include "trireme/tensor.h"

namespace trireme {

/// Arrays by name, as a model's arguments and results are: "input_ids", "logits".
using TensorMap = std::map<std::string, HostTensor>;

/// Hears of text as it is generated. Pieces are whole UTF-8 characters.
using OnText = std::function<void(std::string_view)>;

/// Hears of a text's logits as they are computed, so that they need not fit in memory: those of its
/// tokens `first`, `first` + 1, ..., [tokens, vocab_size]. Some may come again, the same ones.
using OnLogits = std::function<void(std::int64_t first, std::span<const float> logits)>;

/// What a rank holds and did.
struct EngineStats {
  std::string isa;        ///< the instruction set in use
  std::string transport;  ///< single, shm, mpi
  int replica = 0;
  int rank = 0;  ///< within the replica
  int ranks = 1;
  std::int64_t checkpoint_bytes_read = 0;  ///< on this rank
  std::int64_t weight_bytes = 0;           ///< packed, on this rank
  bool shared_weights = false;             ///< another replica's rank on this host packed them
  bool mapped_weights = false;             ///< from Options::packed_cache
  std::int64_t model_blocks = 0;           ///< of the model's list, on this rank
  std::int64_t multiply_adds = 0;          ///< of matrix products that this rank computed
  std::int64_t kv_blocks = 0;
  std::int64_t max_sequence_tokens = 0;
  std::int64_t vocab_size = 0;
  std::int64_t steps = 0;
  std::int64_t computed_tokens = 0;  ///< rows that went through this rank's blocks
  std::int64_t prompt_tokens = 0;    ///< drivers only, as are the rest
  std::int64_t generated_tokens = 0;
  std::int64_t preemptions = 0;
  std::int64_t drafted_tokens = 0;   ///< guessed (num_speculative_tokens) and computed
  std::int64_t accepted_tokens = 0;  ///< of these, part of an answer
};

/// Used by one thread at a time.
class Engine {
 public:
  /// Loads this rank's share of the model; collective over all ranks. `now`: seconds since the
  /// epoch for chat templates that print the date, or 0 for the present.
  explicit Engine(const Options& options, std::int64_t now = 0);
  /// The same, of ranks that have agreed already.
  explicit Engine(Ranks ranks, std::int64_t now = 0);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  // For programs that every rank runs alike.

  /// Answers all requests, in their order. Collective: every rank passes the same requests; rank 0
  /// gets the results, the others an empty list. Request i counts as row `first_row` + i for the
  /// random numbers.
  /// Throws Error(usage) while requests of submit() or submit_score() are unfinished, as does
  /// score().
  std::vector<Result> generate(std::span<const Request> requests, std::uint64_t first_row = 0);
  /// A share of the requests, of an engine of this process alone (PartialState::alone): each has
  /// the row that it has among all, and so the same answer for any number of processes.
  std::vector<Result> generate(const Split<std::vector<Request>>& share) {
    return generate(share.items, static_cast<std::uint64_t>(share.range.begin));
  }
  /// The log-probabilities of each request's prompt; `logits`: also every row of logits.
  std::vector<Score> score(std::span<const Request> requests, bool logits = false);

  /// The vector of each request's text, or pair of texts: pooled and normalised as the model's
  /// sentence-transformers modules say, by the mean without any. Throws Error(usage) for a model of
  /// another kind, as do the next two.
  std::vector<Embedding> embed(std::span<const Request> requests);
  /// Scores for each of labels().
  std::vector<Classification> classify(std::span<const Request> requests);
  /// Which of Request::choices each prompt goes on with, and how likely each is. A prompt is
  /// computed once for all of them, and so is what labels have in common. Throws Error(usage) for a
  /// model that generates nothing.
  std::vector<Choice> choose(std::span<const Request> requests);
  /// The `count` likeliest tokens for each mask in a text.
  std::vector<MaskFill> fill_mask(std::span<const Request> requests, std::int64_t count = 5);
  /// Names of a classifier's labels, in the order of scores and logits.
  const std::vector<std::string>& labels() const;

  /// The model as a function of arrays, with the names that transformers and torch have for them:
  ///
  /// | kind | arguments | results |
  /// |---|---|---|
  /// | decoder, masked_lm | `input_ids` [batch, n], `attention_mask`, `token_type_ids` | `logits`
  /// [batch, n, vocabulary] | | sentence | the same | `last_hidden_state` [batch, n, hidden] | |
  /// classifier | the same | `logits` [batch, labels] | | encoder_decoder | these, and
  /// `decoder_input_ids` [batch, m] | `logits` [batch, m, vocabulary] | | features | `src` [batch,
  /// n, d_model], `tgt` [batch, m, d_model] | `output` [batch, m, d_model] |
  ///
  /// Ids and masks are integers of any width, the rest is float32. Where the mask is 0 there is no
  /// token: rows are computed without their padding, and results have zeros there. Collective:
  /// every rank passes the same arguments; rank 0 gets the results, the others an empty map. Throws
  /// Error(usage) for arguments that do not fit the model.
  TensorMap forward(const TensorMap& arguments);

  ModelKind kind() const;

  // For programs that feed a replica themselves: one rank of each replica drives it.

  bool is_driver() const;
  /// Which replica this rank belongs to: 0 <= replica() < data_parallel_size.
  int replica() const;

  struct Finished {
    std::uint64_t tag = 0;
    Result result;
  };
  struct FinishedScore {
    std::uint64_t tag = 0;
    Score score;
  };
  struct FinishedEmbedding {
    std::uint64_t tag = 0;
    Embedding embedding;
  };
  struct FinishedClassification {
    std::uint64_t tag = 0;
    Classification classification;
  };
  struct FinishedChoice {
    std::uint64_t tag = 0;
    Choice choice;
  };
  struct FinishedMaskFill {
    std::uint64_t tag = 0;
    MaskFill fill;
  };

  /// Drivers: reads what requests to a model of this kind need besides the weights (tokenizer,
  /// generation_config.json, labels, and with `chat` the chat template), so that what is wrong with
  /// these throws here, Error(input), and not when the first request comes. Vectors and labels of
  /// token ids need no tokenizer: there a missing one is what the first text hears.
  void prepare(bool chat = false);
  /// Drivers: starts a request. A request that cannot run finishes with Result::error. `tag` is any
  /// number that no other unfinished request of submit() has; else Error(usage) is thrown.
  void submit(std::uint64_t tag, const Request& request, OnText on_text = {});
  /// The same for scores, whose tags are numbers apart: both kinds may be at work at once.
  void submit_score(std::uint64_t tag, const Request& request, OnLogits on_logits = {});
  /// The same for choices, vectors, labels and masks.
  void submit_choice(std::uint64_t tag, const Request& request);
  void submit_embedding(std::uint64_t tag, const Request& request);
  void submit_classification(std::uint64_t tag, const Request& request);
  void submit_mask_fill(std::uint64_t tag, const Request& request);
  /// Drivers: what submit_score() would score, as token ids alone, or what is wrong with the
  /// request.
  Score tokenize(const Request& request);
  /// Drivers: drops a request of submit() that has not finished, whether it waits or runs. One in
  /// flight goes when its step completes; its text, its result and an error are not reported any
  /// more, and its tag is free at once. False when no such request is unfinished: it is unknown, or
  /// step() has returned its result or will with its next call. OnText may cancel.
  bool cancel(std::uint64_t tag);
  /// The same for a request of submit_score().
  bool cancel_score(std::uint64_t tag);
  /// Drivers: runs one step for everything submitted, of both kinds, and returns what finished of
  /// the one: results of submit(). Scores wait for step_scores(), and the other way round.
  std::vector<Finished> step();
  std::vector<FinishedScore> step_scores();
  std::vector<FinishedChoice> step_choices();
  std::vector<FinishedEmbedding> step_embeddings();
  std::vector<FinishedClassification> step_classifications();
  std::vector<FinishedMaskFill> step_mask_fills(std::int64_t count = 5);
  /// Drivers: requests whose result has not been returned yet.
  std::int64_t unfinished() const;
  /// Drivers: lets the replica's other ranks return from follow(). Also done by the destructor.
  void stop();
  /// Other ranks: works for the driver until it stops.
  void follow();

  // For programs whose drivers share work out among themselves (the batch coordinator over MPI).

  /// Sends bytes to the driver of another replica of this run.
  void send_to_driver(int replica, std::string_view bytes);
  /// The next bytes from the driver of another replica, if they have arrived.
  std::optional<std::string> receive_from_driver(int replica);

  EngineStats stats() const;
  /// Counters of this rank and of those of its replica that this process can see (on one host:
  /// all), by rank. Cheap.
  std::map<int, RankSample> rank_samples() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Where Options::device_map asks for devices, the same options with the map written out and as
/// many pipeline stages as it has devices; other options as they are. The policies look at free
/// memory where max_memory gives no budgets, so one process decides and passes the result on.
/// Throws Error(resource) when the budgets do not hold the model, Error(usage) for maps that cannot
/// be meant.
Options place_on_devices(const Options& options);

/// What kind of model it is. Reads headers only. Throws Error as the engine
/// would.
ModelKind model_kind(const Options& options);

/// What a model's files tell of a task that it was trained for: task_specific_params of
/// config.json, or of a model of sentence vectors the prompts of config_sentence_transformers.json.
struct ModelTask {
  std::string name;                        ///< "translation_en_to_de"
  std::string prefix;                      ///< goes before each text; may be empty
  std::optional<std::int64_t> max_length;  ///< of an answer, with the token that it begins with
  std::string warning;      ///< what else is asked for and Trireme does not do; usually empty
  bool by_default = false;  ///< meant where nobody says another
};
/// All of them, by name. Reads headers only. Throws Error as the engine would.
std::vector<ModelTask> model_tasks(const Options& options);

/// All that the bytes of an output depend on besides the requests, a `key=value` a line: the
/// version of the arithmetic, dtype, instruction set, and the model by content, wherever it lies
/// and whenever it was written.
///
/// Configuration, tokenizer and chat templates count with every byte. Of the weights, names, dtypes
/// and shapes of all tensors count, and of each tensor three pages of 4 KiB: from its first row,
/// its middle one and its last. Reading 16 GB at every start would take as long as loading them,
/// while this takes some thousand small reads; training, merging or converting a model changes
/// nearly all elements of the tensors that it touches, and new rows come at a tensor's end. An edit
/// of single elements elsewhere goes unnoticed. Made-up weights count by config.json and seed.
///
/// Throws Error as the engine would for a model that cannot be opened.
std::string output_identity(const Options& options);

/// Checks model, plan and flags without loading weights: throws what the engine would throw.
void check_options(const Options& options);

/// The program's and library's version.
std::string_view version();

}  // namespace trireme
