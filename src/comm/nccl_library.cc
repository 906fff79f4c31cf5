#include "comm/nccl_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>

namespace trireme {

namespace {

constexpr const char* variable = "TRIREME_NCCL";

struct Loaded {
  std::optional<NcclLibrary> library;
  std::string why;
};

std::string library_file() {
  const char* const value = std::getenv(variable);
  const std::string_view text = value == nullptr ? "" : value;
  return text.empty() || text == "1" ? "libnccl.so.2" : std::string(text);
}

/// Its functions by name; remembers the first that is not there.
class Symbols {
 public:
  explicit Symbols(void* handle) : handle_(handle) {}

  template <typename Function>
  void find(Function*& function, const char* name) {
    void* const symbol = dlsym(handle_, name);
    if (symbol == nullptr && missing_.empty()) missing_ = name;
    function = reinterpret_cast<Function*>(symbol);
  }
  const std::string& missing() const { return missing_; }

 private:
  void* handle_;
  std::string missing_;
};

/// It stays loaded for ever: it has threads.
Loaded load(const std::string& file) {
  void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    return {std::nullopt, reason == nullptr ? file + " cannot be loaded" : reason};
  }
  NcclLibrary nccl{};
  Symbols symbols(handle);
  symbols.find(nccl.get_version, "ncclGetVersion");
  symbols.find(nccl.get_unique_id, "ncclGetUniqueId");
  symbols.find(nccl.comm_init_rank, "ncclCommInitRank");
  symbols.find(nccl.comm_destroy, "ncclCommDestroy");
  symbols.find(nccl.comm_abort, "ncclCommAbort");
  symbols.find(nccl.comm_get_async_error, "ncclCommGetAsyncError");
  symbols.find(nccl.get_error_string, "ncclGetErrorString");
  symbols.find(nccl.get_last_error, "ncclGetLastError");
  symbols.find(nccl.group_start, "ncclGroupStart");
  symbols.find(nccl.group_end, "ncclGroupEnd");
  symbols.find(nccl.send, "ncclSend");
  symbols.find(nccl.recv, "ncclRecv");
  symbols.find(nccl.all_gather, "ncclAllGather");
  if (symbols.missing().empty()) return {nccl, ""};
  return {std::nullopt, file + " lacks " + symbols.missing() + ": it is older than NCCL 2.13"};
}

}  // namespace

bool nccl_is_off() {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::string_view(value) == "0";
}

const NcclLibrary* nccl_library(std::string& why) {
  static std::mutex mutex;
  static std::map<std::string, Loaded> all;
  const std::string file = library_file();
  const std::lock_guard lock(mutex);
  auto found = all.find(file);
  if (found == all.end()) found = all.emplace(file, load(file)).first;
  why = found->second.why;
  return found->second.library ? &*found->second.library : nullptr;
}

}  // namespace trireme
