// What the bytes of an output depend on besides the requests, for a job that wants to go on later:
// by content, so that a model directory may move, but not change.
#include <algorithm>
#include <array>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/numerics.h"
#include "kernels/registry.h"
#include "models/shapes.h"
#include "runtime/replica.h"
#include "trireme/engine.h"
#include "weights/matrix_view.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

/// All that is read of a model besides the weights.
constexpr std::array small_files{"config.json",
                                 "generation_config.json",
                                 "tokenizer.json",
                                 "tokenizer_config.json",
                                 "vocab.json",
                                 "merges.txt",
                                 "special_tokens_map.json",
                                 "chat_template.jinja",
                                 "chat_template.json"};
constexpr std::array template_folders{"additional_chat_templates", "chat_templates"};

std::string digest(std::uint64_t hash) { return fmt::format("{:016x}", mixed(hash)); }

std::uint64_t hash_of(std::uint64_t hash, std::uint64_t number) {
  return fnv1a({reinterpret_cast<const char*>(&number), sizeof(number)}, hash);
}

std::string describe_text(std::string_view name, std::string_view text) {
  return fmt::format("{}={} bytes, {}\n", name, text.size(), digest(fnv1a(text)));
}

std::string describe_file(const ModelTexts& texts, std::string_view name) {
  const std::optional<std::string> text = texts.read(name);
  return text ? describe_text(name, *text) : fmt::format("{}=absent\n", name);
}

std::string describe_small_files(const ModelTexts& texts) {
  std::string out;
  for (const char* const name : small_files) out += describe_file(texts, name);
  for (const char* const folder : template_folders) {
    for (const std::string& name : texts.names_in(folder)) {
      if (name.ends_with(".jinja")) out += describe_file(texts, name);
    }
  }
  return out;
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

std::string describe_weights(const TensorSource& source) {
  std::map<std::string, WeightFile> files;
  for (const TensorInfo* tensor : source.tensors()) {
    WeightFile& file = files[fs::path(tensor->file).filename()];
    add_header(*tensor, file);
    sample(source, *tensor, file);
  }
  std::string text;
  for (const auto& [name, file] : files) {
    text += fmt::format("{}={} tensors of {} bytes, {}, sampled {}\n", name, file.tensors,
                        file.bytes, digest(file.headers), digest(file.samples));
  }
  return text;
}

}  // namespace

std::string output_identity(const Options& options) {
  const bool shape = options.model.starts_with(shape_prefix);
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  std::string text =
      fmt::format("numerics={}\ndtype={}\nquantization={}\narithmetic={}\nmax_model_len={}\n",
                  numerics_version, name_of(model.dtype), name_of(model.quantization),
                  make_backend(options.isa)->arithmetic(), options.max_model_len);
  text += describe_small_files(*files.texts);
  const bool made_up = shape || options.load_format == "dummy";
  return text + (made_up ? fmt::format("weights=made up, seed {}\n", options.load_seed)
                         : describe_weights(*files.source));
}

}  // namespace trireme
