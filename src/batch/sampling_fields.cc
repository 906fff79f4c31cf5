#include "batch/sampling_fields.h"

#include <cmath>
#include <initializer_list>
#include <limits>

#include "batch/row_error.h"

namespace trireme {

namespace {

namespace dom = simdjson::dom;

[[noreturn]] void bad_type(std::string_view key, const char* wanted, const dom::element& value) {
  bad_row("invalid_field", "field \"{}\" must be {}, but is {}", key, wanted, kind_of(value));
}

/// Integers may be written 16.0, as tables with gaps are exported.
std::int64_t integer_of(std::string_view key, const dom::element& value) {
  std::int64_t integer = 0;
  double real = 0;
  if (value.get(integer) == simdjson::SUCCESS) return integer;
  if (value.is_number() && value.get(real) == simdjson::SUCCESS && std::trunc(real) == real &&
      std::abs(real) < 9e15) {
    return static_cast<std::int64_t>(real);
  }
  bad_type(key, "an integer", value);
}

constexpr double unbounded = std::numeric_limits<float>::max();

struct Bounds {
  double low;
  double high;
  bool low_allowed = true;
};

float real_of(std::string_view key, const dom::element& value, Bounds bounds) {
  double real = 0;
  if (!value.is_number() || value.get(real) != simdjson::SUCCESS) bad_type(key, "a number", value);
  const bool low_enough = bounds.low_allowed ? real >= bounds.low : real > bounds.low;
  if (!low_enough || real > bounds.high) {
    bad_row("invalid_field", "field \"{}\" is {}, but must be {} {}{}", key, real,
            bounds.low_allowed ? "at least" : "above", bounds.low,
            bounds.high < unbounded || real > bounds.high
                ? fmt::format(" and at most {}", bounds.high)
                : "");
  }
  return static_cast<float>(real);
}

void read_max_tokens(const dom::object& object, SamplingParams& sampling) {
  std::optional<std::int64_t> said;
  for (const char* key : {"max_new_tokens", "max_tokens", "max_completion_tokens"}) {
    const auto value = find_field(object, key);
    if (!value) continue;
    const std::int64_t count = integer_of(key, *value);
    if (count < 1)
      bad_row("invalid_field", "field \"{}\" is {}, but must be at least 1", key, count);
    if (said && *said != count) {
      bad_row("invalid_field", "field \"{}\" is {}, but another spelling of it says {}", key, count,
              *said);
    }
    said = count;
  }
  if (said) sampling.max_new_tokens = said;
}

void read_bool(const dom::object& object, const char* key, std::optional<bool>& out) {
  const auto value = find_field(object, key);
  bool flag = false;
  if (!value) return;
  if (value->get(flag) != simdjson::SUCCESS) bad_type(key, "true or false", *value);
  out = flag;
}

void read_real(const dom::object& object, const char* key, Bounds bounds,
               std::optional<float>& out) {
  if (const auto value = find_field(object, key)) out = real_of(key, *value, bounds);
}

std::string stop_of(const dom::element& value) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS)
    bad_type("stop", "a string or a list of strings", value);
  if (text.empty()) bad_row("invalid_field", "field \"stop\" holds an empty string");
  return std::string(text);
}

void read_stop(const dom::object& object, SamplingParams& sampling) {
  const auto value = find_field(object, "stop");
  if (!value) return;
  sampling.stop.clear();
  dom::array list;
  if (value->get(list) != simdjson::SUCCESS) {
    sampling.stop.push_back(stop_of(*value));
    return;
  }
  constexpr std::size_t limit = 64;
  for (const dom::element item : list) sampling.stop.push_back(stop_of(item));
  if (sampling.stop.size() > limit) {
    bad_row("invalid_field", "field \"stop\" lists {} strings; the limit is {}",
            sampling.stop.size(), limit);
  }
}

/// null is transformers' way to switch it off.
void read_top_k(const dom::object& object, SamplingParams& sampling) {
  const auto value = last_value(object, "top_k");
  if (!value) return;
  const std::int64_t top_k = value->is_null() ? 0 : integer_of("top_k", *value);
  if (top_k < -1)
    bad_row("invalid_field", "field \"top_k\" is {}, but must be -1, 0 or more", top_k);
  sampling.top_k = top_k;
}

void read_seed(const dom::object& object, SamplingParams& sampling) {
  const auto value = find_field(object, "seed");
  std::uint64_t seed = 0;
  if (!value) return;
  if (value->get(seed) != simdjson::SUCCESS) {
    seed = static_cast<std::uint64_t>(integer_of("seed", *value));
  }
  sampling.seed = seed;
}

void refuse_unsupported(const dom::object& object) {
  for (const char* key :
       {"presence_penalty", "frequency_penalty", "logit_bias", "chat_template_kwargs"}) {
    const auto value = find_field(object, key);
    if (value && asks_for_something(*value)) {
      bad_row("unsupported_field", "field \"{}\" is not supported; leave it out", key);
    }
  }
}

}  // namespace

bool asks_for_something(const dom::element& value) {
  bool flag = false;
  double number = 0;
  if (value.is_null()) return false;
  if (value.get(flag) == simdjson::SUCCESS) return flag;
  if (value.is_number()) return value.get(number) != simdjson::SUCCESS || number != 0;
  if (value.is_array()) return dom::array(value).size() != 0;
  if (value.is_object()) return dom::object(value).size() != 0;
  return true;
}

const char* kind_of(const dom::element& value) {
  switch (value.type()) {
    case dom::element_type::ARRAY:
      return "a list";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::STRING:
      return "a string";
    case dom::element_type::BOOL:
      return "true or false";
    case dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

std::optional<dom::element> last_value(const dom::object& object, std::string_view key) {
  std::optional<dom::element> found;
  for (const dom::key_value_pair field : object) {
    if (field.key == key) found = field.value;
  }
  return found;
}

std::optional<dom::element> find_field(const dom::object& object, std::string_view key) {
  const auto found = last_value(object, key);
  return found && found->is_null() ? std::nullopt : found;
}

void read_sampling(const dom::object& object, SamplingParams& sampling) {
  read_max_tokens(object, sampling);
  if (find_field(object, "temperature")) sampling.do_sample.reset();  // the row's wish counts
  read_bool(object, "do_sample", sampling.do_sample);
  read_bool(object, "ignore_eos", sampling.ignore_eos);
  read_real(object, "temperature", {0, unbounded}, sampling.temperature);
  read_real(object, "top_p", {0, 1, false}, sampling.top_p);
  read_real(object, "min_p", {0, 1}, sampling.min_p);
  read_real(object, "repetition_penalty", {0, unbounded, false}, sampling.repetition_penalty);
  read_top_k(object, sampling);
  read_seed(object, sampling);
  read_stop(object, sampling);
  refuse_unsupported(object);
}

}  // namespace trireme
