#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "core/suggest.h"
#include "kernels/cuda_plugin.h"
#include "trireme/error.h"

namespace trireme {

namespace {

/// Adds a flag for a number of bytes.
void add_bytes(CLI::App& app, const std::string& flag, std::int64_t& bytes, const char* help,
               const char* group) {
  const auto parse = [&bytes, flag](const std::string& text) { bytes = parse_bytes(text, flag); };
  app.add_option_function<std::string>(flag, parse, help)->type_name("BYTES")->group(group);
}

/// Checks for a number from `least` (or above it) to `most`; `expected` says so in words.
CLI::Validator number_within(double least, bool least_itself, double most,
                             const std::string& expected) {
  const auto check = [=](const std::string& text) {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && std::isfinite(value) &&
                      (least_itself ? value >= least : value > least) && value <= most;
    return good ? std::string() : fmt::format("{}: expected {}", text, expected);
  };
  return {[check](std::string& text) { return check(text); }, ""};
}

/// Every spelling of every flag that `app` knows.
std::vector<std::string> known_flags(const CLI::App& app) {
  std::vector<std::string> flags{"-dp", "-tp", "-pp"};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
  }
  return flags;
}

bool is_flag(const std::string& argument) {
  return argument.size() > 1 && argument[0] == '-' && argument != "--";
}

void check_device(const Options& options) { is_gpu(options.device); }

}  // namespace

CLI::Validator at_least_one(std::int64_t most) {
  CLI::Validator check = CLI::Range(std::int64_t{1}, most);
  return check.description("");
}

std::vector<std::string> rewrite_parallel_flags(std::vector<std::string> arguments) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> names{
      {{"-dp", "--data-parallel-size"},
       {"-tp", "--tensor-parallel-size"},
       {"-pp", "--pipeline-parallel-size"}}};
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    for (const auto& [name, spelled] : names) {
      if (!argument.starts_with(name)) continue;
      std::string rest = argument.substr(name.size());
      if (!rest.empty() && rest[0] != '=') rest = "=" + rest;
      const bool number = std::all_of(rest.begin() + (rest.empty() ? 0 : 1), rest.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
      if (number) argument = std::string(spelled) + rest;
      break;
    }
  }
  return arguments;
}

const std::vector<std::string>& config_flags() {
  static const std::vector<std::string> keys = [] {
    Options options;
    SamplingParams sampling;
    Arguments all("", "", {});
    all.add_model(options);
    all.add_plan(options);
    all.add_machine(options);
    all.add_sampling(sampling);
    std::vector<std::string> found;
    for (const CLI::Option* option : all.app().get_options()) {
      for (const std::string& name : option->get_lnames()) found.push_back(config_key(name));
    }
    return found;
  }();
  return keys;
}

Arguments::Arguments(std::string verb, std::string summary, std::vector<std::string> examples)
    : verb_(std::move(verb)),
      app_(std::move(summary), "trireme " + verb_),
      examples_(std::move(examples)) {
  constexpr std::size_t flag_column = 40;
  app_.get_formatter()->column_width(flag_column);
  app_.set_help_flag("-h,--help", "Print this help and exit");
  app_.option_defaults()->group("Options");
  app_.add_option("--config_file,--config-file", config_path_,
                  "Settings in YAML or JSON, for flags that are not given;\n"
                  "Accelerate's files, too (`trireme config` writes one)")
      ->type_name("FILE");
  exit_codes_ = {{0, "done"},
                 {1, "failed: an unusable model or file, or another error"},
                 {2, "wrong usage: a flag or an impossible plan"},
                 {4, "not enough resources: memory, disk, a device, a permission"}};
}

void Arguments::add_model(Options& options, std::optional<std::uint64_t>* seed) {
  const char* group = "Model";
  app_.add_option("-m,--model", options.model,
                  "Model directory, GGUF file, or org/name in the local Hugging Face cache")
      ->type_name("DIR")
      ->group(group);
  app_.add_option("--revision", options.revision, "Branch or commit within the cache")
      ->type_name("NAME")
      ->group(group)
      ->capture_default_str();
  app_.add_option("--dtype", options.dtype, "auto (the checkpoint's), float32, bfloat16 or float16")
      ->type_name("TYPE")
      ->group(group)
      ->capture_default_str();
  app_.add_option("--quantization", options.quantization,
                  "int8 or int4: round weights when they are loaded; auto: keep GPTQ's and AWQ's\n"
                  "four bits; none: the numbers that they stand for")
      ->type_name("TYPE")
      ->group(group)
      ->capture_default_str();
  app_.add_option("--load-format", options.load_format,
                  "auto, safetensors, gguf, or dummy: weights made up from config.json and --seed")
      ->type_name("FORMAT")
      ->group(group)
      ->capture_default_str();
  app_.add_option("--packed-cache", options.packed_cache,
                  "Keep packed weights in this directory: the next start maps them")
      ->type_name("DIR")
      ->group(group)
      ->envname("TRIREME_PACKED_CACHE");
  options.on_warning = print_warning;
  const auto take_seed = [&options, seed](const std::uint64_t& value) {
    options.load_seed = value;
    if (seed != nullptr) *seed = value;
  };
  app_.add_option_function<std::uint64_t>("--seed", take_seed,
                                          seed != nullptr
                                              ? "Fixes the random numbers (and dummy weights) [0]"
                                              : "Fixes dummy weights [0]")
      ->type_name("N")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""))
      ->group(group);
}

