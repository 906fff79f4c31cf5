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

/// What torchrun sets, or somebody by hand.
RankEnvironment from_variables(int rank, int size) {
  RankEnvironment found;
  const char* const address = std::getenv("MASTER_ADDR");
  const int port = number("MASTER_PORT").value_or(0);
  if (address == nullptr || *address == '\0' || port < 1 || port > 65535) {
    fail(ErrorKind::usage,
         "RANK={} and WORLD_SIZE={} are set, but not MASTER_ADDR and MASTER_PORT (1 to 65535), "
         "where the ranks meet; set them, or unset RANK to run one rank",
         rank, size);
  }
  found.transport = RankTransport::env;
  found.rank = rank;
  found.size = size;
  found.local_rank = number("LOCAL_RANK").value_or(rank);
  found.local_size = std::max(1, number("LOCAL_WORLD_SIZE").value_or(size));
  found.master_addr = address;
  found.master_port = port;
  return found;
}

/// RANK and WORLD_SIZE, if they speak of several ranks.
std::optional<RankEnvironment> look_at_variables() {
  const auto rank = number("RANK");
  const auto size = number("WORLD_SIZE");
  if (!rank || !size || (*size <= 1 && *rank == 0)) return std::nullopt;
  return from_variables(*rank, *size);
}

void check(const RankEnvironment& found) {
  if (found.size > 0 && found.rank >= found.size) {
    fail(ErrorKind::usage, "the environment says rank {} of {}: ranks count from 0", found.rank,
         found.size);
  }
}

RankEnvironment look() {
  if (const auto fd = number("TRIREME_SHM_FD")) return from_launcher(*fd);
  // torchrun may itself run under mpirun or Slurm, once per host; its ranks are the innermost.
  // So are those of `trireme launch --num_machines`.
  const bool torchrun = std::getenv("TORCHELASTIC_RUN_ID") != nullptr ||
                        std::getenv("TRIREME_NUM_MACHINES") != nullptr;
  if (const auto found = torchrun ? look_at_variables() : std::nullopt) return *found;
  if (const auto size = number("OMPI_COMM_WORLD_SIZE")) {
    return from_mpi(number("OMPI_COMM_WORLD_RANK").value_or(0), *size);
  }
  if (const auto size = number("PMI_SIZE")) return from_mpi(number("PMI_RANK").value_or(0), *size);
  // In a Slurm step the number of tasks is the step's; a job may have steps of any size.
  const int tasks = first_number({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}).value_or(0);
  if (const auto rank = number("PMIX_RANK")) return from_mpi(*rank, tasks);
  // Slurm sets its own in every task, whatever else the script arranges.
  if (const auto found = look_at_variables()) return *found;
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

std::chrono::seconds peer_timeout() {
  constexpr int usual = 10;
  const int asked = number(peer_timeout_variable).value_or(usual);
  if (asked < least_peer_timeout || asked > most_peer_timeout) {
    fail(ErrorKind::usage, "environment variable {}={}: expected seconds, from {} to {}",
         peer_timeout_variable, asked, least_peer_timeout, most_peer_timeout);
  }
  return std::chrono::seconds(asked);
}

}  // namespace trireme
