// The emulation itself: what must work does, and each mistake that it is to show shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/dtype.h"
#include "support.h"

namespace trireme::cuda::test {

namespace {

using Emulation = CudaTest;
using EmulationDeath = CudaTest;

// ---- threads, blocks and barriers ----

__global__ void number_threads(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned at = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[at] = static_cast<int>(at);
}

TEST_F(Emulation, EveryThreadOfEveryBlockRunsOnce) {
  TestContext context;
  int* out = context.room<int>(2 * 3 * 2 * 24);
  launch(number_threads, dim3(2, 3, 2), dim3(4, 3, 2), 0, context.stream, out);
  check_launch("number_threads");
  std::vector<int> expected(2 * 3 * 2 * 24);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(context.host(out, 2 * 3 * 2 * 24), expected);
}

/// The sum of 256 numbers per block; with `Careless`, one barrier is missing.
template <bool Careless>
__global__ void sum_blocks(const float* x, float* y) {
  __shared__ float parts[8];
  float sum = x[blockIdx.x * 256 + threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  if (!Careless) __syncthreads();
  if (threadIdx.x == 0) {
    sum = 0;
    for (const float part : parts) sum += part;
    y[blockIdx.x] = sum;
  }
}

std::vector<float> block_sums(bool careless) {
  TestContext context;
  const std::int64_t blocks = 100;
  const float* x = context.device(std::vector<float>(blocks * 256, 1.0f));
  auto* y = context.room<float>(blocks);
  launch(careless ? &sum_blocks<true> : &sum_blocks<false>, blocks, 256, 0, context.stream, x, y);
  check_launch("sum_blocks");
  return context.host(y, blocks);
}

TEST_F(Emulation, BlocksAddUp) { EXPECT_EQ(block_sums(false), std::vector<float>(100, 256.0f)); }

#ifdef TRIREME_CUDA_EMULATED  // a GPU may forgive it
TEST_F(Emulation, AMissingBarrierShows) {
  const std::vector<float> sums = block_sums(true);
  EXPECT_GT(std::count_if(sums.begin(), sums.end(), [](float x) { return std::isnan(x); }), 50);
}
#endif

/// Rotates numbers through shared memory; with `Careless`, a fast warp overtakes a slow one.
template <bool Careless>
__global__ void rotate(int* out) {
  __shared__ int room[64];
  int value = static_cast<int>(threadIdx.x);
  for (int step = 0; step < 64; ++step) {
    room[threadIdx.x] = value;
    __syncthreads();
    value = room[(threadIdx.x + 1) % 64];
    if (!Careless) __syncthreads();
  }
  out[threadIdx.x] = value;
}

#ifdef TRIREME_CUDA_EMULATED  // a GPU may forgive it
TEST_F(Emulation, AMissingSecondBarrierShows) {
  TestContext context;
  std::vector<int> expected(64);
  std::iota(expected.begin(), expected.end(), 0);
  int* out = context.room<int>(64);
  launch(rotate<false>, 1, 64, 0, context.stream, out);
  EXPECT_EQ(context.host(out, 64), expected);
  launch(rotate<true>, 1, 64, 0, context.stream, out);
  EXPECT_NE(context.host(out, 64), expected);
}
#endif

__global__ void count_threads(int* out) {
  const int self = static_cast<int>(threadIdx.x);
  const int odd = __syncthreads_count(self % 2);
  const int all = __syncthreads_and(self < 100);
  const int any = __syncthreads_or(self == 77);
  if (self == 50) {
    out[0] = odd;
    out[1] = all;
    out[2] = any;
  }
}

TEST_F(Emulation, BarriersCount) {
  TestContext context;
  int* out = context.room<int>(3);
  launch(count_threads, 1, 100, 0, context.stream, out);
  EXPECT_EQ(context.host(out, 3), (std::vector<int>{50, 1, 1}));
}

// ---- warps ----

__global__ void shuffle_lanes(int* out, std::int64_t* wide) {
  const int self = static_cast<int>(threadIdx.x);
  out[self] = __shfl_sync(0xffffffffu, self, 5);
  out[32 + self] = __shfl_sync(0xffffffffu, self, self + 1, 8);
  out[64 + self] = __shfl_up_sync(0xffffffffu, self, 3, 16);
  out[96 + self] = __shfl_down_sync(0xffffffffu, self, 3, 16);
  out[128 + self] = __shfl_xor_sync(0xffffffffu, self, 9);
  out[160 + self] = static_cast<int>(__ballot_sync(0xffffffffu, self % 3 == 0));
  out[192 + self] = __any_sync(0xffffffffu, self == 9) + 2 * __all_sync(0xffffffffu, self == 9);
  wide[self] = __shfl_xor_sync(0xffffffffu, std::int64_t{1} << (self + 10), 1);
}

TEST_F(Emulation, LanesShuffle) {
  TestContext context;
  int* out = context.room<int>(7 * 32);
  auto* wide = context.room<std::int64_t>(32);
  launch(shuffle_lanes, 1, 32, 0, context.stream, out, wide);
  const std::vector<int> got = context.host(out, 7 * 32);
  const std::vector<std::int64_t> got_wide = context.host(wide, 32);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(got[i], 5);
    EXPECT_EQ(got[32 + i], i / 8 * 8 + (i + 1) % 8);
    EXPECT_EQ(got[64 + i], i % 16 < 3 ? i : i - 3);
    EXPECT_EQ(got[96 + i], i % 16 > 12 ? i : i + 3);
    EXPECT_EQ(got[128 + i], i ^ 9);
    EXPECT_EQ(got[160 + i], 0x49249249);
    EXPECT_EQ(got[192 + i], 1);
    EXPECT_EQ(got_wide[i], std::int64_t{1} << ((i ^ 1) + 10));
  }
}

// ---- tensor cores ----

/// d[16, 8] += a[16, K] b[K, 8]^T for one product's K; b is stored [8, K].
template <typename Word, typename Sum, int K, typename Multiply>
__device__ void multiply_once(const Word* a, const Word* b, Sum* d, Multiply multiply) {
  const int group = static_cast<int>(threadIdx.x) / 4;
  const int quad = static_cast<int>(threadIdx.x) % 4;
  constexpr int step = 4 / sizeof(Word);  // k per register
  std::uint32_t a_words[4];
  std::uint32_t b_words[2];
  for (int r = 0; r < 4; ++r) {
    memcpy(&a_words[r], a + (group + r % 2 * 8) * K + step * quad + r / 2 * (K / 2), 4);
  }
  for (int r = 0; r < 2; ++r) memcpy(&b_words[r], b + group * K + step * quad + r * (K / 2), 4);
  Sum sums[4];
  for (int r = 0; r < 4; ++r) sums[r] = d[(group + r / 2 * 8) * 8 + 2 * quad + r % 2];
  multiply(sums, a_words, b_words);
  for (int r = 0; r < 4; ++r) d[(group + r / 2 * 8) * 8 + 2 * quad + r % 2] = sums[r];
}
__global__ void multiply_bf16(const std::uint16_t* a, const std::uint16_t* b, float* d) {
  multiply_once<std::uint16_t, float, 16>(
      a, b, d, [](auto& s, const auto& x, const auto& y) { mma_bf16(s, x, y); });
}
__global__ void multiply_f16(const std::uint16_t* a, const std::uint16_t* b, float* d) {
  multiply_once<std::uint16_t, float, 16>(
      a, b, d, [](auto& s, const auto& x, const auto& y) { mma_f16(s, x, y); });
}
__global__ void multiply_s8(const std::int8_t* a, const std::int8_t* b, std::int32_t* d) {
  multiply_once<std::int8_t, std::int32_t, 32>(
      a, b, d, [](auto& s, const auto& x, const auto& y) { mma_s8(s, x, y); });
}

float made_up(int i) { return std::sin(static_cast<float>(i) * 12.9898f) * 3.0f; }

void check_floats(bool bf16) {
  TestContext context;
  if (!context.traits.tensor_cores()) GTEST_SKIP() << "needs compute capability 8.0";
  std::vector<std::uint16_t> a(16 * 16);
  std::vector<std::uint16_t> b(8 * 16);
  std::vector<float> d(16 * 8);
  const auto encode = bf16 ? &f32_to_bf16 : &f32_to_f16;
  const auto decode = bf16 ? &bf16_to_f32 : &f16_to_f32;
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = encode(made_up(static_cast<int>(i)));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = encode(made_up(static_cast<int>(i) + 1000));
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = made_up(static_cast<int>(i) + 2000);
  float* sums = context.device(d);
  launch(bf16 ? &multiply_bf16 : &multiply_f16, 1, 32, 0, context.stream, context.device(a),
         context.device(b), sums);
  check_launch("multiply");
  const std::vector<float> got = context.host(sums, 16 * 8);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double wanted = d[row * 8 + column];
      for (int k = 0; k < 16; ++k) {
        wanted += static_cast<double>(decode(a[row * 16 + k])) * decode(b[column * 16 + k]);
      }
      EXPECT_NEAR(got[row * 8 + column], wanted, 1e-4) << row << ", " << column;
    }
  }
}

