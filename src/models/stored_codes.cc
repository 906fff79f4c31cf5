#include "models/stored_codes.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "models/loader.h"

namespace trireme {

namespace {

constexpr std::int64_t widest_packed_group = 512;
constexpr std::int64_t narrowest_packed_group = 32;
/// What a packed group is a multiple of.
constexpr std::int64_t group_step = 8;

/// Why a quantised matrix is not kept.
enum class Why : std::uint8_t { bits, order, narrow, neighbour };
constexpr std::array<std::string_view, 4> reasons = {
    "not of four bits", "inputs in the order of desc_act, or scales that are not float16",
    "virtual shards would cut their groups to fewer than 32 inputs",
    "multiplied in one with matrices that are not kept"};

struct Candidate {
  ParameterSpec* parameter = nullptr;
  const TensorInfo* tensor = nullptr;
  std::int64_t group = 0;
  Why why = Why::neighbour;

  bool quantized() const { return tensor != nullptr && tensor->code_bits > 0; }
};

/// Matrices with one input are multiplied as one (q, k, v; gate, up), so they need one format.
/// Their common name within a block.
std::string product_of(const ParameterSpec& parameter) {
  if (parameter.shard.dim != 0) return parameter.key;
  switch (parameter.shard.axis) {
    case ShardAxis::heads:
    case ShardAxis::kv_heads:
      return "attention";
    case ShardAxis::mlp:
      return "mlp";
    default:
      return parameter.key;
  }
}

std::int64_t shard_width(const ModelSpec& model, const ParameterSpec& parameter) {
  if (parameter.shard.dim != 1) return 0;
  return parameter.shard.axis == ShardAxis::heads ? model.head_shards.width()
                                                  : model.mlp_shards.width();
}

Candidate candidate(const ModelSpec& model, const TensorSource& source, ParameterSpec& parameter) {
  Candidate found{&parameter, find_tensor(source, parameter.tensor)};
  if (!found.quantized()) return found;
  const TensorInfo& tensor = *found.tensor;
  if (tensor.code_group > 0) {
    found.group =
        packed_code_group(tensor.code_group, parameter.cols, shard_width(model, parameter));
  }
  found.why = tensor.code_bits != 4 ? Why::bits : tensor.code_group == 0 ? Why::order : Why::narrow;
  return found;
}

/// Gives the matrices of one product one group, or none.
void settle(std::vector<Candidate>& product) {
  std::int64_t common = product.front().group;
  bool all = true;
  for (const Candidate& one : product) {
    all = all && one.group > 0;
    common = std::gcd(common, one.group);
  }
  if (all && common < narrowest_packed_group) all = false;
  for (Candidate& one : product) {
    if (one.group > 0) one.why = Why::neighbour;
    one.group = all ? common : 0;
  }
}

/// What is not kept, by reason: how many, and the first.
struct Left {
  std::int64_t count = 0;
  std::string first;
};

std::string line_about(const std::map<Why, Left>& left, std::int64_t quantized,
                       const ModelSpec& model, const TensorSource& source) {
  std::int64_t count = 0;
  std::vector<std::string> parts;
  for (const auto& [why, some] : left) {
    count += some.count;
    parts.push_back(fmt::format("{} ({}{}): {}", some.count, some.first,
                                some.count > 1 ? ", ..." : "",
                                reasons[static_cast<std::size_t>(why)]));
  }
  if (count == 0) return "";
  return fmt::format("{}: {} of {} quantised matrices take {} instead of four bits in memory: {}",
                     source.describe(), count, quantized, name_of(model.dtype),
                     fmt::join(parts, "; "));
}

}  // namespace

std::int64_t packed_code_group(std::int64_t code_group, std::int64_t cols,
                               std::int64_t shard_width) {
  if (code_group >= cols) return widest_packed_group;  // one group a row: any part of it will do
  const std::int64_t whole = std::gcd(code_group, shard_width);
  for (std::int64_t parts = 1; whole / parts >= narrowest_packed_group; ++parts) {
    const std::int64_t group = whole / parts;
    if (whole % parts == 0 && group % group_step == 0 && group <= widest_packed_group) return group;
  }
  return 0;
}

std::string keep_codes(ModelSpec& model, const TensorSource& source) {
  std::map<Why, Left> left;
  std::int64_t quantized = 0;
  for (BlockSpec& block : model.blocks) {
    std::map<std::string, std::vector<Candidate>> products;
    for (ParameterSpec& parameter : block.parameters) {
      if (parameter.is_vector()) continue;
      products[product_of(parameter)].push_back(candidate(model, source, parameter));
    }
    for (auto& [name, product] : products) {
      settle(product);
      for (const Candidate& one : product) {
        one.parameter->code_group = one.group;
        if (one.group > 0) model.quantization = Quantization::stored;
        if (!one.quantized()) continue;
        ++quantized;
        if (one.group > 0) continue;
        Left& some = left[one.why];
        if (++some.count == 1) some.first = one.parameter->tensor;
      }
    }
  }
  return line_about(left, quantized, model, source);
}

}  // namespace trireme
