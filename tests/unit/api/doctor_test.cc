// What doctor makes of what it sees of GPUs.
#include <gtest/gtest.h>

#include "api/doctor_gpus.h"

namespace trireme {
namespace {

const Finding& named(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& finding : findings) {
    if (finding.name == name) return finding;
  }
  ADD_FAILURE() << name;
  return findings.front();
}

GpuInfo gpu(const std::string& name, int capability) {
  return {.name = name,
          .compute_capability = capability,
          .memory = std::int64_t{80} << 30,
          .arithmetic = name};
}

TEST(GpuFindings, AMachineWithoutGpusIsInOrder) {
  const GpuFacts facts{.why = "the plug-in cannot be loaded:\n  here: no\nBuild where nvcc is"};
  for (const Finding& finding : gpu_findings(facts)) {
    EXPECT_EQ(finding.status, Finding::Status::note) << finding.name;
    EXPECT_EQ(finding.value.find('\n'), std::string::npos) << finding.name;
  }
  const Finding plugin = named(gpu_findings(facts), "trireme's CUDA");
  EXPECT_EQ(plugin.value, "the plug-in cannot be loaded");
  EXPECT_EQ(plugin.advice, "Build where nvcc is");
}

TEST(GpuFindings, GpusThatCannotBeUsedAreAWarning) {
  const GpuFacts facts{.devices = 2, .module = "NVRM version: 580", .why = "no plug-in"};
  const std::vector<Finding> findings = gpu_findings(facts);
  EXPECT_EQ(named(findings, "NVIDIA").value, "2 devices; NVRM version: 580");
  EXPECT_EQ(named(findings, "CUDA driver").status, Finding::Status::warning);
  EXPECT_EQ(named(findings, "trireme's CUDA").status, Finding::Status::warning);
}

TEST(GpuFindings, EachGpuByNameAndSize) {
  GpuFacts facts{.devices = 2, .driver_version = 13000, .nccl_version = 22703};
  facts.gpus = {gpu("NVIDIA H200", 90), gpu("Tesla T4", 75)};
  const std::vector<Finding> findings = gpu_findings(facts);
  EXPECT_EQ(named(findings, "cuda:0").value, "NVIDIA H200, compute capability 9.0, 80.0 GiB");
  EXPECT_EQ(named(findings, "cuda:0").status, Finding::Status::good);
  EXPECT_EQ(named(findings, "cuda:1").status, Finding::Status::note);
  EXPECT_EQ(named(findings, "kinds of GPUs").status, Finding::Status::warning);
  EXPECT_EQ(named(findings, "CUDA driver").value, "for CUDA 13.0");
  EXPECT_EQ(named(findings, "NCCL").value, "2.27.3");
}

TEST(GpuFindings, SeveralGpusWantNccl) {
  GpuFacts facts{.devices = 2, .driver_version = 12040};
  facts.gpus = {gpu("NVIDIA A100", 80), gpu("NVIDIA A100", 80)};
  EXPECT_EQ(named(gpu_findings(facts), "NCCL").status, Finding::Status::warning);
  facts.gpus.pop_back();
  EXPECT_EQ(named(gpu_findings(facts), "NCCL").status, Finding::Status::note);
  facts.gpus[0].compute_capability = 70;
  EXPECT_EQ(named(gpu_findings(facts), "cuda:0").status, Finding::Status::warning);
}

TEST(GpuFindings, LookingTouchesNothingAndDoesNotThrow) {
  const GpuFacts facts = look_for_gpus();
  EXPECT_EQ(facts.gpus.empty(), !facts.why.empty());
}

}  // namespace
}  // namespace trireme
