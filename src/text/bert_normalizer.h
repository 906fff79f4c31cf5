// The normalizer of BERT: https://github.com/google-research/bert/blob/master/tokenization.py.
#pragma once

#include <memory>
#include <optional>

#include "text/normalizer.h"

namespace trireme::text {

struct BertNormalizerOptions {
  bool clean_text = true;             ///< no control characters, every white space a space
  bool handle_chinese_chars = true;   ///< spaces around ideographs
  std::optional<bool> strip_accents;  ///< where not said, as `lowercase`
  bool lowercase = true;
};

std::unique_ptr<Normalizer> make_bert_normalizer(const BertNormalizerOptions& options);

}  // namespace trireme::text
