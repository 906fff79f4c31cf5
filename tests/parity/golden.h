// The golden cases of tests/data/golden: tiny models and what transformers computed with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace trireme {
class TensorSource;
}

namespace trireme::testing {

struct GoldenSequence {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;    ///< [ids, vocab]
  std::vector<float> logprobs;  ///< [ids - 1]
};

struct GoldenCase {
  std::string name;
  std::filesystem::path directory;
  std::vector<GoldenSequence> sequences;
  std::vector<std::int32_t> greedy_prompt;
  std::vector<std::int32_t> greedy_tokens;
  float largest_logit = 0;
};

/// Directories with a model and HF's numbers of it: tests/data/golden, and the GGUF files of
/// tests/data/gguf/models.
std::vector<std::filesystem::path> golden_directories();

GoldenCase load_golden(const std::filesystem::path& directory);

/// Those of tests/data/tasks whose golden.safetensors has a tensor of this name; all without.
std::vector<std::filesystem::path> task_golden_directories(const std::string& tensor = "");

/// The tensors of a directory's golden.safetensors by name.
class GoldenTensors {
 public:
  explicit GoldenTensors(const std::filesystem::path& directory);
  ~GoldenTensors();
  bool has(const std::string& name) const;
  std::int64_t rows(const std::string& name) const;
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::int32_t> ids(const std::string& name) const;

 private:
  std::unique_ptr<TensorSource> file_;
};

}  // namespace trireme::testing