TEST_F(Emulation, TensorCoresMultiplyBf16) { check_floats(true); }
TEST_F(Emulation, TensorCoresMultiplyF16) { check_floats(false); }

TEST_F(Emulation, TensorCoresMultiplyBytesExactly) {
  TestContext context;
  if (!context.traits.tensor_cores()) GTEST_SKIP() << "needs compute capability 8.0";
  std::vector<std::int8_t> a(16 * 32);
  std::vector<std::int8_t> b(8 * 32);
  std::vector<std::int32_t> d(16 * 8);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<std::int8_t>(i * 37 + 128);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<std::int8_t>(i * 91 + 128);
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<std::int32_t>(i) * 1000 - 50000;
  std::int32_t* sums = context.device(d);
  launch(multiply_s8, 1, 32, 0, context.stream, context.device(a), context.device(b), sums);
  const std::vector<std::int32_t> got = context.host(sums, 16 * 8);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      std::int32_t wanted = d[row * 8 + column];
      for (int k = 0; k < 32; ++k) wanted += a[row * 32 + k] * b[column * 32 + k];
      EXPECT_EQ(got[row * 8 + column], wanted) << row << ", " << column;
    }
  }
}

// ---- asynchronous copies ----

enum class Copying { right, no_wait, too_few };

/// Two groups of copies through dynamic shared memory, 16 bytes per thread each.
template <Copying how>
__global__ void copy_through(const uint4* from, uint4* to, int valid) {
  auto* room = dynamic_shared<uint4>();
  const unsigned self = threadIdx.x;
  for (unsigned group = 0; group < 2; ++group) {
    const unsigned at = group * blockDim.x + self;
    copy_async_16(room + at, from + at, static_cast<int>(at) < valid);
    copy_async_commit();
  }
  if (how == Copying::too_few) copy_async_wait<1>();
  if (how == Copying::right) copy_async_wait<0>();
  __syncthreads();
  const unsigned size = 2 * blockDim.x;
  for (unsigned at = self; at < size; at += blockDim.x) to[size - 1 - at] = room[size - 1 - at];
}

