#include "trireme/tensors.h"

#include "core/error.h"
#include "weights/safetensors_writer.h"

namespace trireme {

namespace {

std::int64_t elements_of(const NamedTensor& tensor) {
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(elements, size, &elements)) return -1;
  }
  return elements;
}

TensorToWrite view_of(const NamedTensor& tensor) {
  TensorToWrite view{.name = tensor.name, .shape = tensor.shape};
  std::size_t count = 0;
  std::visit(
      [&](const auto& values) {
        count = values.size();
        view.data = std::as_bytes(values);
      },
      tensor.values);
  const bool integers = std::holds_alternative<std::span<const std::int64_t>>(tensor.values);
  view.dtype = integers ? DType::i64 : DType::f32;
  if (elements_of(tensor) != static_cast<std::int64_t>(count)) {
    fail(ErrorKind::usage, "tensor {}: {} values do not fill its shape", tensor.name, count);
  }
  return view;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors) {
  std::vector<TensorToWrite> views;
  for (const NamedTensor& tensor : tensors) views.push_back(view_of(tensor));
  write_safetensors(path, views);
}

}  // namespace trireme
