#include "weights/gguf_source.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "weights/gguf_names.h"
#include "weights/matrix_view.h"

namespace trireme {

namespace {

using SharedParts = std::shared_ptr<const GgufParts>;

/// A tensor as Hugging Face has it, and where it is.
struct Place {
  TensorInfo info;
  GgufLayout layout = GgufLayout::same;
  std::int64_t head_dim = 0;  ///< rows that are interleaved with each other
  const GgufFile* file = nullptr;
  const GgufTensor* tensor = nullptr;

  const std::string& name() const { return info.name; }
};

/// [rows, cols] to [cols, rows], of elements of `unit` bytes.
void transpose(const std::byte* source, std::size_t rows, std::size_t cols, std::size_t unit,
               std::byte* out) {
  constexpr std::size_t tile = 16;  // a line of each row
  for (std::size_t begin = 0; begin < rows; begin += tile) {
    const std::size_t end = std::min(rows, begin + tile);
    for (std::size_t col = 0; col < cols; ++col) {
      for (std::size_t row = begin; row < end; ++row) {
        std::memcpy(out + (col * rows + row) * unit, source + (row * cols + col) * unit, unit);
      }
    }
  }
}

class GgufSource : public TensorSource {
 public:
  explicit GgufSource(SharedParts parts);

  const TensorInfo* find(std::string_view name) const override;
  std::vector<const TensorInfo*> tensors() const override;
  std::string describe() const override { return parts_->files.front().name(); }
  void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const override;
  void will_read(const TensorInfo& tensor, Range rows, Range cols) const override;
  std::vector<FileStamp> files() const override {
    std::vector<FileStamp> stamps;
    for (const GgufFile& file : parts_->files) stamps.push_back(file.stamp());
    return stamps;
  }
  std::int64_t bytes_read() const override { return bytes_read_; }

 private:
  void add(const GgufFile& file, const GgufTensor& tensor);
  std::int64_t head_dim_of(const Place& place) const;
  void check_unique() const;
  const Place* place_of(std::string_view name) const;
  static void read_interleaved(const Place& place, Range rows, Range cols, std::byte* out);
  static void read_transposed(const Place& place, Range rows, Range cols, std::byte* out);

  SharedParts parts_;
  std::string architecture_;
  std::vector<Place> places_;  ///< in order of name
  mutable std::atomic<std::int64_t> bytes_read_{0};
};

GgufSource::GgufSource(SharedParts parts) : parts_(std::move(parts)) {
  const std::string* architecture = parts_->metadata().string("general.architecture");
  if (architecture != nullptr) architecture_ = *architecture;
  for (const GgufFile& file : parts_->files) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.name != gguf_rope_factors) add(file, tensor);  // the config says what it says
    }
  }
  std::ranges::sort(places_, {}, &Place::name);
  check_unique();
}

void GgufSource::add(const GgufFile& file, const GgufTensor& tensor) {
  GgufName name = hugging_face_name(architecture_, tensor.name);
  Place place{{std::move(name.name), DType::f32, tensor.shape, file.name()},
              name.layout,
              0,
              &file,
              &tensor};
  if (tensor.type != nullptr) place.info.dtype = tensor.type->dtype;
  place.info.packed_bytes = static_cast<std::int64_t>(tensor.bytes);
  if (place.layout == GgufLayout::transposed) std::ranges::reverse(place.info.shape);
  if (place.layout == GgufLayout::interleaved_heads) place.head_dim = head_dim_of(place);
  places_.push_back(std::move(place));
}

std::int64_t GgufSource::head_dim_of(const Place& place) const {
  const bool keys = place.info.name.find(".k_proj.") != std::string::npos;
  const GgufMetadata& metadata = parts_->metadata();
  const auto heads =
      metadata.integer_of_layers(architecture_ + ".attention.head_count").value_or(1);
  const auto of_keys = metadata.integer_of_layers(architecture_ + ".attention.head_count_kv");
  const std::int64_t count = keys ? of_keys.value_or(heads) : heads;
  const std::int64_t rows = place.info.shape.empty() ? 1 : place.info.shape.front();
  if (count > 0 && rows > 0 && rows % (2 * count) == 0) return rows / count;
  fail(ErrorKind::input, "{}: tensor {} has {} rows, which are not those of {} rotated heads",
       place.file->name(), printable(place.tensor->name), rows, count);
}

