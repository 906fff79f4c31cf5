#include "models/loader.h"

#include <fmt/ranges.h>

#include <exception>
#include <mutex>
#include <set>

#include "core/error.h"

namespace trireme {

namespace {

std::vector<std::int64_t> expected_shape(const ParameterSpec& parameter) {
  const std::int64_t rows = parameter.rows_in_file();
  if (parameter.is_vector()) return {rows};
  if (parameter.transposed) return {parameter.cols, rows};
  return {rows, parameter.cols};
}

bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64;
}

const TensorInfo& checked_tensor(const TensorSource& source, const ParameterSpec& parameter) {
  const TensorInfo* tensor = find_tensor(source, parameter.tensor);
  if (tensor == nullptr) {
    fail(ErrorKind::input,
         "{}: the checkpoint has no tensor {}, which config.json asks for; is it complete, and do "
         "config.json and the weights belong together?",
         source.describe(), parameter.tensor);
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

/// Rows `rows` (of the parameter, not of the file) and columns `cols` as float32, row-major.
void read_float(const TensorSource& source, const ParameterSpec& parameter, Range rows, Range cols,
                float* out) {
  const TensorInfo& tensor = checked_tensor(source, parameter);
  const Range in_file{rows.begin + parameter.tensor_row_begin,
                      rows.end + parameter.tensor_row_begin};
  const auto count = static_cast<std::size_t>(rows.size() * (cols.end == 0 ? 1 : cols.size()));
  std::vector<std::byte> raw(count * size_of(tensor.dtype));
  if (parameter.is_vector()) {
    source.read(tensor, {0, 1}, in_file, raw.data());
  } else if (parameter.transposed) {
    source.read(tensor, cols, in_file, raw.data());
  } else {
    source.read(tensor, in_file, cols, raw.data());
  }
  if (!parameter.transposed) {
    convert_to_f32(raw.data(), tensor.dtype, out, count);
    return;
  }
  std::vector<float> columns(count);
  convert_to_f32(raw.data(), tensor.dtype, columns.data(), count);
  const std::int64_t n = rows.size();
  for (std::int64_t k = 0; k < cols.size(); ++k) {
    for (std::int64_t row = 0; row < n; ++row) {
      out[row * cols.size() + k] = columns[static_cast<std::size_t>(k * n + row)];
    }
  }
}

void convert_from_f32(const float* source, DType dtype, std::byte* target, std::size_t count) {
  if (dtype == DType::f32) {
    std::memcpy(target, source, count * sizeof(float));
    return;
  }
  auto* out = reinterpret_cast<std::uint16_t*>(target);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = dtype == DType::bf16 ? f32_to_bf16(source[i]) : f32_to_f16(source[i]);
  }
}

/// Reads the stacked rows [rows.begin, rows.end) of a matrix, as Backend::pack_panel wants them.
void read_stacked(const TensorSource& source, const PackedMatrix& matrix, Range rows,
                  std::vector<std::byte>& out) {
  const std::int64_t k = matrix.shape().k();
  std::vector<float> values(static_cast<std::size_t>(rows.size() * k));
  std::int64_t part_begin = 0;
  for (const ParameterPart& part : matrix.parts()) {
    const std::int64_t part_end = part_begin + part.slice.rows.size();
    const Range overlap = intersect(rows, {part_begin, part_end});
    if (!overlap.empty()) {
      const std::int64_t shift = part.slice.rows.begin - part_begin;
      read_float(source, *part.parameter, {overlap.begin + shift, overlap.end + shift},
                 part.slice.cols, values.data() + (overlap.begin - rows.begin) * k);
    }
    part_begin = part_end;
  }
  const DType dtype = matrix.shape().group > 0 ? DType::f32 : matrix.shape().dtype;
  out.resize(values.size() * size_of(dtype));
  convert_from_f32(values.data(), dtype, out.data(), values.size());
}

/// Work of parallel_for must not throw: keeps the first error for the caller.
class FirstError {
 public:
  template <typename Work>
  void guard(const Work& work) {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

void load_matrix(ParameterStore& store, PackedMatrix& matrix, const TensorSource& source,
                 ThreadPool& threads) {
  const std::int64_t panel_rows = store.backend().panel_rows();
  FirstError error;
  threads.parallel_for(ceil_div(matrix.shape().n, panel_rows), [&](std::int64_t panel) {
    error.guard([&] {
      const Range rows{panel * panel_rows, std::min(matrix.shape().n, (panel + 1) * panel_rows)};
      std::vector<std::byte> values;
      read_stacked(source, matrix, rows, values);
      store.backend().pack_panel(matrix.shape(), panel, values.data(), store.mutable_data(matrix));
    });
  });
  error.rethrow();
}

void load_vector(ParameterStore& store, PackedVector& vector, const TensorSource& source) {
  float* out = store.mutable_data(vector);
  for (const ParameterPart& part : vector.parts()) {
    read_float(source, *part.parameter, part.slice.rows, part.slice.cols, out);
    out += part.slice.elements();
  }
}

}  // namespace

const TensorInfo* find_tensor(const TensorSource& source, std::string_view name) {
  if (const TensorInfo* found = source.find(name)) return found;
  for (const std::string_view prefix : {"transformer.", "model."}) {
    if (name.starts_with(prefix)) return source.find(name.substr(prefix.size()));
  }
  return nullptr;
}

void check_checkpoint(const ModelSpec& model, const TensorSource& source) {
  for (const BlockSpec& block : model.blocks) {
    for (const ParameterSpec& parameter : block.parameters) checked_tensor(source, parameter);
  }
}

void load_parameters(ParameterStore& store, const TensorSource& source, ThreadPool& threads,
                     const std::function<void()>& progress) {
  for (PackedMatrix& matrix : store.matrices()) {
    load_matrix(store, matrix, source, threads);
    if (progress) progress();
  }
  for (PackedVector& vector : store.vectors()) load_vector(store, vector, source);
}

std::vector<DummyTensor> dummy_tensors(const ModelSpec& model) {
  std::vector<DummyTensor> tensors;
  std::set<std::string> seen;
  for (const BlockSpec& block : model.blocks) {
    for (const ParameterSpec& parameter : block.parameters) {
      if (!seen.insert(parameter.tensor).second) continue;
      const bool norm_weight = parameter.is_vector() && parameter.key.ends_with(".weight");
      tensors.push_back({parameter.tensor, model.dtype, expected_shape(parameter),
                         norm_weight ? 1.0f : 0.0f, norm_weight ? 0.1f : 0.02f});
    }
  }
  return tensors;
}

}  // namespace trireme
