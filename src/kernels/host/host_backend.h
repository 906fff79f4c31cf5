// What every CPU backend has in common: the packed weights, looking rows up in them, writing the KV
// cache, and the pooling of rows, whose order of additions is that of the source on every
// instruction set.
#pragma once

#include "kernels/backend.h"

namespace trireme {

class HostBackend : public Backend {
 public:
  std::string_view arithmetic() const override { return "plain"; }
  /// To be raised whenever kernels/packed.h or kernels/quantize.h give a weight other bytes: they
  /// are kept on disk (a test holds the bytes to this number).
  std::string_view packing() const override { return "panels of 32, version 1"; }
  std::int64_t panel_rows() const override;
  std::size_t panel_bytes(const MatrixShape& shape) const override;
  void pack_panel(const MatrixShape& shape, std::int64_t panel, const std::byte* source,
                  std::byte* packed) const override;
  void embedding(ThreadPool& threads, std::span<const std::int32_t> ids, Range vocab,
                 const MatrixShape& shape, const std::byte* table, float* out) const override;
  void kv_write(ThreadPool& threads, const KvWriteArgs& args) const override;
  void scale(ThreadPool& threads, float* x, float factor, std::int64_t count) const override;
  void pool(ThreadPool& threads, const PoolArgs& args) const override;
};

}  // namespace trireme