std::vector<std::int32_t> copied(Copying how, int valid) {
  TestContext context;
  std::vector<std::int32_t> values(2 * 64 * 4);
  std::iota(values.begin(), values.end(), 1);
  const auto* from = reinterpret_cast<const uint4*>(context.device(values));
  auto* to = context.room<uint4>(2 * 64);
  launch(how == Copying::right     ? &copy_through<Copying::right>
         : how == Copying::no_wait ? &copy_through<Copying::no_wait>
                                   : &copy_through<Copying::too_few>,
         1, 64, 2 * 64 * sizeof(uint4), context.stream, from, to, valid);
  check_launch("copy_through");
  return context.host(reinterpret_cast<std::int32_t*>(to), 2 * 64 * 4);
}

TEST_F(Emulation, CopiesArrive) {
  std::vector<std::int32_t> expected(2 * 64 * 4);
  std::iota(expected.begin(), expected.begin() + 100 * 4, 1);  // the others are zeros
  EXPECT_EQ(copied(Copying::right, 100), expected);
}

#ifdef TRIREME_CUDA_EMULATED  // a GPU may forgive it
TEST_F(Emulation, CopiesThatNobodyWaitsForDoNot) {
  if (TestContext().traits.compute_capability < 80) GTEST_SKIP() << "copies are plain below 8.0";
  EXPECT_EQ(copied(Copying::no_wait, 128), std::vector<std::int32_t>(2 * 64 * 4, -1));
  const std::vector<std::int32_t> got = copied(Copying::too_few, 128);
  EXPECT_EQ(got[63 * 4], 63 * 4 + 1);
  EXPECT_EQ(got[64 * 4], -1);
}
#endif

