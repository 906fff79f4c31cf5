// Links between GPUs, by a fake NCCL (fake_nccl.cc) between emulated ones: what is exchanged and
// added up, and when. Ranks are processes, each with the CUDA backend. Of NCCL itself only its
// interface is held against the real one, where that is installed. On a machine with several GPUs
// TRIREME_TEST_REAL_NCCL=1 takes them and the real NCCL instead of the fakes.
#include "comm/nccl.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>

#include "comm/nccl_library.h"
#include "comm/shm.h"
#include "core/error.h"
#include "core/shard.h"
#include "kernels/backend.h"
#include "kernels/cuda_plugin.h"

namespace trireme {
namespace {

bool real() { return std::getenv("TRIREME_TEST_REAL_NCCL") != nullptr; }

/// A rank's memory on its GPU: every piece of the exact size, until the rank's end.
class Gpu {
 public:
  explicit Gpu(int gpu) : backend(open_gpu(gpu)), stream(*backend->device_stream()) {}

  float* room(std::int64_t count) {
    const auto bytes = static_cast<std::size_t>(count) * sizeof(float);
    if (bytes == 0) return nullptr;
    memory_.push_back(backend->allocate(bytes));
    backend->fill(memory_.back().data(), 0xff, bytes);
    return memory_.back().as<float>();
  }
  float* device(const std::vector<float>& values) {
    float* const place = room(std::ssize(values));
    if (place != nullptr) backend->upload(place, std::as_bytes(std::span(values)));
    return place;
  }
  std::vector<float> host(const float* from, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    if (count > 0) backend->download(std::as_writable_bytes(std::span(values)), from);
    return values;
  }

  std::unique_ptr<Backend> backend;
  /// The backend's own.
  const DeviceStream& stream;

 private:
  std::vector<DeviceBuffer> memory_;
};

/// A rank of a test: its communicator on the host, its GPU.
struct Rank {
  Communicator& world;
  Gpu& gpu;
};

/// What a child process does. Nothing of the parent's ends with it.
[[noreturn]] void be_rank(const std::shared_ptr<ShmSegment>& segment, int rank, int pipe,
                          const std::function<void(Rank)>& work) {
  alarm(60);
  std::string error;
  try {
    ShmCommunicator world(segment, rank);
    Gpu gpu(rank);
    try {
      work({world, gpu});
    } catch (const std::exception& thrown) {
      world.abort(thrown.what());
      throw;
    }
  } catch (const std::exception& thrown) {
    error = thrown.what();
  }
  [[maybe_unused]] const ssize_t written = ::write(pipe, error.data(), error.size());
  std::fflush(nullptr);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

std::string all_of(int pipe) {
  std::string text;
  char part[4096];
  for (ssize_t size = 0; (size = ::read(pipe, part, sizeof(part))) > 0;) {
    text.append(part, static_cast<std::size_t>(size));
  }
  close(pipe);
  return text;
}

/// Runs `work` on every rank; returns what each threw, or "". The parent knows no GPU: a process
/// that does may not fork.
std::vector<std::string> run(int ranks, const std::function<void(Rank)>& work) {
  const auto segment = std::make_shared<ShmSegment>(ShmSegment::create(ranks));
  std::fflush(nullptr);
  std::vector<pid_t> children;
  std::vector<int> pipes;
  for (int rank = 0; rank < ranks; ++rank) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    children.push_back(fork());
    if (children.back() == 0) be_rank(segment, rank, ends[1], work);
    close(ends[1]);
    pipes.push_back(ends[0]);
  }
  std::vector<std::string> errors;
  for (int rank = 0; rank < ranks; ++rank) {
    errors.push_back(all_of(pipes[static_cast<std::size_t>(rank)]));
    int status = 0;
    waitpid(children[static_cast<std::size_t>(rank)], &status, 0);
    EXPECT_EQ(status, 0) << "rank " << rank << ": its failures are above";
  }
  return errors;
}

int count_gpus() {
  const pid_t child = fork();
  if (child == 0) _exit(static_cast<int>(gpus().size()));
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

int gpu_count() {
  static const int count = count_gpus();
  return count;
}

class Nccl : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (real()) return;
    setenv("TRIREME_NCCL", TRIREME_FAKE_NCCL, 1);
    setenv("TRIREME_PLUGIN_PATH", TRIREME_BINARY_DIR "/emulated", 1);
    setenv("TRIREME_CUDA_EMULATION_DEVICES", "5", 1);
  }
  void SetUp() override {
    if (gpu_count() < 3) GTEST_SKIP() << "3 GPUs are needed, there are " << gpu_count();
  }
  /// What the fake has counted in this process.
  static int count(const char* what) {
    return reinterpret_cast<int (*)(const char*)>(symbol("fake_nccl_count"))(what);
  }
  static void break_connections() { reinterpret_cast<void (*)()>(symbol("fake_nccl_break"))(); }

