// What `embed`, `classify` and `fill-mask` make of a reading (tasks/text_reader.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/hf_config.h"
#include "tasks/text_reader.h"
#include "text/tokenizer.h"
#include "trireme/result.h"

namespace trireme {

Embedding embedding_of(Reading reading);

/// The labels of a classifier and how its logits become scores, from config.json.
class Labels {
 public:
  /// Throws Error(input) where `id2label` does not name each of `count` labels.
  Labels(const HfConfig& config, std::int64_t count);

  const std::vector<std::string>& names() const { return names_; }
  Classification classify(Reading reading) const;

 private:
  enum class Scores : std::uint8_t { softmax, logistic, none };

  std::vector<std::string> names_;
  Scores scores_ = Scores::softmax;
};

/// The `count` likeliest tokens for each mask.
MaskFill fill_masks(Reading reading, const Tokenizer& tokenizer, std::int64_t vocab_size,
                    std::int64_t count);

}  // namespace trireme
