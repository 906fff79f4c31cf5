// Filters that make text.
#include <fmt/core.h>

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& runtime, const Value& input, Given given) {
  bind("the filter", given, {});
  return runtime.text(Change(to_text(runtime, input)));
}

Value as_text(Runtime& runtime, const Value& input, Given given) {
  bind("string", given, {});
  return runtime.text(to_text(runtime, input));
}

Value trim(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("trim", given, {{"chars", Value()}});
  const std::string text = to_text(runtime, input);
  if (values[0].is_none()) return runtime.text(std::string(strip(text)));
  const std::string_view characters = want_text(values[0], "the argument of trim");
  runtime.charge(characters.size() / 8 * (1 + text.size() / 8));
  return runtime.text(std::string(strip(text, Side::both, &characters)));
}

/// What the title filter begins a word after.
bool begins_word(char32_t c) {
  return is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
}

std::string title_words(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    const bool separator = begins_word(next_code_point(text, end));
    const std::size_t first_end = end;
    for (std::size_t next = end; next < text.size(); end = next) {
      if (begins_word(next_code_point(text, next)) != separator) break;
    }
    out += upper(text.substr(i, first_end - i));
    out += lower(text.substr(first_end, end - first_end));
    i = end;
  }
  return out;
}

std::string escaped_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

Value replace(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("replace", given, {{"old"}, {"new"}, {"count", Value()}});
  const std::int64_t count = values[2].is_none() ? -1 : want_integer(values[2], "count");
  return runtime.text(replaced(runtime, to_text(runtime, input), to_text(runtime, values[0]),
                               to_text(runtime, values[1]), count));
}

Value join(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("join", given, {{"d", Value("")}, {"attribute", Value()}});
  const std::string separator = to_text(runtime, values[0]);
  const AttributeGetter getter(values[1]);
  std::string out;
  const Cursor next = iterate(input);
  for (bool first = true; auto item = next(); first = false) {
    if (!first) out += separator;
    const std::string text = to_text(runtime, getter.get(runtime, *std::move(item)));
    out += text;
    runtime.charge(1 + (text.size() + separator.size()) / 16);
    runtime.check_size(out.size());
  }
  return runtime.text(std::move(out));
}

Value indent(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("indent", given,
                           {{"width", Value(4)}, {"first", Value(false)}, {"blank", Value(false)}});
  const std::string& text = want_text(input, "the input of indent");
  std::string margin;
  if (values[0].is_string()) {
    margin = values[0].text();
  } else {
    const std::int64_t width = std::max<std::int64_t>(0, want_integer(values[0], "width"));
    runtime.check_size(static_cast<std::size_t>(width));
    margin.assign(static_cast<std::size_t>(width), ' ');
  }
  std::string out = values[1].truthy() ? margin : "";
  const auto lines = split_lines(runtime, text + "\n", false);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 && (values[2].truthy() || !lines[i].empty())) out += margin;
    out += lines[i];
    runtime.charge(1 + (margin.size() + lines[i].size()) / 16);
    runtime.check_size(out.size());
  }
  return runtime.text(std::move(out));
}

Value center(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("center", given, {{"width", Value(80)}});
  Arguments arguments;
  arguments.positional.push_back(values[0]);
  return find_string_method("center")->run(runtime, Value(to_text(runtime, input)), arguments);
}

Value truncate(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("truncate", given,
                           {{"length", Value(255)},
                            {"killwords", Value(false)},
                            {"end", Value("...")},
                            {"leeway", Value()}});
  const std::int64_t length = want_integer(values[0], "length");
  const std::int64_t leeway = values[3].is_none() ? 5 : want_integer(values[3], "leeway");
  const std::u32string end = decode(want_text(values[2], "end"));
  if (length < static_cast<std::int64_t>(end.size()) || length > max_range || leeway < 0) {
    fault("truncate needs a length of at least {} and no negative leeway", end.size());
  }
  const auto most = static_cast<std::size_t>(length);
  const std::size_t size = jinja::length(input);
  runtime.charge(1 + size / 8);
  if (leeway >= max_range || size <= most + static_cast<std::size_t>(leeway)) return input;
  const std::u32string text = decode(want_text(input, "the input of truncate"));
  std::u32string kept = text.substr(0, most - end.size());
  if (!values[1].truthy()) kept = kept.substr(0, kept.rfind(U' '));
  return runtime.text(encode(kept + end));
}

Value word_count(Runtime& runtime, const Value& input, Given given) {
  bind("wordcount", given, {});
  std::int64_t words = 0;
  bool within = false;
  for (const char32_t c : decode(to_text(runtime, input))) {
    const bool word = is_alpha(c) || is_digit(c) || c == '_';
    words += word && !within ? 1 : 0;
    within = word;
  }
  return words;
}

Value format(Runtime& runtime, const Value& input, Given given) {
  if (!given.positional.empty() && !given.named.empty()) {
    fault("format takes positional or named arguments, not both");
  }
  Value values = Value::tuple(given.positional);
  if (!given.named.empty()) {
    Dict dict;
    for (const auto& [name, value] : given.named) dict.set(Value(name), value);
    values = Value::dict(std::move(dict));
  }
  return runtime.text(format_printf(runtime, to_text(runtime, input), values));
}

std::optional<std::string> json_indent(Runtime& runtime, const Value& indent) {
  if (indent.is_none()) return std::nullopt;
  if (indent.is_string()) return indent.text();
  const std::int64_t width = std::max<std::int64_t>(0, want_integer(indent, "indent"));
  runtime.check_size(static_cast<std::size_t>(width));
  return std::string(static_cast<std::size_t>(width), ' ');
}

/// transformers' own tojson: json.dumps without HTML escapes, non-ASCII characters as they are.
Value to_json_filter(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("tojson", given,
                           {{"ensure_ascii", Value(false)},
                            {"indent", Value()},
                            {"separators", Value()},
                            {"sort_keys", Value(false)}});
  JsonStyle style;
  style.ascii_only = values[0].truthy();
  style.indent = json_indent(runtime, values[1]);
  style.sort_keys = values[3].truthy();
  if (style.indent) style.item_separator = ",";
  if (!values[2].is_none()) {
    const auto separators = to_vector(runtime, values[2]);
    if (separators.size() != 2) fault("separators must be two strings");
    style.item_separator = want_text(separators[0], "a separator");
    style.key_separator = want_text(separators[1], "a separator");
  }
  return runtime.text(to_json(runtime, input, style));
}

constexpr NamedFilter filters[] = {
    {"capitalize", changed<capitalize>},
    {"center", center},
    {"e", changed<escaped_html>},
    {"escape", changed<escaped_html>},
    {"forceescape", changed<escaped_html>},
    {"format", format},
    {"indent", indent},
    {"join", join},
    {"lower", changed<lower>},
    {"replace", replace},
    {"safe", as_text},
    {"string", as_text},
    {"title", changed<title_words>},
    {"tojson", to_json_filter},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", changed<upper>},
    {"wordcount", word_count},
};

}  // namespace

Filter find_text_filter(std::string_view name) { return find_in(filters, name); }

}  // namespace trireme::jinja
