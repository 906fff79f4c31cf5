// Reading a Unigram model from tokenizer.json.
#include <array>
#include <charconv>

#include "core/error.h"
#include "text/json_view.h"
#include "text/unigram.h"

namespace trireme::text {
namespace {

double power_of_ten(int exponent) {
  const std::string text = fmt::format("1e{}", exponent);
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A number as serde_json reads it for `tokenizers`: its digits are rounded to a double, which is
// then multiplied or divided by a power of ten and rounded again. One score in seven is a bit off
// from what is written, and sums that are equal there must be equal here. The digits are the
// shortest that `value` has, which is how the files spell it.
double as_serde_reads(double value) {
  std::array<char, 32> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                     std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
  const std::size_t e = text.find('e');
  std::uint64_t digits = 0;
  int exponent = 0;
  bool fraction = false;
  for (const char c : text.substr(0, e)) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    digits = 10 * digits + static_cast<std::uint64_t>(c - '0');
    exponent -= fraction ? 1 : 0;
  }
  int scale = 0;
  const std::string_view power = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
  std::from_chars(power.data(), power.data() + power.size(), scale);
  exponent += scale;
  auto result = static_cast<double>(digits);
  if (exponent < -308) {
    result /= 1e308;
    exponent += 308;
  }
  result = exponent < 0 ? result / power_of_ten(-exponent) : result * power_of_ten(exponent);
  return value < 0 ? -result : result;
}

[[noreturn]] void fail_at(const JsonView& json, std::size_t index) {
  fail(ErrorKind::input, "{}[{}]: expected a list of a token and its score", json.where(), index);
}

// Written without JsonView's index names: there are hundreds of thousands of tokens.
std::vector<ScoredToken> read_tokens(const JsonView& json) {
  const simdjson::dom::array list = json.as_array();
  std::vector<ScoredToken> tokens;
  for (const simdjson::dom::element item : list) {
    simdjson::dom::array pair;
    std::string_view text;
    double score = 0;
    if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(text) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS) {
      fail_at(json, tokens.size());
    }
    tokens.push_back({std::string(text), as_serde_reads(score)});
  }
  return tokens;
}

}  // namespace

std::unique_ptr<Model> read_unigram(const JsonView& json) {
  std::optional<std::int32_t> unk_id;
  if (const auto id = json.find("unk_id")) {
    unk_id = static_cast<std::int32_t>(id->as_integer(0, TokenTable::kMaxIds - 1));
  }
  return std::make_unique<Unigram>(read_tokens(json.require("vocab")), unk_id,
                                   json.flag("byte_fallback", false), json.where());
}

}  // namespace trireme::text
