#include "comm/environment.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "core/error.h"

namespace trireme {

namespace {

std::optional<int> number(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view view(text);
  int value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size() || value < 0) {
    fail(ErrorKind::usage, "environment variable {}={}: expected a number from 0 on; unset it",
         name, text);
  }
  return value;
}

/// The first of `names` that is set.
std::optional<int> first_number(std::initializer_list<const char*> names) {
  for (const char* const name : names) {
    if (const auto value = number(name)) return value;
  }
  return std::nullopt;
}

/// Takes a number off the front of `text`.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Takes "2(x3)", three nodes of two tasks each, or "2", one such node, off the front of `list`.
struct NodeTasks {
  int tasks = 0;
  int nodes = 1;
};
std::optional<NodeTasks> take_nodes(std::string_view& list) {
  const auto tasks = take_number(list);
  if (!tasks) return std::nullopt;
  if (!list.starts_with("(x")) return NodeTasks{*tasks, 1};
  list.remove_prefix(2);
  const auto nodes = take_number(list);
  if (!nodes || !list.starts_with(")")) return std::nullopt;
  list.remove_prefix(1);
  return NodeTasks{*tasks, *nodes};
}

/// How many tasks Slurm has on the `node`th node, from a list such as "2(x3),1" in the variable
/// `name`. A list too short for the node tells nothing.
std::optional<int> slurm_tasks(const char* name, int node) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  std::optional<int> found;
  std::int64_t begin = 0;
  for (std::string_view list(text);; list.remove_prefix(1)) {
    const auto nodes = take_nodes(list);
    if (!nodes || !(list.empty() || list.starts_with(","))) {
      fail(ErrorKind::usage,
           "environment variable {}={}: expected Slurm's list of tasks per node, such as 2(x3),1; "
           "unset it",
           name, text);
    }
    if (begin <= node && node < begin + nodes->nodes) found = nodes->tasks;
    begin += nodes->nodes;
    if (list.empty()) return found;
  }
}

/// The tasks of this Slurm step on this node; the job's, where the step says nothing.
std::optional<int> slurm_local_size() {
  const int node = number("SLURM_NODEID").value_or(0);
  if (const auto tasks = slurm_tasks("SLURM_STEP_TASKS_PER_NODE", node)) return tasks;
  return slurm_tasks("SLURM_TASKS_PER_NODE", node);
}

RankEnvironment from_launcher(int shm_fd) {
  RankEnvironment found;
  found.transport = RankTransport::shm;
  found.shm_fd = shm_fd;
  found.rank = number("TRIREME_RANK").value_or(0);
  found.size = number("TRIREME_WORLD_SIZE").value_or(1);
  found.local_rank = number("TRIREME_LOCAL_RANK").value_or(found.rank);
  found.local_size = number("TRIREME_LOCAL_SIZE").value_or(found.size);
  found.replica = number("TRIREME_REPLICA").value_or(0);
  found.replicas = number("TRIREME_REPLICAS").value_or(1);
  found.weights_fd = number("TRIREME_WEIGHTS_FD").value_or(-1);
  found.control_fd = number("TRIREME_CONTROL_FD").value_or(-1);
  return found;
}

RankEnvironment from_mpi(int rank, int size) {
  RankEnvironment found;
  found.transport = RankTransport::mpi;
  found.rank = rank;
  found.size = size;
  found.local_rank =
      first_number({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(0);
  auto local_size = first_number({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"});
  if (!local_size) local_size = slurm_local_size();
  found.local_size = std::max(1, local_size.value_or(1));
  return found;
}

void check(const RankEnvironment& found) {
  if (found.size > 0 && found.rank >= found.size) {
    fail(ErrorKind::usage, "the environment says rank {} of {}: ranks count from 0", found.rank,
         found.size);
  }
}

RankEnvironment look() {
  if (const auto fd = number("TRIREME_SHM_FD")) return from_launcher(*fd);
  if (const auto size = number("OMPI_COMM_WORLD_SIZE")) {
    return from_mpi(number("OMPI_COMM_WORLD_RANK").value_or(0), *size);
  }
  if (const auto size = number("PMI_SIZE")) return from_mpi(number("PMI_RANK").value_or(0), *size);
  // In a Slurm step the number of tasks is the step's; a job may have steps of any size.
  const int tasks = first_number({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}).value_or(0);
  if (const auto rank = number("PMIX_RANK")) return from_mpi(*rank, tasks);
  const auto rank = number("SLURM_PROCID");
  if (rank && tasks > 1) return from_mpi(*rank, tasks);
  return {};
}

}  // namespace

RankEnvironment rank_environment() {
  const RankEnvironment found = look();
  check(found);
  return found;
}

}  // namespace trireme