void Arguments::add_plan(Options& options) {
  plan_ = &options;
  const char* group = "Parallelism (the output bytes do not depend on it)";
  const auto add = [&](const char* name, int& size, const char* help) {
    app_.add_option(name, size, help)
        ->type_name("N")
        ->group(group)
        ->check(at_least_one(most_ranks))
        ->capture_default_str();
  };
  add("--data-parallel-size", options.data_parallel_size,
      "-dp N: replicas of the model, each with its share of the rows");
  add("--tensor-parallel-size", options.tensor_parallel_size,
      "-tp N: ranks that share every layer");
  add("--pipeline-parallel-size", options.pipeline_parallel_size,
      "-pp N: stages of consecutive layers");
  add_devices(options);
}

void Arguments::add_devices(Options& options) {
  const char* group = "Devices (instead of the sizes above; see docs/device-maps.md)";
  app_.add_option(
          "--device-map", options.device_map,
          "auto, balanced, balanced_low_0, sequential, or a JSON file (or text) that names\n"
          "a device for each module")
      ->type_name("MAP")
      ->group(group);
  app_.add_option_function<std::string>(
          "--max-memory",
          [&options](const std::string& text) { options.max_memory = parse_max_memory(text); },
          "What each device may take: cpu:0=10GiB,cpu:1=20GiB,disk=100GiB; cpu:0, cpu:1 are\n"
          "groups of this host's cores")
      ->type_name("DEVICE=BYTES,...")
      ->group(group);
  app_.add_option("--offload-folder", options.offload_folder,
                  "Where what fits on no device stays, on disk")
      ->type_name("DIR")
      ->group(group);
}

void Arguments::add_machine(Options& options, bool generates) {
  options_ = &options;
  const char* group =
      "Machine (none of it changes the output but --isa amx and rows beyond --max-model-len)";
  app_.add_option("--device", options.device,
                  "cpu; cuda, a GPU for each rank; cuda:N; auto: GPUs where\n"
                  "there are any")
      ->type_name("NAME")
      ->group(group)
      ->capture_default_str();
  app_.add_option("--gpu-memory-utilization", options.gpu_memory_utilization,
                  "Share of a GPU's memory that may be filled")
      ->type_name("X")
      ->group(group)
      ->check(CLI::Range(0.01, 1.0).description(""))
      ->capture_default_str();
  app_.add_option("--isa", options.isa,
                  "Instruction set: auto, reference, avx2, avx512, avx512bf16, amx (or\n"
                  "TRIREME_ISA)")
      ->type_name("NAME")
      ->group(group)
      ->capture_default_str();
  const auto add = [&](const char* name, auto& value, const char* help) {
    app_.add_option(name, value, help)
        ->type_name("N")
        ->group(group)
        ->check(at_least_one(std::int64_t{1} << 30));
  };
  add("--threads", options.threads, "Threads per rank [the cores divided among the ranks]");
  add("--max-model-len", options.max_model_len, "Longest sequence, tokens [the model's own limit]");
  add("--max-num-seqs", options.max_sequences, "Sequences running at once, per replica [64]");
  add("--max-num-batched-tokens", options.max_step_tokens,
      generates ? "Tokens per step; longer prompts are cut into chunks [512]"
                : "Tokens per step, at least those of the longest text [512]");
  if (!generates) return;
  app_.add_option(
          "--num-speculative-tokens", options.num_speculative_tokens,
          "Tokens guessed ahead per sequence and step, from what came before in it: faster\n"
          "where text repeats itself [0: none]")
      ->type_name("N")
      ->group(group);
  add("--prompt-lookup-max", options.prompt_lookup_max,
      "Guess where the last N tokens came before in the sequence [4]");
  add("--prompt-lookup-min", options.prompt_lookup_min, "or the last fewer of them, down to N [2]");
  add_bytes(app_, "--kv-cache-memory", options.kv_cache_bytes,
            "KV cache per rank, at least one sequence of --max-model-len: 512M, 4G, 1GiB, 4GB\n"
            "[what the sequences need, within what is free]",
            group);
}

