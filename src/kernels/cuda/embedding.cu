#include "kernels/cuda/columns.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/weights_device.h"

namespace trireme::cuda {

namespace {

struct LookUp {
  const std::int32_t* ids;
  std::int64_t vocab_begin;
  std::int64_t vocab_end;
  PackedLayout layout;
  const std::byte* table;
  float* out;

  template <int Width>
  __device__ void run(std::int64_t row, std::int64_t column) const {
    const std::int64_t id = ids[row];
    const bool inside = id >= vocab_begin && id < vocab_end;
    Floats<Width> values;
    for (int i = 0; i < Width; ++i) {
      const auto k = static_cast<std::int32_t>(column) + i;
      const float weight = inside ? weight_at(layout, table, id - vocab_begin, k) : 0.0f;
      values.at[i] = weight + 0.0f;  // -0 + 0 is +0
    }
    store(out + row * layout.k() + column, values);
  }
};

}  // namespace

void embedding(Context& context, std::span<const std::int32_t> ids, Range vocab,
               const MatrixShape& shape, const std::byte* table, float* out) {
  if (ids.empty()) return;
  const LookUp work{context.step_array(ids), vocab.begin, vocab.end,
                    PackedLayout(shape),     table,       out};
  for_each_column(context, work, static_cast<std::int64_t>(ids.size()), shape.k(),
                  in_fours(shape.k(), {out}, {}), "embedding");
}

}  // namespace trireme::cuda
