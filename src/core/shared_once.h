// Memory that several processes share and that exactly one of them fills: the packed weights of a
// host, which its replicas read together.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace trireme {

/// A view of a memfd that all processes have inherited. If the process that fills the memory dies,
/// the next one starts over: the right to fill is a file lock, which ends with its holder.
class SharedOnce {
 public:
  /// A new, empty memory; pass it on as an inherited descriptor. Throws Error(resource).
  static int create_memory(const char* name);

  /// Does not take over `memory`. Throws Error(usage) when it is not such a memory.
  explicit SharedOnce(int memory);
  ~SharedOnce();
  SharedOnce(const SharedOnce&) = delete;
  SharedOnce& operator=(const SharedOnce&) = delete;

  /// The `bytes` that one process has written with `fill`; page-aligned, valid as long as this
  /// object. Waits while another one fills, calling `idle` at least ten times a second. Call
  /// once. Whatever `fill` throws is passed on, and another process may try. Throws Error(usage)
  /// when the others expect another size.
  std::span<const std::byte> get(
      std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill,
      const std::function<void()>& idle = [] {});

  /// Whether a process has filled the memory.
  bool is_ready() const;
  /// Whether it was this process that filled the memory.
  bool filled_here() const { return filled_here_; }

 private:
  struct Control;
  Control& control() const;
  void fill_now(std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill);
  void map_payload(std::size_t bytes, int protection);

  int file_ = -1;
  void* control_ = nullptr;
  void* payload_ = nullptr;
  std::size_t payload_bytes_ = 0;
  bool filled_here_ = false;
};

}  // namespace trireme
