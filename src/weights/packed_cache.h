// A packed cache on disk: writing one so that only whole files ever have its name, and mapping one
// whose every byte has been proven.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "core/thread_pool.h"
#include "weights/file.h"
#include "weights/packed_cache_format.h"

namespace trireme {

inline constexpr std::string_view packed_cache_suffix = ".packed";

/// A payload in memory, shared with all who map the same file.
class PackedCache {
 public:
  std::span<const std::byte> payload() const { return map_.bytes().subspan(begin_); }

  /// The file at `path` if it holds `expected`; nothing if there is none. All of the payload is
  /// read and compared with its hashes, on all threads: what a disk has lost must not become a
  /// model's answer, and the pages have to come into memory anyway. `progress` is called often, by
  /// the calling thread. Throws Error, naming the file, if it holds something else or cannot be
  /// read.
  static std::optional<PackedCache> open(const std::filesystem::path& path,
                                         const PackedContents& expected, ThreadPool& threads,
                                         const std::function<void()>& progress = {});

 private:
  PackedCache(FileMap map, std::uint64_t begin) : map_(std::move(map)), begin_(begin) {}

  FileMap map_;
  std::uint64_t begin_ = 0;
};

/// Writes `payload` with its header to `path`, durably, in place of what was there; creates the
/// directory and removes what dead writers have left in it. Returns early, without a file, once
/// `stop` is true. Throws Error(resource) if the disk has not that much room and some to spare, or
/// the file cannot be written.
void write_packed_cache(const std::filesystem::path& path, const PackedContents& contents,
                        std::span<const std::byte> payload, const std::atomic<bool>& stop);

}  // namespace trireme
