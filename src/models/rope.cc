#include "models/rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "models/model.h"

namespace trireme {

namespace {

// transformers computes frequencies in float32, one rounding per operation, and the angles of far
// positions are as coarse as that: what follows keeps to its operations and their order. A Python
// number that meets a tensor is rounded to float32 first, and `number / tensor` is the tensor's
// reciprocal times the number.

constexpr double two_pi = 2.0 * std::numbers::pi;

float f32(double number) { return static_cast<float>(number); }

/// theta^(2i / dim)
std::vector<float> powers_of_theta(const RopeConfig& rope) {
  std::vector<float> powers;
  for (std::int64_t i = 0; i < rope.rotary_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rope.rotary_dim);
    powers.push_back(
        f32(std::pow(static_cast<double>(f32(rope.theta)), static_cast<double>(exponent))));
  }
  return powers;
}

/// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
float llama3_frequency(float frequency, const RopeConfig& rope) {
  const double original = static_cast<double>(rope.original_max_positions);
  const float factor = f32(rope.factor);
  const float wavelength = 1.0f / frequency * f32(two_pi);
  if (wavelength > f32(original / rope.low_freq_factor)) return frequency / factor;
  if (wavelength < f32(original / rope.high_freq_factor)) return frequency;
  const float smooth = (1.0f / wavelength * f32(original) - f32(rope.low_freq_factor)) /
                       f32(rope.high_freq_factor - rope.low_freq_factor);
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

/// The dimension whose wavelength makes `rotations` turns within the original context (YaRN).
double yarn_dimension(double rotations, const RopeConfig& rope) {
  return static_cast<double>(rope.rotary_dim) *
         std::log(static_cast<double>(rope.original_max_positions) / (rotations * two_pi)) /
         (2.0 * std::log(rope.theta));
}

/// YaRN: slow dimensions are stretched by `factor`, fast ones kept, those between blended.
std::vector<float> yarn_frequencies(const std::vector<float>& powers, const RopeConfig& rope) {
  double low = yarn_dimension(rope.beta_fast, rope);
  double high = yarn_dimension(rope.beta_slow, rope);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.rotary_dim - 1));
  if (low == high) high += 0.001;
  std::vector<float> frequencies;
  for (std::size_t i = 0; i < powers.size(); ++i) {
    const float kept = 1.0f / powers[i];
    const float stretched = 1.0f / (f32(rope.factor) * powers[i]);
    const float ramp = std::clamp((static_cast<float>(i) - f32(low)) / f32(high - low), 0.0f, 1.0f);
    const float keep = 1.0f - ramp;
    frequencies.push_back(stretched * (1.0f - keep) + kept * keep);
  }
  return frequencies;
}

double yarn_mscale(double scale, double mscale) {
  return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

/// No such number of a scaling method is larger or, where it must not be 0, smaller.
constexpr double largest = 1e6;
constexpr double smallest = 1e-6;

double yarn_attention_factor(const HfConfig& scaling, double factor) {
  if (const auto given = scaling.number_within("attention_factor", 0, largest)) return *given;
  const auto mscale = scaling.number_within("mscale", 0, largest);
  const auto all_dim = scaling.number_within("mscale_all_dim", 0, largest);
  if (mscale && all_dim && *mscale != 0 && *all_dim != 0) {
    return yarn_mscale(factor, *mscale) / yarn_mscale(factor, *all_dim);
  }
  return yarn_mscale(factor, 1.0);
}

/// transformers refuses a scaling without these; a default would make another model of it.
double required_number(const HfConfig& scaling, std::string_view key, std::string_view type) {
  if (const auto value = scaling.number_within(key, smallest, largest)) return *value;
  scaling.reject(key, fmt::format("a number: {} scaling needs it", type));
}

void read_llama3(RopeConfig& rope, const HfConfig& scaling) {
  rope.low_freq_factor = required_number(scaling, "low_freq_factor", rope.type);
  rope.high_freq_factor = required_number(scaling, "high_freq_factor", rope.type);
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    scaling.reject("high_freq_factor", "a number above low_freq_factor");
  }
  if (!scaling.has("original_max_position_embeddings")) {
    scaling.reject("original_max_position_embeddings", "an integer: llama3 scaling needs it");
  }
  rope.original_max_positions =
      scaling.size("original_max_position_embeddings", SizeLimits::positions);
}

void read_yarn(RopeConfig& rope, const HfConfig& scaling) {
  rope.original_max_positions = scaling.size_or("original_max_position_embeddings",
                                                rope.original_max_positions, SizeLimits::positions);
  const auto beta = [&](std::string_view key, double fallback) {
    const double given = scaling.number_within(key, 0, largest).value_or(0);
    return given > 0 ? given : fallback;  // 0 means not given
  };
  rope.beta_fast = beta("beta_fast", rope.beta_fast);
  rope.beta_slow = beta("beta_slow", rope.beta_slow);
  rope.truncate = scaling.boolean_or("truncate", true);
  rope.attention_factor = yarn_attention_factor(scaling, rope.factor);
}

void read_factors(RopeConfig& rope, const HfConfig& scaling) {
  for (const double factor : scaling.numbers("frequency_factors")) {
    if (!(factor >= smallest && factor <= largest)) {
      scaling.reject("frequency_factors", fmt::format("numbers from {} to {}", smallest, largest));
    }
    rope.frequency_factors.push_back(f32(factor));
  }
  if (std::ssize(rope.frequency_factors) * 2 != rope.rotary_dim) {
    scaling.reject("frequency_factors", fmt::format("{} numbers", rope.rotary_dim / 2));
  }
}

