// SentencePiece's precompiled normalization rules, and the normalizer Precompiled that applies them
// the way `tokenizers` does.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"

namespace trireme::text {

/// Strings and what replaces them: a Darts-clone double array over their bytes
/// (https://github.com/s-yata/darts-clone), and the replacements with a zero after each.
class Charsmap {
 public:
  /// `bytes`: the length of the array in four bytes, the array, the replacements. Error (input),
  /// starting with `where`, when they cannot be that.
  Charsmap(std::string_view bytes, std::string where);

  /// The replacement of the shortest string that `text` begins with, if there is one. Error (input)
  /// when the rules lead out of themselves.
  std::optional<std::string_view> replacement(std::string_view text) const;

 private:
  std::uint32_t unit(std::size_t at) const;
  std::string_view replacement_at(std::size_t at) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
  std::string where_;
};

/// The normalizer Precompiled.
std::unique_ptr<Normalizer> make_precompiled(Charsmap charsmap);

/// What `base64` (RFC 4648, with padding) stands for, or nothing when it is malformed.
std::optional<std::string> from_base64(std::string_view base64);

}  // namespace trireme::text
