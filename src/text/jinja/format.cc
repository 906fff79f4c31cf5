#include "text/jinja/format.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/attributes.h"
#include "text/jinja/escapes.h"
#include "text/jinja/fault.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

bool is_digit_character(char c) { return c >= '0' && c <= '9'; }

std::string first_characters(const std::string& text, std::size_t count) {
  std::size_t end = 0;
  for (; count > 0 && end < text.size(); --count) next_code_point(text, end);
  return text.substr(0, end);
}

/// ascii(): repr() with everything beyond ASCII escaped.
std::string ascii_repr(Runtime& runtime, const Value& value) {
  std::string out;
  for (const char32_t c : decode(repr(runtime, value))) {
    const auto code = static_cast<std::uint32_t>(c);
    out += c < 0x80      ? std::string(1, static_cast<char>(c))
           : c < 0x100   ? fmt::format("\\x{:02x}", code)
           : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                         : fmt::format("\\U{:08x}", code);
  }
  return out;
}

class PrintfFormatter {
 public:
  PrintfFormatter(Runtime& runtime, const std::string& format, const Value& values)
      : runtime_(runtime), format_(format), values_(values) {}

  std::string run() {
    while (position_ < format_.size()) {
      const std::size_t percent = std::min(format_.find('%', position_), format_.size());
      out_ += format_.substr(position_, percent - position_);
      position_ = percent + 1;
      if (percent < format_.size()) conversion();
      runtime_.check_size(out_.size());
    }
    const bool surplus = values_.is_tuple() ? used_ < values_.items().size()
                                            : used_ == 0 && !by_name_ && !is_mapping();
    if (surplus) fault("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  bool is_mapping() const {
    return values_.is_dict() || values_.is_list() || values_.is_undefined() ||
           (values_.is_object() && values_.object().is_sequence());
  }

  char here() const {
    if (position_ >= format_.size()) fault("incomplete format");
    return format_[position_];
  }

  Value next_value() {
    if (!values_.is_tuple()) {
      if (used_++ > 0) fault("not enough arguments for format string");
      return values_;
    }
    if (used_ >= values_.items().size()) fault("not enough arguments for format string");
    return values_.items()[used_++];
  }

  Value named_value() {
    const std::size_t end = format_.find(')', position_);
    if (end == format_.npos) fault("incomplete format key");
    const std::string key = format_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    if (!values_.is_dict()) fault("format requires a mapping");
    by_name_ = true;
    const Value* found = values_.dict().find(key);
    if (found == nullptr) fault("the format's key '{}' is missing", key);
    return *found;
  }

  FormatSpec read_spec() {
    FormatSpec spec;
    bool left = false;
    bool zero = false;
    for (; std::string_view("#0- +").find(here()) != std::string_view::npos; ++position_) {
      left |= here() == '-';
      zero |= here() == '0';
      spec.alternate |= here() == '#';
      if (here() == '+' || (here() == ' ' && spec.sign != '+')) spec.sign = here();
    }
    if (here() == '*') fault("'*' in a format string is not supported");
    spec.width = read_count(format_, position_).value_or(0);
    spec.align = left ? '<' : zero ? '=' : '>';
    if (here() == '.') {
      ++position_;
      spec.precision = read_count(format_, position_).value_or(0);
    }
    while (here() == 'l' || here() == 'h' || here() == 'L') ++position_;
    spec.type = here();
    ++position_;
    if (spec.align == '=' && std::string_view("sra").find(spec.type) == std::string_view::npos) {
      spec.fill = "0";
    }
    return spec;
  }

  void conversion() {
    std::optional<Value> named;
    if (here() == '(') named = named_value();
    FormatSpec spec = read_spec();
    if (spec.type == '%') {
      out_.push_back('%');
      return;
    }
    const Value value = named ? *named : next_value();
    out_ += std::string_view("sra").find(spec.type) != std::string_view::npos ? text(value, spec)
                                                                              : number(value, spec);
  }

  std::string text(const Value& value, const FormatSpec& spec) {
    std::string shown = spec.type == 's'   ? to_text(runtime_, value)
                        : spec.type == 'r' ? repr(runtime_, value)
                                           : ascii_repr(runtime_, value);
    if (spec.precision) shown = first_characters(shown, *spec.precision);
    return pad(runtime_, shown, spec, '>');
  }

  std::string number(const Value& value, FormatSpec spec) {
    if (value.is_undefined()) fault("{}", value.why_undefined());
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    if (std::string_view("dxXocfFeEgG").find(spec.type) == std::string_view::npos) {
      fault("unsupported format character '{}'", spec.type);
    }
    if (spec.type == 'c' && value.is_string() && code_point_count(value.text()) == 1) {
      return pad(runtime_, value.text(), spec, '>');
    }
    if (!value.is_number()) {
      fault("%{} format: a number is required, not {}", spec.type, value.type_name());
    }
    if (spec.type != 'd' || !value.is_real()) return format_number(runtime_, value, spec);
    if (!(std::abs(value.real()) < 9e18)) fault("cannot convert {} to an integer", value.real());
    return format_number(runtime_, Value(static_cast<std::int64_t>(value.real())), spec);
  }

  Runtime& runtime_;
  const std::string& format_;
  const Value& values_;
  std::size_t position_ = 0;
  std::size_t used_ = 0;
  bool by_name_ = false;
  std::string out_;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const std::string& format, const Arguments& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments) {}