void read_scaling(RopeConfig& rope, const HfConfig& scaling) {
  rope.type = scaling.string_or("rope_type", scaling.string_or("type", "default"));
  if (rope.type == "frequency_factors") return read_factors(rope, scaling);
  constexpr std::array<std::string_view, 5> known{"default", "linear", "dynamic", "llama3", "yarn"};
  if (std::find(known.begin(), known.end(), rope.type) == known.end()) {
    scaling.reject(scaling.has("rope_type") ? "rope_type" : "type",
                   "one of default, linear, dynamic, llama3, yarn");
  }
  if (rope.type == "default") return;
  rope.factor = required_number(scaling, "factor", rope.type);
  if (rope.type == "llama3") read_llama3(rope, scaling);
  if (rope.type == "yarn") read_yarn(rope, scaling);
}

/// The object that says how to rotate. transformers 5 writes `rope_parameters`; where the older
/// `rope_scaling` is given as well, it counts in both versions.
HfConfig rope_object(const HfConfig& config) {
  HfConfig scaling = config.object("rope_scaling");
  HfConfig parameters = scaling.empty() ? config.object("rope_parameters") : std::move(scaling);
  for (const std::string& key : parameters.keys()) {
    if (parameters.is_object(key)) {
      parameters.reject(key, "no parameters of its own: Trireme rotates all layers alike");
    }
  }
  return parameters;
}

}  // namespace

namespace {

std::int64_t stretched_positions(const RopeConfig& rope, std::int64_t max_positions) {
  const auto times_factor = [&](std::int64_t positions) {
    return static_cast<std::int64_t>(static_cast<double>(positions) * rope.factor);
  };
  if (rope.type == "yarn") return times_factor(rope.original_max_positions);
  return rope.type == "linear" ? times_factor(max_positions) : max_positions;
}

}  // namespace

RopeConfig read_rope(const HfConfig& config, std::int64_t head_dim, std::int64_t max_positions) {
  RopeConfig rope;
  rope.original_max_positions = max_positions;
  const HfConfig parameters = rope_object(config);
  const HfConfig& with_theta = parameters.has("rope_theta") ? parameters : config;
  rope.theta = with_theta.number_within("rope_theta", 1, 1e18).value_or(rope.theta);
  if (!(rope.theta > 1)) with_theta.reject("rope_theta", "a number above 1");
  const double partial =
      parameters.number_or("partial_rotary_factor", config.number_or("partial_rotary_factor", 1.0));
  if (!(partial > 0 && partial <= 1)) {
    config.reject("partial_rotary_factor", "a number above 0 and at most 1");
  }
  rope.rotary_dim = static_cast<std::int64_t>(static_cast<double>(head_dim) * partial);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0) {
    config.reject("head_dim", "an even number of rotated dimensions");
  }
  read_scaling(rope, parameters);
  if (stretched_positions(rope, max_positions) > SizeLimits::positions) {
    parameters.reject("factor", fmt::format("less: {} positions are too many",
                                            stretched_positions(rope, max_positions)));
  }
  return rope;
}

std::int64_t usable_positions(const RopeConfig& rope, std::int64_t max_positions) {
  return std::max(max_positions, stretched_positions(rope, max_positions));
}

std::vector<float> rope_frequencies(const RopeConfig& rope) {
  const std::vector<float> powers = powers_of_theta(rope);
  if (rope.type == "yarn") return yarn_frequencies(powers, rope);
  std::vector<float> frequencies;
  for (const float power : powers) frequencies.push_back(1.0f / power);
  if (rope.type == "linear") {
    for (float& f : frequencies) f /= f32(rope.factor);
  } else if (rope.type == "llama3") {
    for (float& f : frequencies) f = llama3_frequency(f, rope);
  } else if (rope.type == "frequency_factors") {
    for (std::size_t i = 0; i < frequencies.size(); ++i)
      frequencies[i] /= rope.frequency_factors[i];
  }
  // "dynamic" changes nothing within the original context, to which such models are held: past it,
  // transformers' frequencies depend on the length of each call, so cached keys would not be
  // those of a longer prompt.
  return frequencies;
}

RotaryTables rope_tables(const RopeConfig& rope, std::int64_t positions, const Backend& backend) {
  const std::vector<float> frequencies = rope_frequencies(rope);
  const float attention_factor = f32(rope.attention_factor);
  std::vector<float> cos, sin;
  cos.reserve(frequencies.size() * static_cast<std::size_t>(positions));
  sin.reserve(cos.capacity());
  for (std::int64_t position = 0; position < positions; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      const double exact = static_cast<double>(angle);
      cos.push_back(f32(std::cos(exact)) * attention_factor);
      sin.push_back(f32(std::sin(exact)) * attention_factor);
    }
  }
  const auto kept = [&](const std::vector<float>& table) {
    const auto bytes = std::as_bytes(std::span(table));
    DeviceBuffer memory = backend.allocate(bytes.size());
    backend.upload(memory.data(), bytes);
    return memory;
  };
  return {rope.rotary_dim, kept(cos), kept(sin)};
}

}  // namespace trireme
