#include "models/hf_config.h"

#include <nlohmann/json.hpp>

#include "core/read_file.h"

namespace trireme {

HfConfig::HfConfig(std::shared_ptr<const nlohmann::json> json, std::string where)
    : json_(std::move(json)), where_(std::move(where)) {}

HfConfig HfConfig::read(const std::filesystem::path& file) {
  return parse(read_file(file), file.string());
}

HfConfig HfConfig::read(const ModelTexts& texts, std::string_view name) {
  return parse(texts.require(name), texts.where(name));
}

HfConfig HfConfig::parse(std::string_view text, std::string where) {
  auto json = std::make_shared<nlohmann::json>();
  try {
    *json = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: not valid JSON: {}", where, error.what());
  }
  if (!json->is_object()) fail(ErrorKind::input, "{}: expected a JSON object", where);
  return {std::move(json), std::move(where)};
}

const nlohmann::json* HfConfig::get(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

void HfConfig::reject(std::string_view key, std::string_view expected) const {
  fail(ErrorKind::input, "{}: {} is {}; expected {}", where_, key,
       get(key) == nullptr ? "missing" : text_of(key), expected);
}

bool HfConfig::has(std::string_view key) const { return get(key) != nullptr; }

bool HfConfig::is_null(std::string_view key) const {
  const auto found = json_->find(key);
  return found != json_->end() && found->is_null();
}

std::optional<std::int64_t> HfConfig::integer(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer()) reject(key, "an integer");
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{1} << 62) {
    reject(key, "a smaller integer");
  }
  return value->get<std::int64_t>();
}

std::int64_t HfConfig::size(std::string_view key, std::int64_t most) const {
  const std::optional<std::int64_t> value = integer(key);
  if (!value || *value < 1 || *value > most) {
    reject(key, "an integer from 1 to " + std::to_string(most));
  }
  return *value;
}

std::int64_t HfConfig::size_or(std::string_view key, std::int64_t fallback,
                               std::int64_t most) const {
  return has(key) ? size(key, most) : fallback;
}

std::optional<double> HfConfig::number(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) reject(key, "a number");
  return value->get<double>();
}

double HfConfig::number_or(std::string_view key, double fallback) const {
  return number(key).value_or(fallback);
}

std::optional<double> HfConfig::number_within(std::string_view key, double least,
                                              double most) const {
  const std::optional<double> value = number(key);
  if (value && !(*value >= least && *value <= most)) {
    reject(key, fmt::format("a number from {} to {}", least, most));
  }
  return value;
}

std::optional<bool> HfConfig::boolean(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) reject(key, "true or false");
  return value->get<bool>();
}

bool HfConfig::boolean_or(std::string_view key, bool fallback) const {
  return boolean(key).value_or(fallback);
}

std::string HfConfig::string_or(std::string_view key, std::string_view fallback) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) reject(key, "a string");
  return value->get<std::string>();
}

std::vector<std::string> HfConfig::strings(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return {};
  if (!value->is_array()) reject(key, "a list of strings");
  std::vector<std::string> out;
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) reject(key, "a list of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::vector<double> HfConfig::numbers(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return {};
  if (!value->is_array()) reject(key, "a list of numbers");
  std::vector<double> out;
  for (const nlohmann::json& item : *value) {
    if (!item.is_number()) reject(key, "a list of numbers");
    out.push_back(item.get<double>());
  }
  return out;
}

std::vector<std::int64_t> HfConfig::integers(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return {};
  if (value->is_number_integer()) return {value->get<std::int64_t>()};
  if (!value->is_array()) reject(key, "an integer or a list of integers");
  std::vector<std::int64_t> out;
  for (const nlohmann::json& item : *value) {
    if (!item.is_number_integer()) reject(key, "an integer or a list of integers");
    out.push_back(item.get<std::int64_t>());
  }
  return out;
}

HfConfig HfConfig::object(std::string_view key) const {
  const nlohmann::json* value = get(key);
  if (value == nullptr) return {std::make_shared<nlohmann::json>(nlohmann::json::object()), where_};
  if (!value->is_object()) reject(key, "an object");
  return {std::make_shared<nlohmann::json>(*value), where_ + ": " + std::string(key)};
}

bool HfConfig::is_object(std::string_view key) const {
  const nlohmann::json* value = get(key);
  return value != nullptr && value->is_object();
}

bool HfConfig::empty() const { return json_->empty(); }

std::vector<std::string> HfConfig::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json_->items()) keys.push_back(key);
  return keys;
}

std::string HfConfig::text_of(std::string_view key) const {
  constexpr std::size_t longest = 200;
  const nlohmann::json* value = get(key);
  if (value == nullptr) return "null";
  const std::string text = value->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

bool HfConfig::is_sequence_classifier() const {
  const std::vector<std::string> names = strings("architectures");
  return !names.empty() && names.front().ends_with("ForSequenceClassification");
}

std::int64_t HfConfig::num_labels() const {
  constexpr std::int64_t most = std::int64_t{1} << 20;
  if (!has("id2label")) return size_or("num_labels", 2, most);
  const std::size_t labels = object("id2label").keys().size();
  if (labels == 0) reject("id2label", "at least one label");
  return static_cast<std::int64_t>(labels);
}

std::optional<DType> HfConfig::dtype() const {
  const std::string_view key = has("dtype") ? "dtype" : "torch_dtype";
  if (!has(key)) return std::nullopt;
  const std::optional<DType> dtype = dtype_from_name(string_or(key, ""));
  if (!dtype || (*dtype != DType::f32 && *dtype != DType::bf16 && *dtype != DType::f16)) {
    reject(key, "float32, bfloat16 or float16");
  }
  return dtype;
}

}  // namespace trireme
