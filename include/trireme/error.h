// What the library throws when a user can mend it: a message that says what, where, why and what to
// do, and the exit code that it should end the program with.
#pragma once

#include <stdexcept>
#include <string>

namespace trireme {

/// Why an operation could not be done; decides the program's exit code.
enum class ErrorKind {
  usage,      ///< a flag or an argument is wrong (exit 2)
  input,      ///< a file or a row holds something unusable (exit 1)
  resource,   ///< memory, disk, a device or a permission is missing (exit 4)
  peer_lost,  ///< another rank of this run died or hangs (exit 5: the run can be resumed)
};

/// An error that a user can cause. The message says what, where, why and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// An Error that every rank of the run throws alike: it is enough that one of them says so.
class CommonError : public Error {
 public:
  using Error::Error;
};

/// 0 done; 1 failed; 2 wrong usage; 3 done, some rows failed; 4 not enough resources; 5 stopped,
/// resumable.
inline int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return 2;
    case ErrorKind::input:
      return 1;
    case ErrorKind::resource:
      return 4;
    case ErrorKind::peer_lost:
      return 5;
  }
  return 1;
}

}  // namespace trireme
