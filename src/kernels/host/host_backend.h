// What every CPU backend has in common: the packed weights, looking rows up in them, and writing
// the KV cache. These move bytes and round them; there is no arithmetic whose order could differ.
#pragma once

#include "kernels/backend.h"

namespace trireme {

class HostBackend : public Backend {
 public:
  std::string_view arithmetic() const override { return "plain"; }
  std::int64_t panel_rows() const override;
  std::size_t packed_bytes(const MatrixShape& shape) const override;
  void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                  std::byte* packed) const override;
  void embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                 const MatrixShape& shape, const std::byte* table, float* out) const override;
  void kv_write(ThreadPool& threads, const KvWriteArgs& args) const override;
};

}  // namespace trireme
