#include "api/bench_work.h"

#include <algorithm>
#include <set>
#include <string>

namespace trireme {

BenchWork::BenchWork(const ModelSpec& model)
    : cache_element_bytes_(static_cast<std::int64_t>(size_of(model.dtype))),
      query_width_(model.num_attention_heads * model.head_dim),
      key_value_width_(2 * model.num_key_value_heads * model.head_dim) {
  std::set<std::string> tensors;
  for (const BlockSpec& block : model.blocks) {
    std::int64_t matrices = 0;
    double bytes = 0;
    for (const ParameterSpec& parameter : block.parameters) {
      const std::string part = parameter.tensor + "#" + std::to_string(parameter.tensor_row_begin);
      if (tensors.insert(part).second) parameters_ += parameter.elements();
      if (parameter.is_vector()) continue;
      matrices += parameter.elements();
      bytes +=
          static_cast<double>(parameter.elements()) * bytes_per_weight(model.format_of(parameter));
    }
    if (block.kind == BlockKind::layer) {
      layer_elements_ += matrices;
      layer_weight_bytes_ += bytes;
      windows_.push_back(block.sliding_window);
    }
    if (block.kind == BlockKind::head) {
      head_elements_ += matrices;
      head_weight_bytes_ += bytes;
    }
  }
}

double BenchWork::weight_bytes(bool with_head) const {
  return layer_weight_bytes_ + (with_head ? head_weight_bytes_ : 0);
}

double BenchWork::seen(std::int64_t position) const {
  double total = 0;
  for (const std::int64_t window : windows_) {
    total += static_cast<double>(window > 0 ? std::min(window, position + 1) : position + 1);
  }
  return total;
}

double BenchWork::cache_bytes(std::int64_t position) const {
  return seen(position) * static_cast<double>(key_value_width_ * cache_element_bytes_);
}

double BenchWork::layer_operations(std::int64_t position) const {
  // A query meets each key once and each value once: two multiply-adds per element.
  return 2.0 * static_cast<double>(layer_elements_) +
         4.0 * seen(position) * static_cast<double>(query_width_);
}

double BenchWork::head_operations() const { return 2.0 * static_cast<double>(head_elements_); }

}  // namespace trireme
