// A model directory's weights: one safetensors file, or shards and the index that names them.
#include <simdjson.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "core/read_file.h"
#include "weights/safetensors_file.h"
#include "weights/safetensors_format.h"
#include "weights/tensor_source.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;
namespace dom = simdjson::dom;

/// Tensor name -> the shard that should hold it.
using WeightMap = std::map<std::string, std::string, std::less<>>;

class CheckpointSource : public TensorSource {
 public:
  CheckpointSource(std::string description, std::vector<SafetensorsFile> files)
      : description_(std::move(description)), files_(std::move(files)) {
    for (const SafetensorsFile& file : files_) {
      for (const auto& tensor : file.tensors()) places_.push_back({&file, &tensor});
    }
    std::ranges::sort(places_, {}, &Place::name);
    const auto twin = std::ranges::adjacent_find(places_, {}, &Place::name);
    if (twin == places_.end()) return;
    fail(ErrorKind::input,
         "{}: tensor {} is also in {}; which one counts? Download the checkpoint again",
         twin->file->name(), printable(twin->name()), std::next(twin)->file->name());
  }

  const TensorInfo* find(std::string_view name) const override {
    if (const Place* place = place_of(name)) return &place->tensor->info;
    for (const SafetensorsFile& file : files_) {
      const auto strange = file.unreadable().find(name);
      if (strange == file.unreadable().end()) continue;
      fail(ErrorKind::input,
           "{}: tensor {}: Trireme cannot read {} data; use a checkpoint in F32, F16 or BF16",
           file.name(), printable(name), strange->second);
    }
    return nullptr;
  }

  std::vector<const TensorInfo*> tensors() const override {
    std::vector<const TensorInfo*> all;
    for (const Place& place : places_) all.push_back(&place.tensor->info);
    return all;
  }

  std::string describe() const override { return description_; }

  void read(const TensorInfo& tensor, Range rows, Range cols, std::byte* out) const override {
    const Place* place = place_of(tensor.name);
    TRIREME_ASSERT(place != nullptr);
    bytes_read_ += place->file->read(*place->tensor, rows, cols, out);
  }

  void will_read(const TensorInfo& tensor, Range rows, Range cols) const override {
    const Place* place = place_of(tensor.name);
    TRIREME_ASSERT(place != nullptr);
    place->file->will_read(*place->tensor, rows, cols);
  }

  std::vector<FileStamp> files() const override {
    std::vector<FileStamp> stamps;
    for (const SafetensorsFile& file : files_) stamps.push_back(file.stamp());
    return stamps;
  }

  std::int64_t bytes_read() const override { return bytes_read_; }

 private:
  struct Place {
    const SafetensorsFile* file;
    const SafetensorsFile::Tensor* tensor;
    std::string_view name() const { return tensor->info.name; }
  };

  const Place* place_of(std::string_view name) const {
    const auto found = std::ranges::lower_bound(places_, name, {}, &Place::name);
    return found != places_.end() && found->name() == name ? &*found : nullptr;
  }

  std::string description_;
  std::vector<SafetensorsFile> files_;
  std::vector<Place> places_;  ///< in order of name
  mutable std::atomic<std::int64_t> bytes_read_{0};
};

std::string read_index(const InputFile& file) {
  if (file.size() > safetensors_header_limit) {
    fail(ErrorKind::input, "{}: {} bytes are too many for an index (limit {})", file.name(),
         file.size(), safetensors_header_limit);
  }
  std::string json(file.size(), '\0');
  file.read(0, reinterpret_cast<std::byte*>(json.data()), json.size());
  return json;
}

/// A shard's name must be a plain file name: an index must not reach out of its directory.
void check_shard_name(const std::string& index, std::string_view tensor, std::string_view shard) {
  const fs::path path(shard);
  const bool plain = !shard.empty() && path.filename() == path && shard != "." && shard != ".." &&
                     shard.find('\0') == std::string_view::npos;
  if (plain) return;
  fail(ErrorKind::input, "{}: weight_map puts tensor {} into \"{}\", which is not a file name",
       index, printable(tensor), printable(shard));
}

