#include "weights/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/error.h"
#include "weights/file.h"
#include "weights/safetensors_format.h"

namespace trireme {

namespace {

/// Indices of the tensors as the file has them.
std::vector<std::size_t> file_order(const std::vector<TensorShape>& tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::pair(size_of(tensors[b].dtype), std::string_view(tensors[a].name)) <
           std::pair(size_of(tensors[a].dtype), std::string_view(tensors[b].name));
  });
  return order;
}

/// The header, padded with spaces so that the data begin at a multiple of eight bytes.
std::string padded(const nlohmann::ordered_json& header) {
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

std::uint64_t TensorShape::bytes() const {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t size : shape) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

SafetensorsLayout lay_out_safetensors(const std::string& file,
                                      const std::vector<TensorShape>& tensors,
                                      const std::map<std::string, std::string>& metadata) {
  SafetensorsLayout layout;
  layout.begins.resize(tensors.size());
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names{"__metadata__"};
  for (const std::size_t i : file_order(tensors)) {
    TRIREME_ASSERT(names.insert(tensors[i].name).second);
    layout.begins[i] = layout.bytes;
    layout.bytes += tensors[i].bytes();
    header[tensors[i].name] = {{"dtype", safetensors_name(tensors[i].dtype)},
                               {"shape", tensors[i].shape},
                               {"data_offsets", {layout.begins[i], layout.bytes}}};
  }
  const std::string text = padded(header);
  if (text.size() > safetensors_header_limit) {
    fail(ErrorKind::input, "{}: {} tensors need a header of {} bytes; the format's limit is {}",
         file, tensors.size(), text.size(), safetensors_header_limit);
  }
  const std::uint64_t length = text.size();
  layout.start.assign(reinterpret_cast<const char*>(&length), sizeof(length));
  layout.start += text;
  for (std::uint64_t& begin : layout.begins) begin += layout.start.size();
  layout.bytes += layout.start.size();
  return layout;
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorShape> shapes;
  for (const TensorToWrite& tensor : tensors) {
    shapes.push_back({tensor.name, tensor.dtype, tensor.shape});
    TRIREME_ASSERT(shapes.back().bytes() == tensor.data.size());
  }
  const SafetensorsLayout layout = lay_out_safetensors(path.string(), shapes, metadata);
  AtomicFile file(path);
  file.write(reinterpret_cast<const std::byte*>(layout.start.data()), layout.start.size());
  for (const std::size_t i : file_order(shapes)) {
    file.write(tensors[i].data.data(), tensors[i].data.size());
  }
  file.commit();
}

}  // namespace trireme
