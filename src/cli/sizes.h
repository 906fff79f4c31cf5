// Bytes, counts and times as people write them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace trireme {

/// "1048576", "512M", "1.5GiB", "4GB": K, M, G, T alone or with iB count in 1024s; KB, MB, GB, TB
/// in 1000s, as Accelerate reads them. Throws Error(usage) naming `flag`.
std::int64_t parse_bytes(std::string_view text, std::string_view flag);

/// "cpu:0=10GiB,1=20GiB": bytes by device. Throws Error(usage).
std::map<std::string, std::int64_t> parse_max_memory(std::string_view text);

/// "512 B", "1.5 MiB", "12.0 GiB".
std::string format_bytes(std::int64_t bytes);

/// "950", "12.3 k", "1.24 B": counts of parameters or tokens.
std::string format_count(double count);

/// "bfloat16", "bfloat16 with int8 weights".
std::string precision_text(const std::string& dtype, const std::string& quantization);

/// "0.8 s", "45 s", "3 min 20 s", "2 h 5 min".
std::string format_seconds(double seconds);

}  // namespace trireme
