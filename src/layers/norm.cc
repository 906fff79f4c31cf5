// Normalisations.
#include "layers/layers.h"

namespace trireme {

RMSNorm::RMSNorm(const LayerBuilder& builder, std::string_view weight, float eps)
    : weight_(*builder.vector(weight)), eps_(eps) {}

Tensor RMSNorm::operator()(Forward& forward, Tensor x) const {
  const Tensor y = forward.scratch.matrix(x.rows, x.cols);
  normalize(forward, x, y);
  return y;
}

void RMSNorm::normalize(Forward& forward, Tensor x, Tensor y) const {
  forward.backend.rms_norm(forward.threads, {.x = x.data,
                                             .y = y.data,
                                             .rows = x.rows,
                                             .ldx = x.cols,
                                             .ldy = y.cols,
                                             .dim = weight_.size(),
                                             .weight = weight_.data(),
                                             .eps = eps_});
}

void RMSNorm::heads_in_place(Forward& forward, Tensor x, std::int64_t column,
                             std::int64_t heads) const {
  forward.backend.rms_norm(forward.threads, {.x = x.data + column,
                                             .y = x.data + column,
                                             .rows = x.rows,
                                             .ldx = x.cols,
                                             .ldy = x.cols,
                                             .groups = heads,
                                             .dim = weight_.size(),
                                             .weight = weight_.data(),
                                             .eps = eps_});
}

LayerNorm::LayerNorm(const LayerBuilder& builder, std::string_view weight, std::string_view bias,
                     float eps)
    : weight_(*builder.vector(weight)), bias_(builder.vector(bias)), eps_(eps) {}

Tensor LayerNorm::operator()(Forward& forward, Tensor x) const {
  const Tensor y = forward.scratch.matrix(x.rows, x.cols);
  normalize(forward, x, y);
  return y;
}

void LayerNorm::normalize(Forward& forward, Tensor x, Tensor y) const {
  forward.backend.layer_norm(forward.threads, {.x = x.data,
                                               .y = y.data,
                                               .rows = x.rows,
                                               .ldx = x.cols,
                                               .ldy = y.cols,
                                               .dim = weight_.size(),
                                               .weight = weight_.data(),
                                               .bias = bias_ == nullptr ? nullptr : bias_->data(),
                                               .eps = eps_});
}

}  // namespace trireme
