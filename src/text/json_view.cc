// A checked view of a JSON file whose errors say which file and which member is wrong.
#include "text/json_view.h"

#include "core/error.h"

namespace trireme::text {
namespace {

// Deep enough for every real tokenizer file; keeps the readers' recursion shallow.
constexpr std::size_t kMaxDepth = 64;

std::string_view type_name(simdjson::dom::element element) {
  using Type = simdjson::dom::element_type;
  switch (element.type()) {
    case Type::ARRAY:
      return "a list";
    case Type::OBJECT:
      return "an object";
    case Type::STRING:
      return "a string";
    case Type::BOOL:
      return "a boolean";
    case Type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

}  // namespace

std::optional<JsonView> JsonView::find(std::string_view key) const {
  simdjson::dom::element member;
  if (as_object()[key].get(member) != simdjson::SUCCESS || member.is_null()) return std::nullopt;
  return JsonView(member, fmt::format("{}{}{}", where_, where_.ends_with(':') ? " " : ".", key));
}

JsonView JsonView::require(std::string_view key) const {
  auto member = find(key);
  if (!member) fail(ErrorKind::input, "{}: the member \"{}\" is missing", where_, key);
  return *std::move(member);
}

void JsonView::wrong_type(std::string_view expected) const {
  fail(ErrorKind::input, "{}: expected {}, found {}", where_, expected, type_name(element_));
}

std::string_view JsonView::as_string() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("a string");
  return value;
}

std::int64_t JsonView::as_integer(std::int64_t low, std::int64_t high) const {
  std::int64_t value = 0;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("an integer");
  if (value < low || value > high) {
    fail(ErrorKind::input, "{}: {} is outside {} to {}", where_, value, low, high);
  }
  return value;
}

double JsonView::as_number() const {
  double value = 0;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("a number");
  return value;
}

bool JsonView::as_bool() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("true or false");
  return value;
}

simdjson::dom::object JsonView::as_object() const {
  simdjson::dom::object value;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("an object");
  return value;
}

simdjson::dom::array JsonView::as_array() const {
  simdjson::dom::array value;
  if (element_.get(value) != simdjson::SUCCESS) wrong_type("a list");
  return value;
}

bool JsonView::flag(std::string_view key, bool otherwise) const {
  const auto member = find(key);
  return member ? member->as_bool() : otherwise;
}

void JsonView::each(const std::function<void(const JsonView&)>& visit) const {
  std::size_t index = 0;
  for (simdjson::dom::element element : as_array()) {
    visit(JsonView(element, fmt::format("{}[{}]", where_, index++)));
  }
}

JsonFile JsonFile::parse(std::string_view text, std::string name) {
  JsonFile file;
  file.name_ = std::move(name) + ":";
  file.parser_ = std::make_unique<simdjson::dom::parser>();
  auto error = file.parser_->allocate(text.size() + 1, kMaxDepth);
  if (!error) error = file.parser_->parse(text.data(), text.size()).get(file.root_);
  if (error) {
    fail(ErrorKind::input, "{} not valid JSON: {}", file.name_, simdjson::error_message(error));
  }
  return file;
}

std::optional<JsonFile> JsonFile::read(const ModelTexts& texts, std::string_view name) {
  const std::optional<std::string> text = texts.read(name);
  if (!text) return std::nullopt;
  return parse(*text, texts.where(name));
}

}  // namespace trireme::text
