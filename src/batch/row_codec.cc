#include "batch/row_codec.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "batch/choices.h"
#include "batch/csv.h"
#include "batch/json_row.h"
#include "batch/json_text.h"
#include "batch/kept_fields.h"
#include "batch/row_error.h"
#include "batch/sampling_fields.h"
#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t max_json_depth = 128;

std::string comma_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// "[1, 2]" or "1 2" or "1,2".
std::vector<std::int32_t> token_ids_in_text(std::string_view text) {
  constexpr std::string_view separators = " \t,[]";
  std::vector<std::int32_t> ids;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
    if (text.empty()) break;
    std::int32_t id = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const auto length = static_cast<std::size_t>(end - text.data());
    const bool whole = length == text.size() || separators.find(text[length]) != separators.npos;
    if (error != std::errc() || id < 0 || !whole) {
      bad_row("invalid_row", "item {} is not a token id (a non-negative integer)", ids.size());
    }
    ids.push_back(id);
    text.remove_prefix(length);
  }
  if (ids.empty()) bad_row("invalid_row", "no token ids");
  return ids;
}

std::optional<std::size_t> column_of(const std::vector<std::string>& header,
                                     std::string_view name) {
  const auto found = std::ranges::find(header, name);
  if (found == header.end()) return std::nullopt;
  return static_cast<std::size_t>(found - header.begin());
}

/// The template with the values of a CSV's columns.
std::string filled(const PromptTemplate& text, const std::vector<std::size_t>& columns,
                   const std::vector<std::string>& fields) {
  std::string out;
  std::size_t column = 0;
  for (const PromptTemplate::Piece& piece : text.pieces()) {
    out += piece.is_column ? fields[columns[column++]] : piece.text;
  }
  return out;
}

/// The template with the one column of a plain text.
std::string filled(const PromptTemplate& text, const std::string& value) {
  std::string out;
  for (const PromptTemplate::Piece& piece : text.pieces()) {
    out += piece.is_column ? value : piece.text;
  }
  return out;
}

/// A lone column would be the prompt, whatever it is called.
void refuse_other_delimiter(const std::vector<std::string>& header, char own) {
  if (header.size() != 1) return;
  for (const auto& [delimiter, advice] :
       {std::pair{'\t', "say --input-format tsv"}, std::pair{',', "say --input-format csv"},
        std::pair{';', "write it with commas or tabs"}}) {
    if (delimiter == own || header[0].find(delimiter) == std::string::npos) continue;
    fail(
        ErrorKind::usage,
        "the input's only column is called \"{}\": if '{}' is what stands between its columns, {}; "
        "else rename it",
        header[0], delimiter == '\t' ? "\\t" : std::string(1, delimiter), advice);
  }
}

void check_defect(const RawRow& row) {
  switch (row.defect) {
    case RowDefect::none:
      return;
    case RowDefect::too_long:
      bad_row("row_too_long", "the row is longer than {} MiB, the most that is read of one",
              most_row_bytes >> 20);
    case RowDefect::unterminated_quote:
      bad_row("invalid_csv",
              "a quote opens in this row and never closes: the rest of the input is in it");
  }
}

}  // namespace

struct RowCodec::Parser {
  simdjson::dom::parser json;
};

RowCodec::RowCodec(RowSettings settings)
    : settings_(std::move(settings)),
      template_(settings_.prompt_template),
      pair_template_(settings_.pair_template, "--pair-template"),
      parser_(std::make_unique<Parser>()) {
  if (parser_->json.allocate(std::size_t{64} << 10, max_json_depth) != simdjson::SUCCESS) {
    fail(ErrorKind::resource, "not enough memory for a JSON parser");
  }
  if (settings_.format == RowFormat::csv) check_csv_columns();
  if (settings_.format == RowFormat::text) check_text_columns();
}

RowCodec::~RowCodec() = default;
RowCodec::RowCodec(RowCodec&&) noexcept = default;

