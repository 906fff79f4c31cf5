// Places at which a test can end the program or make the disk fail. They are in the product, and
// not in a build of its own, because what is tested must be what users run: the same binary, with
// its ranks, its exit codes and its messages. Without the variables below they cost a comparison.
//
// TRIREME_TEST_FAIL_POINT=NAME[:N]        SIGKILL to itself at the N-th passing of a point (1: the
// first) TRIREME_TEST_DISK_ERROR=OP:K:ERRNO      from the K-th on, each `write`, `sync`, `rename`
// or `remove`
//                                         of the output's files fails: "write:3:ENOSPC"
#pragma once

#include <cstdlib>
#include <span>
#include <string_view>

namespace trireme {

/// All points' names, in the order in which a run that resumes passes them.
std::span<const std::string_view> fail_point_names();

namespace detail {
inline bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != 0;
}
inline const bool fail_points_on = is_set("TRIREME_TEST_FAIL_POINT");
inline const bool disk_errors_on = is_set("TRIREME_TEST_DISK_ERROR");
void pass_fail_point(std::string_view name);
int next_disk_error(std::string_view operation);
}  // namespace detail

/// `name`: one of fail_point_names().
inline void fail_point(std::string_view name) {
  if (detail::fail_points_on) detail::pass_fail_point(name);
}

/// The errno with which this operation is to fail, else 0.
inline int test_disk_error(std::string_view operation) {
  return detail::disk_errors_on ? detail::next_disk_error(operation) : 0;
}

}  // namespace trireme
