// Safetensors files for the weights tests, as bytes.
#pragma once

#include <cstdint>
#include <string>

namespace trireme {

/// A safetensors file's bytes: the header as given, then `data_bytes` bytes counting up.
inline std::string safetensors_bytes(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes += header;
  for (std::size_t i = 0; i < data_bytes; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace trireme
