// The tokenizer in a GGUF file's metadata as the tokenizer.json and tokenizer_config.json that
// Hugging Face would have for it.
#pragma once

#include <optional>
#include <string>

#include "weights/gguf_format.h"

namespace trireme {

/// Of the models "gpt2" (byte-level BPE) and "llama" (SentencePiece with scores); nothing where the
/// file has no tokenizer. Throws Error(input) naming the file and the key for another model, an
/// unknown way of cutting text into words, and lists that do not fit each other.
std::optional<std::string> gguf_tokenizer_json(const GgufMetadata& metadata);

/// The roles of special tokens and the chat templates.
std::string gguf_tokenizer_config_json(const GgufMetadata& metadata);

}  // namespace trireme
