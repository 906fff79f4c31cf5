#include "weights/matrix_view.h"

#include "core/error.h"

namespace trireme {

MatrixView matrix_view(const TensorInfo& tensor) {
  if (tensor.shape.empty()) return {};
  if (tensor.shape.size() == 1) return {1, tensor.shape[0]};
  MatrixView view{tensor.shape[0], 1};
  for (std::size_t dim = 1; dim < tensor.shape.size(); ++dim) view.cols *= tensor.shape[dim];
  return view;
}

void check_slice(const TensorInfo& tensor, Range rows, Range cols) {
  const MatrixView view = matrix_view(tensor);
  TRIREME_ASSERT(0 <= rows.begin && rows.begin <= rows.end && rows.end <= view.rows);
  TRIREME_ASSERT(0 <= cols.begin && cols.begin <= cols.end && cols.end <= view.cols);
}

}  // namespace trireme
