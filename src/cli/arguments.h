// What the verbs' command lines have in common: option groups, help, did-you-mean.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/config_file.h"
#include "trireme/options.h"
#include "trireme/request.h"

namespace trireme {

/// A verb's command line. Options go into groups, which the help shows in order.
class Arguments {
 public:
  /// `examples`: lines to copy, shown at the end of the help.
  Arguments(std::string verb, std::string summary, std::vector<std::string> examples);

  /// The parser, for a verb's own flags.
  CLI::App& app() { return app_; }

  /// --model, --revision, --dtype, --load-format, --packed-cache, --seed (which also goes to
  /// `seed`, if any). Warnings of the engine go to standard error.
  void add_model(Options& options, std::optional<std::uint64_t>* seed = nullptr);
  /// --data-parallel-size and its relatives.
  void add_plan(Options& options);
  void add_devices(Options& options);
  /// --device, --isa, --threads, --max-model-len, ... `generates`: and what concerns the tokens of
  /// an answer and what is kept between them.
  void add_machine(Options& options, bool generates = true);
  /// --max-new-tokens, --temperature, ...
  void add_sampling(SamplingParams& sampling);
  /// --device may name GPUs that this machine lacks if `elsewhere` says so.
  void check_devices_unless(std::function<bool()> elsewhere) { elsewhere_ = std::move(elsewhere); }
  /// In place of "trireme VERB [OPTIONS]".
  void set_usage(std::string usage) { usage_ = std::move(usage); }
  /// What to say about an argument too many.
  void set_argument_hint(std::string hint) { argument_hint_ = std::move(hint); }
  /// Lines for the help's list of exit codes besides the usual ones, or in place of one.
  void add_exit_code(int code, const std::string& meaning);

  /// Parses. False when only help was asked for: it has been printed. Throws Error(usage), with
  /// "did you mean" for a mistyped flag.
  bool parse(int argc, char** argv);

  std::string help() const;

  /// The settings of --config_file, or of where it points when nothing is given; nullptr if none.
  const ConfigFile* config() const { return config_ ? &*config_ : nullptr; }
  /// The verb does with --config_file what it likes.
  void own_config() {
    app_.remove_option(app_.get_option("--config_file"));
    reads_config_ = false;
  }
  /// Reads this file unless --config_file names another one.
  void use_config(std::string path) { config_path_ = std::move(path); }

 private:
  void read_config(const std::vector<std::string>& arguments);
  void apply_config();
  void take_number_of_processes();
  std::string footer() const;
  [[noreturn]] void reject(const CLI::ParseError& error) const;

  std::string verb_;
  CLI::App app_;
  std::vector<std::string> examples_;
  std::string usage_;
  std::string argument_hint_ = "quote text with spaces";
  std::vector<std::pair<int, std::string>> exit_codes_;
  std::string config_path_;
  bool reads_config_ = true;
  std::optional<ConfigFile> config_;
  const Options* options_ = nullptr;  ///< whose device is to be checked
  std::function<bool()> elsewhere_ = [] { return false; };
  Options* plan_ = nullptr;  ///< whose sizes are to be set
};

/// More ranks than anybody has: what goes beyond is a slip.
inline constexpr int most_ranks = 4096;

/// Every flag of the verbs that run models, as keys of a file of settings.
const std::vector<std::string>& config_flags();

/// Checks for a number from 1 to `most`; the help does not mention it.
CLI::Validator at_least_one(std::int64_t most);

/// -dp, -tp, -pp (also -dp2 and -dp=2) in their long spelling; what follows "--" stays.
std::vector<std::string> rewrite_parallel_flags(std::vector<std::string> arguments);

}  // namespace trireme