std::vector<std::size_t> RowCodec::csv_columns_of(const PromptTemplate& text) const {
  const std::vector<std::string>& header = settings_.csv_header;
  std::vector<std::size_t> columns;
  for (const PromptTemplate::Piece& piece : text.pieces()) {
    if (!piece.is_column) continue;
    const std::optional<std::size_t> found = column_of(header, piece.text);
    if (!found) {
      fail(ErrorKind::usage, "{}: no column \"{}\"; the input has: {}", text.flag(), piece.text,
           comma_list(header));
    }
    columns.push_back(*found);
  }
  return columns;
}

void RowCodec::check_csv_columns() {
  const std::vector<std::string>& header = settings_.csv_header;
  csv_id_ = column_of(header, "id");
  csv_columns_ = csv_columns_of(template_);
  csv_pair_columns_ = csv_columns_of(pair_template_);
  if (reads_texts(settings_.task) && pair_template_.empty()) {
    csv_pair_ = column_of(header, "text_pair");
  }
  if (!settings_.choices_column.empty()) {
    csv_choices_ = column_of(header, settings_.choices_column);
    if (!csv_choices_) {
      fail(ErrorKind::usage, "--choices {{{}}}: no column \"{}\"; the input has: {}",
           settings_.choices_column, settings_.choices_column, comma_list(header));
    }
  } else if (template_.empty() && !reads_texts(settings_.task)) {
    csv_choices_ = column_of(header, "choices");
  }
  if (!template_.empty()) return;
  refuse_other_delimiter(header, settings_.delimiter);
  const auto prompt = column_of(header, "prompt");
  const auto text = prompt ? prompt : column_of(header, "text");
  if (!text && header.size() != 1) {
    fail(ErrorKind::usage,
         "no column is called \"prompt\" (the input has: {}); say how to make one with "
         "--prompt-template \"... {{column}} ...\"",
         comma_list(header));
  }
  csv_prompt_ = text.value_or(0);
}

void RowCodec::check_text_columns() const {
  if (!settings_.choices_column.empty()) {
    fail(ErrorKind::usage, "--choices {{{}}}: rows of plain text have no such column",
         settings_.choices_column);
  }
  for (const PromptTemplate* text : {&template_, &pair_template_}) {
    for (const PromptTemplate::Piece& piece : text->pieces()) {
      if (!piece.is_column || piece.text == "prompt" || piece.text == "text") continue;
      fail(ErrorKind::usage, "{}: no column \"{}\"; rows of plain text have one column, {{prompt}}",
           text->flag(), piece.text);
    }
  }
}

DecodedRow RowCodec::decode(const RawRow& row) {
  DecodedRow decoded;
  decoded.request.row = row.index;
  decoded.request.sampling = settings_.sampling;
  decoded.request.truncate = settings_.truncate;
  decoded.reply.id = fmt::format("{}", row.index);
  decoded.reply.place = row.place();
  decoded.reply.index = row.index;
  decoded.reply.hash = row.hash();
  try {
    check_defect(row);
    switch (settings_.format) {
      case RowFormat::jsonl:
        decode_json(row, decoded);
        break;
      case RowFormat::text:
        decode_text(row, decoded);
        break;
      case RowFormat::csv:
        decode_csv(row, decoded);
        break;
    }
    finish(decoded);
  } catch (const BadRow& bad) {
    decoded.error = {bad.error.code, fmt::format("{}: {}", row.place(), bad.error.message)};
  }
  return decoded;
}

