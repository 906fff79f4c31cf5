#include <algorithm>
#include <cmath>

#include "weights/file.h"
#include "weights/gguf_format.h"

namespace trireme {

namespace {

std::string text_of(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return fmt::format("\"{}\"", printable(v));
        } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double> ||
                             std::is_same_v<T, bool>) {
          return fmt::format("{}", v);
        } else {
          return fmt::format("a list of {} values", v.size());
        }
      },
      value);
}

}  // namespace

bool GgufMetadata::add(std::string key, GgufValue value) {
  return values_.emplace(std::move(key), std::move(value)).second;
}

const GgufValue* GgufMetadata::get(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

template <typename T>
const T* GgufMetadata::value_of(std::string_view key, std::string_view expected) const {
  const GgufValue* value = get(key);
  if (value == nullptr) return nullptr;
  if (!std::holds_alternative<T>(*value)) reject(key, expected);
  return &std::get<T>(*value);
}

std::optional<std::int64_t> GgufMetadata::integer(std::string_view key) const {
  const auto* value = value_of<std::int64_t>(key, "an integer");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* whole = std::get_if<std::int64_t>(value)) return static_cast<double>(*whole);
  const double number = *value_of<double>(key, "a number");
  if (!std::isfinite(number)) reject(key, "a finite number");
  return number;
}

std::optional<std::int64_t> GgufMetadata::integer_of_layers(std::string_view key) const {
  const GgufValue* value = get(key);
  if (value == nullptr || !std::holds_alternative<std::vector<std::int64_t>>(*value)) {
    return integer(key);
  }
  const auto& list = std::get<std::vector<std::int64_t>>(*value);
  const bool alike = !list.empty() && std::ranges::count(list, list[0]) == std::ssize(list);
  if (!alike) reject(key, "the same number for all layers");
  return list[0];
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const auto* value = value_of<bool>(key, "true or false");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

const std::string* GgufMetadata::string(std::string_view key) const {
  return value_of<std::string>(key, "a string");
}

const std::vector<std::int64_t>* GgufMetadata::integers(std::string_view key) const {
  return value_of<std::vector<std::int64_t>>(key, "a list of integers");
}

const std::vector<double>* GgufMetadata::numbers(std::string_view key) const {
  return value_of<std::vector<double>>(key, "a list of floats");
}

const std::vector<std::string>* GgufMetadata::strings(std::string_view key) const {
  return value_of<std::vector<std::string>>(key, "a list of strings");
}

void GgufMetadata::reject(std::string_view key, std::string_view expected) const {
  const GgufValue* value = get(key);
  fail(ErrorKind::input, "{}: {} is {}; expected {}", file_, key,
       value == nullptr ? "missing" : text_of(*value), expected);
}

}  // namespace trireme
