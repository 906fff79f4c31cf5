#include "weights/fingerprint.h"

#include <algorithm>
#include <map>
#include <optional>

#include "core/hash.h"
#include "weights/gguf_model.h"
#include "weights/matrix_view.h"

namespace trireme {

namespace {

std::uint64_t hash_of(std::uint64_t hash, std::uint64_t number) {
  return fnv1a({reinterpret_cast<const char*>(&number), sizeof(number)}, hash);
}

/// What is known of the tensors of one file.
struct WeightFile {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;
  std::uint64_t headers = fnv1a("");
  std::uint64_t samples = fnv1a("");
};

/// Takes in a page of the tensor's first row, of its middle row and of its last one.
void sample(const TensorSource& source, const TensorInfo& tensor, WeightFile& file) {
  constexpr std::int64_t page = 4096;
  const MatrixView view = matrix_view(tensor);
  const auto element = static_cast<std::int64_t>(size_of(tensor.dtype));
  const std::int64_t count = std::min(view.cols, page / element);
  if (view.rows == 0 || count == 0) return;
  std::vector<std::byte> bytes(static_cast<std::size_t>(count * element));
  const auto take = [&](std::int64_t row, std::int64_t col) {
    source.read(tensor, {row, row + 1}, {col, col + count}, bytes.data());
    file.samples = fnv1a({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.samples);
  };
  take(0, 0);
  take(view.rows / 2, (view.cols - count) / 2);
  take(view.rows - 1, view.cols - count);
}

void add_header(const TensorInfo& tensor, WeightFile& file) {
  ++file.tensors;
  file.bytes += static_cast<std::uint64_t>(tensor.bytes_in_file());
  file.headers = fnv1a(tensor.name, hash_of(file.headers, tensor.name.size()));
  file.headers = fnv1a(name_of(tensor.dtype), hash_of(file.headers, tensor.shape.size()));
  file.headers = hash_of(file.headers, static_cast<std::uint64_t>(tensor.packed_bytes));
  for (const std::int64_t size : tensor.shape) {
    file.headers = hash_of(file.headers, static_cast<std::uint64_t>(size));
  }
}

}  // namespace

std::string digest_text(std::uint64_t hash) { return fmt::format("{:016x}", mixed(hash)); }

std::string weight_file_label(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  if (!is_gguf_name(file)) return name;
  const std::optional<GgufSplitName> split = gguf_split_name(name);
  return split ? GgufSplitName{"weights-", split->number, split->count}.of(split->number)
               : "weights.gguf";
}

std::string describe_weights(const TensorSource& source) {
  std::map<std::string, WeightFile> files;
  for (const TensorInfo* tensor : source.tensors()) {
    WeightFile& file = files[weight_file_label(tensor->file)];
    add_header(*tensor, file);
    sample(source, *tensor, file);
  }
  std::string text;
  for (const auto& [name, file] : files) {
    text += fmt::format("{}={} tensors of {} bytes, {}, sampled {}\n", name, file.tensors,
                        file.bytes, digest_text(file.headers), digest_text(file.samples));
  }
  return text;
}

}  // namespace trireme
