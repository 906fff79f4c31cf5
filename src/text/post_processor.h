// The "post_processor" of a tokenizer file: the special tokens around every text.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace trireme::text {

class JsonView;

/// Puts special tokens around the tokens of a text. One without steps changes nothing.
class PostProcessor {
 public:
  /// A template: ids to insert, with nothing standing for the text itself.
  using Template = std::vector<std::optional<std::int32_t>>;

  void add(Template step) { steps_.push_back(std::move(step)); }
  std::vector<std::int32_t> apply(std::vector<std::int32_t> ids) const;

 private:
  std::vector<Template> steps_;
};

/// Reads a post-processor and everything in it. Error (input) names an unknown or malformed one.
PostProcessor read_post_processor(const JsonView& json);

}  // namespace trireme::text
