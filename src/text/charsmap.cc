// SentencePiece's precompiled normalization rules.
#include "text/charsmap.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "text/graphemes.h"
#include "text/utf8.h"

namespace trireme::text {
namespace {

// A cluster of more bytes is never replaced as a whole.
constexpr std::size_t kMaxClusterBytes = 5;

bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value(std::uint32_t unit) { return unit & 0x7FFF'FFFF; }
// A leaf's has the highest bit, and so is no byte.
std::uint32_t label(std::uint32_t unit) { return unit & 0x8000'00FF; }
std::size_t offset(std::uint32_t unit) {
  return static_cast<std::size_t>(unit >> 10) << ((unit & 1 << 9) >> 6);
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// Follows what `tokenizers` makes of the offsets, to find how many of the first bytes it takes to
// come from the first character of the input. It is told characters and how many more the text got
// there: 1 for one that is new, -n for one that also stands for n characters behind it.
class OriginTracker {
 public:
  explicit OriginTracker(const NormalizedText& text)
      : text_(text.text), origin_(text.origin), is_done_(text.origin == 0) {}

  void replace(std::string_view part, std::string_view by) {
    if (is_done_) return;
    auto old_count = static_cast<std::int64_t>(count_characters(part));
    for (std::size_t at = 0; at < by.size(); --old_count) {
      const std::size_t length = utf8_length(by[at]);
      push(length, old_count > 0 ? 0 : 1);
      at += length;
    }
    // The last one also stands for what is gone; at the front there is none, and then `tokenizers`
    // falls behind.
    if (old_count > 0) change_ -= old_count;
  }
  void keep(std::size_t bytes) {
    if (!is_done_) push(bytes, 0);
  }
  std::size_t finish() {
    if (!is_done_) push(0, 0);
    return result_;
  }

 private:
  void push(std::size_t bytes, std::int64_t change) {
    apply();
    bytes_ = bytes;
    change_ = change;
  }

  void apply() {
    if (is_done_ || bytes_ == 0) return;
    const std::size_t source = change_ > 0 && at_ > 0 ? at_ - 1 : at_;
    if (source >= origin_) {
      is_done_ = true;
      return;
    }
    result_ += bytes_;
    for (; change_ <= 0 && at_ < text_.size(); ++change_) at_ += utf8_length(text_[at_]);
  }

  std::string_view text_;
  std::size_t origin_;
  bool is_done_;
  std::size_t at_ = 0;  // in the text as it was
  std::size_t result_ = 0;
  // The last character, whose change is not certain yet.
  std::size_t bytes_ = 0;
  std::int64_t change_ = 0;
};

class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(Charsmap charsmap) : charsmap_(std::move(charsmap)) {
    for (std::size_t i = 0; i < is_plain_.size(); ++i) {
      const char c = static_cast<char>(i);
      is_plain_[i] = c != '\r' && !charsmap_.replacement({&c, 1});
    }
  }

  void apply(NormalizedText& text) const override {
    const std::string_view in = text.text;
    std::size_t copied = first_affected(in, 0);
    if (copied == in.size()) return;
    OriginTracker origin(text);
    std::string out;
    out.reserve(in.size() + in.size() / 8);
    out += in.substr(0, copied);
    for (std::size_t at = 0; at < copied; ++at) origin.keep(1);
    Graphemes graphemes(in);
    for (std::size_t at = copied; at < in.size();) {
      const std::size_t plain = first_affected(in, at);
      out += in.substr(at, plain - at);
      for (; at < plain; ++at) origin.keep(1);
      if (at == in.size()) break;
      const std::size_t end = graphemes.end_of(at);
      append_cluster(in.substr(at, end - at), out, origin);
      at = end;
    }
    text.origin = origin.finish();
    text.text = std::move(out);
  }

 private:
  // The first place at or after `from` whose character may be replaced, or may be a cluster with
  // the next one. Before it all is ASCII.
  std::size_t first_affected(std::string_view text, std::size_t from) const {
    const auto is_plain = [&](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte < is_plain_.size() && is_plain_[byte];
    };
    std::size_t at = from;
    while (at < text.size() && is_plain(text[at])) ++at;
    const bool may_extend = at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80;
    return may_extend && at > from ? at - 1 : at;
  }

  void append_cluster(std::string_view cluster, std::string& out, OriginTracker& origin) const {
    if (cluster.size() <= kMaxClusterBytes) {
      if (const auto by = charsmap_.replacement(cluster)) {
        out += *by;
        return origin.replace(cluster, *by);
      }
    }
    for (std::size_t at = 0; at < cluster.size();) {
      const std::string_view character = cluster.substr(at, utf8_length(cluster[at]));
      at += character.size();
      if (const auto by = charsmap_.replacement(character)) {
        out += *by;
        origin.replace(character, *by);
      } else {
        out += character;
        origin.keep(character.size());
      }
    }
  }

  Charsmap charsmap_;
  std::array<bool, 0x80> is_plain_{};
};

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string where) : where_(std::move(where)) {
  static_assert(std::endian::native == std::endian::little);
  std::uint32_t array_bytes = 0;
  if (bytes.size() >= sizeof(array_bytes)) std::memcpy(&array_bytes, bytes.data(), 4);
  bytes.remove_prefix(std::min<std::size_t>(4, bytes.size()));
  units_.resize(array_bytes <= bytes.size() ? array_bytes / 4 : 0);
  if (units_.empty()) {
    fail(ErrorKind::input, "{}: not a precompiled charsmap: it is too short", where_);
  }
  std::memcpy(units_.data(), bytes.data(), 4 * units_.size());
  replacements_ = bytes.substr(4 * units_.size());
  if (invalid_utf8_offset(replacements_)) {
    fail(ErrorKind::input, "{}: not a precompiled charsmap: the replacements are not valid UTF-8",
         where_);
  }
}

std::uint32_t Charsmap::unit(std::size_t at) const {
  if (at >= units_.size()) {
    fail(ErrorKind::input, "{}: the precompiled charsmap is damaged: it leads to its unit {} of {}",
         where_, at, units_.size());
  }
  return units_[at];
}

std::string_view Charsmap::replacement_at(std::size_t at) const {
  const std::string_view all = replacements_;
  if (at > all.size() || (at < all.size() && (all[at] & 0xC0) == 0x80)) {
    fail(ErrorKind::input, "{}: the precompiled charsmap is damaged: no replacement begins at {}",
         where_, at);
  }
  return all.substr(at, std::min(all.find('\0', at), all.size()) - at);
}

std::optional<std::string_view> Charsmap::replacement(std::string_view text) const {
  std::size_t at = offset(unit(0));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    at ^= byte;
    const std::uint32_t here = unit(at);
    if (label(here) != byte) break;
    at ^= offset(here);
    if (has_leaf(here)) return replacement_at(value(unit(at)));
  }
  return std::nullopt;
}

std::unique_ptr<Normalizer> make_precompiled(Charsmap charsmap) {
  return std::make_unique<Precompiled>(std::move(charsmap));
}

std::optional<std::string> from_base64(std::string_view base64) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (base64.size() % 4 != 0) return std::nullopt;
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  const std::size_t padding = base64.ends_with("==") ? 2 : base64.ends_with('=') ? 1 : 0;
  base64.remove_suffix(padding);
  std::string out;
  out.reserve(base64.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : base64) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  // The bits that fill up the last character are zero.
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace trireme::text
