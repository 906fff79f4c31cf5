// How a text's vector is made of its tokens' vectors: the modules of a sentence-transformers
// directory (modules.json and what it names).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/model_texts.h"
#include "kernels/backend.h"

namespace trireme {

struct SentenceModules {
  Pooling pooling = Pooling::mean;
  bool normalize = false;
  std::int64_t max_tokens = 0;  ///< texts are cut to so many; 0: the model's own limit
};

/// The modules that `texts` tell of; mean pooling, as sentence-transformers does it, where there is
/// no modules.json. Throws Error(input) for modules that Trireme does not have.
SentenceModules read_sentence_modules(const ModelTexts& texts);

/// Names of the texts that read_sentence_modules() reads and that are there. Throws as it does.
std::vector<std::string> sentence_texts(const ModelTexts& texts);

}  // namespace trireme