#ifdef TRIREME_CUDA_EMULATED

// ---- what a kernel must not do ----

enum class Mistake {
  early_return,
  part_of_a_barrier,
  part_of_a_warp,
  parted_warp,
  mask,
  overrun_shared,
  overrun_global,
  underrun_global,
  null,
  deep,
};

int recurse(int depth) {
  volatile char room[1024];
  room[0] = static_cast<char>(depth);
  return depth == 0 ? room[0] : recurse(depth - 1) + room[0];
}

__global__ void err(Mistake mistake, int* memory) {
  const int self = static_cast<int>(threadIdx.x);
  switch (mistake) {
    case Mistake::early_return:
      if (self >= 40) return;
      __syncthreads();
      break;
    case Mistake::part_of_a_barrier:
      if (self >= 32) {
        __syncthreads();
      } else {
        __syncwarp();
        if (self >= 16) __syncwarp();
      }
      break;
    case Mistake::part_of_a_warp:
      if (self < 48) __shfl_sync(0xffffffffu, self, 0);
      break;
    case Mistake::parted_warp:
      if (self % 2 == 0) __syncwarp();
      if (self % 2 == 1) __shfl_sync(0xffffffffu, self, 0);
      break;
    case Mistake::mask:
      __shfl_sync(0xffffu, self, 0);
      break;
    case Mistake::overrun_shared:
      dynamic_shared<int>()[self] = 1;  // there are 32
      break;
    case Mistake::overrun_global:
      memory[self] = 1;  // there are 64, a multiple of 256 bytes
      memory[64] = 1;
      break;
    case Mistake::underrun_global:
      memory[-1500] = 1;
      break;
    case Mistake::null:
      *static_cast<volatile int*>(nullptr) = 1;
      break;
    case Mistake::deep:
      memory[self] = recurse(1000);
      break;
  }
}

void commit(Mistake mistake) {
  TestContext context;
  int* memory = context.room<int>(64);
  launch(err, 1, 64, 32 * sizeof(int), context.stream, mistake, memory);
  check_launch("err");
  context.synchronize();
}

TEST_F(EmulationDeath, BarriersAreForAll) {
  EXPECT_DEATH(commit(Mistake::early_return), "others .*in kernel .*err, block \\(0, 0, 0\\)");
  EXPECT_DEATH(commit(Mistake::part_of_a_barrier), "threads wait at __syncthreads");
  EXPECT_DEATH(commit(Mistake::part_of_a_warp), "lanes of warp 1 at __shfl_sync|have returned");
  EXPECT_DEATH(commit(Mistake::parted_warp), "lanes of a warp part");
  EXPECT_DEATH(commit(Mistake::mask), "__shfl_sync with a mask that leaves out lanes");
}

TEST_F(EmulationDeath, MemoryEnds) {
  EXPECT_DEATH(commit(Mistake::overrun_shared), "no device memory in kernel .*err");
  EXPECT_DEATH(commit(Mistake::overrun_global), "byte 256 of an allocation of 256 in kernel .*err");
  EXPECT_DEATH(commit(Mistake::underrun_global), "before an allocation of 256");
  EXPECT_DEATH(commit(Mistake::null), "a null pointer or a misaligned access in kernel .*err");
  EXPECT_DEATH(commit(Mistake::deep), "stack is full in kernel .*err");
}

__global__ void write_behind(float* x, std::int64_t count) { x[count] = 1; }

