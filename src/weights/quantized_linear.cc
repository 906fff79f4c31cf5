#include "weights/quantized_linear.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "weights/packed_words.h"

namespace trireme {

namespace {

using Shape = std::vector<std::int64_t>;

constexpr std::string_view method_name(QuantizationMethod method) {
  return method == QuantizationMethod::gptq ? "GPTQ" : "AWQ";
}

/// The files hold these matrices transposed, so a few rows are a run of a few bytes per input: of
/// GPTQ four for each row, of AWQ half of one. More rows at once make longer runs, up to what a
/// thread may take for them.
constexpr std::int64_t gptq_rows_at_once = 256;
constexpr std::int64_t awq_rows_at_once = 1024;
constexpr std::int64_t most_weights_at_once = std::int64_t{8} << 20;

std::int64_t rows_at_once(QuantizationMethod method, std::int64_t k) {
  const std::int64_t rows =
      method == QuantizationMethod::gptq ? gptq_rows_at_once : awq_rows_at_once;
  return std::clamp<std::int64_t>(most_weights_at_once / k, 1, rows);
}

/// Fewer columns than this are no group that a product could use.
constexpr std::int64_t narrowest_group = 32;

class Parts {
 public:
  Parts(const TensorSource& files, const CheckpointQuantization& quantization,
        const std::string& name)
      : files_(files), quantization_(quantization), name_(name) {}

  const TensorInfo& part(std::string_view suffix) const {
    const TensorInfo* found = files_.find(name_ + std::string(suffix));
    if (found == nullptr) {
      fail(ErrorKind::input,
           "{}: there is {}.qweight, but no {}{}, which belongs to it in a {} checkpoint; is it "
           "complete?",
           files_.describe(), name_, name_, suffix, method_name(quantization_.method));
    }
    return *found;
  }

  static void expect_shape(const TensorInfo& tensor, const Shape& expected, std::string_view why) {
    if (tensor.shape == expected) return;
    fail(ErrorKind::input, "{}: tensor {} has shape [{}]; expected [{}], {}", tensor.file,
         tensor.name, fmt::join(tensor.shape, ", "), fmt::join(expected, ", "), why);
  }

  static void expect_words(const TensorInfo& tensor) {
    if (tensor.dtype == DType::i32) return;
    fail(ErrorKind::input, "{}: tensor {} is {}; expected int32", tensor.file, tensor.name,
         name_of(tensor.dtype));
  }

  static void expect_matrix(const TensorInfo& tensor) {
    if (tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0) return;
    fail(ErrorKind::input, "{}: tensor {} has shape [{}]; expected a matrix", tensor.file,
         tensor.name, fmt::join(tensor.shape, ", "));
  }

  static void expect_floats(const TensorInfo& tensor) {
    if (tensor.dtype == DType::f16 || tensor.dtype == DType::bf16 || tensor.dtype == DType::f32) {
      return;
    }
    fail(ErrorKind::input, "{}: tensor {} is {}; expected float16, bfloat16 or float32",
         tensor.file, tensor.name, name_of(tensor.dtype));
  }

