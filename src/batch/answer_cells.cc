#include "batch/answer_cells.h"

#include <simdjson.h>

#include <algorithm>

#include "batch/json_fields.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;
using Found = simdjson::simdjson_result<dom::element>;

/// Numbers and lists come from `raw` as they are written.
Cell cell_of(const dom::element& value, std::string_view raw) {
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return std::string(std::string_view(value));
  return std::string(raw);
}

Cell cell_of(const Found& found) {
  dom::element value;
  if (found.get(value) != simdjson::SUCCESS) return std::nullopt;
  return cell_of(value, value.is_string() ? std::string() : std::string(simdjson::minify(value)));
}

/// OpenAI's batch output begins with these two; a kept column would stand before "id".
bool is_openai(const dom::object& line) {
  auto field = line.begin();
  if (field == line.end() || field.key() != "id") return false;
  ++field;
  return field != line.end() && field.key() == "custom_id";
}

}  // namespace

struct AnswerCells::Parser {
  dom::parser json;
};

AnswerCells::AnswerCells(std::vector<RowColumn> columns)
    : columns_(std::move(columns)), cells_(columns_.size()), parser_(std::make_unique<Parser>()) {}

AnswerCells::~AnswerCells() = default;

Cell* AnswerCells::find(std::string_view name) {
  const auto found = std::ranges::find(columns_, name, &RowColumn::name);
  return found == columns_.end() ? nullptr
                                 : &cells_[static_cast<std::size_t>(found - columns_.begin())];
}

const std::vector<Cell>& AnswerCells::of(std::string_view json_line) {
  std::ranges::fill(cells_, std::nullopt);
  dom::object line;
  const auto error = parser_->json.parse(json_line.data(), json_line.size()).get(line);
  TRIREME_ASSERT(error == simdjson::SUCCESS);
  const auto set = [this](std::string_view name, Cell cell) {
    if (Cell* const place = find(name)) *place = std::move(cell);
  };
  const auto set_error = [&](const Found& found) {
    set("error_code", cell_of(found["code"]));
    set("error_message", cell_of(found["message"]));
  };
  if (is_openai(line)) {
    const Found body = line["response"]["body"], choice = body["choices"].at(0);
    const Found content = choice["message"]["content"], usage = body["usage"];
    set("id", cell_of(line["custom_id"]));
    const Found text = content.error() == simdjson::SUCCESS ? content : choice["text"];
    set("text", cell_of(text));
    set("label", cell_of(text));  // where one was chosen
    set("embedding", cell_of(body["data"].at(0)["embedding"]));
    set("prompt_tokens", cell_of(usage["prompt_tokens"]));
    set("completion_tokens", cell_of(usage["completion_tokens"]));
    set("finish_reason", cell_of(choice["finish_reason"]));
    set_error(line["error"]);
    return cells_;
  }
  const std::vector<std::string_view> raw = raw_values(json_line);
  std::size_t index = 0;
  for (const auto [name, value] : line) set(name, cell_of(value, raw.at(index++)));
  // Among rows that generate, one that has brought labels.
  if (find("label") == nullptr && line["text"].error() != simdjson::SUCCESS) {
    set("text", cell_of(line["label"]));
  }
  set_error(line["error"]);
  return cells_;
}

}  // namespace trireme
