// Grapheme clusters: what a reader takes for one character.
#include "text/graphemes.h"

#include <algorithm>

#include "text/utf8.h"

namespace trireme::text {
namespace {

using enum GraphemeClass;

constexpr char32_t kFirstSyllable = 0xAC00;
constexpr char32_t kLastSyllable = 0xD7A3;
constexpr char32_t kSyllablesPerVowel = 28;  // the first of them has no final consonant

// What has been seen of a cluster, as far as the rules look back.
class Cluster {
 public:
  explicit Cluster(GraphemeClass first) { add(first); }

  void add(GraphemeClass next) {
    const bool extends = next == extend || next == linker || next == zwj;
    conjunct_ = next == consonant                               ? Conjunct::consonant
                : !extends                                      ? Conjunct::none
                : next == linker && conjunct_ != Conjunct::none ? Conjunct::linked
                                                                : conjunct_;
    if (next == zwj) {
      emoji_ = emoji_ == Emoji::pictographic ? Emoji::joining : Emoji::none;
    } else if (next != extend && next != extend_alone && next != linker) {
      emoji_ = next == pictographic ? Emoji::pictographic : Emoji::none;
    } else if (emoji_ == Emoji::joining) {
      emoji_ = Emoji::none;
    }
    odd_indicators_ = next == regional_indicator && !odd_indicators_;
    last_ = next;
  }

  // The rules GB4 to GB999.
  bool joins(GraphemeClass next) const {
    if (last_ == control || next == control) return false;
    if (last_ == hangul_l && next >= hangul_l && next != hangul_t) return true;
    if ((last_ == hangul_lv || last_ == hangul_v) && (next == hangul_v || next == hangul_t)) {
      return true;
    }
    if ((last_ == hangul_lvt || last_ == hangul_t) && next == hangul_t) return true;
    if (next == extend || next == extend_alone || next == linker || next == zwj) return true;
    if (next == spacing_mark || last_ == prepend) return true;
    if (next == consonant && conjunct_ == Conjunct::linked) return true;
    if (next == pictographic && emoji_ == Emoji::joining) return true;
    return next == regional_indicator && odd_indicators_;
  }

 private:
  enum class Conjunct { none, consonant, linked };
  enum class Emoji { none, pictographic, joining };

  GraphemeClass last_ = other;
  Conjunct conjunct_ = Conjunct::none;
  Emoji emoji_ = Emoji::none;
  bool odd_indicators_ = false;
};

}  // namespace

GraphemeClass Graphemes::class_of(char32_t c) {
  if (c >= known_.first && c <= known_.last) return known_.value;
  if (c >= kFirstSyllable && c <= kLastSyllable) {
    return (c - kFirstSyllable) % kSyllablesPerVowel == 0 ? hangul_lv : hangul_lvt;
  }
  const auto ranges = grapheme_ranges();
  const auto after = std::ranges::upper_bound(ranges, c, {}, &GraphemeRange::first);
  if (after != ranges.begin() && c <= std::prev(after)->last) {
    known_ = *std::prev(after);
  } else {
    known_.first = after == ranges.begin() ? 0 : std::prev(after)->last + 1;
    known_.last = after == ranges.end() ? 0x10FFFF : after->first - 1;
    known_.value = other;
    // Hangul syllables are in no range.
    if (known_.first <= kLastSyllable && known_.last >= kFirstSyllable) {
      (c < kFirstSyllable ? known_.last : known_.first) =
          c < kFirstSyllable ? kFirstSyllable - 1 : kLastSyllable + 1;
    }
  }
  return known_.value;
}

std::size_t Graphemes::end_of(std::size_t begin) {
  std::size_t end = begin;
  const char32_t first = next_code_point(text_, end);
  if (first == '\r' && text_.substr(end).starts_with('\n')) return end + 1;
  Cluster cluster(class_of(first));
  for (std::size_t at = end; at < text_.size(); end = at) {
    const GraphemeClass next = class_of(next_code_point(text_, at));
    if (!cluster.joins(next)) break;
    cluster.add(next);
  }
  return end;
}

}  // namespace trireme::text
