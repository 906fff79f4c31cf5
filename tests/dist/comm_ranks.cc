#include "comm_ranks.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

namespace trireme {

namespace fs = std::filesystem;

Notes::Notes() {
  std::string pattern = fs::temp_directory_path() / "trireme-notes-XXXXXX";
  folder_ = mkdtemp(pattern.data());
}

Notes::~Notes() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::optional<std::string> Notes::read(const std::string& name, int local_rank) const {
  std::ifstream file(folder_ / (name + "." + std::to_string(local_rank)));
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Notes::wait(const std::string& name, int local_rank) const {
  const auto end = std::chrono::steady_clock::now() + soon;
  while (std::chrono::steady_clock::now() < end) {
    if (const auto text = read(name, local_rank)) return *text;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return "";
}

int Notes::count(const std::string& name) const {
  int found = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string file = entry.path().filename();
    if (file.starts_with(name + ".") && !file.ends_with(".new")) ++found;
  }
  return found;
}

LaunchSpec workers(const Notes& notes, int ranks, std::vector<std::string> arguments) {
  LaunchSpec spec;
  spec.program = TRIREME_BINARY_DIR "/comm_worker";
  spec.arguments = std::move(arguments);
  spec.group_size = ranks;
  spec.env["TRIREME_TEST_NOTES"] = notes.folder();
  return spec;
}

bool process_lives(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const auto name_end = line.rfind(')');
  return line.substr(name_end + 2, 1) != "Z";
}

}  // namespace trireme
