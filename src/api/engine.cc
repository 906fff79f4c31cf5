// The public engine over the ranks of this run.
#include "trireme/engine.h"

#include <chrono>
#include <cstring>
#include <optional>

#include "comm/environment.h"
#include "core/bytes.h"
#include "core/error.h"
#include "kernels/registry.h"
#include "tasks/generate.h"
#include "tasks/score.h"

namespace trireme {

namespace {

constexpr std::size_t rows_ahead = 256;  // requests kept ready for a driver: enough for any batch

ParallelSizes sizes_of(const Options& options) {
  return {options.data_parallel_size, options.tensor_parallel_size, options.pipeline_parallel_size};
}

std::int64_t present() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

Message encode(const Result& r) {
  ByteWriter out;
  out.string(r.text);
  out.array(r.token_ids);
  out.value(r.prompt_tokens);
  out.value(r.finish_reason);
  out.value(r.error.has_value());
  out.string(r.error ? r.error->code : "");
  out.string(r.error ? r.error->message : "");
  return out.take();
}

Message encode(const Score& s) {
  ByteWriter out;
  out.array(s.token_ids);
  out.array(s.logprobs);
  out.value(s.sum);
  out.array(s.logits);
  out.value(s.error.has_value());
  out.string(s.error ? s.error->code : "");
  out.string(s.error ? s.error->message : "");
  return out.take();
}

std::optional<RequestError> decode_error(ByteReader& in) {
  const bool there = in.value<bool>();
  RequestError error;
  error.code = in.string();
  error.message = in.string();
  return there ? std::optional(std::move(error)) : std::nullopt;
}

void decode(const Message& bytes, Result& r) {
  ByteReader in(bytes);
  r.text = in.string();
  r.token_ids = in.array<std::int32_t>();
  r.prompt_tokens = in.value<std::int64_t>();
  r.finish_reason = in.value<FinishReason>();
  r.error = decode_error(in);
}

void decode(const Message& bytes, Score& s) {
  ByteReader in(bytes);
  s.token_ids = in.array<std::int32_t>();
  s.logprobs = in.array<float>();
  s.sum = in.value<double>();
  s.logits = in.array<float>();
  s.error = decode_error(in);
}

}  // namespace

struct Engine::Impl {
  Impl(Ranks agreed, std::int64_t now);
  void share_start();

  /// Answers rows [0, count), of which replica r takes each r-th; the results meet on rank 0.
  template <typename Answer, typename Submit, typename Step>
  std::vector<Answer> answer_all(const char* call, std::size_t count, const Submit& submit,
                                 const Step& step);

  int driver_of(int index) const { return rank_of({index, 0, 0}, sizes); }

  ParallelSizes sizes;
  std::unique_ptr<Communicator> world;
  int replica_index = 0;
  bool whole_run = true;  ///< world spans all replicas
  std::unique_ptr<Replica> replica;
  /// Throws Error(usage) for what answer_all cannot be mixed with.
  void check_unused(const char* call) const;
  std::int64_t unfinished() const {
    return (generator ? generator->unfinished() : 0) + (scorer ? scorer->unfinished() : 0);
  }
  Generator& generating();
  Scorer& scoring();
  void step();

