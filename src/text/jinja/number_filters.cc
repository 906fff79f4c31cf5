// Filters that make numbers.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>

#include "text/jinja/fault.h"
#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

bool is_digit_character(char c) { return c >= '0' && c <= '9'; }

/// Drops the underscores that Python allows between digits; nothing if one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out.push_back(text[i]);
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] == '_' ||
               std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0 ||
               std::isalnum(static_cast<unsigned char>(text[i + 1])) == 0) {
      return std::nullopt;
    }
  }
  return out;
}

/// The digits of an int literal behind its sign and, for its base, its prefix.
std::string_view without_prefix(std::string_view digits, int& base) {
  if (digits.size() < 2 || digits[0] != '0') return digits;
  const char mark = static_cast<char>(digits[1] | 0x20);
  const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  if (marked == 0 || (base != 0 && base != marked)) return digits;
  base = marked;
  return digits.substr(2);
}

/// int(text, base); nothing when Python raises ValueError.
std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t wanted_base) {
  if (wanted_base != 0 && (wanted_base < 2 || wanted_base > 36)) return std::nullopt;
  const auto clean = without_underscores(strip(text));
  if (!clean || clean->empty()) return std::nullopt;
  std::string_view digits = *clean;
  const bool is_negative = digits[0] == '-';
  if (is_negative || digits[0] == '+') digits.remove_prefix(1);
  int base = static_cast<int>(wanted_base);
  digits = without_prefix(digits, base);
  if (base == 0) {
    base = 10;
    if (digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != std::string_view::npos) {
      return std::nullopt;
    }
  }
  const std::string signed_digits = (is_negative ? "-" : "") + std::string(digits);
  if (digits.empty() || digits[0] == '-') return std::nullopt;
  std::int64_t value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, value, base);
  if (result.ec == std::errc::invalid_argument || result.ptr != end) return std::nullopt;
  if (result.ec != std::errc()) fault("the integer {} does not fit in 64 bits", digits);
  return value;
}

/// float(text); nothing when Python raises ValueError.
std::optional<double> parse_real(std::string_view text) {
  const auto clean = without_underscores(strip(text));
  if (!clean) return std::nullopt;
  std::string digits = lower(*clean);
  const bool is_negative = digits.starts_with('-');
  if (is_negative || digits.starts_with('+')) digits.erase(0, 1);
  const double sign = is_negative ? -1 : 1;
  if (digits == "inf" || digits == "infinity")
    return sign * std::numeric_limits<double>::infinity();
  if (digits == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (digits.empty() || (!is_digit_character(digits[0]) && digits[0] != '.')) return std::nullopt;
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, value);
  if (result.ec == std::errc::invalid_argument || result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return sign * value;
}

std::optional<std::int64_t> truncated(double real) {
  if (std::isnan(real)) return std::nullopt;
  if (!(std::abs(real) < 9.2e18)) fault("{} does not fit in 64 bits", real);
  return static_cast<std::int64_t>(real);
}

Value to_integer(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("int", given, {{"default", Value(0)}, {"base", Value(10)}});
  if (input.is_undefined()) fault("{}", input.why_undefined());
  if (const auto whole = input.as_integer()) return *whole;
  std::optional<std::int64_t> result;
  if (input.is_string()) {
    runtime.charge(1 + input.text().size() / 8);
    result = parse_integer(input.text(), want_integer(values[1], "base"));
    if (result) return *result;
    const auto real = parse_real(input.text());
    if (real && !std::isinf(*real)) result = truncated(*real);
  } else if (input.is_real()) {
    result = truncated(input.real());
  }
  return result ? Value(*result) : values[0];
}

Value to_real(Runtime& runtime, const Value& input, Given given) {
  const auto values = bind("float", given, {{"default", Value(0.0)}});
  if (input.is_undefined()) fault("{}", input.why_undefined());
  if (const auto real = input.as_real()) return *real;
  if (!input.is_string()) return values[0];
  runtime.charge(1 + input.text().size() / 8);
  const auto real = parse_real(input.text());
  return real ? Value(*real) : values[0];
}

Value absolute(Runtime&, const Value& input, Given given) {
  bind("abs", given, {});
  if (input.is_undefined()) fault("{}", input.why_undefined());
  if (!input.is_number()) fault("bad operand type for abs(): '{}'", input.type_name());
  if (input.is_real()) return std::abs(input.real());
  return *input.as_integer() < 0 ? negative(input) : positive(input);
}

/// To a multiple of 10 ** -precision, halves to even.
std::int64_t round_integer(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return value;
  if (precision < -18) return 0;
  const std::int64_t unit = integer_power(10, -precision);
  std::int64_t quotient = value / unit;
  const std::int64_t rest = std::abs(value % unit);
  const bool up = rest > unit - rest || (rest == unit - rest && quotient % 2 != 0);
  if (up) quotient += value < 0 ? -1 : 1;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(quotient, unit, &result)) fault("an integer does not fit in 64 bits");
  return result;
}

/// Python's round(): correctly rounded from the exact binary value, halves to even.
double round_real(double value, std::int64_t precision) {
  if (!std::isfinite(value) || precision > 320) return value;
  if (precision < -310) return std::copysign(0.0, value);
  if (precision < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / unit) * unit;
  }
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
  return std::strtod(buffer, nullptr);
}

Value rounded(Runtime&, const Value& input, Given given) {
  const auto values = bind("round", given, {{"precision", Value(0)}, {"method", Value("common")}});
  const std::string& method = want_text(values[1], "method");
  if (method != "common" && method != "ceil" && method != "floor") {
    fault("method must be common, ceil or floor");
  }
  if (input.is_undefined()) fault("{}", input.why_undefined());
  const std::int64_t precision = want_integer(values[0], "precision");
  if (!input.is_number()) fault("'{}' cannot be rounded", input.type_name());
  if (method == "common") {
    if (input.is_real()) return round_real(input.real(), precision);
    return round_integer(*input.as_integer(), precision);
  }
  if (std::abs(precision) > 300) fault("a precision of {} is too large", precision);
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *input.as_real() * unit;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit;
}

constexpr NamedFilter filters[] = {
    {"abs", absolute},
    {"float", to_real},
    {"int", to_integer},
    {"round", rounded},
};

}  // namespace

Filter find_number_filter(std::string_view name) { return find_in(filters, name); }

}  // namespace trireme::jinja
