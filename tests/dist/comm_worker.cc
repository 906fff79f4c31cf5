// One rank of the tests of launcher and transports: `comm_worker MODE ...`. With `launch N MODE
// ...` it is the launcher of N such ranks instead. A rank leaves notes for the test in the folder
// TRIREME_TEST_NOTES.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "comm/environment.h"
#include "comm/registry.h"
#include "comm/tree_sum.h"
#include "comm_suite.h"
#include "core/error.h"
#include "core/shared_once.h"
#include "launch/control.h"
#include "launch/supervise.h"

namespace trireme {
namespace {

void note(const std::string& name, const std::string& text) {
  const char* const folder = std::getenv("TRIREME_TEST_NOTES");
  if (folder == nullptr) return;
  const RankEnvironment place = rank_environment();
  const std::string path =
      std::string(folder) + "/" + name + "." + std::to_string(place.local_rank);
  std::ofstream(path + ".new") << text;
  std::rename((path + ".new").c_str(), path.c_str());
}

void suite(Communicator& world) {
  const std::uint64_t hash = run_comm_suite(world);
  note("hash", std::to_string(hash));
  if (world.rank() == 0) {
    std::printf("%s ranks=%d hash=%016llx\n", std::string(world.transport()).c_str(), world.size(),
                static_cast<unsigned long long>(hash));
  }
}

/// In the middle of collectives until somebody ends it.
[[noreturn]] void reduce_for_ever(Communicator& world) {
  const std::int64_t count = 100000;
  TreeSum sum{16, {}};
  for (int r = 0; r < world.size(); ++r) sum.held.push_back(even_part(16, world.size(), r));
  const std::vector<float> ones(static_cast<std::size_t>(count), 1.0f);
  std::vector<float> out(ones.size());
  const TreeSumPlan plan(sum);
  const std::vector<const float*> partials(
      static_cast<std::size_t>(plan.pieces(world.rank()).size()), ones.data());
  for (int step = 0;; ++step) {
    world.tree_all_reduce(sum, partials, count, out.data());
    if (step == 3) note("ready", std::to_string(getpid()));
  }
}

/// Computes without a word to anybody, for longer than a silent rank may be silent.
void compute(Communicator& world, int milliseconds) {
  note("ready", std::to_string(getpid()));
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  volatile double x = 1;
  while (std::chrono::steady_clock::now() < end) x = x * 1.0000001;
  world.barrier();
}

/// Rank `sleeper` does nothing at all for a while; the others wait for it.
void doze(Communicator& world, int sleeper) {
  if (world.rank() == sleeper) std::this_thread::sleep_for(std::chrono::seconds(14));
  world.barrier();
}

void echo(Communicator& world) {
  auto control = ControlChannel::from_environment();
  if (!control) {
    world.receive(0);
    return;
  }
  while (auto message = control->receive([&] { world.heartbeat(); }))
    control->send("echo " + *message);
  note("ended", "1");
  for (int r = 1; r < world.size(); ++r) world.send(r, {});
}

/// Fills memory that all ranks share; the rank that `dies` names is killed while it does.
void fill_once(Communicator& world, const std::string& dies) {
  SharedOnce memory(rank_environment().weights_fd);
  const auto fill = [&](std::span<std::byte> bytes) {
    note("filling", std::to_string(getpid()));
    if (dies == std::to_string(rank_environment().replica)) raise(SIGKILL);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  };
  const auto bytes = memory.get(10'000'000, fill, [&] { world.heartbeat(); });
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != static_cast<std::byte>(i * 7)) fail(ErrorKind::input, "wrong byte {}", i);
  }
  note(memory.filled_here() ? "filled" : "shared", "1");
}

int run(int count, char** words) {
  const std::string mode = count > 1 ? words[1] : "suite";
  const std::string argument = count > 2 ? words[2] : "";
  if (mode == "launch") {
    LaunchSpec spec;
    spec.group_size = std::atoi(words[2]);
    spec.arguments.assign(words + 3, words + count);
    return supervise(spec);
  }
  if (mode == "exit") return std::atoi(argument.c_str());
  if (mode == "sleep") {  // knows nothing of communicators
    note("ready", std::to_string(getpid()));
    std::this_thread::sleep_for(std::chrono::seconds(60));
    return 0;
  }
  if (mode == "print") {
    std::printf("one\ntwo of %s", std::getenv("TRIREME_RANK"));
    std::fprintf(stderr, "to stderr\n");
    return 0;
  }
  const auto world = connect();
  if (mode == "throw") {
    if (world->rank() == world->size() - 1) fail(ErrorKind::resource, "no memory left");
    reduce_for_ever(*world);
  }
  try {
    if (mode == "suite") suite(*world);
    if (mode == "reduce") reduce_for_ever(*world);
    if (mode == "compute") compute(*world, std::atoi(argument.c_str()));
    if (mode == "doze") doze(*world, std::atoi(argument.c_str()));
    if (mode == "echo") echo(*world);
    if (mode == "once") fill_once(*world, argument);
    if (mode == "fail") {  // the last rank stops with an error in the middle of it all
      if (world->rank() == world->size() - 1) fail(ErrorKind::resource, "no memory left");
      reduce_for_ever(*world);
    }
    return 0;
  } catch (const Error& error) {
    note("error", error.what());
    if (error.kind() == ErrorKind::peer_lost) return 5;
    world->abort(fmt::format("rank {} failed: {}", world->rank(), error.what()));
    return 4;
  }
}

}  // namespace
}  // namespace trireme

int main(int count, char** words) {
  try {
    return trireme::run(count, words);
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "comm_worker: %s\n", error.what());
    return trireme::exit_code(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "comm_worker: %s\n", error.what());
    return 1;
  }
}
