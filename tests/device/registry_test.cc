// The choice of a backend at run time.
#include <cstdlib>

#include "core/error.h"
#include "kernels/cuda_plugin.h"
#include "support.h"

namespace trireme::test {
namespace {

TEST(Registry, MakesEveryAvailableBackend) {
  const std::vector<std::string> names = available_backends();
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "reference");
  for (const std::string& name : names) EXPECT_EQ(make_backend(name)->name(), name);
}

TEST(Registry, AutoTakesTheEnvironmentThenTheBest) {
  unsetenv("TRIREME_ISA");
  EXPECT_EQ(make_backend("")->name(), worthwhile_backends().back());
  setenv("TRIREME_ISA", "reference", 1);
  EXPECT_EQ(make_backend("auto")->name(), "reference");
  EXPECT_EQ(make_backend(worthwhile_backends().back())->name(), worthwhile_backends().back());
  unsetenv("TRIREME_ISA");
}

TEST(Registry, AnUnknownNameListsTheAvailableOnes) {
  try {
    make_backend("sse9");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("sse9"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("reference"), std::string::npos);
  }
}

TEST(Gpus, ThatRanksTakeInTurnMustBeAlike) {
  const GpuInfo one{.name = "A", .arithmetic = "cuda sm_80 A"};
  const GpuInfo other{.name = "B", .arithmetic = "cuda sm_90 B"};
  check_alike({});
  check_alike(std::vector{one, one});
  try {
    check_alike(std::vector{one, one, other});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("CUDA_VISIBLE_DEVICES"), std::string::npos);
  }
}

TEST(Gpus, AreNamedByTheirNumbers) {
  EXPECT_EQ(named_gpu("cuda"), std::nullopt);
  EXPECT_EQ(named_gpu("cuda:0"), 0);
  EXPECT_EQ(named_gpu("cuda:12"), 12);
  for (const char* name : {"cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda1", "gpu", ""}) {
    EXPECT_THROW(named_gpu(name), Error) << name;
  }
}

}  // namespace
}  // namespace trireme::test
