// Any bytes as a safetensors file, read as the first bytes, the header and the data would be.
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "weights/safetensors_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trireme;
  if (size < safetensors_prefix) return 0;
  std::uint64_t length = 0;
  std::memcpy(&length, data, sizeof(length));
  try {
    length = checked_header_length(length, size, "fuzz");
    const std::string_view json(reinterpret_cast<const char*>(data) + safetensors_prefix, length);
    const std::uint64_t data_bytes = size - safetensors_prefix - length;
    for (const SafetensorsEntry& entry :
         parse_safetensors_header(json, data_bytes, "fuzz").entries) {
      TRIREME_ASSERT(entry.begin <= entry.end && entry.end <= data_bytes);
      std::int64_t elements = 1;
      for (const std::int64_t size_of_dim : entry.shape) elements *= size_of_dim;
      if (entry.dtype) {
        TRIREME_ASSERT(static_cast<std::uint64_t>(elements) * size_of(*entry.dtype) ==
                       entry.end - entry.begin);
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
