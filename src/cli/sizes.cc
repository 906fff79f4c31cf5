#include "cli/sizes.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "trireme/error.h"

namespace trireme {

namespace {

/// The factor of a unit like "", "B", "k", "GiB", "MB"; 0 if there is no such unit.
double unit_factor(std::string unit) {
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (unit.empty() || unit == "b") return 1;
  const std::size_t power = std::string_view("kmgt").find(unit[0]) + 1;
  if (power == 0) return 0;
  const std::string rest = unit.substr(1);
  if (rest.empty() || rest == "i" || rest == "ib") return std::pow(1024.0, power);
  return rest == "b" ? std::pow(1000.0, power) : 0;
}

}  // namespace

std::int64_t parse_bytes(std::string_view text, std::string_view flag) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const double bytes = number * unit_factor(std::string(unit));
  constexpr double most = 1e18;
  if (error != std::errc() || !(bytes >= 1 && bytes <= most)) {
    throw Error(ErrorKind::usage,
                fmt::format("{} {}: expected a number of bytes above 0, such as 536870912, 512M, "
                            "4GiB or 4GB",
                            flag, text));
  }
  return static_cast<std::int64_t>(bytes);
}

std::map<std::string, std::int64_t> parse_max_memory(std::string_view text) {
  std::map<std::string, std::int64_t> budgets;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      throw Error(
          ErrorKind::usage,
          fmt::format("--max-memory: \"{}\" is not DEVICE=BYTES, as in cpu:0=10GiB", entry));
    }
    const std::string device(entry.substr(0, equals));
    const std::int64_t bytes = parse_bytes(entry.substr(equals + 1), "--max-memory");
    if (!budgets.emplace(device, bytes).second) {
      throw Error(ErrorKind::usage, fmt::format("--max-memory: {} is given twice", device));
    }
  }
  return budgets;
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < units.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_count(double count) {
  if (count < 1000) return fmt::format("{:.0f}", count);
  if (count < 999.95e3) return fmt::format("{:.1f} k", count / 1e3);
  if (count < 999.95e6) return fmt::format("{:.1f} M", count / 1e6);
  return fmt::format("{:.2f} B", count / 1e9);
}

std::string precision_text(const std::string& dtype, const std::string& quantization) {
  return quantization == "none" ? dtype : fmt::format("{} with {} weights", dtype, quantization);
}

std::string format_seconds(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::min(seconds, 1e12));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace trireme