 private:
  static void* symbol(const char* name) {
    return dlsym(dlopen(TRIREME_FAKE_NCCL, RTLD_NOW | RTLD_LOCAL), name);
  }
};

/// What only the fake can tell, or do.
class FakeNccl : public Nccl {
 protected:
  void SetUp() override {
    if (real()) GTEST_SKIP() << "the fake is asked";
    Nccl::SetUp();
  }
};

void expect_no_errors(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

std::vector<float> random_floats(std::mt19937& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    const auto kind = random() % 16;
    value = kind == 0   ? 0.0f
            : kind == 1 ? -0.0f
            : kind == 2 ? std::ldexp(normal(random), -140)  // subnormal
                        : normal(random) * std::exp2(10 * normal(random));
  }
  return values;
}

/// Cuts [0, shards) at random places, so that ranges may be empty. All ranks cut alike.
TreeSum random_cut(std::mt19937& random, std::int64_t shards, int ranks) {
  std::uniform_int_distribution<std::int64_t> place(0, shards);
  std::vector<std::int64_t> cuts{0, shards};
  for (int i = 1; i < ranks; ++i) cuts.push_back(place(random));
  std::sort(cuts.begin(), cuts.end());
  TreeSum sum{shards, {}};
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) sum.held.push_back({cuts[i], cuts[i + 1]});
  return sum;
}

TreeSum even_cut(std::int64_t shards, int ranks) {
  TreeSum sum{shards, {}};
  for (int i = 0; i < ranks; ++i) sum.held.push_back(even_part(shards, ranks, i));
  return sum;
}

/// The sum through the links has the bits of the sum through the host, also in place of a partial.
void expect_same_bits(const Rank& rank, DeviceCollectives& links, const TreeSum& sum,
                      std::int64_t count, std::uint32_t seed) {
  const auto index = static_cast<std::size_t>(rank.world.rank());
  std::mt19937 random(seed * 64 + static_cast<std::uint32_t>(index));
  const auto pieces = largest_subtrees(sum.shard_count, sum.held[index]).size();
  std::vector<std::vector<float>> values;
  std::vector<const float*> on_host;
  std::vector<const float*> on_gpu;
  for (std::size_t i = 0; i < pieces; ++i) {
    on_host.push_back(values.emplace_back(random_floats(random, count)).data());
    on_gpu.push_back(rank.gpu.device(values.back()));
  }
  std::vector<float> expected(static_cast<std::size_t>(count));
  rank.world.tree_all_reduce(sum, on_host, count, expected.data());
  const bool in_place = !on_gpu.empty() && seed % 2 == 0;
  float* const out =
      in_place ? const_cast<float*>(on_gpu[seed / 2 % pieces]) : rank.gpu.room(count);
  links.tree_all_reduce(sum, on_gpu, count, out);
  const std::vector<float> got = rank.gpu.host(out, count);
  EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
      << rank.world.size() << " ranks, " << sum.shard_count << " shards, count " << count
      << (in_place ? ", in place" : "");
}

/// The emulation takes its time for memory.
constexpr std::int64_t small_area = std::int64_t{1} << 17;

/// How a sum is taken.
struct Way {
  const char* name;
  NcclSizes sizes;
};
const Way ways[] = {
    {"AsItComes", {small_area, NcclSizes{}.worth_an_exchange}},
    {"Everywhere", {small_area, std::int64_t{1} << 40}},
    {"Slices", {small_area, 0}},
    {"EverywhereInChunks", {3000, std::int64_t{1} << 40}},
    {"SlicesInChunks", {3000, 0}},
};

std::unique_ptr<DeviceCollectives> connect(const Rank& rank,
                                           NcclSizes sizes = {.area_floats = small_area}) {
  return connect_nccl(rank.world, &rank.gpu.stream, NcclUse::sums, sizes);
}

class NcclSums : public Nccl, public testing::WithParamInterface<std::tuple<Way, int>> {};

