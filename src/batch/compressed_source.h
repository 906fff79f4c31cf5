// Rows that come gzip- or zstd-compressed, decompressed as they are read.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "batch/byte_source.h"

namespace trireme {

/// The largest window of a zstd frame: what decompressing it holds in memory. zstd's own default.
inline constexpr int zstd_window_log = 27;

/// The name without ".gz" or ".zst".
std::string_view without_compression(std::string_view name);

/// The bytes of `source`, decompressed if they begin as gzip or zstd do; concatenated members and
/// frames are one. Takes in the first bytes. Throws Error(input) for a name that ends in ".gz" or
/// ".zst" and bytes that are not that; its read() does for a stream that is damaged, is cut short,
/// or needs a larger window, naming the offset in the compressed file.
std::unique_ptr<ByteSource> decompressed(std::unique_ptr<ByteSource> source);

}  // namespace trireme
