// What the bytes of an output depend on besides the requests, for a job that wants to go on later:
// by content, so that a model directory may move, but not change.
#include <array>

#include "core/error.h"
#include "core/hash.h"
#include "core/numerics.h"
#include "kernels/registry.h"
#include "models/sentence.h"
#include "models/shapes.h"
#include "runtime/replica.h"
#include "trireme/engine.h"
#include "weights/fingerprint.h"

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
/// Likewise, but described only where they are: a job from before they were read goes on.
constexpr std::array newer_files{"vocab.txt", "spiece.model", "added_tokens.json"};
constexpr std::array template_folders{"additional_chat_templates", "chat_templates"};

std::string describe_text(std::string_view name, std::string_view text) {
  return fmt::format("{}={} bytes, {}\n", name, text.size(), digest_text(fnv1a(text)));
}

std::string describe_file(const ModelTexts& texts, std::string_view name) {
  const std::optional<std::string> text = texts.read(name);
  return text ? describe_text(name, *text) : fmt::format("{}=absent\n", name);
}

std::string describe_small_files(const ModelTexts& texts) {
  std::string out;
  for (const char* const name : small_files) out += describe_file(texts, name);
  for (const char* const name : newer_files) {
    if (const auto text = texts.read(name)) out += describe_text(name, *text);
  }
  for (const char* const folder : template_folders) {
    for (const std::string& name : texts.names_in(folder)) {
      if (name.ends_with(".jinja")) out += describe_file(texts, name);
    }
  }
  return out;
}

}  // namespace

std::string output_identity(const Options& options) {
  const bool shape = options.model.starts_with(shape_prefix);
  const OpenModel files = open_model(options);
  const ModelSpec& model = files.model->spec();
  std::string text =
      fmt::format("numerics={}\ndtype={}\nquantization={}\narithmetic={}\nmax_model_len={}\n",
                  numerics_version, name_of(model.dtype), name_of(model.quantization),
                  arithmetic_of(options.device, options.isa), options.max_model_len);
  text += describe_small_files(*files.texts);
  if (model.output == Output::sentence) {
    for (const std::string& name : sentence_texts(*files.texts)) {
      text += describe_file(*files.texts, name);
    }
  }
  const bool made_up = shape || options.load_format == "dummy";
  return text + (made_up ? fmt::format("weights=made up, seed {}\n", options.load_seed)
                         : describe_weights(*files.source));
}

}  // namespace trireme
