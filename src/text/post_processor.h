// The "post_processor" of a tokenizer file: the special tokens around a text, or around two.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "text/encoding.h"

namespace trireme::text {

class JsonView;

/// One step of a post-processor. It works on parts, which begin as one or two texts, and are put
/// together after the last step.
class PostProcessStep {
 public:
  virtual ~PostProcessStep() = default;
  /// Without `add_special_tokens` only types and order change.
  virtual void apply(std::vector<Encoding>& parts, bool add_special_tokens) const = 0;
  /// How many special tokens apply adds to one text, or to a pair of them.
  virtual std::size_t added_tokens(bool is_pair) const = 0;
};

/// An item of a template: a text (0 or 1), or special tokens; and the type that they get.
struct TemplateItem {
  static constexpr int kSpecial = -1;

  int text = kSpecial;
  std::vector<std::int32_t> ids;  // of special tokens
  std::int32_t type_id = 0;
};

/// Puts special tokens around the tokens of texts. One without steps changes nothing.
class PostProcessor {
 public:
  void add(std::unique_ptr<PostProcessStep> step) { steps_.push_back(std::move(step)); }
  /// One or two texts; those of the first have type 0, of the second type 1, unless a step says
  /// otherwise. Error (input) when a template does not fit.
  Encoding apply(std::vector<Encoding> texts, bool add_special_tokens) const;
  std::size_t added_tokens(bool is_pair) const;

 private:
  std::vector<std::unique_ptr<PostProcessStep>> steps_;
};

/// Reads a post-processor and everything in it. Error (input) names an unknown or malformed one.
PostProcessor read_post_processor(const JsonView& json);

/// TemplateProcessing. Error (input), starting with `where`, when `single` does not name its text
/// once; a pair's template is looked at when there is a pair.
std::unique_ptr<PostProcessStep> make_template(std::vector<TemplateItem> single,
                                               std::vector<TemplateItem> pair, std::string where);

/// RobertaProcessing: <s> A </s>, or <s> A </s></s> B </s>, all of type 0.
std::unique_ptr<PostProcessStep> make_roberta_processing(std::int32_t cls, std::int32_t sep);

}  // namespace trireme::text
