// Where a rank's parameters live: layers declare what they need while they are built, one arena is
// then laid out for all of it, and a loader fills it. The layout is a pure function of the
// declarations, so replicas on one host can share one filled arena.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "core/model_spec.h"
#include "kernels/backend.h"

namespace trireme {

/// A rectangle of one parameter that goes into an entry.
struct ParameterPart {
  const ParameterSpec* parameter = nullptr;
  ParameterSlice slice;
};

/// A packed matrix: parts stacked along the output dimension.
class PackedMatrix {
 public:
  const MatrixShape& shape() const { return shape_; }
  const std::byte* data() const { return data_; }
  const std::vector<ParameterPart>& parts() const { return parts_; }
  /// Its place in the arena.
  std::size_t offset() const { return offset_; }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class ParameterStore;
  MatrixShape shape_;
  std::vector<ParameterPart> parts_;
  std::size_t offset_ = 0;
  std::size_t bytes_ = 0;
  std::byte* data_ = nullptr;
};

/// A float32 vector (or plain table): parts one after another.
class PackedVector {
 public:
  const float* data() const { return data_; }
  std::int64_t size() const { return size_; }
  const std::vector<ParameterPart>& parts() const { return parts_; }
  /// Its place in the arena.
  std::size_t offset() const { return offset_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(float); }

 private:
  friend class ParameterStore;
  std::vector<ParameterPart> parts_;
  std::int64_t size_ = 0;
  std::size_t offset_ = 0;
  float* data_ = nullptr;
};

class ParameterStore {
 public:
  explicit ParameterStore(const Backend& backend) : backend_(backend) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  /// Declares a matrix; the same parts declared twice (tied embeddings) are kept once. `k_shards`
  /// cuts the parts' columns (see MatrixShape). The reference stays valid.
  const PackedMatrix& add_matrix(std::vector<ParameterPart> parts,
                                 std::vector<std::int64_t> k_shards, WeightFormat format);
  const PackedVector& add_vector(std::vector<ParameterPart> parts);

  /// Size of the arena that holds everything declared so far.
  std::size_t bytes() const { return bytes_; }
  /// Gives every entry its place in `arena` (at least bytes() long, owned by the caller).
  void place(std::byte* arena);

  // For the loader.
  std::deque<PackedMatrix>& matrices() { return matrices_; }
  std::deque<PackedVector>& vectors() { return vectors_; }
  const std::deque<PackedMatrix>& matrices() const { return matrices_; }
  const std::deque<PackedVector>& vectors() const { return vectors_; }
  std::byte* mutable_data(PackedMatrix& matrix) const { return matrix.data_; }
  float* mutable_data(PackedVector& vector) const { return vector.data_; }
  const Backend& backend() const { return backend_; }

 private:
  std::size_t reserve(std::size_t bytes);

  const Backend& backend_;
  std::deque<PackedMatrix> matrices_;
  std::deque<PackedVector> vectors_;
  std::size_t bytes_ = 0;
};

}  // namespace trireme
