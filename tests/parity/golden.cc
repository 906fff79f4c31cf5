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

}  // namespace

std::filesystem::path golden_directory() {
  return std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/data/golden";
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_directory())) {
    if (std::filesystem::exists(entry.path() / "golden.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

GoldenCase load_golden(const std::string& name) {
  GoldenCase golden{.name = name, .directory = golden_directory() / name};
  const std::unique_ptr<TensorSource> source =
      open_safetensors(golden.directory / "golden.safetensors");
  const TensorSource& file = *source;
  for (const char* i : {"0", "1", "2"}) {
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