  std::int64_t start = 0;
  std::optional<Prompts> prompts;
  std::optional<Sequences> sequences;  ///< drivers only
  std::optional<Generator> generator;  ///< these two when first asked
  std::optional<Scorer> scorer;
};

Engine::Impl::Impl(Ranks agreed, std::int64_t now)
    : sizes(sizes_of(agreed.options())),
      world(agreed.take_world()),
      start(now != 0 ? now : present()) {
  const RankEnvironment environment = rank_environment();
  std::unique_ptr<Communicator> ranks;
  if (environment.replicas > 1) {  // the launcher started each replica as a group of its own
    whole_run = false;
    replica_index = environment.replica;
    ranks = std::move(world);
  } else {
    replica_index = point_of(world->rank(), sizes).dp;
    share_start();
    ranks = world->group(replica_group(replica_index, sizes));
  }
  replica = std::make_unique<Replica>(agreed.options(), std::move(ranks), environment.local_size,
                                      environment.weights_fd);
  prompts.emplace(*replica->files().texts, replica->spec().vocab_size, start);
  if (replica->is_driver()) sequences.emplace(*replica);
}

/// One start for all ranks, so that a template that prints the date prints the same one.
void Engine::Impl::share_start() {
  Message bytes(sizeof(start));
  std::memcpy(bytes.data(), &start, sizeof(start));
  world->broadcast(0, bytes);
  std::memcpy(&start, bytes.data(), sizeof(start));
}

void Engine::Impl::check_unused(const char* call) const {
  if (!whole_run) {
    fail(ErrorKind::usage, "{}() needs all replicas in one group of ranks", call);
  }
  if (unfinished() > 0) {
    fail(ErrorKind::usage,
         "{}(): {} requests of submit() or submit_score() are unfinished; take their results with "
         "step() and step_scores(), or cancel them, first",
         call, unfinished());
  }
}

Generator& Engine::Impl::generating() {
  TRIREME_ASSERT(sequences.has_value());
  if (!generator) generator.emplace(*replica, *sequences, *prompts);
  return *generator;
}

Scorer& Engine::Impl::scoring() {
  TRIREME_ASSERT(sequences.has_value());
  if (!scorer) scorer.emplace(*replica, *sequences, *prompts);
  return *scorer;
}

void Engine::Impl::step() {
  replica->ranks().heartbeat();  // a driver without work is alive, too
  if (sequences) sequences->step();
}

template <typename Answer, typename Submit, typename Step>
std::vector<Answer> Engine::Impl::answer_all(const char* call, std::size_t count,
                                             const Submit& submit, const Step& step) {
  check_unused(call);
  std::vector<Answer> answers(count);
  ByteWriter mine;
  const auto stride = static_cast<std::size_t>(sizes.dp);
  std::size_t next = static_cast<std::size_t>(replica_index);
  std::size_t unfinished = 0;
  while (replica->is_driver() && (next < count || unfinished > 0)) {
    for (; next < count && unfinished < rows_ahead; next += stride, ++unfinished) submit(next);
    for (auto& [row, answer] : step()) {
      mine.value<std::uint64_t>(row);
      mine.array(encode(answer));
      --unfinished;
    }
  }
  if (replica->is_driver()) {
    replica->stop();
  } else {
    replica->follow();
  }
  const std::vector<Message> parts = world->gather(0, mine.take());
  if (world->rank() != 0) return {};
  for (const Message& part : parts) {
    for (ByteReader in(part); !in.done();) {
      const auto row = in.value<std::uint64_t>();
      decode(in.array<std::byte>(), answers.at(static_cast<std::size_t>(row)));
    }
  }
  return answers;
}

Engine::Engine(const Options& options, std::int64_t now) : Engine(Ranks(options), now) {}
Engine::Engine(Ranks ranks, std::int64_t now)
    : impl_(std::make_unique<Impl>(std::move(ranks), now)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

std::vector<Result> Engine::generate(std::span<const Request> requests, std::uint64_t first_row) {
  using Pair = std::pair<std::uint64_t, Result>;
  return impl_->answer_all<Result>(
      "generate", requests.size(),
      [&](std::size_t row) {
        Request request = requests[row];
        request.row = first_row + row;
        submit(row, request);
      },
      [&] {
        std::vector<Pair> pairs;
        for (Finished& f : step()) pairs.emplace_back(f.tag, std::move(f.result));
        return pairs;
      });
}

std::vector<Score> Engine::score(std::span<const Request> requests, bool logits) {
  using Pair = std::pair<std::uint64_t, Score>;
  return impl_->answer_all<Score>(
      "score", requests.size(),
      [&](std::size_t row) { impl_->scoring().submit(row, requests[row], {.keep = logits}); },
      [&] {
        std::vector<Pair> pairs;
        for (FinishedScore& f : step_scores()) pairs.emplace_back(f.tag, std::move(f.score));
        return pairs;
      });
}

bool Engine::is_driver() const { return impl_->replica->is_driver(); }
int Engine::replica() const { return impl_->replica_index; }

void Engine::prepare(bool chat) {
  impl_->generating();
  if (!chat) return;
  try {
    impl_->prompts->chat_template().check();
  } catch (const RequestFailure& failure) {
    fail(ErrorKind::input, "{}: {}", impl_->replica->files().texts->where(), failure.what());
  }
}

void Engine::submit(std::uint64_t tag, const Request& request, OnText on_text) {
  impl_->generating().submit(tag, request, std::move(on_text));
}

void Engine::submit_score(std::uint64_t tag, const Request& request, OnLogits on_logits) {
  impl_->scoring().submit(tag, request, {.hear = std::move(on_logits)});
}

Score Engine::tokenize(const Request& request) {
  impl_->replica->ranks().heartbeat();  // there may be many
  return impl_->scoring().tokenize(request);
}

bool Engine::cancel(std::uint64_t tag) { return impl_->generator && impl_->generator->cancel(tag); }
bool Engine::cancel_score(std::uint64_t tag) { return impl_->scorer && impl_->scorer->cancel(tag); }

std::vector<Engine::Finished> Engine::step() {
  impl_->step();
  std::vector<Finished> finished;
  if (!impl_->generator) return finished;
  for (auto& [tag, result] : impl_->generator->take_finished()) {
    finished.push_back({tag, std::move(result)});
  }
  return finished;
}

std::vector<Engine::FinishedScore> Engine::step_scores() {
  impl_->step();
  std::vector<FinishedScore> finished;
  if (!impl_->scorer) return finished;
  for (auto& [tag, score] : impl_->scorer->take_finished()) {
    finished.push_back({tag, std::move(score)});
  }
  return finished;
}

std::int64_t Engine::unfinished() const { return impl_->unfinished(); }

void Engine::stop() { impl_->replica->stop(); }
void Engine::follow() { impl_->replica->follow(); }

void Engine::send_to_driver(int replica, std::string_view bytes) {
  impl_->world->send(impl_->driver_of(replica), std::as_bytes(std::span(bytes)));
}

std::optional<std::string> Engine::receive_from_driver(int replica) {
  std::optional<Message> message = impl_->world->try_receive(impl_->driver_of(replica));
  if (!message) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(message->data()), message->size());
}

EngineStats Engine::stats() const {
  Replica& replica = *impl_->replica;
  const Replica::Counters counters = replica.counters();
  EngineStats stats{.isa = std::string(replica.backend().name()),
                    .transport = std::string(replica.ranks().transport()),
                    .replica = impl_->replica_index,
                    .rank = replica.ranks().rank(),
                    .ranks = replica.ranks().size(),
                    .checkpoint_bytes_read = counters.checkpoint_bytes_read,
                    .weight_bytes = counters.weight_bytes,
                    .shared_weights = counters.shared_weights,
                    .model_blocks = counters.blocks,
                    .multiply_adds = counters.multiply_adds,
                    .kv_blocks = counters.kv_blocks,
                    .max_sequence_tokens = replica.max_sequence_tokens(),
                    .vocab_size = replica.spec().vocab_size,
                    .steps = counters.steps,
                    .computed_tokens = counters.rows};
  if (!replica.is_driver()) return stats;
  const Scheduler& scheduler = replica.driver().scheduler();
  stats.preemptions = scheduler.preemptions();
  stats.drafted_tokens = scheduler.drafted();
  stats.accepted_tokens = scheduler.accepted();
  if (impl_->generator) {
    stats.prompt_tokens = impl_->generator->prompt_tokens();
    stats.generated_tokens = impl_->generator->generated_tokens();
  }
  return stats;
}

void check_options(const Options& options) {
  speculation_limits(options);
  check_plan(open_model(options).model->spec(), sizes_of(options));
  make_backend(options.isa);
}

std::string_view version() { return TRIREME_VERSION; }

}  // namespace trireme
