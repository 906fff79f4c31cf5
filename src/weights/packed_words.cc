#include "weights/packed_words.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace trireme {

namespace {

/// Words of a row of a tile; so many rows are written at once that each line of `words` is read
/// once.
constexpr std::int64_t tile = 16;

constexpr std::uint32_t mask_of(int bits) { return (1u << bits) - 1u; }

/// A one in every field of a word.
constexpr std::uint32_t ones_of(int bits) { return ~0u / mask_of(bits); }

constexpr std::uint8_t field(std::uint32_t word, std::int64_t index, int bits) {
  return static_cast<std::uint8_t>((word >> (index * bits)) & mask_of(bits));
}

/// Where AWQ puts column i of eight.
constexpr std::array<std::int64_t, 8> awq_place = {0, 4, 1, 5, 2, 6, 3, 7};

void check_words(std::span<const std::uint32_t> words, std::int64_t lines, std::int64_t each) {
  TRIREME_ASSERT(static_cast<std::int64_t>(words.size()) == lines * each);
}

}  // namespace

void unpack_gptq_codes(std::span<const std::uint32_t> words, Range rows, Range cols, int bits,
                       std::uint8_t* out) {
  const Range held = words_of(cols, bits);
  const std::int64_t each = integers_per_word(bits);
  check_words(words, held.size(), rows.size());
  for (std::int64_t first = 0; first < rows.size(); first += tile) {
    const std::int64_t end = std::min(first + tile, rows.size());
    for (std::int64_t line = 0; line < held.size(); ++line) {
      const std::int64_t k = (held.begin + line) * each;
      const Range wanted = intersect(cols, {k, k + each});
      for (std::int64_t row = first; row < end; ++row) {
        const std::uint32_t word = words[static_cast<std::size_t>(line * rows.size() + row)];
        std::uint8_t* const to = out + row * cols.size() + (wanted.begin - cols.begin);
        for (std::int64_t i = 0; i < wanted.size(); ++i) {
          to[i] = field(word, wanted.begin - k + i, bits);
        }
      }
    }
  }
}

void unpack_gptq_zeros(std::span<const std::uint32_t> words, std::int64_t groups, Range rows,
                       const GptqZeros& format, std::uint8_t* out) {
  const Range held = words_of(rows, format.bits);
  const std::int64_t each = integers_per_word(format.bits);
  const auto half = static_cast<std::uint8_t>(1u << (format.bits - 1));
  check_words(words, groups, held.size());
  for (std::int64_t group = 0; group < groups; ++group) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto at = static_cast<std::size_t>(group * held.size() + row / each - held.begin);
      const std::uint8_t stored = field(words[at], row % each, format.bits);
      const std::uint32_t word = format.less_one ? words[at] + ones_of(format.bits) : words[at];
      const bool is_half = format.symmetric && (stored == half || stored == half - 1);
      *out++ = is_half ? half : field(word, row % each, format.bits);
    }
  }
}

void unpack_awq_codes(std::span<const std::uint32_t> words, Range rows, Range cols,
                      std::uint8_t* out) {
  const Range held = words_of(rows, 4);
  check_words(words, cols.size(), held.size());
  for (std::int64_t first = 0; first < cols.size(); first += tile) {
    const std::int64_t end = std::min(first + tile, cols.size());
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::uint32_t* from = words.data() + row / 8 - held.begin;
      const std::int64_t place = awq_place[static_cast<std::size_t>(row % 8)];
      std::uint8_t* const to = out + (row - rows.begin) * cols.size();
      for (std::int64_t i = first; i < end; ++i) to[i] = field(from[i * held.size()], place, 4);
    }
  }
}

void unpack_awq_zeros(std::span<const std::uint32_t> words, std::int64_t groups, Range rows,
                      std::uint8_t* out) {
  const Range held = words_of(rows, 4);
  check_words(words, groups, held.size());
  for (std::int64_t group = 0; group < groups; ++group) {
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const auto at = static_cast<std::size_t>(group * held.size() + row / 8 - held.begin);
      *out++ = field(words[at], awq_place[static_cast<std::size_t>(row % 8)], 4);
    }
  }
}

}  // namespace trireme
