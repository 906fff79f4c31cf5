#include "batch/parquet.h"

#include <dlfcn.h>

#include "core/error.h"
#include "core/plugin.h"

namespace trireme {

namespace {

constexpr const char* file_name = "libtrireme_parquet.so";

struct Loaded {
  const ParquetPlugin* plugin = nullptr;
  std::string looked;
};

Loaded load() {
  Plugin library = load_plugin(file_name, RTLD_NOW | RTLD_LOCAL);
  if (library.handle == nullptr) return {nullptr, std::move(library.looked)};
  void* const symbol = dlsym(library.handle, "trireme_parquet");
  const ParquetPlugin* const plugin =
      symbol != nullptr ? reinterpret_cast<ParquetEntry>(symbol)(parquet_interface) : nullptr;
  return {plugin, plugin != nullptr ? "" : "\n  it is of another version: build again"};
}

const Loaded& loaded() {
  static const Loaded once = load();
  return once;
}

}  // namespace

const ParquetPlugin& parquet_plugin(const std::string& name) {
  if (loaded().plugin != nullptr) return *loaded().plugin;
  fail(
      ErrorKind::usage,
      "{}: Parquet needs a plug-in over Apache Arrow ({}), which is not there:{}\n"
      "`make parquet` in Trireme's source folder installs Arrow from PyPI (pyarrow) and builds it; "
      "TRIREME_PLUGIN_PATH names another folder. Or convert the file to JSON Lines.",
      name, file_name, loaded().looked);
}

bool has_parquet() { return loaded().plugin != nullptr; }

}  // namespace trireme
