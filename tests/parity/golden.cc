#include "golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "weights/safetensors_file.h"
#include "weights/tensor_source.h"

namespace trireme::testing {

namespace {

template <typename T>
std::vector<T> read_all(const TensorSource& file, const std::string& name) {
  const TensorInfo* tensor = file.find(name);
  TRIREME_ASSERT(tensor != nullptr && size_of(tensor->dtype) == sizeof(T));
  std::vector<T> out(static_cast<std::size_t>(tensor->elements()));
  const std::int64_t rows = tensor->shape.size() < 2 ? 1 : tensor->shape.front();
  file.read(*tensor, {0, rows}, {0, tensor->elements() / std::max<std::int64_t>(1, rows)},
            reinterpret_cast<std::byte*>(out.data()));
  return out;
}

std::vector<std::int32_t> read_ids(const TensorSource& file, const std::string& name) {
  const std::vector<std::int64_t> wide = read_all<std::int64_t>(file, name);
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : wide) ids.push_back(static_cast<std::int32_t>(id));
  return ids;
}

std::vector<std::filesystem::path> directories_in(std::initializer_list<std::string_view> folders) {
  std::vector<std::filesystem::path> directories;
  const std::filesystem::path data = std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data";
  for (const std::string_view folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(data / folder)) {
      if (std::filesystem::exists(entry.path() / "golden.safetensors")) {
        directories.push_back(entry.path());
      }
    }
  }
  std::sort(directories.begin(), directories.end());
  return directories;
}

}  // namespace

std::vector<std::filesystem::path> golden_directories() {
  return directories_in({"golden", "gguf/models"});
}

std::vector<std::filesystem::path> task_golden_directories(const std::string& tensor) {
  std::vector<std::filesystem::path> directories = directories_in({"tasks"});
  std::erase_if(directories, [&](const std::filesystem::path& directory) {
    return !tensor.empty() && !GoldenTensors(directory).has(tensor);
  });
  return directories;
}

GoldenTensors::GoldenTensors(const std::filesystem::path& directory)
    : file_(open_safetensors(directory / "golden.safetensors")) {}
GoldenTensors::~GoldenTensors() = default;

bool GoldenTensors::has(const std::string& name) const { return file_->find(name) != nullptr; }
std::int64_t GoldenTensors::rows(const std::string& name) const {
  return file_->find(name)->shape.front();
}
std::vector<float> GoldenTensors::floats(const std::string& name) const {
  return read_all<float>(*file_, name);
}
std::vector<std::int32_t> GoldenTensors::ids(const std::string& name) const {
  return read_ids(*file_, name);
}

GoldenCase load_golden(const std::filesystem::path& directory) {
  GoldenCase golden{.name = directory.filename().string(), .directory = directory};
  const std::unique_ptr<TensorSource> source =
      open_safetensors(golden.directory / "golden.safetensors");
  const TensorSource& file = *source;
  for (const char* i : {"0", "1", "2"}) {
    if (file.find(std::string("ids.") + i) == nullptr) break;
    GoldenSequence& sequence = golden.sequences.emplace_back();
    sequence.ids = read_ids(file, std::string("ids.") + i);
    sequence.logits = read_all<float>(file, std::string("logits.") + i);
    sequence.logprobs = read_all<float>(file, std::string("logprobs.") + i);
    for (const float logit : sequence.logits) {
      golden.largest_logit = std::max(golden.largest_logit, std::abs(logit));
    }
  }
  golden.greedy_prompt = read_ids(file, "greedy.prompt");
  golden.greedy_tokens = read_ids(file, "greedy.tokens");
  return golden;
}

}  // namespace trireme::testing
