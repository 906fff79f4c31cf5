// Oniguruma itself, the oracle of the regular expressions' translation.
#include "oniguruma_matches.h"

#include <oniguruma.h>

#include <memory>
#include <stdexcept>

#include "text/utf8.h"

namespace trireme::text {
namespace {

const OnigUChar* bytes(const std::string& text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

struct FreeRegex {
  void operator()(regex_t* regex) const { onig_free(regex); }
};
struct FreeRegion {
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
};

std::unique_ptr<regex_t, FreeRegex> compile(const std::string& pattern) {
  regex_t* regex = nullptr;
  OnigErrorInfo info;
  if (onig_new(&regex, bytes(pattern), bytes(pattern) + pattern.size(), ONIG_OPTION_NONE,
               ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info) != ONIG_NORMAL) {
    throw std::invalid_argument("Oniguruma refuses " + pattern);
  }
  return std::unique_ptr<regex_t, FreeRegex>(regex);
}

}  // namespace

std::vector<std::string> oniguruma_matches(const std::string& pattern, const std::string& text) {
  const auto regex = compile(pattern);
  const std::unique_ptr<OnigRegion, FreeRegion> region(onig_region_new());
  const OnigUChar* begin = bytes(text);
  const OnigUChar* end = begin + text.size();
  std::vector<std::string> result;
  std::size_t from = 0;
  std::size_t previous_end = std::string::npos;
  while (from <= text.size() && onig_search(regex.get(), begin, end, begin + from, end,
                                            region.get(), ONIG_OPTION_NONE) >= 0) {
    const auto first = static_cast<std::size_t>(region->beg[0]);
    const auto last = static_cast<std::size_t>(region->end[0]);
    if (first == last && last == previous_end) {
      from += from < text.size() ? utf8_length(text[from]) : 1;
      continue;
    }
    result.push_back(text.substr(first, last - first));
    from = previous_end = last;
  }
  return result;
}

}  // namespace trireme::text
