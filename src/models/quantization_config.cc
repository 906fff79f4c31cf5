#include "models/quantization_config.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::int64_t widest_group = std::int64_t{1} << 24;

/// The keys of quantization_config, each message with the name of the key.
class Keys {
 public:
  explicit Keys(const HfConfig& config)
      : where_(config.where()), keys_(config.object("quantization_config")) {}

  const HfConfig* operator->() const { return &keys_; }

  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const {
    fail(ErrorKind::input,
         "{}: quantization_config.{} is {}; Trireme reads {} (other checkpoints: take one that is "
         "not quantised, and --quantization int8 or int4)",
         where_, key, keys_.has(key) ? keys_.text_of(key) : "missing", expected);
  }

  /// A word in any case; empty if there is none.
  std::string word(std::string_view key) const {
    std::string text = keys_.string_or(key, "");
    std::ranges::transform(text, text.begin(), [](char c) {
      return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
  }

  void expect_word(std::string_view key, std::initializer_list<std::string_view> words) const {
    const std::string found = word(key);
    if (found.empty() || std::ranges::count(words, found) > 0) return;
    refuse(key, fmt::format("\"{}\" only", fmt::join(words, "\" and \"")));
  }

 private:
  std::string where_;
  HfConfig keys_;
};

std::int64_t group_size(const Keys& keys, std::string_view key) {
  const std::int64_t size = keys->integer(key).value_or(128);
  if (size != -1 && (size < 1 || size > widest_group)) keys.refuse(key, "a group size, or -1");
  return size;
}

CheckpointQuantization read_gptq(const Keys& keys) {
  CheckpointQuantization read{.method = QuantizationMethod::gptq};
  const std::int64_t bits = keys->integer("bits").value_or(0);
  if (bits != 4 && bits != 8) keys.refuse("bits", "4 and 8 bits of GPTQ");
  read.bits = static_cast<int>(bits);
  read.group_size = group_size(keys, "group_size");
  keys.expect_word("checkpoint_format", {"gptq", "gptq_v2"});
  keys.expect_word("format", {"gptq", "gptq_v2"});
  keys.expect_word("pack_dtype", {"int32"});
  if (keys->boolean_or("is_marlin_format", false)) keys.refuse("is_marlin_format", "false only");
  for (const std::string& module : keys->object("dynamic").keys()) {
    if (!module.starts_with("-")) keys.refuse("dynamic", "modules that are left out (\"-:\") only");
  }
  const std::string format = keys.word("checkpoint_format");
  read.zeros_less_one = (format.empty() ? keys.word("format") : format) != "gptq_v2";
  read.desc_act = keys->boolean_or("desc_act", false);
  read.symmetric = keys->boolean_or("sym", false);
  return read;
}

CheckpointQuantization read_awq(const Keys& keys) {
  CheckpointQuantization read{.method = QuantizationMethod::awq};
  const std::string_view bits = keys->has("w_bit") ? "w_bit" : "bits";
  if (keys->integer(bits).value_or(4) != 4) keys.refuse(bits, "4 bits of AWQ");
  read.group_size = group_size(keys, keys->has("q_group_size") ? "q_group_size" : "group_size");
  keys.expect_word("version", {"gemm"});
  keys.expect_word("format", {"gemm"});
  keys.expect_word("checkpoint_format", {"gemm"});
  keys.expect_word("backend", {"autoawq"});
  if (!keys->boolean_or("zero_point", true)) keys.refuse("zero_point", "true only");
  return read;
}

}  // namespace

std::optional<CheckpointQuantization> quantization_of(const HfConfig& config) {
  if (!config.has("quantization_config")) return std::nullopt;
  const Keys keys(config);
  const std::string method = keys.word("quant_method");
  if (method == "gptq") return read_gptq(keys);
  if (method == "awq") return read_awq(keys);
  keys.refuse("quant_method", "\"gptq\" (4 or 8 bits) and \"awq\" (4 bits, version gemm)");
}

std::unique_ptr<TensorSource> open_weights(const ModelFiles& model, const HfConfig& config) {
  const std::optional<CheckpointQuantization> quantization = quantization_of(config);
  std::unique_ptr<TensorSource> files = model.open_weights();
  if (quantization) return open_quantized(std::move(files), *quantization);
  if (const TensorInfo* packed = find_packed_weight(*files)) {
    fail(ErrorKind::input,
         "{}: tensor {} is quantised, but {} has no quantization_config to say how; older "
         "checkpoints have that in quantize_config.json or quant_config.json: put it into "
         "config.json, with \"quant_method\": \"gptq\" or \"awq\" in it",
         packed->file, packed->name, config.where());
  }
  return files;
}

}  // namespace trireme
