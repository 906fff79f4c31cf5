#include "comm/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "core/error.h"

namespace trireme {
namespace {

/// Each case sees exactly the variables that it names.
RankEnvironment with(const std::map<std::string, std::string>& variables) {
  for (const char* const name : {"TRIREME_SHM_FD",
                                 "TRIREME_RANK",
                                 "TRIREME_WORLD_SIZE",
                                 "TRIREME_LOCAL_RANK",
                                 "TRIREME_LOCAL_SIZE",
                                 "TRIREME_REPLICA",
                                 "TRIREME_REPLICAS",
                                 "TRIREME_WEIGHTS_FD",
                                 "TRIREME_CONTROL_FD",
                                 "RANK",
                                 "WORLD_SIZE",
                                 "LOCAL_RANK",
                                 "LOCAL_WORLD_SIZE",
                                 "MASTER_ADDR",
                                 "MASTER_PORT",
                                 "TORCHELASTIC_RUN_ID",
                                 "OMPI_COMM_WORLD_SIZE",
                                 "OMPI_COMM_WORLD_RANK",
                                 "OMPI_COMM_WORLD_LOCAL_RANK",
                                 "OMPI_COMM_WORLD_LOCAL_SIZE",
                                 "MPI_LOCALRANKID",
                                 "MPI_LOCALNRANKS",
                                 "PMI_SIZE",
                                 "PMI_RANK",
                                 "PMIX_RANK",
                                 "SLURM_NTASKS",
                                 "SLURM_PROCID",
                                 "SLURM_LOCALID",
                                 "SLURM_NODEID",
                                 "SLURM_STEP_NUM_TASKS",
                                 "SLURM_STEP_TASKS_PER_NODE",
                                 "SLURM_TASKS_PER_NODE"}) {
    unsetenv(name);
  }
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  return rank_environment();
}

TEST(RankEnvironment, IsOneRankByDefault) {
  const RankEnvironment found = with({});
  EXPECT_EQ(found.transport, RankTransport::single);
  EXPECT_EQ(found.size, 1);
}

TEST(RankEnvironment, ReadsTheLaunchersVariables) {
  const RankEnvironment found = with({{"TRIREME_SHM_FD", "5"},
                                      {"TRIREME_RANK", "1"},
                                      {"TRIREME_WORLD_SIZE", "2"},
                                      {"TRIREME_LOCAL_RANK", "3"},
                                      {"TRIREME_LOCAL_SIZE", "4"},
                                      {"TRIREME_REPLICA", "1"},
                                      {"TRIREME_REPLICAS", "2"},
                                      {"OMPI_COMM_WORLD_SIZE", "9"}});
  EXPECT_EQ(found.transport, RankTransport::shm);
  EXPECT_EQ(found.rank, 1);
  EXPECT_EQ(found.size, 2);
  EXPECT_EQ(found.local_rank, 3);
  EXPECT_EQ(found.local_size, 4);
  EXPECT_EQ(found.replica, 1);
  EXPECT_EQ(found.shm_fd, 5);
  EXPECT_EQ(found.control_fd, -1);
}

TEST(RankEnvironment, ReadsMpirunAndSlurm) {
  EXPECT_EQ(with({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "2"}}).rank, 2);
  EXPECT_EQ(with({{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}}).rank, 3);
  const RankEnvironment pmix = with({{"PMIX_RANK", "1"}, {"SLURM_NTASKS", "2"}});
  EXPECT_EQ(pmix.transport, RankTransport::mpi);
  EXPECT_EQ(pmix.size, 2);
  const RankEnvironment slurm =
      with({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "7"}, {"SLURM_LOCALID", "3"}});
  EXPECT_EQ(slurm.transport, RankTransport::mpi);
  EXPECT_EQ(slurm.local_rank, 3);
  EXPECT_EQ(with({{"SLURM_NTASKS", "1"}, {"SLURM_PROCID", "0"}}).transport, RankTransport::single);
}

