#include "weights/safetensors_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "weights/matrix_view.h"
#include "weights/safetensors_format.h"

namespace trireme {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

namespace {

SafetensorsHeader read_header(const InputFile& file, std::uint64_t& data_begin) {
  if (file.size() < safetensors_prefix) {
    fail(ErrorKind::input, "{}: {} bytes are too few for a safetensors file; download it again",
         file.name(), file.size());
  }
  std::uint64_t length = 0;
  file.read(0, reinterpret_cast<std::byte*>(&length), sizeof(length));
  length = checked_header_length(length, file.size(), file.name());
  std::string json(length, '\0');
  file.read(safetensors_prefix, reinterpret_cast<std::byte*>(json.data()), json.size());
  data_begin = safetensors_prefix + length;
  return parse_safetensors_header(json, file.size() - data_begin, file.name());
}

/// Rows and columns of a slice in bytes, where the slice is no single run of the file.
struct Strided {
  std::uint64_t first = 0;  ///< offset in the file of the slice's first byte
  std::int64_t rows = 0;
  std::size_t row_bytes = 0;   ///< of the slice
  std::size_t row_stride = 0;  ///< from row to row in the file

  bool is_run() const { return row_bytes == row_stride || rows == 1; }
  std::size_t bytes() const { return static_cast<std::size_t>(rows) * row_bytes; }
};

Strided place_of(const SafetensorsFile::Tensor& tensor, Range rows, Range cols) {
  check_slice(tensor.info, rows, cols);
  const std::size_t element = size_of(tensor.info.dtype);
  const auto view_cols = static_cast<std::uint64_t>(matrix_view(tensor.info).cols);
  return {
      tensor.offset + (static_cast<std::uint64_t>(rows.begin) * view_cols + cols.begin) * element,
      rows.size(), static_cast<std::size_t>(cols.size()) * element, view_cols * element};
}

/// Rows shorter than a page cost less to read whole than a system call each.
constexpr std::size_t page = 4096;
constexpr std::size_t bounce_bytes = std::size_t{256} << 10;

void read_rows_one_by_one(const InputFile& file, const Strided& slice, std::byte* out) {
  file.will_read(slice.first, static_cast<std::uint64_t>(slice.rows) * slice.row_stride);
  for (std::int64_t row = 0; row < slice.rows; ++row) {
    file.read(slice.first + static_cast<std::uint64_t>(row) * slice.row_stride, out,
              slice.row_bytes);
    out += slice.row_bytes;
  }
}

void read_rows_through_bounce(const InputFile& file, const Strided& slice, std::byte* out) {
  std::vector<std::byte> bounce(bounce_bytes);
  const auto rows_at_once = static_cast<std::int64_t>(bounce_bytes / slice.row_stride);
  for (std::int64_t row = 0; row < slice.rows; row += rows_at_once) {
    const auto count = static_cast<std::size_t>(std::min(rows_at_once, slice.rows - row));
    const std::size_t bytes = (count - 1) * slice.row_stride + slice.row_bytes;
    file.read(slice.first + static_cast<std::uint64_t>(row) * slice.row_stride, bounce.data(),
              bytes);
    for (std::size_t i = 0; i < count; ++i, out += slice.row_bytes) {
      std::memcpy(out, bounce.data() + i * slice.row_stride, slice.row_bytes);
    }
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  std::uint64_t data_begin = 0;
  SafetensorsHeader header = read_header(file_, data_begin);
  metadata_ = std::move(header.metadata);
  for (SafetensorsEntry& entry : header.entries) {
    if (!entry.dtype) {
      unreadable_.emplace(std::move(entry.name), std::move(entry.dtype_name));
      continue;
    }
    TensorInfo info{std::move(entry.name), *entry.dtype, std::move(entry.shape), file_.name()};
    tensors_.push_back({std::move(info), data_begin + entry.begin});
  }
}

std::int64_t SafetensorsFile::read(const Tensor& tensor, Range rows, Range cols,
                                   std::byte* out) const {
  const Strided slice = place_of(tensor, rows, cols);
  if (slice.bytes() == 0) return 0;
  if (slice.is_run()) {
    file_.read(slice.first, out, slice.bytes());
  } else if (slice.row_stride <= page) {
    read_rows_through_bounce(file_, slice, out);
  } else {
    read_rows_one_by_one(file_, slice, out);
  }
  return static_cast<std::int64_t>(slice.bytes());
}

void SafetensorsFile::will_read(const Tensor& tensor, Range rows, Range cols) const {
  const Strided slice = place_of(tensor, rows, cols);
  if (slice.bytes() > 0 && slice.is_run()) file_.will_read(slice.first, slice.bytes());
}

}  // namespace trireme
