// Which ids the rows of an input have had, for ten million rows as for ten: a hash table of sixteen
// bytes an id that lives in a file without a name once it is no longer small, so that the kernel
// may write it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace trireme {

/// Keeps 88 bits of each id's hash: among ten million ids two different ones are taken for the same
/// once in 10^12 jobs.
class IdTable {
 public:
  /// `folder`: where there is room for the file.
  explicit IdTable(std::filesystem::path folder);
  ~IdTable();
  IdTable(const IdTable&) = delete;
  IdTable& operator=(const IdTable&) = delete;

  /// Notes that this row has this id. Returns the first row that had it, if there is one. Throws
  /// Error(resource) when the disk is full.
  std::optional<std::uint64_t> add(std::string_view id, std::uint64_t row);

  std::size_t size() const { return size_; }
  /// Bytes that are kept in memory for good; beyond, they are in the file.
  static constexpr std::size_t memory_bytes = std::size_t{16} << 20;

 private:
  struct Slot;
  static constexpr std::size_t first_slots = 4096;

  Slot* map(std::size_t slots, int& fd) const;
  Slot& find(Slot* slots, std::size_t mask, const Slot& wanted) const;
  void grow();

  std::filesystem::path folder_;
  Slot* slots_ = nullptr;
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
  int fd_ = -1;
};

}  // namespace trireme