/// As srun of seven tasks on four nodes sets them (srun(1), OUTPUT ENVIRONMENT VARIABLES).
RankEnvironment slurm_step(const char* procid, const char* nodeid, const char* localid,
                           std::map<std::string, std::string> more = {}) {
  more.insert({{"SLURM_NTASKS", "7"},
               {"SLURM_STEP_NUM_TASKS", "7"},
               {"SLURM_PROCID", procid},
               {"SLURM_NODEID", nodeid},
               {"SLURM_LOCALID", localid},
               {"SLURM_TASKS_PER_NODE", "2(x3),1"},
               {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"}});
  return with(more);
}

TEST(RankEnvironment, CountsSlurmsTasksOnThisNode) {
  EXPECT_EQ(slurm_step("0", "0", "0").local_size, 2);
  EXPECT_EQ(slurm_step("5", "2", "1").local_size, 2);
  EXPECT_EQ(slurm_step("5", "2", "1").local_rank, 1);
  EXPECT_EQ(slurm_step("6", "3", "0").local_size, 1);
  EXPECT_EQ(slurm_step("6", "4", "0").local_size, 1) << "a node that the list lacks";
  const std::map<std::string, std::string> job{{"SLURM_NTASKS", "4"},
                                               {"SLURM_PROCID", "3"},
                                               {"SLURM_LOCALID", "3"},
                                               {"SLURM_TASKS_PER_NODE", "4"}};
  EXPECT_EQ(with(job).local_size, 4);
}

TEST(RankEnvironment, TheStepsTasksCountMoreThanTheJobs) {
  EXPECT_EQ(slurm_step("1", "0", "1", {{"SLURM_TASKS_PER_NODE", "16(x4)"}}).local_size, 2);
  EXPECT_EQ(slurm_step("6", "1", "2", {{"SLURM_STEP_TASKS_PER_NODE", "4,3"}}).local_size, 3);
  EXPECT_EQ(slurm_step("6", "3", "0", {{"PMI_SIZE", "7"}, {"PMI_RANK", "6"}}).local_size, 1);
  const std::map<std::string, std::string> mpirun{{"OMPI_COMM_WORLD_SIZE", "7"},
                                                  {"OMPI_COMM_WORLD_RANK", "1"},
                                                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "5"}};
  EXPECT_EQ(slurm_step("0", "0", "0", mpirun).local_size, 5);
}

TEST(RankEnvironment, RefusesWhatIsNoListOfTasks) {
  for (const char* list : {"x", "2(x", "2(x3", "2(3)", "2(x3)1", "2,", ",2", "-1", "2(x-3)",
                           "99999999999999", "2 ,1"}) {
    EXPECT_THROW(slurm_step("0", "0", "0", {{"SLURM_STEP_TASKS_PER_NODE", list}}), Error) << list;
  }
  with({});
}

TEST(RankEnvironment, RefusesWhatIsNoNumber) {
  EXPECT_THROW(with({{"TRIREME_SHM_FD", "three"}}), Error);
  EXPECT_THROW(with({{"TRIREME_SHM_FD", "-1"}}), Error);
  EXPECT_THROW(with({{"PMI_SIZE", "99999999999999"}}), Error);
  EXPECT_THROW(with({{"PMI_SIZE", "2"}, {"PMI_RANK", "2"}}), Error);
  with({});
}

const std::map<std::string, std::string> torchrun{{"RANK", "5"},
                                                  {"WORLD_SIZE", "8"},
                                                  {"LOCAL_RANK", "1"},
                                                  {"LOCAL_WORLD_SIZE", "4"},
                                                  {"MASTER_ADDR", "localhost"},
                                                  {"MASTER_PORT", "29500"}};

std::map<std::string, std::string> and_also(std::map<std::string, std::string> more) {
  more.insert(torchrun.begin(), torchrun.end());
  return more;
}

TEST(RankEnvironment, ReadsTorchrunsVariables) {
  const RankEnvironment found = with(torchrun);
  EXPECT_EQ(found.transport, RankTransport::env);
  EXPECT_EQ(found.rank, 5);
  EXPECT_EQ(found.size, 8);
  EXPECT_EQ(found.local_rank, 1);
  EXPECT_EQ(found.local_size, 4);
  EXPECT_EQ(found.master_addr, "localhost");
  EXPECT_EQ(found.master_port, 29500);
}

TEST(RankEnvironment, TakesTheInnermostLauncher) {
  // torchrun, started by srun or mpirun once per host.
  EXPECT_EQ(with(and_also({{"TORCHELASTIC_RUN_ID", "x"}, {"OMPI_COMM_WORLD_SIZE", "2"}})).transport,
            RankTransport::env);
  // Variables that a script sets from Slurm's or mpirun's.
  EXPECT_EQ(with(and_also({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "5"}})).transport,
            RankTransport::env);
  EXPECT_EQ(
      with(and_also({{"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_RANK", "5"}})).transport,
      RankTransport::mpi);
  // `trireme launch` in a job of torchrun's.
  EXPECT_EQ(with(and_also({{"TRIREME_SHM_FD", "5"}, {"TORCHELASTIC_RUN_ID", "x"}})).transport,
            RankTransport::shm);
}

TEST(RankEnvironment, OneRankOfVariablesIsAlone) {
  EXPECT_EQ(with({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).transport, RankTransport::single);
  EXPECT_EQ(with({{"RANK", "3"}}).transport, RankTransport::single);
}

TEST(RankEnvironment, VariablesWithoutAMeetingPointAreRefused) {
  for (const char* const port : {"", "0", "70000"}) {
    EXPECT_THROW(
        with({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", port}}),
        Error);
  }
}

}  // namespace
}  // namespace trireme
