// The emulation's streams, events and graphs: what must work does, and waiting too little shows.
#ifdef TRIREME_CUDA_EMULATED  // a GPU may forgive it

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "support.h"

namespace trireme::cuda::test {

namespace {

using EmulatedStreams = CudaTest;

// ---- streams are lazy ----

__global__ void add_one(int* x) { ++*x; }

/// How often, of `tries`, `happens` returns true.
template <typename Happens>
int often(int tries, const Happens& happens) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += happens() ? 1 : 0;
  return count;
}

struct Pinned {
  explicit Pinned(int value) {
    check(cudaMallocHost(&data, sizeof(int)), "pinning");
    *data = value;
  }
  ~Pinned() { cudaFreeHost(data); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

  int* data = nullptr;
};

TEST_F(EmulatedStreams, ResultsReadEarlyAreNotThere) {
  TestContext context;
  const int early = often(100, [&] {
    int* x = context.device(std::vector{41});
    int got = 0;
    launch(add_one, 1, 1, 0, context.stream, x);
    check(cudaMemcpyAsync(&got, x, sizeof got, cudaMemcpyDeviceToHost, context.stream), "copying");
    const bool was_early = got == 0;
    context.synchronize();
    EXPECT_EQ(got, 42);
    return was_early;
  });
  EXPECT_GT(early, 70);
}

TEST_F(EmulatedStreams, PinnedBuffersAreReadLate) {
  TestContext context;
  const Pinned from(1);
  int* x = context.room<int>(1);
  const int late = often(100, [&] {
    *from.data = 1;
    check(cudaMemcpyAsync(x, from.data, 4, cudaMemcpyHostToDevice, context.stream), "copying");
    *from.data = 2;
    return context.host(x, 1).front() == 2;
  });
  EXPECT_GT(late, 70);
  EXPECT_LT(late, 100);
}

TEST_F(EmulatedStreams, StreamsRunInAnyOrderButWaitForEvents) {
  TestContext one;
  TestContext other;
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  std::set<int> without;
  for (int i = 0; i < 200; ++i) {
    for (const bool waits : {false, true}) {
      int* x = one.device(std::vector{0});
      one.synchronize();
      launch(add_one, 1, 1, 0, one.stream, x);
      check(cudaEventRecord(event, one.stream), "recording");
      if (waits) check(cudaStreamWaitEvent(other.stream, event), "waiting");
      const int got = other.host(x, 1).front();
      if (waits) {
        EXPECT_EQ(got, 1);
      } else {
        without.insert(got);
      }
      one.synchronize();
    }
  }
  EXPECT_EQ(without, (std::set{0, 1}));
  check(cudaEventDestroy(event), "destroying");
}

TEST_F(EmulatedStreams, EventsTellTheTime) {
  TestContext context;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  int* x = context.device(std::vector{0});
  context.synchronize();
  cudaEventRecord(begin, context.stream);
  launch(add_one, 1, 1, 0, context.stream, x);
  cudaEventRecord(end, context.stream);
  while (cudaEventQuery(end) == cudaErrorNotReady) continue;
  EXPECT_EQ(cudaEventQuery(begin), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0.0f);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
}

TEST_F(EmulatedStreams, CopiesOfRowsAndTheNullStream) {
  TestContext context;
  int* x = context.device(std::vector{1, 2, 3, 4, 5, 6});
  int* y = context.room<int>(6);
  check(cudaMemcpy2DAsync(y, 8, x, 12, 8, 2, cudaMemcpyDeviceToDevice, context.stream), "copying");
  EXPECT_EQ(context.host(y, 6), (std::vector{1, 2, 4, 5, -1, -1}));
  std::vector<int> got(3);
  EXPECT_EQ(cudaMemset(x, 0, 8), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(got.data(), x, 12, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(got, (std::vector{0, 0, 3}));
  EXPECT_EQ(cudaMemcpy(got.data(), x, 12, cudaMemcpyHostToDevice), cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemcpy(got.data(), x + 4, 12, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_F(EmulatedStreams, HostFunctionsTakeTheirTurn) {
  TestContext context;
  std::vector<int> seen;
  int* x = context.device(std::vector{0});
  static int got;
  launch(add_one, 1, 1, 0, context.stream, x);
  check(cudaMemcpyAsync(&got, x, sizeof got, cudaMemcpyDeviceToHost, context.stream), "copying");
  const auto note = [](void* list) { static_cast<std::vector<int>*>(list)->push_back(got); };
  check(cudaLaunchHostFunc(context.stream, note, &seen), "calling");
  context.synchronize();
  EXPECT_EQ(seen, std::vector{1});
}

TEST_F(EmulatedStreams, TwoHostThreadsEachWithItsStream) {
  std::vector<std::thread> threads;
  std::vector<int> sums(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&sums, t] {
      TestContext context;
      int* x = context.device(std::vector{0});
      for (int i = 0; i < 100; ++i) {
        launch(add_one, 1, 1, 0, context.stream, x);
        if (i % 10 == 0) context.synchronize();
      }
      sums[t] = context.host(x, 1).front();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sums, std::vector<int>(4, 100));
}

// ---- graphs ----

struct Recording {
  explicit Recording(TestContext& its_context) : context(its_context) {
    check(cudaStreamBeginCapture(context.stream, cudaStreamCaptureModeGlobal), "beginning");
  }
  cudaError_t end() {
    cudaGraph_t graph = nullptr;
    const cudaError_t error = cudaStreamEndCapture(context.stream, &graph);
    if (error != cudaSuccess) return cudaGetLastError();
    check(cudaGraphInstantiate(&executable, graph, 0), "instantiating");
    return cudaGraphDestroy(graph);
  }
  ~Recording() { cudaGraphExecDestroy(executable); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  TestContext& context;
  cudaGraphExec_t executable = nullptr;
};

TEST_F(EmulatedStreams, GraphsReplay) {
  TestContext context;
  const Pinned from(10);
  int* x = context.device(std::vector{0});
  context.synchronize();
  Recording recording(context);
  check(cudaMemcpyAsync(x, from.data, 4, cudaMemcpyHostToDevice, context.stream), "copying");
  launch(add_one, 1, 1, 0, context.stream, x);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(context.stream, &status), "asking");
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  ASSERT_EQ(recording.end(), cudaSuccess);
  EXPECT_EQ(context.host(x, 1).front(), 0);  // recorded, not run
  for (const int value : {20, 30}) {
    *from.data = value;
    check(cudaGraphLaunch(recording.executable, context.stream), "launching");
    launch(add_one, 1, 1, 0, context.stream, x);
    EXPECT_EQ(context.host(x, 1).front(), value + 2);
  }
}

TEST_F(EmulatedStreams, CapturesAreSpoiled) {
  TestContext context;
  context.synchronize();
  const auto spoil = [&](const auto& call) {
    Recording recording(context);
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(recording.end(), cudaErrorStreamCaptureInvalidated);
  };
  spoil([&] { return cudaStreamSynchronize(context.stream); });
  spoil([&] { return cudaDeviceSynchronize(); });
  spoil([&] {
    void* memory = nullptr;
    return cudaMalloc(&memory, 100);
  });
  EXPECT_EQ(cudaStreamSynchronize(context.stream), cudaSuccess);
}

/// Adds one in another stream while the graph's own does; without `joins` nobody waits for it.
cudaError_t fork(TestContext& context, TestContext& other, int* x, bool joins, int times) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating");
  Recording recording(context);
  launch(add_one, 1, 1, 0, context.stream, x);
  check(cudaEventRecord(event, context.stream), "recording");
  check(cudaStreamWaitEvent(other.stream, event), "waiting");
  launch(add_one, 1, 1, 0, other.stream, x);
  check(cudaEventRecord(event, other.stream), "recording");
  if (joins) check(cudaStreamWaitEvent(context.stream, event), "waiting");
  launch(add_one, 1, 1, 0, context.stream, x);
  const cudaError_t error = recording.end();
  for (int i = 0; error == cudaSuccess && i < times; ++i) {
    check(cudaGraphLaunch(recording.executable, context.stream), "launching");
  }
  context.synchronize();
  cudaEventDestroy(event);
  return error;
}

TEST_F(EmulatedStreams, GraphsFork) {
  TestContext context;
  TestContext other;
  int* x = context.device(std::vector{0});
  context.synchronize();
  EXPECT_EQ(fork(context, other, x, false, 0), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(fork(context, other, x, true, 5), cudaSuccess);
  EXPECT_EQ(context.host(x, 1).front(), 15);
}

}  // namespace

}  // namespace trireme::cuda::test

#endif  // TRIREME_CUDA_EMULATED
