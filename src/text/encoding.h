// What a model reads of one text, or of two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace trireme {

/// Token ids and, for each, the type that models call token_type_ids: which text it belongs to.
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> type_ids;

  bool operator==(const Encoding&) const = default;
};

struct EncodeOptions {
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  bool add_special_tokens = true;
  /// The most ids that an encoding may have, special ones included: tokens are taken off the ends
  /// of the texts, of the longer one first (longest_first).
  std::size_t max_length = kUnlimited;
};

/// How many tokens of two texts stay when at most `max_length` may, as `tokenizers` divides
/// them with the strategy longest_first: the longer text is cut first, then both to halves.
std::pair<std::size_t, std::size_t> longest_first(std::size_t first, std::size_t second,
                                                  std::size_t max_length);

}  // namespace trireme
