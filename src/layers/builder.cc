// How layers find their parameters while a block is built.
#include "core/error.h"
#include "layers/layers.h"

namespace trireme {

const ParameterSpec& LayerBuilder::parameter(std::string_view key) const {
  const ParameterSpec* found = block.find(key);
  TRIREME_ASSERT(found != nullptr);
  return *found;
}

ParameterPart LayerBuilder::part(std::string_view key) const {
  const ParameterSpec& spec = parameter(key);
  return {&spec, slice_of(spec, model, shard)};
}

const PackedVector* LayerBuilder::vector(std::string_view key) const { return vector({key}); }

const PackedVector* LayerBuilder::vector(std::initializer_list<std::string_view> keys) const {
  std::vector<ParameterPart> parts;
  for (const std::string_view key : keys) {
    if (block.find(key) != nullptr) parts.push_back(part(key));
  }
  if (parts.empty()) return nullptr;
  TRIREME_ASSERT(parts.size() == keys.size());  // a fused bias is there for all parts or for none
  return &store.add_vector(std::move(parts));
}

}  // namespace trireme
