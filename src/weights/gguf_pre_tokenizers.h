// How byte-level tokenizers cut text into words: the names that GGUF files have for that, as the
// pre_tokenizer of a tokenizer.json.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "weights/gguf_format.h"

namespace trireme {

struct PreTokenizer {
  std::string_view first;      ///< a pattern whose matches are words; empty: none
  bool gpt2_pattern = false;   ///< and then GPT-2's own pattern
  bool nfc = false;            ///< the text is normalised to NFC before
  bool ignore_merges = false;  ///< a word that is a token is that token
  bool add_bos = false;        ///< where the file does not say
};

/// By tokenizer.ggml.pre; where that is missing or says "default", by the architecture, whose
/// first models set the way. Throws Error(input) naming file, key and the known names.
const PreTokenizer& pre_tokenizer_of(const GgufMetadata& metadata);

nlohmann::json pre_tokenizer_json(const PreTokenizer& pre);
nlohmann::json byte_level_json(bool gpt2_pattern);

}  // namespace trireme
