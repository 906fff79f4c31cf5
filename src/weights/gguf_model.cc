#include "weights/gguf_model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/read_file.h"
#include "weights/gguf_config.h"
#include "weights/gguf_source.h"
#include "weights/gguf_tokenizer.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;
using SharedParts = std::shared_ptr<const GgufParts>;

SharedParts open_parts(const fs::path& path) {
  auto parts = std::make_shared<GgufParts>();
  parts->files.emplace_back(path);
  const std::int64_t count = parts->metadata().integer("split.count").value_or(1);
  if (count <= 1) return parts;
  const std::optional<GgufSplitName> name = gguf_split_name(path.filename().string());
  if (!name || name->count != count) {
    fail(ErrorKind::input,
         "{}: a part of {}, whose names must end in -00001-of-{:05}.gguf and so on: give them the "
         "names that they were downloaded under",
         path.string(), count, count);
  }
  if (name->number != 1) {
    fail(ErrorKind::input, "{}: part {} of {}; give the first one, {}", path.string(), name->number,
         count, name->of(1));
  }
  for (std::int64_t part = 2; part <= count; ++part) {
    parts->files.emplace_back(path.parent_path() / name->of(part));
  }
  return parts;
}

std::vector<float> read_rope_factors(const GgufFile& file, const GgufTensor& tensor) {
  constexpr std::int64_t most = 4096;
  const std::int64_t count = tensor.elements();
  const bool plain = tensor.type != nullptr && tensor.type->dtype == DType::f32;
  if (!plain || tensor.shape.size() != 1 || count > most) {
    fail(ErrorKind::input, "{}: tensor {}: expected at most {} numbers in F32", file.name(),
         printable(tensor.name), most);
  }
  std::vector<float> factors(static_cast<std::size_t>(count));
  file.read(tensor, {0, 1}, {0, count}, reinterpret_cast<std::byte*>(factors.data()));
  return factors;
}

GgufContents contents_of(const GgufParts& parts) {
  GgufContents contents{parts.metadata(), {}, {}};
  for (const GgufFile& file : parts.files) {
    for (const GgufTensor& tensor : file.tensors()) {
      contents.tensors.emplace(tensor.name, &tensor);
      if (tensor.name == gguf_rope_factors) contents.rope_factors = read_rope_factors(file, tensor);
    }
  }
  return contents;
}

class GgufModel : public ModelFiles {
 public:
  explicit GgufModel(const fs::path& path) : path_(path), parts_(open_parts(path)) {}

  std::string where() const override { return path_.string(); }
  std::string where(std::string_view name) const override {
    const fs::path file = beside(name);
    return file.empty() ? fmt::format("{} (as {})", path_.string(), name) : file.string();
  }

  std::optional<std::string> read(std::string_view name) const override {
    if (const fs::path file = beside(name); !file.empty()) return read_file(file);
    if (name == "config.json") return gguf_config_json(contents_of(*parts_));
    if (name == "tokenizer.json") return gguf_tokenizer_json(parts_->metadata());
    if (name == "tokenizer_config.json") return gguf_tokenizer_config_json(parts_->metadata());
    return std::nullopt;
  }

  std::vector<std::string> names_in(std::string_view) const override { return {}; }
  std::string_view format() const override { return "gguf"; }
  std::unique_ptr<TensorSource> open_weights() const override { return make_gguf_source(parts_); }

 private:
  /// The file that lies beside this one and counts more than what is in it; usually empty.
  fs::path beside(std::string_view name) const {
    const fs::path file = path_.parent_path() / name;
    return name == "tokenizer.json" && there_is(file) ? file : fs::path();
  }

  fs::path path_;
  SharedParts parts_;
};

}  // namespace

std::unique_ptr<ModelFiles> open_gguf_model(const fs::path& path) {
  return std::make_unique<GgufModel>(path);
}

std::string GgufSplitName::of(std::int64_t part) const {
  return fmt::format("{}{:05}-of-{:05}.gguf", before, part, count);
}

std::optional<GgufSplitName> gguf_split_name(const std::string& name) {
  constexpr std::size_t length = 5 + 4 + 5 + 5;  // 00001-of-00003.gguf
  if (name.size() < length) return std::nullopt;
  const std::string end = name.substr(name.size() - length);
  const std::string digits = end.substr(0, 5) + end.substr(9, 5);
  const bool numbered = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (!numbered || end.substr(5, 4) != "-of-" || !end.ends_with(".gguf")) return std::nullopt;
  return GgufSplitName{name.substr(0, name.size() - length), std::stoll(digits.substr(0, 5)),
                       std::stoll(digits.substr(5))};
}

bool is_gguf_name(const fs::path& path) { return path.extension() == ".gguf"; }

fs::path gguf_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    const std::optional<GgufSplitName> split = gguf_split_name(name);
    if (is_gguf_name(name) && (!split || split->number == 1)) names.push_back(name);
  }
  if (names.empty()) return {};
  if (names.size() == 1) return directory / names.front();
  std::ranges::sort(names);
  fail(ErrorKind::input, "{}: several GGUF files ({}); give one of them, such as --model {}",
       directory.string(), fmt::join(names, ", "), (directory / names.front()).string());
}

}  // namespace trireme