void RowCodec::decode_json(const RawRow& row, DecodedRow& decoded) {
  simdjson::dom::element root;
  const auto error = parser_->json.parse(row.bytes).get(root);
  if (error != simdjson::SUCCESS) {
    bad_row(error == simdjson::UTF8_ERROR ? "invalid_utf8" : "invalid_json",
            "the row is not valid JSON: {}", simdjson::error_message(error));
  }
  simdjson::dom::array list;
  if (settings_.token_ids && root.get(list) == simdjson::SUCCESS) {
    decoded.request.token_ids = token_ids_of(list);
    return;
  }
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) {
    bad_row("invalid_row", "a row must be a JSON object, but is {}", kind_of(root));
  }
  decoded.reply.kept = kept_fields(settings_, object, row.bytes);
  read_identity(object, decoded.reply);
  if (decoded.reply.kind != RowReply::Kind::plain) {
    if (settings_.keep_columns) {
      bad_row("unsupported_row",
              "--keep-columns: answers in OpenAI's format have no place for other columns");
    }
    read_openai_row(object, settings_.task, decoded);
    return;
  }
  if (!template_.empty()) {
    decoded.request.prompt = fill_template(template_, object);
  } else {
    read_plain_row(object, settings_.task, decoded.request);
  }
  if (!settings_.choices_column.empty()) {
    read_choices(object, settings_.choices_column, decoded);
  } else if (template_.empty() && !reads_texts(settings_.task)) {
    read_choices(object, "choices", decoded);
  }
  if (!pair_template_.empty()) {
    decoded.request.text_pair = fill_template(pair_template_, object);
  } else if (reads_texts(settings_.task)) {
    read_text_pair(object, decoded.request);
  }
}

void RowCodec::decode_text(const RawRow& row, DecodedRow& decoded) {
  decoded.reply.kept = kept_fields(settings_, {"text"}, {row.bytes});
  if (settings_.token_ids) {
    decoded.request.token_ids = token_ids_in_text(row.bytes);
    return;
  }
  decoded.request.prompt = template_.empty() ? row.bytes : filled(template_, row.bytes);
  if (!pair_template_.empty()) decoded.request.text_pair = filled(pair_template_, row.bytes);
}

void RowCodec::decode_csv(const RawRow& row, DecodedRow& decoded) {
  const auto fields = parse_csv_record(row.bytes, settings_.delimiter);
  if (!fields) bad_row("invalid_csv", "text follows a closing quote, or a quote does not close");
  if (fields->size() != settings_.csv_header.size()) {
    bad_row("invalid_csv", "{} fields, but the header has {}", fields->size(),
            settings_.csv_header.size());
  }
  decoded.reply.kept = kept_fields(settings_, settings_.csv_header, *fields);
  if (csv_id_) {
    decoded.reply.id = json_string((*fields)[*csv_id_]);
    decoded.reply.has_own_id = !(*fields)[*csv_id_].empty();
  }
  const std::string& prompt = decoded.request.prompt.emplace(
      template_.empty() ? (*fields)[csv_prompt_] : filled(template_, csv_columns_, *fields));
  if (csv_pair_) decoded.request.text_pair = (*fields)[*csv_pair_];
  if (!pair_template_.empty()) {
    decoded.request.text_pair = filled(pair_template_, csv_pair_columns_, *fields);
  }
  take_choices_column(decoded, *fields);
  if (settings_.token_ids) {
    decoded.request.token_ids = token_ids_in_text(prompt);
    decoded.request.prompt.reset();
  }
}

void RowCodec::take_choices_column(DecodedRow& decoded,
                                   const std::vector<std::string>& fields) const {
  if (!csv_choices_ || fields[*csv_choices_].empty()) return;
  decoded.reply.choices = choices_of(settings_.csv_header[*csv_choices_], fields[*csv_choices_]);
}

void RowCodec::finish(DecodedRow& decoded) const {
  Request& request = decoded.request;
  request.choices = decoded.reply.choices.empty() ? settings_.choices : decoded.reply.choices;
  if (settings_.task == RowTask::choose && request.choices.empty()) {
    bad_row("missing_column", "no labels in column \"{}\", which --choices names",
            settings_.choices_column);
  }
  if (!request.prompt) return;
  request.prompt->insert(0, settings_.prefix);
  if (!is_valid_utf8(*request.prompt)) bad_row("invalid_utf8", "the prompt is not valid UTF-8");
  if (request.text_pair && !is_valid_utf8(*request.text_pair)) {
    bad_row("invalid_utf8", "the second text is not valid UTF-8");
  }
  if (!settings_.chat || decoded.reply.kind != RowReply::Kind::plain) return;
  request.messages =
      fmt::format(R"([{{"role":"user","content":{}}}])", json_string(*request.prompt));
  request.prompt.reset();
}

}  // namespace trireme
