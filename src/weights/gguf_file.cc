#include "weights/gguf_file.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace trireme {

namespace {

GgufHeader read_header(const InputFile& file) {
  constexpr std::uint64_t first_bytes = std::uint64_t{4} << 20;
  for (std::uint64_t size = std::min(file.size(), first_bytes);;
       size = std::min(file.size(), size * 4)) {
    std::string bytes(size, '\0');
    file.read(0, reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
    std::optional<GgufHeader> header = parse_gguf_header(bytes, file.size(), file.name());
    if (header) return *std::move(header);
    TRIREME_ASSERT(size < file.size());
  }
}

std::int64_t rows_of(const GgufTensor& tensor) {
  return tensor.shape.size() < 2 ? 1 : tensor.shape.front();
}

/// The blocks of one row that hold its columns `cols`.
struct RowSlice {
  RowSlice(const GgufTensor& tensor, Range cols) : type(*tensor.type) {
    const auto block = static_cast<std::int64_t>(type.block);
    const std::int64_t row = tensor.elements() / std::max<std::int64_t>(1, rows_of(tensor));
    stride = static_cast<std::size_t>(row / block) * type.bytes;
    const std::int64_t first = cols.begin / block;
    blocks = static_cast<std::size_t>((cols.end + block - 1) / block - first);
    begin = static_cast<std::size_t>(first) * type.bytes;
    bytes = blocks * type.bytes;
    skip = static_cast<std::size_t>(cols.begin - first * block);
    count = static_cast<std::size_t>(cols.size());
  }

  /// Whether the slice is made of whole blocks.
  bool is_whole() const { return count == blocks * type.block; }
  std::size_t out_bytes() const { return count * size_of(type.dtype); }

  const GgufType& type;
  std::size_t stride = 0;  ///< from row to row in the file, bytes
  std::size_t begin = 0;   ///< of the first block in its row
  std::size_t blocks = 0;
  std::size_t bytes = 0;  ///< of these blocks
  std::size_t skip = 0;   ///< elements of the first block before the slice
  std::size_t count = 0;  ///< elements
};

/// Turns the bytes of one row's blocks into the elements of the slice.
class RowDecoder {
 public:
  explicit RowDecoder(const RowSlice& slice) : slice_(slice) {
    if (slice.type.is_quantized() && !slice.is_whole()) {
      values_ = std::make_unique_for_overwrite<float[]>(slice.blocks * slice.type.block);
    }
  }

  void decode(const std::byte* source, std::byte* out) const {
    if (!slice_.type.is_quantized()) {
      std::memcpy(out, source, slice_.bytes);
    } else if (values_ == nullptr) {
      slice_.type.dequantize(source, slice_.blocks, reinterpret_cast<float*>(out));
    } else {
      slice_.type.dequantize(source, slice_.blocks, values_.get());
      std::memcpy(out, values_.get() + slice_.skip, slice_.out_bytes());
    }
  }

 private:
  const RowSlice& slice_;
  std::unique_ptr<float[]> values_;  ///< whole blocks, where the slice ends within one
};

/// So many rows of the file are read at once: what is between their slices costs less than a system
/// call each, where that is not much.
std::int64_t rows_at_once(const RowSlice& slice) {
  constexpr std::size_t page = 4096;
  constexpr std::size_t bounce_bytes = std::size_t{64} << 10;
  if (slice.stride > page && slice.bytes < slice.stride / 2) return 1;
  return static_cast<std::int64_t>(std::max<std::size_t>(1, bounce_bytes / slice.stride));
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : file_(path), header_(read_header(file_)) {}

void GgufFile::read(const GgufTensor& tensor, Range rows, Range cols, std::byte* out) const {
  TRIREME_ASSERT(tensor.type != nullptr);
  if (rows.empty() || cols.empty()) return;
  const RowSlice slice(tensor, cols);
  const std::uint64_t first =
      tensor.offset + static_cast<std::uint64_t>(rows.begin) * slice.stride + slice.begin;
  const bool run = slice.bytes == slice.stride || rows.size() == 1;
  if (!slice.type.is_quantized() && run) {
    return file_.read(first, out, slice.bytes * static_cast<std::size_t>(rows.size()));
  }
  const RowDecoder decoder(slice);
  const std::int64_t step = std::min(rows.size(), rows_at_once(slice));
  const auto bounce = std::make_unique_for_overwrite<std::byte[]>(
      static_cast<std::size_t>(step - 1) * slice.stride + slice.bytes);
  for (std::int64_t row = 0; row < rows.size(); row += step) {
    const auto some = static_cast<std::size_t>(std::min(step, rows.size() - row));
    file_.read(first + static_cast<std::uint64_t>(row) * slice.stride, bounce.get(),
               (some - 1) * slice.stride + slice.bytes);
    for (std::size_t i = 0; i < some; ++i, out += slice.out_bytes()) {
      decoder.decode(bounce.get() + i * slice.stride, out);
    }
  }
}

void GgufFile::will_read(const GgufTensor& tensor, Range rows) const {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(1, rows_of(tensor)));
  const std::uint64_t stride = tensor.bytes / count;
  file_.will_read(tensor.offset + static_cast<std::uint64_t>(rows.begin) * stride,
                  static_cast<std::uint64_t>(rows.size()) * stride);
}

}  // namespace trireme