 private:
  const TensorSource& files_;
  const CheckpointQuantization& quantization_;
  const std::string& name_;
};

/// [n, k] of W, from the shape of its qweight.
Shape shape_of(const TensorInfo& qweight, const CheckpointQuantization& quantization) {
  const std::int64_t each = integers_per_word(quantization.bits);
  if (quantization.method == QuantizationMethod::awq) {
    return {qweight.shape[1] * each, qweight.shape[0]};
  }
  return {qweight.shape[1], qweight.shape[0] * each};
}

void check_parts(const QuantizedLinear& linear, const CheckpointQuantization& quantization) {
  const std::int64_t n = linear.info.shape[0];
  const std::int64_t k = linear.info.shape[1];
  const std::int64_t groups = ceil_div(k, linear.group_size);
  const std::string why =
      fmt::format("for {} of {} inputs and {} outputs in groups of {} (quantization_config)",
                  linear.qweight->name, k, n, linear.group_size);
  Parts::expect_words(*linear.qweight);
  Parts::expect_floats(*linear.scales);
  Parts::expect_shape(*linear.scales, {groups, n}, why);
  Parts::expect_words(*linear.qzeros);
  Parts::expect_shape(*linear.qzeros, {groups, words_of({0, n}, quantization.bits).size()}, why);
}

/// Whether the columns [begin, begin + width) of each aligned run belong to one group.
bool runs_of(const std::vector<std::int32_t>& groups, std::int64_t width) {
  for (std::size_t k = 0; k < groups.size(); ++k) {
    const std::size_t first = k - k % static_cast<std::size_t>(width);
    if (groups[k] != groups[first]) return false;
  }
  return true;
}

/// See TensorInfo::code_group.
std::int64_t code_group(const QuantizedLinear& linear, int bits) {
  if (bits != 4 || linear.scales->dtype != DType::f16) return 0;
  if (linear.groups.empty()) return linear.group_size;
  for (std::int64_t width = linear.group_size; width >= narrowest_group; width /= 2) {
    if (runs_of(linear.groups, width)) return width;
    if (width % 2 != 0) break;
  }
  return 0;
}

std::vector<std::int32_t> read_groups(const TensorSource& files, const QuantizedLinear& linear) {
  const TensorInfo& g_idx = *linear.g_idx;
  const std::int64_t k = linear.info.shape[1];
  Parts::expect_words(g_idx);
  Parts::expect_shape(g_idx, {k}, fmt::format("the inputs of {}", linear.qweight->name));
  std::vector<std::int32_t> groups(static_cast<std::size_t>(k));
  files.read(g_idx, {0, 1}, {0, k}, reinterpret_cast<std::byte*>(groups.data()));
  bool in_order = true;
  for (std::int64_t i = 0; i < k; ++i) {
    const std::int32_t group = groups[static_cast<std::size_t>(i)];
    if (group < 0 || group >= linear.group_count()) {
      fail(ErrorKind::input, "{}: tensor {} puts input {} into group {}; there are {} groups",
           g_idx.file, g_idx.name, i, group, linear.group_count());
    }
    in_order = in_order && group == i / linear.group_size;
  }
  if (in_order) groups.clear();
  return groups;
}

std::int64_t packed_bytes(const QuantizedLinear& linear) {
  std::int64_t bytes = 0;
  for (const TensorInfo* part : {linear.qweight, linear.qzeros, linear.scales, linear.g_idx}) {
    if (part != nullptr) bytes += part->bytes_in_file();
  }
  return bytes;
}

}  // namespace

QuantizedLinear open_linear(const TensorSource& files, const CheckpointQuantization& quantization,
                            const std::string& name) {
  const bool gptq = quantization.method == QuantizationMethod::gptq;
  const Parts parts(files, quantization, name);
  QuantizedLinear linear;
  linear.qweight = &parts.part(".qweight");
  linear.scales = &parts.part(".scales");
  linear.qzeros = &parts.part(".qzeros");
  Parts::expect_matrix(*linear.qweight);
  if (const TensorInfo* twin = files.find(name + ".weight")) {
    fail(ErrorKind::input, "{}: there are both {} and {}; which one counts?", twin->file,
         twin->name, linear.qweight->name);
  }
  linear.info = {name + ".weight", DType::f32, shape_of(*linear.qweight, quantization),
                 linear.qweight->file};
  const std::int64_t k = linear.info.shape[1];
  linear.group_size = quantization.group_size < 0 ? k : std::min(quantization.group_size, k);
  check_parts(linear, quantization);
  if (gptq) {
    linear.g_idx = quantization.desc_act ? &parts.part(".g_idx") : files.find(name + ".g_idx");
  }
  if (linear.g_idx != nullptr) linear.groups = read_groups(files, linear);
  linear.info.code_bits = quantization.bits;
  linear.info.code_group = code_group(linear, quantization.bits);
  linear.info.packed_bytes = packed_bytes(linear);
  linear.info.rows_at_once = rows_at_once(quantization.method, k);
  return linear;
}

}  // namespace trireme
