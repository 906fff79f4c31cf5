#include "batch/failure_reports.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace trireme {

FailureReports::FailureReports() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    fail(ErrorKind::resource, "cannot create a pipe: {}", std::strerror(errno));
  }
  own_end_ = ends[0];
  ranks_end_ = ends[1];
}

FailureReports::~FailureReports() {
  close(own_end_);
  close(ranks_end_);
}

std::vector<std::string> FailureReports::take() {
  char bytes[4096];
  for (ssize_t count = 0; (count = read(own_end_, bytes, sizeof(bytes))) > 0;) {
    incoming_.append(bytes, static_cast<std::size_t>(count));
  }
  std::vector<std::string> reports;
  std::size_t begin = 0;
  for (std::size_t end; (end = incoming_.find('\0', begin)) != std::string::npos; begin = end + 1) {
    std::string report = incoming_.substr(begin, end - begin);
    if (told_.insert(report).second) reports.push_back(std::move(report));
  }
  incoming_.erase(0, begin);
  return reports;
}

bool report_failure(std::string_view message) {
  const char* const fd = std::getenv(FailureReports::variable);
  if (fd == nullptr) return false;
  // Up to PIPE_BUF bytes are written whole or not at all, however many ranks write.
  const std::string record(message.substr(0, PIPE_BUF - 1));
  return write(std::atoi(fd), record.c_str(), record.size() + 1) > 0;
}

}  // namespace trireme
