// The sampling parameters that a row may carry, in the spellings of transformers, vLLM and OpenAI.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string_view>

#include "trireme/request.h"

namespace trireme {

/// Sets in `sampling` what the object says; null means not said (of top_k: off). Other keys are
/// left alone. Throws BadRow naming the field when its type or range is wrong, two spellings
/// disagree, or it asks for something that would change the text and that Trireme does not do
/// (presence_penalty).
void read_sampling(const simdjson::dom::object& object, SamplingParams& sampling);

/// The last value of a key (as Python reads duplicates), null included.
std::optional<simdjson::dom::element> last_value(const simdjson::dom::object& object,
                                                 std::string_view key);

/// The same; nothing for null.
std::optional<simdjson::dom::element> find_field(const simdjson::dom::object& object,
                                                 std::string_view key);

/// False, 0, null, "" and empty lists and objects ask for nothing.
bool asks_for_something(const simdjson::dom::element& value);

/// "a list", "a number", ...: for messages.
const char* kind_of(const simdjson::dom::element& value);

}  // namespace trireme
