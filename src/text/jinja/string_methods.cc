// The methods of str.
#include <algorithm>
#include <optional>

#include "text/jinja/fault.h"
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

Value list_of(Runtime& runtime, const std::vector<std::string>& parts) {
  runtime.charge(parts.size());
  std::vector<Value> items(parts.begin(), parts.end());
  return Value::list(std::move(items));
}

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& runtime, const Value& self, Given given) {
  bind("the method", given, {});
  return runtime.text(Change(self.text()));
}

template <Side side>
Value stripped(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("strip", given, {{"chars", Value()}});
  if (values[0].is_none()) return runtime.text(std::string(strip(self.text(), side)));
  const std::string_view characters = want_text(values[0], "the argument of strip()");
  runtime.charge(characters.size() / 8 * (1 + self.text().size() / 8));
  return runtime.text(std::string(strip(self.text(), side, &characters)));
}

template <bool from_right>
Value split(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("split", given, {{"sep", Value()}, {"maxsplit", Value(-1)}});
  const std::int64_t most = want_integer(values[1], "maxsplit");
  return list_of(runtime, split_text(runtime, self.text(), values[0], most, from_right));
}

Value splitlines(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("splitlines", given, {{"keepends", Value(false)}});
  return list_of(runtime, split_lines(runtime, self.text(), values[0].truthy()));
}

/// The part of `text` between two optional bounds, counted in characters as slices count them,
/// as (first byte, end byte, first character).
struct Span {
  std::size_t begin;
  std::size_t end;
  std::int64_t first;
};

std::optional<Span> span(const std::string& text, const Value& start, const Value& stop) {
  const auto count = static_cast<std::int64_t>(code_point_count(text));
  const auto bound = [&](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    std::int64_t index = want_integer(value, "a bound");
    if (index < 0) index = std::max(index, -count) + count;
    return index;
  };
  const std::int64_t first = bound(start, 0);
  const std::int64_t last = std::min(bound(stop, count), count);
  if (first > last) return std::nullopt;
  Span result{0, 0, first};
  std::size_t i = 0;
  for (std::int64_t n = 0; n <= last; ++n) {
    if (n == first) result.begin = i;
    result.end = i;
    if (n < last) next_code_point(text, i);
  }
  return result;
}

template <bool at_start>
Value has_affix(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind(at_start ? "startswith" : "endswith", given,
                           {{"prefix"}, {"start", Value()}, {"end", Value()}});
  const auto place = span(self.text(), values[1], values[2]);
  if (!place) return false;
  const std::string_view text =
      std::string_view(self.text()).substr(place->begin, place->end - place->begin);
  const auto matches = [&](const Value& affix) {
    runtime.charge();
    const std::string& wanted = want_text(affix, "a prefix or suffix");
    return at_start ? text.starts_with(wanted) : text.ends_with(wanted);
  };
  if (!values[0].is_tuple()) return matches(values[0]);
  return std::any_of(values[0].items().begin(), values[0].items().end(), matches);
}

/// The index of a substring, in characters; -1 if it is not there.
std::int64_t locate(Runtime& runtime, const Value& self, Given given, bool from_right) {
  const auto values = bind("find", given, {{"sub"}, {"start", Value()}, {"end", Value()}});
  const std::string& wanted = want_text(values[0], "a substring");
  runtime.charge(1 + self.text().size() / 8);
  const auto place = span(self.text(), values[1], values[2]);
  if (!place) return -1;
  const std::string_view text =
      std::string_view(self.text()).substr(place->begin, place->end - place->begin);
  const std::size_t found = from_right ? text.rfind(wanted) : text.find(wanted);
  if (found == text.npos) return -1;
  return place->first + static_cast<std::int64_t>(code_point_count(text.substr(0, found)));
}

template <bool from_right>
Value find(Runtime& runtime, const Value& self, Given given) {
  return locate(runtime, self, given, from_right);
}

template <bool from_right>
Value index(Runtime& runtime, const Value& self, Given given) {
  const std::int64_t found = locate(runtime, self, given, from_right);
  if (found < 0) fault("substring not found");
  return found;
}

Value count(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("count", given, {{"sub"}, {"start", Value()}, {"end", Value()}});
  const std::string& wanted = want_text(values[0], "a substring");
  runtime.charge(1 + self.text().size() / 8);
  const auto place = span(self.text(), values[1], values[2]);
  if (!place) return 0;
  const std::string_view text =
      std::string_view(self.text()).substr(place->begin, place->end - place->begin);
  if (wanted.empty()) return code_point_count(text) + 1;
  std::int64_t found = 0;
  for (std::size_t i = text.find(wanted); i != text.npos;
       i = text.find(wanted, i + wanted.size())) {
    ++found;
  }
  return found;
}

Value replace(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("replace", given, {{"old"}, {"new"}, {"count", Value(-1)}});
  return runtime.text(replaced(runtime, self.text(), want_text(values[0], "what to replace"),
                               want_text(values[1], "the replacement"),
                               want_integer(values[2], "count")));
}

Value join(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("join", given, {{"iterable"}});
  std::string out;
  const Cursor next = iterate(values[0]);
  for (bool first = true; const auto item = next(); first = false) {
    if (!first) out += self.text();
    out += want_text(*item, "an item of join()");
    runtime.charge(1 + (item->text().size() + self.text().size()) / 16);
    runtime.check_size(out.size());
  }
  return runtime.text(std::move(out));
}

