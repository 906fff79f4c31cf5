// What a row that is a JSON object asks for.
#pragma once

#include <simdjson.h>

#include "batch/prompt_template.h"
#include "batch/row_codec.h"

namespace trireme {

/// Sets the row's id in the reply, and whether it is an OpenAI batch row: first of all, so that an
/// error finds its way back. Throws BadRow, as do all functions here.
void read_identity(const simdjson::dom::object& row, RowReply& reply);

/// A plain row: a prompt or messages, and what else rows of this task may say.
void read_plain_row(const simdjson::dom::object& row, RowTask task, Request& request);

/// The row's own labels, if there are some: in a field of this name, of any row or of an OpenAI
/// batch row's body.
void read_choices(const simdjson::dom::object& row, std::string_view field, DecodedRow& decoded);

/// The second text of a pair, if there is one.
void read_text_pair(const simdjson::dom::object& row, Request& request);

/// The body of an OpenAI batch row.
void read_openai_row(const simdjson::dom::object& row, RowTask task, DecodedRow& decoded);

/// Columns filled into the template: strings as they are, other values as compact JSON.
std::string fill_template(const PromptTemplate& prompt, const simdjson::dom::object& row);

/// A list of token ids.
std::vector<std::int32_t> token_ids_of(const simdjson::dom::array& list);

}  // namespace trireme
