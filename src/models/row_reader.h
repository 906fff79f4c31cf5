// Rows of a rank's matrices as Backend::pack_panel wants them: read, turned where the file holds
// them transposed, converted; through memory that is allocated once.
#pragma once

#include <cstddef>
#include <vector>

#include "layers/parameter_store.h"
#include "weights/tensor_source.h"

namespace trireme {

/// Of one thread.
class RowReader {
 public:
  explicit RowReader(const TensorSource& source) : source_(&source) {}

  /// What read() hands out: the matrix's dtype, float32 for one that is to be quantised. (Of u4 it
  /// hands out CodedWeights, which are as large as float32.)
  static DType dtype_of(const PackedMatrix& matrix);

  /// The stacked rows `rows`, [rows, k], valid until the next call. Throws Error(input).
  const std::byte* read(const PackedMatrix& matrix, Range rows);
  /// Rows that the source likes to be asked for together; at least one.
  std::int64_t rows_at_once(const PackedMatrix& matrix) const;
  /// Says that these rows are read soon, so that a disk may begin.
  void will_read(const PackedMatrix& matrix, Range rows) const;
  /// All of a vector.
  void read(const PackedVector& vector, float* out);

 private:
  void read_part(const ParameterSpec& parameter, Range rows, Range cols, DType dtype,
                 std::byte* out);
  void read_codes(const ParameterSpec& parameter, Range rows, Range cols, CodedWeight* out);
  void read_transposed(const TensorInfo& tensor, Range rows, Range cols, DType dtype,
                       std::byte* out);

  const TensorSource* source_;
  std::vector<std::byte> values_;  ///< what is handed out
  std::vector<std::byte> raw_;     ///< as in the file, where that is anything else
  std::vector<std::byte> turned_;  ///< some rows, in the file's dtype
};

}  // namespace trireme
