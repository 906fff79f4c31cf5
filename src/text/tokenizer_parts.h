// What a tokenizer is made of; the readers fill it in.
#pragma once

#include <memory>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"

namespace trireme {

struct Tokenizer::Parts {
  text::AddedTokens added_tokens;
  std::unique_ptr<text::Normalizer> normalizer;       // may be absent
  std::unique_ptr<text::PreTokenizer> pre_tokenizer;  // may be absent
  std::unique_ptr<text::Model> model;
  text::PostProcessor post_processor;
  text::Decoder decoder;
};

}  // namespace trireme