void Arguments::add_sampling(SamplingParams& sampling) {
  const char* group = "Sampling (defaults from the model's generation_config.json)";
  constexpr double any = std::numeric_limits<double>::max();
  const auto add = [&](const char* name, auto& value, const char* type, const char* help,
                       const CLI::Validator& check) {
    app_.add_option(name, value, help)->type_name(type)->group(group)->check(check);
  };
  add("-n,--max-new-tokens,--max-tokens", sampling.max_new_tokens, "N", "Most tokens to generate",
      number_within(1, true, any, "a number from 1 up"));
  add("--temperature", sampling.temperature, "X", "0: always the likeliest token",
      number_within(0, true, any, "a number from 0 (greedy) up"));
  add("--top-k", sampling.top_k, "N", "Choose among the N likeliest; 0 or -1: among all",
      number_within(-1, true, any, "a positive number, or 0 or -1 for all"));
  add("--top-p", sampling.top_p, "X", "Choose among the likeliest that make up this probability",
      number_within(0, false, 1, "a number above 0 and at most 1"));
  add("--min-p", sampling.min_p, "X", "Leave out what is less likely than X times the likeliest",
      number_within(0, true, 1, "a number from 0 to 1"));
  add("--repetition-penalty", sampling.repetition_penalty, "X", "Above 1: avoid repetition",
      number_within(0, false, any, "a number above 0"));
  app_.add_option("--stop", sampling.stop, "End the text before this string; may be repeated")
      ->type_name("TEXT")
      ->group(group)
      ->check(CLI::Validator(
          [](std::string& text) { return std::string(text.empty() ? "the string is empty" : ""); },
          ""))
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app_.add_flag_callback(
          "--ignore-eos", [&sampling] { sampling.ignore_eos = true; },
          "Go on after an end-of-sequence token")
      ->group(group);
}

void Arguments::add_exit_code(int code, const std::string& meaning) {
  std::erase_if(exit_codes_, [&](const auto& known) { return known.first == code; });
  exit_codes_.emplace_back(code, meaning);
}

std::string Arguments::footer() const {
  std::string text = "\nExamples:\n";
  for (const std::string& example : examples_) text += "  " + example + "\n";
  text += "\nExit codes:\n";
  auto codes = exit_codes_;
  std::sort(codes.begin(), codes.end());
  for (const auto& [code, meaning] : codes) text += fmt::format("  {:<3} {}\n", code, meaning);
  return text;
}

std::string Arguments::help() const {
  std::string text = app_.help();
  for (std::size_t at; (at = text.find("\n\n\n")) != text.npos;) text.erase(at, 1);
  text.erase(text.find_last_not_of('\n') + 2);
  const std::size_t usage = text.find("Usage: ");
  if (!usage_.empty() && usage != text.npos) {
    text.replace(usage, text.find('\n', usage) - usage, "Usage: " + usage_);
  }
  return text + footer();
}

bool Arguments::parse(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  arguments = rewrite_parallel_flags(std::move(arguments));
  read_config(arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app_.parse(arguments);
    if (config_) apply_config();
  } catch (const CLI::CallForHelp&) {
    print_out(help());
    return false;
  } catch (const CLI::ParseError& error) {
    reject(error);
  }
  if (options_ != nullptr && !elsewhere_()) check_device(*options_);
  return true;
}

/// What a flag must say otherwise, the file may say.
void Arguments::read_config(const std::vector<std::string>& arguments) {
  std::string path = config_path_;
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    const std::size_t equals = arguments[i].find('=');
    if (config_key(arguments[i].substr(0, equals)) != "config_file") continue;
    if (equals != std::string::npos) path = arguments[i].substr(equals + 1);
    if (equals == std::string::npos && i + 1 < arguments.size()) path = arguments[i + 1];
  }
  if (path.empty() || !reads_config_) return;
  config_ = read_config_file(path, config_flags());
  for (CLI::Option* const option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (config_->find(config_key(name)) != nullptr) option->required(false);
    }
  }
}

/// Flags that were not given take what the file says.
void Arguments::apply_config() {
  if (plan_ != nullptr) take_number_of_processes();
  for (CLI::Option* const option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      const std::string* const value = config_->find(config_key(name));
      if (value == nullptr || option->count() > 0) continue;
      try {
        option->add_result(*value);
        option->run_callback();
      } catch (const CLI::Error& error) {
        throw Error(ErrorKind::usage, fmt::format("{}: {}", config_->path, error.what()));
      }
    }
  }
  if (config_->ignored.empty()) return;
  print_once({fmt::format("{}: ignored, since it has no meaning here: {}", config_->path,
                          fmt::join(config_->ignored, ", "))});
}

/// Accelerate's processes are replicas, where nobody says how the model is cut.
void Arguments::take_number_of_processes() {
  const std::string* const processes = config_->find("num_processes");
  if (processes == nullptr) return;
  for (const char* const size :
       {"data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size"}) {
    std::string flag = size;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (config_->find(size) != nullptr || app_.get_option("--" + flag)->count() > 0) return;
  }
  config_->values["data_parallel_size"] = *processes;
}

void Arguments::reject(const CLI::ParseError& error) const {
  const std::string more = fmt::format("\nSee `trireme {} --help`.", verb_);
  for (const std::string& extra : app_.remaining()) {
    if (!is_flag(extra)) continue;
    const std::string flag = extra.substr(0, extra.find('='));
    throw Error(ErrorKind::usage, fmt::format("unknown flag {}{}{}", flag,
                                              did_you_mean(flag, known_flags(app_)), more));
  }
  for (const std::string& extra : app_.remaining()) {
    throw Error(ErrorKind::usage,
                fmt::format("unexpected argument '{}'; {}{}", extra, argument_hint_, more));
  }
  throw Error(ErrorKind::usage, error.what() + more);
}

}  // namespace trireme
