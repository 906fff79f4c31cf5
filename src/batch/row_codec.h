// From a raw row to a request.
#pragma once

#include <memory>
#include <optional>

#include "batch/prompt_template.h"
#include "batch/raw_row.h"
#include "batch/row_reply.h"
#include "batch/row_settings.h"
#include "trireme/request.h"
#include "trireme/result.h"

namespace trireme {

struct DecodedRow {
  Request request;                    ///< meaningless when there is an error
  std::optional<RequestError> error;  ///< answer with this, and ask no engine
  RowReply reply;                     ///< for encode_result and encode_score
};

/// Understands, in JSON Lines:
/// - {"prompt": "text" or token ids} or {"text": ...} or {"token_ids": [...]} or {"messages":
/// [...]},
///   with "id" (string or number) and sampling parameters (sampling_fields.h); other keys are
///   ignored;
/// - with a prompt template, any object: its keys are columns, none a sampling parameter;
/// - OpenAI's {"custom_id", "method", "url", "body"} for chat completions and completions, or for
///   embeddings where these are what is made of a row.
/// Where texts are generated or labels chosen, "choices" holds a row's own labels; with a prompt
/// template, or in its place, the column that RowSettings::choices_column names.
/// Where whole texts are read, "text_pair" is the second text of a pair and "truncate" says whether
/// a long text is cut; there are no sampling parameters then.
/// In CSV the prompt is the template's, or the column "prompt" or "text", or the only column; a
/// column "id" is the row's id. Duplicate keys: the last one counts, as in Python.
class RowCodec {
 public:
  /// Throws Error(usage) when the template names a column that a CSV lacks, or no column is the
  /// prompt.
  explicit RowCodec(RowSettings settings);
  ~RowCodec();
  RowCodec(RowCodec&&) noexcept;

  /// Never throws for what the row holds. Not thread-safe: it owns a parser.
  DecodedRow decode(const RawRow& row);

 private:
  struct Parser;

  void decode_json(const RawRow& row, DecodedRow& decoded);
  void decode_text(const RawRow& row, DecodedRow& decoded);
  void decode_csv(const RawRow& row, DecodedRow& decoded);
  void check_csv_columns();
  void check_text_columns() const;
  std::vector<std::size_t> csv_columns_of(const PromptTemplate& text) const;
  void take_choices_column(DecodedRow& decoded, const std::vector<std::string>& fields) const;
  void finish(DecodedRow& decoded) const;

  RowSettings settings_;
  PromptTemplate template_;
  PromptTemplate pair_template_;
  std::size_t csv_prompt_ = 0;                 ///< column, without a template
  std::vector<std::size_t> csv_columns_;       ///< of each piece of the template that is one
  std::vector<std::size_t> csv_pair_columns_;  ///< of the other template
  std::optional<std::size_t> csv_id_;
  std::optional<std::size_t> csv_pair_;
  std::optional<std::size_t> csv_choices_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace trireme