TEST_F(EmulationDeath, WritesJustBehindAnAllocation) {
  EXPECT_DEATH(
      {
        TestContext context;
        launch(write_behind, 1, 1, 0, context.stream, context.room<float>(65), std::int64_t{65});
        context.synchronize();
      },
      "somebody wrote outside the 260 bytes of an allocation");
}

struct Pair {
  std::int32_t number;
  const float* pointer;
};
__global__ void read_pair(Pair pair, float* y) { *y = *pair.pointer; }

TEST_F(EmulationDeath, HostAndDeviceMemoryAreApart) {
  TestContext context;
  auto* y = context.room<float>(100);
  context.synchronize();
  EXPECT_DEATH(
      for (int i = 0; i < 100; ++i) {  // what has run for long is watched now and then
        launch(write_behind, 1, 1, 0, context.stream, y, std::int64_t{0});
        context.synchronize();
        std::printf("%f", static_cast<double>(y[3]));
      },
      "the host touches device memory");
  const std::vector<float> host(100);
  const Pair pair{3, host.data()};
  EXPECT_DEATH(launch(read_pair, 1, 1, 0, context.stream, pair, y),
               "argument 0 of kernel .*read_pair holds an address of the host's");
  EXPECT_DEATH(
      {
        check(cudaFree(y), "freeing");
        launch(write_behind, 1, 1, 0, context.stream, y, 0);
        context.synchronize();
      },
      "byte 0 of a freed allocation of 400");
}

// ---- what a launch must not ask for ----

TEST_F(Emulation, LaunchesAreChecked) {
  TestContext context;
  auto* y = context.room<float>(1);
  const auto error = [&](dim3 grid, dim3 block, std::size_t shared_bytes) {
    launch(write_behind, grid, block, shared_bytes, context.stream, y, std::int64_t{0});
    return cudaGetLastError();
  };
  EXPECT_EQ(error(1, 1, 0), cudaSuccess);
  EXPECT_EQ(error(0, 1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error(1, 1025, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(error(1, 1, 48 << 10), cudaSuccess);
  EXPECT_EQ(error(1, 1, (48 << 10) + 1), cudaErrorInvalidValue);
  const auto limit = static_cast<int>(context.traits.shared_bytes_per_block);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(write_behind, attribute, limit + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(write_behind, attribute, limit), cudaSuccess);
  EXPECT_EQ(error(1, 1, context.traits.shared_bytes_per_block), cudaSuccess);
  EXPECT_THROW(check(cudaErrorMemoryAllocation, "allocating"), std::runtime_error);
}

__global__ void touch(float* x) { *x = dynamic_shared<float>() == nullptr; }

TEST_F(Emulation, DevicesAreApart) {
  setenv("TRIREME_CUDA_EMULATION_DEVICES", "2", 1);
  TestContext other(1);
  auto* y = other.room<float>(1);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(touch, attribute, 60000), cudaSuccess);
  launch(touch, 1, 1, 60000, other.stream, y);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  TestContext context(0);
  launch(touch, 1, 1, 0, other.stream, y);  // that is not the current device's
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  launch(touch, 1, 1, 60000, context.stream, context.room<float>(1));  // not allowed on this one
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  unsetenv("TRIREME_CUDA_EMULATION_DEVICES");
}

TEST_F(Emulation, MemoryEnds) {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  ASSERT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
  void* most = nullptr;
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&most, free_bytes - 4096), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&more, 8192), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaFree(most), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&more, 8192), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaErrorInvalidValue);
  cudaGetLastError();
}

// ---- speed ----

__global__ void twice(float* x) { x[blockIdx.x * blockDim.x + threadIdx.x] *= 2; }

TEST_F(Emulation, AMillionThreadsTakeNoTime) {
  TestContext context;
  auto* x = context.device(std::vector<float>(4000 * 256, 1.0f));
  launch(twice, 4000, 256, 0, context.stream, x);
  EXPECT_EQ(context.host(x, 4000 * 256), std::vector<float>(4000 * 256, 2.0f));
}

#endif  // TRIREME_CUDA_EMULATED

}  // namespace

}  // namespace trireme::cuda::test