template <bool from_right>
Value partition(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("partition", given, {{"sep"}});
  const std::string& by = want_text(values[0], "a separator");
  if (by.empty()) fault("empty separator");
  const std::string& text = self.text();
  runtime.charge(1 + text.size() / 8);
  const std::size_t found = from_right ? text.rfind(by) : text.find(by);
  if (found != text.npos) {
    return Value::tuple({text.substr(0, found), by, text.substr(found + by.size())});
  }
  if (from_right) return Value::tuple({"", "", text});
  return Value::tuple({text, "", ""});
}

template <bool at_start>
Value without_affix(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind(at_start ? "removeprefix" : "removesuffix", given, {{"affix"}});
  const std::string& affix = want_text(values[0], "the prefix or suffix");
  std::string_view text = self.text();
  if (at_start && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (!at_start && text.ends_with(affix)) text.remove_suffix(affix.size());
  return runtime.text(std::string(text));
}

/// ljust, rjust and center differ in how much of the filling goes to the left.
template <char where>
Value justified(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("the method", given, {{"width"}, {"fillchar", Value(" ")}});
  const std::string& fill = want_text(values[1], "the fill character");
  if (code_point_count(fill) != 1) fault("the fill character must be exactly one character long");
  const std::int64_t width = want_integer(values[0], "a width");
  const auto size = static_cast<std::int64_t>(code_point_count(self.text()));
  if (width <= size) return self;
  runtime.check_size(static_cast<std::size_t>(width));
  const std::int64_t missing = width - size;
  std::int64_t left = where == 'l' ? 0 : missing;
  if (where == 'c') left = missing / 2 + (missing & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (std::int64_t i = left; i < missing; ++i) out += fill;
  return runtime.text(std::move(out));
}

Value zfill(Runtime& runtime, const Value& self, Given given) {
  const auto values = bind("zfill", given, {{"width"}});
  const std::int64_t width = want_integer(values[0], "a width");
  const auto size = static_cast<std::int64_t>(code_point_count(self.text()));
  if (width <= size) return self;
  runtime.check_size(static_cast<std::size_t>(width));
  std::string out = self.text();
  const bool is_signed = !out.empty() && (out[0] == '+' || out[0] == '-');
  out.insert(is_signed ? 1 : 0, static_cast<std::size_t>(width - size), '0');
  return runtime.text(std::move(out));
}

template <bool (*Holds)(char32_t), bool of_empty = false>
Value all_characters(Runtime& runtime, const Value& self, Given given) {
  bind("the method", given, {});
  runtime.charge(1 + self.text().size() / 8);
  const std::u32string characters = decode(self.text());
  if (characters.empty()) return of_empty;
  return std::all_of(characters.begin(), characters.end(), Holds);
}

template <bool (*Holds)(std::string_view)>
Value whole_text(Runtime& runtime, const Value& self, Given given) {
  bind("the method", given, {});
  runtime.charge(1 + self.text().size() / 8);
  return Holds(self.text());
}

bool is_alphanumeric(char32_t c) { return is_alpha(c) || is_digit(c); }

bool is_title(std::string_view text) {
  return title(text) == text && (upper(text) != text || lower(text) != text);
}

bool is_identifier(std::string_view text) {
  const std::u32string characters = decode(text);
  return !characters.empty() && !is_digit(characters[0]) &&
         std::all_of(characters.begin(), characters.end(), is_word);
}

Value format(Runtime& runtime, const Value& self, Given given) {
  return runtime.text(format_braces(runtime, self.text(), given));
}

[[noreturn]] Value unsupported(Runtime&, const Value&, Given) {
  fault("this method of str is not supported");
}

constexpr Method methods[] = {
    {"capitalize", changed<capitalize>},
    {"casefold", unsupported},
    {"center", justified<'c'>},
    {"count", count},
    {"encode", unsupported},
    {"endswith", has_affix<false>},
    {"expandtabs", unsupported},
    {"find", find<false>},
    {"format", format},
    {"format_map", unsupported},
    {"index", index<false>},
    {"isalnum", all_characters<is_alphanumeric>},
    {"isalpha", all_characters<is_alpha>},
    {"isascii", whole_text<is_ascii>},
    {"isdecimal", all_characters<is_decimal>},
    {"isdigit", all_characters<is_digit>},
    {"isidentifier", whole_text<is_identifier>},
    {"islower", whole_text<is_lower>},
    {"isnumeric", all_characters<is_digit>},
    {"isprintable", all_characters<is_printable, true>},
    {"isspace", all_characters<is_space>},
    {"istitle", whole_text<is_title>},
    {"isupper", whole_text<is_upper>},
    {"join", join},
    {"ljust", justified<'l'>},
    {"lower", changed<lower>},
    {"lstrip", stripped<Side::left>},
    {"maketrans", unsupported},
    {"partition", partition<false>},
    {"removeprefix", without_affix<true>},
    {"removesuffix", without_affix<false>},
    {"replace", replace},
    {"rfind", find<true>},
    {"rindex", index<true>},
    {"rjust", justified<'r'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", stripped<Side::right>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", has_affix<true>},
    {"strip", stripped<Side::both>},
    {"swapcase", changed<swap_case>},
    {"title", changed<title>},
    {"translate", unsupported},
    {"upper", changed<upper>},
    {"zfill", zfill},
};

}  // namespace

const Method* find_string_method(std::string_view name) {
  const auto* found = std::find_if(std::begin(methods), std::end(methods),
                                   [&](const Method& method) { return method.name == name; });
  return found == std::end(methods) ? nullptr : found;
}

}  // namespace trireme::jinja