void GgufSource::check_unique() const {
  const auto twin = std::ranges::adjacent_find(places_, {}, &Place::name);
  if (twin == places_.end()) return;
  fail(ErrorKind::input, "{}: tensor {} is also in {}; which one counts? Download the files again",
       twin->file->name(), printable(twin->tensor->name), std::next(twin)->file->name());
}

const Place* GgufSource::place_of(std::string_view name) const {
  const auto found = std::ranges::lower_bound(places_, name, {}, &Place::name);
  return found != places_.end() && found->name() == name ? &*found : nullptr;
}

const TensorInfo* GgufSource::find(std::string_view name) const {
  const Place* place = place_of(name);
  if (place == nullptr) return nullptr;
  if (place->tensor->type == nullptr) {
    fail(ErrorKind::input,
         "{}: tensor {}: Trireme cannot read type {}; use a file whose tensors are {}",
         place->file->name(), printable(place->tensor->name),
         gguf_type_name(place->tensor->type_id), gguf_type_names());
  }
  return &place->info;
}

std::vector<const TensorInfo*> GgufSource::tensors() const {
  std::vector<const TensorInfo*> all;
  for (const Place& place : places_) {
    if (place.tensor->type != nullptr) all.push_back(&place.info);
  }
  return all;
}

void GgufSource::read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const {
  check_slice(tensor, rows, cols);
  const Place* place = place_of(tensor.name);
  TRIREME_ASSERT(place != nullptr);
  switch (place->layout) {
    case GgufLayout::same:
      place->file->read(*place->tensor, rows, cols, out);
      break;
    case GgufLayout::interleaved_heads:
      read_interleaved(*place, rows, cols, out);
      break;
    case GgufLayout::transposed:
      read_transposed(*place, rows, cols, out);
      break;
  }
  bytes_read_ += rows.size() * cols.size() * static_cast<std::int64_t>(size_of(tensor.dtype));
}

void GgufSource::read_interleaved(const Place& place, Range rows, Range cols, std::byte* out) {
  const std::size_t unit = size_of(place.info.dtype);
  if (place.info.shape.size() == 1) {  // a bias: its columns are the rows
    const std::int64_t size = place.info.shape.front();
    std::vector<std::byte> all(static_cast<std::size_t>(size) * unit);
    place.file->read(*place.tensor, {0, 1}, {0, size}, all.data());
    for (std::int64_t col = cols.begin; col < cols.end && !rows.empty(); ++col, out += unit) {
      const std::int64_t there = interleaved_row(col, place.head_dim);
      std::memcpy(out, all.data() + static_cast<std::size_t>(there) * unit, unit);
    }
    return;
  }
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t there = interleaved_row(row, place.head_dim);
    place.file->read(*place.tensor, {there, there + 1}, cols, out);
    out += static_cast<std::size_t>(cols.size()) * unit;
  }
}

void GgufSource::read_transposed(const Place& place, Range rows, Range cols, std::byte* out) {
  const std::size_t unit = size_of(place.info.dtype);
  const auto count = static_cast<std::size_t>(rows.size() * cols.size());
  const auto turned = std::make_unique_for_overwrite<std::byte[]>(count * unit);
  place.file->read(*place.tensor, cols, rows, turned.get());
  transpose(turned.get(), static_cast<std::size_t>(cols.size()),
            static_cast<std::size_t>(rows.size()), unit, out);
}

void GgufSource::will_read(const TensorInfo& tensor, Range rows, Range cols) const {
  const Place* place = place_of(tensor.name);
  TRIREME_ASSERT(place != nullptr);
  if (place->layout == GgufLayout::transposed) return place->file->will_read(*place->tensor, cols);
  if (tensor.shape.size() < 2) rows = {0, 1};
  if (place->head_dim > 0 && tensor.shape.size() == 2) {  // somewhere in the same heads
    rows = {rows.begin / place->head_dim * place->head_dim,
            ceil_div(rows.end, place->head_dim) * place->head_dim};
  }
  place->file->will_read(*place->tensor, rows);
}

}  // namespace

std::unique_ptr<TensorSource> make_gguf_source(SharedParts parts) {
  return std::make_unique<GgufSource>(std::move(parts));
}

}  // namespace trireme