TEST_P(NcclSums, HaveTheBitsOfTheHostsSums) {
  const auto& [way, ranks] = GetParam();
  if (gpu_count() < ranks) GTEST_SKIP() << "there are " << gpu_count() << " GPUs";
  const NcclSizes sizes = way.sizes;
  const bool small = sizes.area_floats < small_area;
  expect_no_errors(run(ranks, [&](Rank rank) {
    const auto links = connect(rank, sizes);
    ASSERT_NE(links, nullptr);
    std::mt19937 random(7);
    std::uint32_t seed = 0;
    for (const std::int64_t shards : {0, 1, 3, 8, 13}) {
      for (const std::int64_t count : {0, 1, 5, 1001, small || shards != 13 ? 1504 : 100000}) {
        expect_same_bits(rank, *links, even_cut(shards, rank.world.size()), count, ++seed);
        expect_same_bits(rank, *links, random_cut(random, shards, rank.world.size()), count,
                         ++seed);
      }
    }
    rank.world.barrier();
  }));
}

INSTANTIATE_TEST_SUITE_P(Ways, NcclSums,
                         testing::Combine(testing::ValuesIn(ways), testing::Values(2, 3, 4, 5)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "On" +
                                  std::to_string(std::get<1>(test.param));
                         });

TEST_F(FakeNccl, TwoRanksWithAPieceEachNeedOneGather) {
  expect_no_errors(run(2, [&](Rank rank) {
    const auto links = connect(rank);
    const int sends = count("sends");
    const int gathers = count("gathers");
    expect_same_bits(rank, *links, even_cut(8, 2), 5000, 1);
    EXPECT_EQ(count("sends"), sends);
    EXPECT_EQ(count("gathers"), gathers + 1);
    rank.world.barrier();
  }));
}

/// Sums that follow each other without a wait, each of the result of the one before.
TEST_F(Nccl, SumsKeepTheOrderOfTheStream) {
  for (const Way& way : ways) {
    expect_no_errors(run(3, [&](Rank rank) {
      const auto links = connect(rank, way.sizes);
      const TreeSum sum = even_cut(3, 3);
      const std::vector<float> mine(2500, static_cast<float>(rank.world.rank() + 1));
      float* const x = rank.gpu.device(mine);
      const float* const partials[] = {x};
      for (int i = 0; i < 6; ++i) links->tree_all_reduce(sum, partials, 2500, x);
      EXPECT_EQ(rank.gpu.host(x, 2500), std::vector<float>(2500, 6.0f * 243)) << way.name;
      rank.world.barrier();
    }));
  }
}

TEST_F(Nccl, MessagesArriveWholeAndInOrder) {
  expect_no_errors(run(3, [&](Rank rank) {
    const auto links = connect_nccl(rank.world, &rank.gpu.stream, NcclUse::messages);
    const int self = rank.world.rank();
    for (const std::int64_t count : {0, 1, 1000, 700000}) {
      std::mt19937 random(static_cast<std::uint32_t>(count));
      const std::vector<float> first = random_floats(random, count);
      const std::vector<float> second = random_floats(random, count + 3);
      float* const a = rank.gpu.room(count);
      float* const b = rank.gpu.room(count + 3);
      const auto bytes = [](const std::vector<float>& x) { return x.size() * sizeof(float); };
      if (self == 0) {
        links->send(1, rank.gpu.device(first), bytes(first));
        links->send(1, rank.gpu.device(second), bytes(second));
        continue;
      }
      links->receive(self - 1, a, bytes(first));
      links->receive(self - 1, b, bytes(second));
      if (self == 1) {
        links->send(2, a, bytes(first));
        links->send(2, b, bytes(second));
      }
      const auto got_first = rank.gpu.host(a, count);
      const auto got_second = rank.gpu.host(b, count + 3);
      EXPECT_EQ(std::memcmp(got_first.data(), first.data(), bytes(first)), 0);
      EXPECT_EQ(std::memcmp(got_second.data(), second.data(), bytes(second)), 0);
    }
    rank.world.barrier();
  }));
}