  std::string run() {
    while (position_ < format_.size()) {
      const char c = format_[position_++];
      const bool doubled = position_ < format_.size() && format_[position_] == c;
      if ((c == '{' || c == '}') && doubled) {
        out_.push_back(c);
        ++position_;
      } else if (c == '{') {
        field();
      } else if (c == '}') {
        fault("single '}}' encountered in format string");
      } else {
        out_.push_back(c);
      }
      runtime_.check_size(out_.size());
    }
    return std::move(out_);
  }

 private:
  void field() {
    const std::size_t end = format_.find('}', position_);
    if (end == format_.npos) fault("expected '}}' before end of string");
    std::string field = format_.substr(position_, end - position_);
    if (field.find('{') != field.npos) fault("nested fields in a format string are not supported");
    position_ = end + 1;
    const std::size_t colon = field.find(':');
    const std::string spec = colon == field.npos ? "" : field.substr(colon + 1);
    field = field.substr(0, colon);
    const std::size_t mark = field.find('!');
    Value value = lookup(field.substr(0, mark));
    if (mark != field.npos) value = converted(value, field.substr(mark + 1));
    out_ += formatted(value, spec);
  }

  Value converted(const Value& value, const std::string& conversion) {
    if (conversion == "s") return to_text(runtime_, value);
    if (conversion == "r") return repr(runtime_, value);
    if (conversion == "a") return ascii_repr(runtime_, value);
    fault("unknown conversion specifier '{}'", conversion);
  }

  Value lookup(const std::string& field) {
    std::size_t i = std::min(field.find_first_of(".["), field.size());
    Value value = argument(field.substr(0, i));
    while (i < field.size()) {
      const bool is_attribute = field[i] == '.';
      const std::size_t end = std::min(
          is_attribute ? field.find_first_of(".[", i + 1) : field.find(']', i), field.size());
      const std::string key = field.substr(i + 1, end - i - 1);
      value = is_attribute ? get_attribute(runtime_, value, key) : item(value, key);
      i = is_attribute ? end : end + 1;
    }
    return value;
  }

  Value item(const Value& value, const std::string& key) {
    std::size_t end = 0;
    const bool numeric = !key.empty() && std::all_of(key.begin(), key.end(), is_digit_character);
    return get_item(runtime_, value, numeric ? Value(*read_count(key, end)) : Value(key));
  }

  Value argument(const std::string& name) {
    std::size_t end = 0;
    std::size_t index = name.empty() ? next_automatic_ : read_count(name, end).value_or(0);
    if (name.empty()) {
      ++next_automatic_;
    } else if (end != name.size()) {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      fault("the format's argument '{}' is missing", name);
    }
    if (index >= arguments_.positional.size()) fault("replacement index {} out of range", index);
    return arguments_.positional[index];
  }

  std::string formatted(const Value& value, const std::string& text) {
    if (text.empty()) return to_text(runtime_, value);
    const FormatSpec spec = parse_spec(text);
    const bool is_text = value.is_string() && (spec.type == '\0' || spec.type == 's');
    if (is_text) {
      const std::string& shown = value.text();
      return pad(runtime_, spec.precision ? first_characters(shown, *spec.precision) : shown, spec,
                 '<');
    }
    if (!value.is_number() || spec.type == 's') {
      fault("format specification '{}' does not fit '{}'", text, value.type_name());
    }
    return format_number(runtime_, value, spec);
  }

  static bool is_align(const std::string& text, std::size_t i) {
    return i < text.size() && std::string_view("<>^=").find(text[i]) != std::string_view::npos;
  }

  static FormatSpec parse_spec(const std::string& text) {
    FormatSpec spec;
    std::size_t i = 0;
    std::size_t first = 0;
    next_code_point(text, first);
    if (is_align(text, first)) {
      spec.fill = text.substr(0, first);
      i = first;
    }
    if (is_align(text, i)) spec.align = text[i++];
    const auto take = [&](std::string_view any) {
      return i < text.size() && any.find(text[i]) != any.npos ? text[i++] : '\0';
    };
    if (const char sign = take("+- ")) spec.sign = sign;
    spec.alternate = take("#") != '\0';
    if (i < text.size() && text[i] == '0' && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    spec.width = read_count(text, i).value_or(0);
    spec.thousands = take(",") != '\0';
    if (take(".") != '\0') {
      spec.precision = read_count(text, i);
      if (!spec.precision) fault("format specifier missing precision");
    }
    spec.type = take("sdfFeEgGxXobc%");
    if (i != text.size()) fault("invalid format specifier '{}'", text);
    return spec;
  }

  Runtime& runtime_;
  const std::string& format_;
  const Arguments& arguments_;
  std::size_t position_ = 0;
  std::size_t next_automatic_ = 0;
  std::string out_;
};

}  // namespace

std::string format_printf(Runtime& runtime, const std::string& format, const Value& values) {
  return PrintfFormatter(runtime, format, values).run();
}

std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments) {
  return BraceFormatter(runtime, format, arguments).run();
}

}  // namespace trireme::jinja
