// What one micro-batch carries through the blocks of a rank: the tokens' positions, their
// sequences, the cache, and the means to compute (backend, threads, group, scratch memory).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "layers/tensor_group.h"

namespace trireme {

/// Scratch memory for activations, of a backend: a stack that is allocated once and never grows, so
/// that a step allocates nothing, and that gives the same places to steps of the same sizes.
class Workspace {
 public:
  /// `floats`: the most that is ever in use at once.
  Workspace(const Backend& backend, std::int64_t floats)
      : buffer_(backend.allocate(static_cast<std::size_t>(floats) * sizeof(float))),
        capacity_(floats) {}

  Tensor matrix(std::int64_t rows, std::int64_t cols);
  std::int64_t high_water() const { return high_water_; }
  std::int64_t capacity() const { return capacity_; }

  /// Gives back on destruction what was taken since its construction.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) : workspace_(workspace), used_(workspace.used_) {}
    ~Scope() { workspace_.used_ = used_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    std::int64_t used_;
  };

 private:
  DeviceBuffer buffer_;
  std::int64_t capacity_;
  std::int64_t used_ = 0;
  std::int64_t high_water_ = 0;
};

struct Forward {
  const Backend& backend;
  ThreadPool& threads;
  TensorGroup& tensor_group;
  Workspace& scratch;
  std::span<const KvCacheView> caches;  ///< one per attention layer of this rank
  std::span<const std::int32_t> token_ids;
  std::span<const std::int32_t> positions;
  std::span<const SequenceSpan> sequences;
  /// Of an encoder-decoder model, per sequence: the rows of a source that its decoder is to keep,
  /// or the kept source that its rows look at.
  std::span<const SequenceSpan> sources;
  std::span<const std::int32_t> type_ids;  ///< of each row (BERT's segments); empty: all 0
  std::span<const float> features;         ///< [rows, hidden_size] in place of token_ids

  std::int64_t rows() const { return static_cast<std::int64_t>(positions.size()); }
};

}  // namespace trireme