/// What is recorded once gives the sum of what is there each time.
TEST_F(Nccl, SumsCanBeRecorded) {
  for (const Way& way : ways) {
    expect_no_errors(run(3, [&](Rank rank) {
      const auto links = connect(rank, way.sizes);
      const TreeSum sum = even_cut(8, 3);
      const auto index = static_cast<std::size_t>(rank.world.rank());
      const std::size_t pieces = largest_subtrees(8, sum.held[index]).size();
      std::vector<const float*> on_gpu;
      for (std::size_t i = 0; i < pieces; ++i) on_gpu.push_back(rank.gpu.room(2000));
      float* const out = rank.gpu.room(2000);
      std::mt19937 random(static_cast<std::uint32_t>(rank.world.rank()));
      for (int round = 0; round < 4; ++round) {
        std::vector<std::vector<float>> values;
        std::vector<const float*> on_host;
        for (std::size_t i = 0; i < pieces; ++i) {
          on_host.push_back(values.emplace_back(random_floats(random, 2000)).data());
          rank.gpu.backend->upload(const_cast<float*>(on_gpu[i]),
                                   std::as_bytes(std::span(values.back())));
        }
        rank.gpu.backend->repeat({.x = out, .rows = 1, .blocks = {0, 2}}, [&] {
          links->tree_all_reduce(sum, on_gpu, 1000, out);
          links->tree_all_reduce(sum, on_gpu, 2000, out);
        });
        std::vector<float> expected(2000);
        rank.world.tree_all_reduce(sum, on_host, 2000, expected.data());
        const std::vector<float> got = rank.gpu.host(out, 2000);
        EXPECT_EQ(std::memcmp(got.data(), expected.data(), 2000 * sizeof(float)), 0)
            << way.name << ", round " << round;
      }
      rank.world.barrier();
    }));
  }
}

/// What the backend has put off is in what is sent and added up after it.
TEST_F(Nccl, WhatIsPutOffComesFirst) {
  expect_no_errors(run(2, [](Rank rank) {
    const auto links = connect(rank);
    ThreadPool threads(1);
    const std::vector<float> ones(1000, 1.0f);
    float* const x = rank.gpu.device(ones);
    float* const y = rank.gpu.device(ones);
    const float* const partials[] = {x};
    rank.gpu.backend->add(threads, x, y, 1000);
    links->tree_all_reduce(even_cut(2, 2), partials, 1000, x);
    EXPECT_EQ(rank.gpu.host(x, 1000), std::vector<float>(1000, 4.0f));
    rank.gpu.backend->add(threads, x, y, 1000);
    if (rank.world.rank() == 0) {
      links->send(1, x, 4000);
    } else {
      links->receive(0, x, 4000);
    }
    EXPECT_EQ(rank.gpu.host(x, 1000), std::vector<float>(1000, 5.0f));
    rank.world.barrier();
  }));
}

/// NCCL wants what it exchanges to be part of a recording on all ranks or on none, also where one
/// rank's other work has needed more memory in between.
TEST_F(Nccl, RanksRecordTheSameSteps) {
  expect_no_errors(run(2, [](Rank rank) {
    const auto links = connect(rank);
    ThreadPool threads(1);
    const Backend& backend = *rank.gpu.backend;
    float* const x = rank.gpu.device(std::vector<float>(100, 1.0f));
    const float* const partials[] = {x};
    const MatrixShape shape{1024, std::vector<std::int64_t>(8, 1), DType::f32};
    const DeviceBuffer weights = backend.allocate(backend.packed_bytes(shape));
    float* const rows = rank.gpu.device(std::vector<float>(64 * 8));
    for (int round = 0; round < 4; ++round) {
      backend.repeat({.x = x, .rows = 1, .blocks = {0, 2}},
                     [&] { links->tree_all_reduce(even_cut(2, 2), partials, 100, x); });
      if (rank.world.rank() != round % 2) continue;
      // Partial sums of two megabytes.
      const ShardSum output{{0, 8}, rank.gpu.room(64 * 1024)};
      backend.linear(threads, {rows, 64, 8, &shape, weights.data(), nullptr, {&output, 1}, 1024});
    }
    EXPECT_EQ(rank.gpu.host(x, 100), std::vector<float>(100, 16.0f));
    rank.world.barrier();
  }));
}

// When NCCL is not used.

TEST_F(FakeNccl, IsNotUsedWhereItNeedNotOrCannotBe) {
  expect_no_errors(run(1, [](Rank rank) { EXPECT_EQ(connect(rank), nullptr); }));
  expect_no_errors(run(3, [](Rank rank) {
    EXPECT_EQ(connect_nccl(rank.world, nullptr, NcclUse::sums), nullptr);
    DeviceStream shared = rank.gpu.stream;
    shared.device_id = rank.world.rank() == 0 ? "GPU a" : "GPU b";
    EXPECT_EQ(connect_nccl(rank.world, &shared, NcclUse::sums), nullptr);
    setenv("TRIREME_NCCL", "0", 1);
    EXPECT_EQ(connect(rank), nullptr);
    EXPECT_EQ(count("connected"), 0);
  }));
}

