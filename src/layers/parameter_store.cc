#include "layers/parameter_store.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t alignment = 4096;  // panels start on pages: streams never share a line

bool same_parts(const std::vector<ParameterPart>& a, const std::vector<ParameterPart>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const ParameterPart& x, const ParameterPart& y) {
                      return x.parameter->tensor == y.parameter->tensor &&
                             x.parameter->tensor_row_begin == y.parameter->tensor_row_begin &&
                             x.slice.rows == y.slice.rows && x.slice.cols == y.slice.cols;
                    });
}

}  // namespace

std::size_t ParameterStore::reserve(std::size_t bytes) {
  const std::size_t offset = bytes_;
  bytes_ += (bytes + alignment - 1) / alignment * alignment;
  return offset;
}

const PackedMatrix& ParameterStore::add_matrix(std::vector<ParameterPart> parts,
                                               std::vector<std::int64_t> k_shards,
                                               WeightFormat format) {
  for (const PackedMatrix& matrix : matrices_) {
    if (same_parts(matrix.parts_, parts) && matrix.shape_.k_shards == k_shards) return matrix;
  }
  PackedMatrix& matrix = matrices_.emplace_back();
  matrix.shape_.dtype = format.dtype;
  matrix.shape_.group = format.group;
  matrix.shape_.k_shards = std::move(k_shards);
  for (const ParameterPart& part : parts) {
    TRIREME_ASSERT(part.slice.cols.size() == matrix.shape_.k());
    matrix.shape_.n += part.slice.rows.size();
  }
  matrix.parts_ = std::move(parts);
  matrix.bytes_ = backend_.packed_bytes(matrix.shape_);
  matrix.offset_ = reserve(matrix.bytes_);
  return matrix;
}

const PackedVector& ParameterStore::add_vector(std::vector<ParameterPart> parts) {
  PackedVector& vector = vectors_.emplace_back();
  for (const ParameterPart& part : parts) vector.size_ += part.slice.elements();
  vector.parts_ = std::move(parts);
  vector.offset_ = reserve(static_cast<std::size_t>(vector.size_) * sizeof(float));
  return vector;
}

void ParameterStore::place(std::byte* arena) {
  for (PackedMatrix& matrix : matrices_) matrix.data_ = arena + matrix.offset_;
  for (PackedVector& vector : vectors_) {
    vector.data_ = reinterpret_cast<float*>(arena + vector.offset_);
  }
}

}  // namespace trireme
