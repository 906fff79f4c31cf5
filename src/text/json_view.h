// A checked view of a JSON file whose errors say which file and which member is wrong.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/model_texts.h"

namespace trireme::text {

/// One value of a parsed JSON document together with the words that name it in errors.
/// Valid as long as the JsonFile that it came from.
class JsonView {
 public:
  JsonView(simdjson::dom::element element, std::string where)
      : element_(element), where_(std::move(where)) {}

  /// The member `key` of this object, or nothing when it is absent or null.
  std::optional<JsonView> find(std::string_view key) const;
  /// The member `key`; an error when absent.
  JsonView require(std::string_view key) const;

  std::string_view as_string() const;
  std::int64_t as_integer(std::int64_t low, std::int64_t high) const;
  double as_number() const;
  bool as_bool() const;
  simdjson::dom::object as_object() const;
  simdjson::dom::array as_array() const;
  bool is_string() const { return element_.is_string(); }
  bool is_object() const { return element_.is_object(); }
  bool is_bool() const { return element_.is_bool(); }

  bool flag(std::string_view key, bool otherwise) const;
  /// The elements of this array, each named by its index.
  void each(const std::function<void(const JsonView&)>& visit) const;

  /// "tokenizer.json: decoder.pattern": the start of an error message.
  const std::string& where() const { return where_; }

 private:
  [[noreturn]] void wrong_type(std::string_view expected) const;

  simdjson::dom::element element_;
  std::string where_;
};

/// A JSON document in memory.
class JsonFile {
 public:
  /// Reads and parses one of a model's files, if there is one; an Error (input) names the file and
  /// what is wrong with it.
  static std::optional<JsonFile> read(const ModelTexts& texts, std::string_view name);
  /// Parses text that is already in memory, `name` naming it in errors.
  static JsonFile parse(std::string_view text, std::string name);

  JsonView root() const { return {root_, name_}; }

 private:
  JsonFile() = default;

  std::unique_ptr<simdjson::dom::parser> parser_;
  simdjson::dom::element root_;
  std::string name_;
};

}  // namespace trireme::text
