// Engines over threads of this process: LocalEngine, DataParallel, ModelParallel.
#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "core/error.h"
#include "runtime/placement.h"
#include "trireme/local_engine.h"

namespace trireme {

/// A thread for each rank. They all do the same call at the same time, as ranks do.
struct LocalEngine::Impl {
  using Call = std::function<void(int rank, Engine& engine)>;

  explicit Impl(const Options& asked) {
    std::vector<Ranks> ranks = Ranks::of_threads(asked);
    options = ranks.front().options();
    for (Ranks& one : ranks) places.emplace_back(std::move(one));
    errors.resize(places.size());
    working = static_cast<int>(places.size());
    try {
      for (std::size_t rank = 0; rank < places.size(); ++rank) {
        threads.emplace_back([this, rank] { live(static_cast<int>(rank)); });
      }
      wait_for_all();
    } catch (...) {
      // Ranks that got no thread leave, so that nobody waits for them.
      for (std::size_t rank = threads.size(); rank < places.size(); ++rank) places[rank].reset();
      end();
      throw;
    }
  }
  ~Impl() { end(); }

  /// Runs `call` on every rank. Throws what the first of them threw that failed by itself.
  void on_all(const Call& call) {
    {
      const std::lock_guard lock(mutex);
      if (broken) {
        fail(ErrorKind::peer_lost, "this engine ended with an earlier error; make another one");
      }
      current = &call;
      working = static_cast<int>(threads.size());
      ++turn;
    }
    wake.notify_all();
    wait_for_all();
  }

  /// The first rank's answer.
  template <typename Function>
  auto ask(const Function& function) {
    std::optional<decltype(function(std::declval<Engine&>()))> answer;
    on_all([&](int rank, Engine& engine) {
      auto own = function(engine);
      if (rank == 0) answer = std::move(own);
    });
    return std::move(*answer);
  }

  Options options;
  std::vector<std::thread> threads;

 private:
  void live(int rank) {
    const auto index = static_cast<std::size_t>(rank);
    std::optional<Engine> engine;
    attempt(rank, [&] {
      engine.emplace(std::move(*places[index]));
      places[index].reset();
    });
    for (std::uint64_t seen = 0;;) {
      const Call* call = nullptr;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return over || turn != seen; });
        if (over) return;
        seen = turn;
        call = current;
      }
      attempt(
          rank, [&] { (*call)(rank, *engine); }, &engine);
    }
  }

  /// What a rank throws is kept for the caller. Its engine goes while the exception is on its way,
  /// so that the others do not wait for it.
  template <typename Work>
  void attempt(int rank, const Work& work, std::optional<Engine>* engine = nullptr) {
    try {
      try {
        work();
      } catch (const Error& error) {
        // All ranks throw alike for wrong usage, and can go on.
        if (error.kind() == ErrorKind::usage) throw;
        abandon(engine);
        throw;
      } catch (...) {
        abandon(engine);
        throw;
      }
    } catch (...) {
      errors[static_cast<std::size_t>(rank)] = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    if (--working == 0) done.notify_all();
  }

  void abandon(std::optional<Engine>* engine) {
    {
      const std::lock_guard lock(mutex);
      broken = true;
    }
    if (engine != nullptr) engine->reset();
  }

  void wait_for_all() {
    {
      std::unique_lock lock(mutex);
      done.wait(lock, [&] { return working == 0; });
    }
    std::exception_ptr first;
    for (std::exception_ptr& error : errors) {
      const std::exception_ptr own = std::exchange(error, nullptr);
      if (own && (!first || is_loss(first))) first = own;
    }
    if (first) std::rethrow_exception(first);
  }

  /// Whether an error only tells of another rank's.
  static bool is_loss(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const Error& lost) {
      return lost.kind() == ErrorKind::peer_lost;
    } catch (...) {
      return false;
    }
  }

  void end() {
    {
      const std::lock_guard lock(mutex);
      over = true;
    }
    wake.notify_all();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
  }

  std::vector<std::optional<Ranks>> places;
  std::vector<std::exception_ptr> errors;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  const Call* current = nullptr;
  std::uint64_t turn = 0;
  int working = 0;
  bool over = false;
  bool broken = false;
};

LocalEngine::LocalEngine(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
LocalEngine::~LocalEngine() = default;
LocalEngine::LocalEngine(LocalEngine&&) noexcept = default;
LocalEngine& LocalEngine::operator=(LocalEngine&&) noexcept = default;

std::vector<Result> LocalEngine::generate(std::span<const Request> requests) {
  return impl_->ask([&](Engine& engine) { return engine.generate(requests); });
}

std::vector<Score> LocalEngine::score(std::span<const Request> requests, bool logits) {
  return impl_->ask([&](Engine& engine) { return engine.score(requests, logits); });
}

std::vector<Choice> LocalEngine::choose(std::span<const Request> requests) {
  return impl_->ask([&](Engine& engine) { return engine.choose(requests); });
}

std::vector<Embedding> LocalEngine::embed(std::span<const Request> requests) {
  return impl_->ask([&](Engine& engine) { return engine.embed(requests); });
}

std::vector<Classification> LocalEngine::classify(std::span<const Request> requests) {
  return impl_->ask([&](Engine& engine) { return engine.classify(requests); });
}

std::vector<MaskFill> LocalEngine::fill_mask(std::span<const Request> requests,
                                             std::int64_t count) {
  return impl_->ask([&](Engine& engine) { return engine.fill_mask(requests, count); });
}

TensorMap LocalEngine::forward(const TensorMap& arguments) {
  return impl_->ask([&](Engine& engine) { return engine.forward(arguments); });
}

std::vector<std::string> LocalEngine::labels() {
  return impl_->ask([&](Engine& engine) { return engine.labels(); });
}

ModelKind LocalEngine::kind() {
  return impl_->ask([&](Engine& engine) { return engine.kind(); });
}

const Options& LocalEngine::options() const { return impl_->options; }

std::vector<EngineStats> LocalEngine::stats() {
  std::vector<EngineStats> stats(impl_->threads.size());
  impl_->on_all(
      [&](int rank, Engine& engine) { stats[static_cast<std::size_t>(rank)] = engine.stats(); });
  return stats;
}

namespace {

Options replicated(Options options, const std::vector<std::string>& devices) {
  std::vector<std::string> names;
  for (const std::string& device : devices) {
    names.push_back(device_name(device));
    if (std::ranges::count(names, names.back()) == 1) continue;
    fail(ErrorKind::usage, "DataParallel: device {} is named twice", device);
  }
  if (names.empty()) fail(ErrorKind::usage, "DataParallel: name at least one device");
  options.data_parallel_size = static_cast<int>(names.size());
  return options;
}

Options mapped(Options options, const std::vector<std::pair<std::string, std::string>>& map) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [module, device] : map) json[module] = device;
  options.device_map = json.dump();
  return options;
}

}  // namespace

DataParallel::DataParallel(Options options, const std::vector<std::string>& devices)
    : engine_(replicated(std::move(options), devices)) {}

ModelParallel::ModelParallel(Options options,
                             const std::vector<std::pair<std::string, std::string>>& map)
    : engine_(mapped(std::move(options), map)) {}

}  // namespace trireme
