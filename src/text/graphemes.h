// Grapheme clusters: what a reader takes for one character (Unicode Standard Annex 29).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace trireme::text {

/// How a character takes part in clusters: its Grapheme_Cluster_Break, and for `other` and `extend`
/// also Extended_Pictographic and Indic_Conjunct_Break.
enum class GraphemeClass : unsigned char {
  other,
  control,  ///< a boundary on both sides
  prepend,
  extend,
  extend_alone,  ///< extend, but not within an Indic conjunct
  linker,        ///< extend; joins two Indic consonants
  zwj,
  spacing_mark,
  consonant,
  pictographic,
  regional_indicator,
  hangul_l,
  hangul_v,
  hangul_t,
  hangul_lv,
  hangul_lvt,
};

struct GraphemeRange {
  char32_t first, last;
  GraphemeClass value;
};

/// Every character but Hangul syllables and `other`; sorted, without overlaps.
std::span<const GraphemeRange> grapheme_ranges();

/// Cuts a text into clusters as Unicode 17 does, which `tokenizers` knows.
class Graphemes {
 public:
  /// `text` is valid UTF-8 and must outlive this.
  explicit Graphemes(std::string_view text) : text_(text) {}

  /// The end of the cluster that begins at `begin`, which is before the end of the text.
  std::size_t end_of(std::size_t begin);

 private:
  GraphemeClass class_of(char32_t c);

  std::string_view text_;
  // The last answer holds for all of these: a text has few scripts.
  GraphemeRange known_ = {1, 0, GraphemeClass::other};
};

}  // namespace trireme::text
