#include "batch/fail_point.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"

namespace trireme {

namespace {

constexpr auto names = std::to_array<std::string_view>({
    "journal.create.before",
    "journal.create.after",
    "journal.head.before",
    "journal.head.after",
    "journal.head.sync.before",
    "journal.head.sync.after",
    "journal.directory.sync.before",
    "journal.directory.sync.after",
    "journal.cut.before",
    "journal.cut.after",
    "journal.append.before",
    "journal.append.after",
    "journal.sync.before",
    "journal.sync.after",
    "output.create.before",
    "output.create.after",
    "output.write.before",
    "output.write.after",
    "output.sync.before",
    "output.sync.after",
    "shards.mark.before",
    "shards.mark.after",
    "shards.replace.before",
    "shards.replace.after",
    "output.rename.before",
    "output.rename.after",
    "output.directory.sync.before",
    "output.directory.sync.after",
    "journal.remove.before",
    "journal.remove.after",
    "journal.gone.sync.before",
    "journal.gone.sync.after",
});

std::vector<std::string> parts_of(const char* variable, std::size_t most) {
  std::vector<std::string> parts;
  const std::string text = std::getenv(variable);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() > most) fail(ErrorKind::usage, "{}={}: not understood", variable, text);
  return parts;
}

std::uint64_t count_of(const char* variable, std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count == 0) {
    fail(ErrorKind::usage, "{}: {} is no count from 1", variable, text);
  }
  return count;
}

struct FailPoint {
  std::string name;
  std::uint64_t passings = 1;  ///< left until it ends the process
};

FailPoint wanted_fail_point() {
  constexpr const char* variable = "TRIREME_TEST_FAIL_POINT";
  const std::vector<std::string> parts = parts_of(variable, 2);
  if (std::ranges::find(names, parts[0]) == names.end()) {
    fail(ErrorKind::usage, "{}: there is no point {}", variable, parts[0]);
  }
  return {parts[0], parts.size() > 1 ? count_of(variable, parts[1]) : 1};
}

struct DiskError {
  std::string operation;
  std::uint64_t first = 1;
  int number = 0;
};

DiskError wanted_disk_error() {
  constexpr const char* variable = "TRIREME_TEST_DISK_ERROR";
  const std::map<std::string, int> errors{
      {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}, {"ENOLCK", ENOLCK}};
  const std::vector<std::string> parts = parts_of(variable, 3);
  if (parts.size() < 3 || !errors.contains(parts[2])) {
    fail(ErrorKind::usage, "{}: OPERATION:COUNT:ENOSPC, EIO, EDQUOT or ENOLCK", variable);
  }
  return {parts[0], count_of(variable, parts[1]), errors.at(parts[2])};
}

}  // namespace

std::span<const std::string_view> fail_point_names() { return names; }

void detail::pass_fail_point(std::string_view name) {
  static FailPoint wanted = wanted_fail_point();
  TRIREME_ASSERT(std::ranges::find(names, name) != names.end());
  if (name == wanted.name && --wanted.passings == 0) kill(getpid(), SIGKILL);
}

int detail::next_disk_error(std::string_view operation) {
  static const DiskError wanted = wanted_disk_error();
  static std::uint64_t calls = 0;
  if (operation != wanted.operation) return 0;
  return ++calls >= wanted.first ? wanted.number : 0;
}

}  // namespace trireme
