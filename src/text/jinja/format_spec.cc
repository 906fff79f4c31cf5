#include "text/jinja/format_spec.h"

#include <fmt/core.h>

#include <cmath>

#include "text/jinja/fault.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

constexpr std::size_t largest_count = 100'000;
constexpr std::size_t largest_precision = 300;

std::string copies(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::uint64_t magnitude(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return value < 0 ? 0 - bits : bits;
}

std::string prefix(char type) { return std::string("0") + type; }

std::string integer_digits(std::int64_t value, const FormatSpec& spec) {
  const std::uint64_t digits = magnitude(value);
  const std::string mark = spec.alternate ? prefix(spec.type) : "";
  switch (spec.type) {
    case 'x':
      return mark + fmt::format("{:x}", digits);
    case 'X':
      return mark + fmt::format("{:X}", digits);
    case 'o':
      return mark + fmt::format("{:o}", digits);
    case 'b':
      return mark + fmt::format("{:b}", digits);
    default:
      return fmt::format("{}", digits);
  }
}

std::string real_digits(double value, const FormatSpec& spec) {
  const double absolute = std::abs(value);
  if (spec.type == '\0' && !spec.precision) return format_real(absolute);
  if (!std::isfinite(absolute)) return std::isnan(absolute) ? "nan" : "inf";
  const std::size_t precision = spec.precision.value_or(6);
  if (precision > largest_precision) fault("a precision of {} is too large", precision);
  const int places = static_cast<int>(precision);
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", absolute, places);
    case 'e':
      return fmt::format("{:.{}e}", absolute, places);
    case 'E':
      return fmt::format("{:.{}E}", absolute, places);
    case '%':
      return fmt::format("{:.{}f}%", absolute * 100, places);
    case 'G':
      return fmt::format("{:.{}G}", absolute, places);
    default:
      return fmt::format("{:.{}g}", absolute, places);
  }
}

void insert_thousands(std::string& digits) {
  std::size_t end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  while (end > 3) {
    end -= 3;
    digits.insert(end, ",");
  }
}

}  // namespace

std::optional<std::size_t> read_count(const std::string& text, std::size_t& position) {
  std::optional<std::size_t> count;
  while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
    count = count.value_or(0) * 10 + static_cast<std::size_t>(text[position++] - '0');
    if (*count > largest_count) fault("a number in a format string is too large");
  }
  return count;
}

std::string pad(Runtime& runtime, const std::string& text, const FormatSpec& spec,
                char default_align) {
  const std::size_t size = code_point_count(text);
  if (size >= spec.width) return text;
  const std::size_t missing = spec.width - size;
  runtime.charge(missing / 16);
  const char align = spec.align == '\0' ? default_align : spec.align;
  if (align == '<') return text + copies(spec.fill, missing);
  if (align != '^') return copies(spec.fill, missing) + text;
  return copies(spec.fill, missing / 2) + text + copies(spec.fill, missing - missing / 2);
}

std::string format_number(Runtime& runtime, const Value& value, const FormatSpec& spec) {
  if (spec.type == 'c') {
    const std::int64_t code = want_integer(value, "the value for %c");
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fault("{} is no character", code);
    }
    std::string character;
    append_utf8(character, static_cast<char32_t>(code));
    return pad(runtime, character, spec, '<');
  }
  const bool as_integer = std::string_view("dxXob").find(spec.type) != std::string_view::npos ||
                          (spec.type == '\0' && value.as_integer());
  std::string digits;
  bool is_negative = false;
  if (as_integer) {
    const std::int64_t integer = want_integer(value, "the value to format");
    is_negative = integer < 0;
    digits = integer_digits(integer, spec);
  } else {
    const auto real = value.as_real();
    if (!real) fault("cannot format '{}' as a number", value.type_name());
    is_negative = std::signbit(*real);
    digits = real_digits(*real, spec);
  }
  if (spec.thousands) insert_thousands(digits);
  const std::string sign = is_negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.align != '=') return pad(runtime, sign + digits, spec, '>');
  FormatSpec rest = spec;
  rest.width -= std::min(rest.width, sign.size());
  return sign + pad(runtime, digits, rest, '>');
}

}  // namespace trireme::jinja
