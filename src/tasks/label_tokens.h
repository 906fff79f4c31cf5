// The tokens of labels as what follows a prompt (docs/choices.md has the rules).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/token_tree.h"
#include "tasks/prompts.h"

namespace trireme {

/// A prompt and the ways to go on with it, one for each label.
struct LabelledPrompt {
  std::vector<std::int32_t> prompt;
  std::shared_ptr<const Continuations> labels;
  std::int64_t longest = 0;  ///< tokens of the longest label
};

class LabelTokens {
 public:
  /// `end_tokens`: any of them closes a label that others go on from. `idle` is called every now
  /// and then while many labels are read. `prompts` must outlive it.
  LabelTokens(const Prompts& prompts, std::vector<std::int32_t> end_tokens,
              std::function<void()> idle)
      : prompts_(prompts), end_tokens_(std::move(end_tokens)), idle_(std::move(idle)) {}

  /// Throws RequestFailure for what is wrong with the prompt or the labels.
  LabelledPrompt after(const Request& request, std::optional<std::int32_t> bos_token);
  /// Labels that begin a text of their own, as an encoder-decoder model's answers do.
  LabelledPrompt alone(const std::vector<std::string>& labels);

 private:
  /// A text that labels follow.
  struct Base {
    std::string text;
    bool special = false;  ///< with the tokenizer's special tokens
    std::string before;    ///< goes before every label: the spaces that the prompt ended with

    bool operator==(const Base&) const = default;
  };
  /// Labels as what follows a base.
  struct Known {
    Base base;
    std::vector<std::string> labels;
    std::vector<std::vector<std::int32_t>> tokens;
    bool all_fit = true;  ///< none had to be read alone
    std::int64_t longest = 0;
    std::shared_ptr<const Continuations> tree;  ///< when first asked
  };

  Known& known(Base base, std::span<const std::int32_t> ids,
               const std::vector<std::string>& labels);
  void read(Known& known, std::span<const std::int32_t> ids) const;
  Base base_of(const std::string& text, bool special, std::span<const std::int32_t>& ids) const;
  LabelledPrompt with_tree(std::vector<std::int32_t> prompt, Known& known) const;
  void check_tree(const Known& known) const;

  const Prompts& prompts_;
  std::vector<std::int32_t> end_tokens_;
  std::function<void()> idle_;
  std::list<Known> known_;  ///< last asked first: rows that end alike, with labels alike, are many
};

}  // namespace trireme
