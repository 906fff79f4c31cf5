// Fields of a row that can only be meant for whoever answers it, and that nobody here understands:
// an answer made without them would not be the one that was asked for.
#pragma once

#include <simdjson.h>

namespace trireme {

/// In a row of one's own, where any column may stand beside the prompt: refuses other engines'
/// sampling parameters that ask for something, and what is nearly the name of one of ours
/// ("maxTokens", "temprature"). Throws BadRow.
void refuse_misspelled_sampling(const simdjson::dom::object& row);

/// In the body of an OpenAI row, where every field is a parameter: refuses all that is not known.
/// Throws BadRow.
void refuse_unknown_body_fields(const simdjson::dom::object& body, bool embedding);

}  // namespace trireme
