// Reading the "model" of a tokenizer file.
#include "core/error.h"
#include "text/bpe.h"
#include "text/json_view.h"
#include "text/model.h"
#include "text/unigram.h"
#include "text/word_piece.h"

namespace trireme::text {
namespace {

// Files of before 2020 leave the type out; what else they have tells.
std::string_view type_of(const JsonView& json) {
  if (const auto type = json.find("type")) return type->as_string();
  if (json.find("merges")) return "BPE";
  if (json.find("max_input_chars_per_word")) return "WordPiece";
  const auto vocabulary = json.find("vocab");
  if (vocabulary && !vocabulary->is_object()) return "Unigram";
  return vocabulary && json.find("unk_token") ? "WordLevel" : "";
}

}  // namespace

TokenTable read_vocabulary(const JsonView& json) {
  const simdjson::dom::object tokens = json.as_object();
  TokenTable table;
  table.reserve(tokens.size());
  for (const auto& [token, value] : tokens) {
    std::int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= TokenTable::kMaxIds) {
      fail(ErrorKind::input, "{}: the id of \"{}\" is not an integer from 0 to {}", json.where(),
           token, TokenTable::kMaxIds - 1);
    }
    table.add(token, static_cast<std::int32_t>(id));
  }
  return table;
}

std::unique_ptr<Model> read_model(const JsonView& json) {
  const std::string_view type = type_of(json);
  if (type == "BPE") return read_bpe(json);
  if (type == "WordPiece") return read_word_piece(json);
  if (type == "Unigram") return read_unigram(json);
  if (type == "WordLevel") return read_word_level(json);
  fail(ErrorKind::input,
       "{}: unknown tokenizer model \"{}\"; the known ones are BPE, WordPiece, Unigram and "
       "WordLevel",
       json.where(), type);
}

}  // namespace trireme::text
