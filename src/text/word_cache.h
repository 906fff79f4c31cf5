// Remembers the tokens of words that were seen before, for any number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace trireme::text {

/// A bounded map from words to ids. A thread never waits: when another one is at the same part of
/// the cache, the word counts as not found.
class WordCache {
 public:
  /// Appends the ids of `word` when it is remembered.
  bool find(std::string_view word, std::vector<std::int32_t>& ids) const;
  /// Remembers `count` ids for `word`, if it is short.
  void add(std::string_view word, const std::int32_t* ids, std::size_t count);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const {
      return std::hash<std::string_view>()(word);
    }
  };
  struct Part {
    mutable std::mutex mutex;
    std::unordered_map<std::string, std::vector<std::int32_t>, Hash, std::equal_to<>> words;
  };
  static constexpr std::size_t kParts = 64;
  static constexpr std::size_t kWordsPerPart = 512;
  static constexpr std::size_t kMaxWordBytes = 128;

  static std::size_t part_of(std::string_view word) { return (Hash()(word) >> 40) % kParts; }

  std::array<Part, kParts> parts_;
};

}  // namespace trireme::text
