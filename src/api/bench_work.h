// How much arithmetic and how much reading a forward pass calls for, from the model spec alone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model_spec.h"

namespace trireme {

class BenchWork {
 public:
  explicit BenchWork(const ModelSpec& model);

  /// Elements of all tensors; a tied one counts once.
  std::int64_t parameters() const { return parameters_; }

  /// Bytes of the matrices that a step multiplies with: the layers', and the head's if any row of
  /// it asks for logits.
  double weight_bytes(bool with_head) const;
  /// Bytes of the keys and values that a query at `position` sees.
  double cache_bytes(std::int64_t position) const;

  /// Operations in the layers for one token at `position`.
  double layer_operations(std::int64_t position) const;
  /// Operations for the logits of one token.
  double head_operations() const;

 private:
  /// Positions that a query at `position` sees, summed over the layers.
  double seen(std::int64_t position) const;

  std::int64_t parameters_ = 0;
  std::int64_t layer_elements_ = 0;
  std::int64_t head_elements_ = 0;
  std::int64_t cache_element_bytes_ = 0;
  double layer_weight_bytes_ = 0;
  double head_weight_bytes_ = 0;
  std::int64_t query_width_ = 0;       ///< heads * head_dim
  std::int64_t key_value_width_ = 0;   ///< 2 * kv_heads * head_dim
  std::vector<std::int64_t> windows_;  ///< of each layer; 0: sees all
};

}  // namespace trireme
