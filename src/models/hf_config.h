// Typed access to a Hugging Face JSON file (config.json, generation_config.json): every value is
// checked, and a message names the file, the key, what was found and what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/model_texts.h"

namespace trireme {

class HfConfig {
 public:
  /// Reads a JSON object. Throws Error(input) when it is missing or malformed.
  static HfConfig read(const std::filesystem::path& file);
  /// The same, of one of a model's files.
  static HfConfig read(const ModelTexts& texts, std::string_view name);
  /// Of a JSON text; `where` names it in messages.
  static HfConfig parse(std::string_view text, std::string where);

  // A key that is absent or null counts as not given.
  bool has(std::string_view key) const;
  /// The key is there, and its value is null.
  bool is_null(std::string_view key) const;
  /// No dimension of a model is larger; what is, is a mistake or an attack.
  static constexpr std::int64_t largest_size = std::int64_t{1} << 31;
  /// A positive integer up to `most` that must be there.
  std::int64_t size(std::string_view key, std::int64_t most = largest_size) const;
  std::int64_t size_or(std::string_view key, std::int64_t fallback,
                       std::int64_t most = largest_size) const;
  /// Any integer.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  /// A number from `least` to `most`.
  std::optional<double> number_within(std::string_view key, double least, double most) const;
  std::optional<bool> boolean(std::string_view key) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;
  std::vector<std::string> strings(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  /// An integer, or a list of them.
  std::vector<std::int64_t> integers(std::string_view key) const;
  /// A nested object; an empty one where it is not given.
  HfConfig object(std::string_view key) const;
  bool is_object(std::string_view key) const;
  bool empty() const;
  std::vector<std::string> keys() const;
  /// The value as JSON, cut to a length that fits a message; "null" if there is none.
  std::string text_of(std::string_view key) const;

  /// "architectures" is one that classifies texts.
  bool is_sequence_classifier() const;
  /// How many labels: as `id2label` lists, or `num_labels`, or 2.
  std::int64_t num_labels() const;

  /// `dtype` (transformers 5) or `torch_dtype` (transformers 4), if given.
  std::optional<DType> dtype() const;

  const std::string& where() const { return where_; }
  /// Throws Error(input): "<file>: <key> is <found>; expected <expected>".
  [[noreturn]] void reject(std::string_view key, std::string_view expected) const;

 private:
  HfConfig(std::shared_ptr<const nlohmann::json> json, std::string where);
  const nlohmann::json* get(std::string_view key) const;

  std::shared_ptr<const nlohmann::json> json_;
  std::string where_;
};

}  // namespace trireme
