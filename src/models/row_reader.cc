#include "models/row_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/convert.h"
#include "core/error.h"
#include "models/checked_tensor.h"

namespace trireme {

namespace {

/// Where rows and columns of a parameter are in its tensor.
struct Place {
  Range rows;
  Range cols;
  bool transposed = false;
};

Place place_of(const ParameterSpec& parameter, Range rows, Range cols) {
  const Range in_file{rows.begin + parameter.tensor_row_begin,
                      rows.end + parameter.tensor_row_begin};
  if (parameter.is_vector()) return {{0, 1}, in_file};
  if (parameter.transposed) return {cols, in_file, true};
  return {in_file, cols};
}

/// Calls work(parameter, rows of it, columns of it) for each part of the stacked rows `rows`.
template <typename Work>
void for_parts(const PackedMatrix& matrix, Range rows, const Work& work) {
  std::int64_t part_begin = 0;
  for (const ParameterPart& part : matrix.parts()) {
    const std::int64_t part_end = part_begin + part.slice.rows.size();
    const Range overlap = intersect(rows, {part_begin, part_end});
    if (!overlap.empty()) {
      const std::int64_t shift = part.slice.rows.begin - part_begin;
      work(*part.parameter, Range{overlap.begin + shift, overlap.end + shift}, part.slice.cols);
    }
    part_begin = part_end;
  }
}

/// Memory for `bytes` bytes: never given back, so that its pages are cleared once.
std::byte* room_for(std::size_t bytes, std::vector<std::byte>& memory) {
  if (memory.size() < bytes) memory.resize(bytes);
  return memory.data();
}

/// [k, ...] of units `row_bytes` apart to [rows, k].
template <typename T>
void turn_units(const std::byte* source, std::size_t row_bytes, std::size_t rows, std::size_t k,
                std::byte* target) {
  constexpr std::size_t block = 64 / sizeof(T);  // a line of each row
  for (std::size_t begin = 0; begin < k; begin += block) {
    const std::size_t end = std::min(begin + block, k);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = begin; i < end; ++i) {
        std::memcpy(target + (row * k + i) * sizeof(T), source + i * row_bytes + row * sizeof(T),
                    sizeof(T));
      }
    }
  }
}

void turn(DType dtype, const std::byte* source, std::size_t row_bytes, std::size_t rows,
          std::size_t k, std::byte* target) {
  switch (size_of(dtype)) {
    case 2:
      return turn_units<std::uint16_t>(source, row_bytes, rows, k, target);
    case 4:
      return turn_units<std::uint32_t>(source, row_bytes, rows, k, target);
    default:
      TRIREME_ASSERT(size_of(dtype) == 8);
      return turn_units<std::uint64_t>(source, row_bytes, rows, k, target);
  }
}

constexpr std::int64_t rows_turned_at_once = 32;

}  // namespace

DType RowReader::dtype_of(const PackedMatrix& matrix) {
  return matrix.shape().group > 0 ? DType::f32 : matrix.shape().dtype;
}

const std::byte* RowReader::read(const PackedMatrix& matrix, Range rows) {
  const DType dtype = dtype_of(matrix);
  const std::size_t row_bytes = static_cast<std::size_t>(matrix.shape().k()) * size_of(dtype);
  std::byte* const values = room_for(static_cast<std::size_t>(rows.size()) * row_bytes, values_);
  std::byte* out = values;
  for_parts(matrix, rows, [&](const ParameterSpec& parameter, Range its_rows, Range cols) {
    if (matrix.shape().dtype == DType::u4) {
      read_codes(parameter, its_rows, cols, reinterpret_cast<CodedWeight*>(out));
    } else {
      read_part(parameter, its_rows, cols, dtype, out);
    }
    out += static_cast<std::size_t>(its_rows.size()) * row_bytes;
  });
  return values;
}

std::int64_t RowReader::rows_at_once(const PackedMatrix& matrix) const {
  std::int64_t rows = 1;
  for (const ParameterPart& part : matrix.parts()) {
    rows = std::max(rows, checked_tensor(*source_, *part.parameter).rows_at_once);
  }
  return rows;
}

void RowReader::will_read(const PackedMatrix& matrix, Range rows) const {
  for_parts(matrix, rows, [&](const ParameterSpec& parameter, Range its_rows, Range cols) {
    const Place place = place_of(parameter, its_rows, cols);
    source_->will_read(checked_tensor(*source_, parameter), place.rows, place.cols);
  });
}

void RowReader::read(const PackedVector& vector, float* out) {
  for (const ParameterPart& part : vector.parts()) {
    read_part(*part.parameter, part.slice.rows, part.slice.cols, DType::f32,
              reinterpret_cast<std::byte*>(out));
    out += part.slice.elements();
  }
}

void RowReader::read_part(const ParameterSpec& parameter, Range rows, Range cols, DType dtype,
                          std::byte* out) {
  const TensorInfo& tensor = checked_tensor(*source_, parameter);
  const Place place = place_of(parameter, rows, cols);
  if (place.transposed) return read_transposed(tensor, place.cols, place.rows, dtype, out);
  if (tensor.dtype == dtype) return source_->read(tensor, place.rows, place.cols, out);
  const auto count = static_cast<std::size_t>(place.rows.size() * place.cols.size());
  std::byte* raw = room_for(count * size_of(tensor.dtype), raw_);
  source_->read(tensor, place.rows, place.cols, raw);
  convert(raw, tensor.dtype, out, dtype, count);
}

void RowReader::read_codes(const ParameterSpec& parameter, Range rows, Range cols,
                           CodedWeight* out) {
  const Place place = place_of(parameter, rows, cols);
  TRIREME_ASSERT(!place.transposed);
  source_->read_codes(checked_tensor(*source_, parameter), place.rows, place.cols, out);
}

void RowReader::read_transposed(const TensorInfo& tensor, Range rows, Range cols, DType dtype,
                                std::byte* out) {
  const auto k = static_cast<std::size_t>(cols.size());
  const std::size_t unit = size_of(tensor.dtype);
  const std::size_t file_row_bytes = static_cast<std::size_t>(rows.size()) * unit;
  std::byte* raw = room_for(k * file_row_bytes, raw_);
  source_->read(tensor, cols, rows, raw);
  std::byte* turned = room_for(static_cast<std::size_t>(rows_turned_at_once) * k * unit, turned_);
  for (std::int64_t row = 0; row < rows.size(); row += rows_turned_at_once) {
    const auto some = static_cast<std::size_t>(std::min(rows_turned_at_once, rows.size() - row));
    turn(tensor.dtype, raw + static_cast<std::size_t>(row) * unit, file_row_bytes, some, k, turned);
    convert(turned, tensor.dtype, out, dtype, some * k);
    out += some * k * size_of(dtype);
  }
}

}  // namespace trireme
