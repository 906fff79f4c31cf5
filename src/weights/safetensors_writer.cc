#include "weights/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "weights/file.h"
#include "weights/safetensors_format.h"

namespace trireme {

namespace {

using Order = std::vector<const TensorToWrite*>;

Order in_file_order(std::span<const TensorToWrite> tensors) {
  Order order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, [](const auto* a, const auto* b) {
    return std::pair(size_of(b->dtype), std::string_view(a->name)) <
           std::pair(size_of(a->dtype), std::string_view(b->name));
  });
  return order;
}

void check_tensor(const TensorToWrite& tensor) {
  std::uint64_t bytes = size_of(tensor.dtype);
  for (const std::int64_t size : tensor.shape) bytes *= static_cast<std::uint64_t>(size);
  TRIREME_ASSERT(bytes == tensor.data.size());
  TRIREME_ASSERT(tensor.name != "__metadata__");
}

/// The header, padded with spaces so that the data begin at a multiple of eight bytes.
std::string header_of(const Order& order, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  std::set<std::string_view> names;
  for (const TensorToWrite* tensor : order) {
    check_tensor(*tensor);
    TRIREME_ASSERT(names.insert(tensor->name).second);
    const std::uint64_t end = offset + tensor->data.size();
    header[tensor->name] = {{"dtype", safetensors_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const Order order = in_file_order(tensors);
  const std::string header = header_of(order, metadata);
  if (header.size() > safetensors_header_limit) {
    fail(ErrorKind::input, "{}: {} tensors need a header of {} bytes; the format's limit is {}",
         path.string(), tensors.size(), header.size(), safetensors_header_limit);
  }
  AtomicFile file(path);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const std::byte*>(&length), sizeof(length));
  file.write(reinterpret_cast<const std::byte*>(header.data()), header.size());
  for (const TensorToWrite* tensor : order) file.write(tensor->data.data(), tensor->data.size());
  file.commit();
}

}  // namespace trireme
