// The public engine over the ranks of this run.
#include "trireme/engine.h"

#include <chrono>
#include <cstring>

#include "api/engine_impl.h"
#include "comm/environment.h"
#include "core/error.h"
#include "kernels/registry.h"

namespace trireme {

namespace {

ParallelSizes sizes_of(const Options& options) {
  return {options.data_parallel_size, options.tensor_parallel_size, options.pipeline_parallel_size};
}

std::int64_t present() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace

Engine::Impl::Impl(Ranks agreed, std::int64_t now)
    : sizes(sizes_of(agreed.options())),
      world(agreed.take_world()),
      start(now != 0 ? now : present()) {
  const RankEnvironment environment = rank_environment();
  const int agreed_rank = world->rank();
  std::unique_ptr<Communicator> ranks;
  if (environment.replicas > 1 &&
      !agreed.are_threads()) {  // the launcher started each replica as a group of its own
    whole_run = false;
    replica_index = environment.replica;
    ranks = std::move(world);
  } else {
    replica_index = point_of(world->rank(), sizes).dp;
    share_start();
    ranks = world->group(replica_group(replica_index, sizes));
  }
  weights_memory = agreed.weights_memory();
  const int local_rank = agreed.are_threads() ? agreed_rank : environment.local_rank;
  replica = std::make_unique<Replica>(agreed.options(), std::move(ranks), agreed.local_size(),
                                      local_rank, weights_memory == nullptr ? -1 : *weights_memory);
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

std::int64_t Engine::Impl::unfinished() const {
  std::int64_t count = rows ? rows->unfinished() : 0;
  if (generator) count += generator->unfinished();
  if (scorer) count += scorer->unfinished();
  if (chooser) count += chooser->unfinished();
  for (const auto* reader : {&embeddings, &classifications, &mask_fills}) {
    if (*reader) count += (*reader)->unfinished();
  }
  return count;
}

void Engine::Impl::check_kind(const char* call, ModelKind wanted) const {
  const ModelKind kind = kind_of(replica->spec());
  if (kind == wanted) return;
  fail(ErrorKind::usage, "{}: {} is a {} ({}); {} needs a {}", call,
       replica->files().texts->where(), name_of(kind), replica->spec().architecture, call,
       name_of(wanted));
}

void Engine::Impl::check_generates(const char* call) const {
  const ModelKind kind = kind_of(replica->spec());
  if (kind != ModelKind::encoder_decoder) check_kind(call, ModelKind::decoder);
}

Generator& Engine::Impl::generating() {
  check_generates();
  TRIREME_ASSERT(sequences.has_value());
  if (!generator) generator.emplace(*replica, *sequences, *prompts);
  return *generator;
}

Scorer& Engine::Impl::scoring() {
  check_kind("score", ModelKind::decoder);
  TRIREME_ASSERT(sequences.has_value());
  if (!scorer) scorer.emplace(*replica, *sequences, *prompts);
  return *scorer;
}

void Engine::Impl::step() {
  replica->ranks().heartbeat();  // a driver without work is alive, too
  if (sequences) sequences->step();
}

Engine::Engine(const Options& options, std::int64_t now) : Engine(Ranks(options), now) {}
Engine::Engine(Ranks ranks, std::int64_t now)
    : impl_(std::make_unique<Impl>(std::move(ranks), now)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

std::vector<Result> Engine::generate(std::span<const Request> requests, std::uint64_t first_row) {
  using Pair = std::pair<std::uint64_t, Result>;
  impl_->check_generates();  // on all ranks: those that only follow would wait for the others
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
  impl_->check_kind("score", ModelKind::decoder);  // on all ranks, as in generate()
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
  impl_->prepare();
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
                    .mapped_weights = counters.mapped_weights,
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
  if (impl_->chooser) stats.prompt_tokens += impl_->chooser->prompt_tokens();
  for (const auto* reader : {&impl_->embeddings, &impl_->classifications, &impl_->mask_fills}) {
    if (*reader) stats.prompt_tokens += (*reader)->prompt_tokens();
  }
  return stats;
}

std::map<int, RankSample> Engine::rank_samples() const {
  Communicator& ranks = impl_->replica->ranks();
  std::map<int, RankSample> samples;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const RankActivity* const activity = ranks.activity(rank);
    if (activity != nullptr) samples[rank] = read(*activity);
  }
  samples[ranks.rank()] = read(impl_->replica->activity());
  return samples;
}

void check_options(const Options& options) {
  speculation_limits(options);
  check_plan(open_model(options).model->spec(), sizes_of(options));
  arithmetic_of(options.device, options.isa);
}

ModelKind model_kind(const Options& options) { return kind_of(open_model(options).model->spec()); }

std::string_view version() { return TRIREME_VERSION; }

}  // namespace trireme