TEST_F(FakeNccl, OnceSaysWhereItIsMissing) {
  expect_no_errors(run(2, [](Rank rank) {
    if (rank.world.rank() == 1) setenv("TRIREME_NCCL", "/nowhere/libnccl.so.2", 1);
    testing::internal::CaptureStderr();
    EXPECT_EQ(connect(rank), nullptr);
    EXPECT_EQ(connect(rank), nullptr);
    const std::string said = testing::internal::GetCapturedStderr();
    if (rank.world.rank() == 1) {
      EXPECT_EQ(said, "");
      return;
    }
    EXPECT_TRUE(
        said.starts_with("trireme: warning: NCCL cannot be loaded on rank 1: "
                         "/nowhere/libnccl.so.2: cannot open shared object file"))
        << said;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  }));
}

// How it ends.

TEST_F(FakeNccl, ClosesAfterWhatWasRecordedIsForgotten) {
  expect_no_errors(run(3, [](Rank rank) {
    DeviceStream stream = rank.gpu.stream;
    int forgotten = 0;
    stream.forget_recorded = [&] { forgotten += 1 + 100 * count("destroyed"); };
    auto links = connect_nccl(rank.world, &stream, NcclUse::sums, {.area_floats = small_area});
    EXPECT_EQ(stream.watchers.size(), 1u);
    links.reset();
    EXPECT_EQ(forgotten, 1);  // before the end
    EXPECT_TRUE(stream.watchers.empty());
    EXPECT_EQ(count("destroyed"), 1);
    EXPECT_EQ(count("aborted"), 0);
    rank.world.barrier();
  }));
}

TEST_F(FakeNccl, ABrokenConnectionIsALostPeer) {
  const auto errors = run(2, [](Rank rank) {
    auto links = connect(rank);
    rank.world.barrier();
    if (rank.world.rank() == 0) return rank.world.barrier();
    break_connections();
    try {
      links->send(0, rank.gpu.room(4), 16);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peer_lost);
      links.reset();
      EXPECT_EQ(count("aborted"), 1);
      throw;
    }
  });
  EXPECT_TRUE(
      errors[1].starts_with("rank 1 of 2: the connection between GPUs failed: remote "
                            "process exited or there was a network error: the fake says so "
                            "(NCCL_DEBUG=INFO"))
      << errors[1];
  EXPECT_EQ(errors[0], errors[1]);  // told by the communicator
}

/// A wait for a GPU whose work waits for a rank that is gone ends, and names the rank's reason.
TEST_F(Nccl, WhoWaitsForTheGpuLearnsThatARankIsLost) {
  for (const bool enqueued : {false, true}) {
    const auto errors = run(3, [&](Rank rank) {
      const auto links = connect(rank);
      float* const x = rank.gpu.device(std::vector<float>(2000));
      rank.world.barrier();
      if (rank.world.rank() == 1) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        throw std::runtime_error("rank 1 met its end");
      }
      const float* const partials[] = {x};
      if (enqueued) links->tree_all_reduce(even_cut(3, 3), partials, 2000, x);
      if (enqueued) rank.gpu.host(x, 2000);
      for (;;) rank.gpu.stream.watchers.at(links.get())();  // as in a longer wait
    });
    EXPECT_EQ(errors, std::vector<std::string>(3, "rank 1 met its end"));
  }
}

/// A rank that fails before it meets the others lets nobody wait for ever.
TEST_F(Nccl, MeetingEndsWhenARankIsLost) {
  const auto errors = run(3, [](Rank rank) {
    DeviceStream stream = rank.gpu.stream;
    if (rank.world.rank() == 2) {
      stream.allocate = [](std::size_t) -> std::shared_ptr<std::byte> {
        fail(ErrorKind::resource, "rank 2 has no memory left");
      };
    }
    connect_nccl(rank.world, &stream, NcclUse::sums, {.area_floats = small_area});
  });
  EXPECT_EQ(errors, std::vector<std::string>(3, "rank 2 has no memory left"));
}

TEST(RealNccl, HasWhatIsCalled) {
  if (!real()) unsetenv("TRIREME_NCCL");
  std::string why;
  const NcclLibrary* const nccl = nccl_library(why);
  if (!real()) setenv("TRIREME_NCCL", TRIREME_FAKE_NCCL, 1);
  if (nccl == nullptr) GTEST_SKIP() << why;
  int version = 0;
  EXPECT_EQ(nccl->get_version(&version), NcclResult::success);
  EXPECT_GE(version, 21300);
}

}  // namespace
}  // namespace trireme