WeightMap parse_index(const std::string& json, const std::string& index) {
  dom::parser parser(safetensors_header_limit);
  dom::element root;
  dom::object object, pairs;
  if (const auto error = parser.parse(json).get(root); error != simdjson::SUCCESS) {
    fail(ErrorKind::input, "{}: not JSON ({}); download it again", index,
         simdjson::error_message(error));
  }
  if (root.get(object) != simdjson::SUCCESS ||
      object.at_key("weight_map").get(pairs) != simdjson::SUCCESS) {
    fail(ErrorKind::input, "{}: no object \"weight_map\" in it; download it again", index);
  }
  WeightMap map;
  for (const dom::key_value_pair pair : pairs) {
    std::string_view shard;
    if (pair.value.get(shard) != simdjson::SUCCESS) {
      fail(ErrorKind::input, "{}: weight_map gives tensor {} no file name", index,
           printable(pair.key));
    }
    check_shard_name(index, pair.key, shard);
    if (!map.emplace(pair.key, shard).second) {
      fail(ErrorKind::input, "{}: weight_map lists tensor {} twice", index, printable(pair.key));
    }
  }
  return map;
}

bool holds(const SafetensorsFile& file, std::string_view tensor) {
  return file.unreadable().contains(tensor) ||
         std::ranges::binary_search(file.tensors(), tensor, {}, [](const auto& entry) {
           return std::string_view(entry.info.name);
         });
}

SafetensorsFile open_shard(const fs::path& directory, const std::string& shard,
                           const std::string& tensor) {
  const fs::path path = directory / shard;
  if (!there_is(path)) {
    fail(ErrorKind::input,
         "{}: no such file, but the index says that it holds tensor {}; download this shard",
         path.string(), printable(tensor));
  }
  return SafetensorsFile(path);
}

std::unique_ptr<TensorSource> open_shards(const fs::path& directory, const fs::path& index_path) {
  const InputFile index(index_path);
  const WeightMap map = parse_index(read_index(index), index.name());
  std::map<std::string, std::vector<std::string>> tensors_of_shard;
  for (const auto& [tensor, shard] : map) tensors_of_shard[shard].push_back(tensor);
  std::vector<SafetensorsFile> files;
  for (const auto& [shard, tensors] : tensors_of_shard) {
    files.push_back(open_shard(directory, shard, tensors.front()));
    for (const std::string& tensor : tensors) {
      if (holds(files.back(), tensor)) continue;
      fail(ErrorKind::input, "{}: no tensor {} in it, although {} says so; download both again",
           files.back().name(), printable(tensor), index.name());
    }
  }
  return std::make_unique<CheckpointSource>(directory.string(), std::move(files));
}

/// Nothing to open: says why, by what lies there instead.
[[noreturn]] void fail_without_weights(const fs::path& directory) {
  const std::string where = directory.string();
  std::string others;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string extension = entry.path().extension().string();
    const std::string name = entry.path().filename().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".gguf" ||
        extension == ".h5" || extension == ".msgpack" || extension == ".safetensors") {
      others += (others.empty() ? "" : ", ") + name;
    }
  }
  if (error) {
    fail(kind_of_errno(error.value()), "{}: cannot list this directory: {}", where,
         error.message());
  }
  if (others.find("pytorch_model") != std::string::npos) {
    fail(ErrorKind::input,
         "{}: only PyTorch pickles ({}), which can run code when opened, so Trireme does not; "
         "convert "
         "them: python3 -c \"from transformers import AutoModelForCausalLM as M; "
         "M.from_pretrained('{}').save_pretrained('{}-safetensors', safe_serialization=True)\"",
         where, others, where, where);
  }
  if (others.find(".gguf") != std::string::npos) {
    fail(ErrorKind::input,
         "{}: no safetensors files beside config.json, but others ({}): give such a file itself, "
         "--model {}/FILE.gguf",
         where, others, where);
  }
  fail(
      ErrorKind::input,
      "{}: neither model.safetensors nor model.safetensors.index.json here{}; download the model's "
      "safetensors files, or use --load-format dummy for made-up weights",
      where, others.empty() ? "" : fmt::format(" (but {})", others));
}

}  // namespace

std::unique_ptr<TensorSource> open_safetensors(const fs::path& path) {
  std::vector<SafetensorsFile> files;
  files.emplace_back(path);
  return std::make_unique<CheckpointSource>(path.string(), std::move(files));
}

std::unique_ptr<TensorSource> open_checkpoint(const fs::path& model_directory) {
  const fs::path single = model_directory / "model.safetensors";
  if (there_is(single)) return open_safetensors(single);
  const fs::path index = model_directory / "model.safetensors.index.json";
  if (there_is(index)) return open_shards(model_directory, index);
  fail_without_weights(model_directory);
}

}  // namespace trireme
