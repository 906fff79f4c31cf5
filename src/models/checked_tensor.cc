#include "models/checked_tensor.h"

#include <fmt/ranges.h>

#include "core/error.h"
#include "models/loader.h"

namespace trireme {

namespace {

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64;
}

}  // namespace

std::vector<std::int64_t> expected_shape(const ParameterSpec& parameter) {
  const std::int64_t rows = parameter.rows_in_file();
  if (parameter.is_vector()) return {rows};
  if (parameter.transposed) return {parameter.cols, rows};
  return {rows, parameter.cols};
}

const TensorInfo& checked_tensor(const TensorSource& source, const ParameterSpec& parameter) {
  const TensorInfo* tensor = find_tensor(source, parameter.tensor);
  if (tensor == nullptr) {
    fail(ErrorKind::input,
         "{}: the checkpoint has no tensor {}, which config.json asks for; is it complete, and do "
         "config.json and the weights belong together?",
         source.describe(), parameter.tensor);
  }
  if (parameter.transposed && tensor->code_bits > 0) {
    fail(ErrorKind::input,
         "{}: tensor {} is quantised (quantization_config), which Trireme reads of Llama, Mistral, "
         "Qwen2 and Qwen3 only; take a checkpoint that is not, and --quantization int8 or int4",
         tensor->file, tensor->name);
  }
  const std::vector<std::int64_t> expected = expected_shape(parameter);
  if (tensor->shape != expected) {
    fail(ErrorKind::input,
         "{}: tensor {} has shape [{}], but config.json says [{}]; do they belong together?",
         tensor->file, tensor->name, fmt::join(tensor->shape, ", "), fmt::join(expected, ", "));
  }
  if (!is_floating(tensor->dtype)) {
    fail(ErrorKind::input, "{}: tensor {} is {}; expected float32, bfloat16 or float16",
         tensor->file, tensor->name, name_of(tensor->dtype));
  }
  return *tensor;
}

}  // namespace trireme
