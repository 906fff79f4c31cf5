// `trireme config`: asks, and writes a file of settings that `--config_file` and launch read.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

#include "cli/arguments.h"
#include "cli/config_file.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "kernels/cuda_plugin.h"
#include "trireme/error.h"

namespace trireme {

namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

/// One question on standard error, answered by a line of standard input.
class Questions {
 public:
  explicit Questions(const ConfigFile* before) : before_(before) {}

  /// Asks until `check` says nothing against the answer; an empty one is the value in brackets.
  template <typename Check>
  void ask(const std::string& key, const std::string& question, std::string otherwise,
           const Check& check) {
    const std::string* const known = before_ != nullptr ? before_->find(key) : nullptr;
    if (known != nullptr) otherwise = *known;
    for (;;) {
      std::fprintf(stderr, "%s [%s]: ", question.c_str(), otherwise.c_str());
      std::string line;
      if (!std::getline(std::cin, line)) {
        throw Error(ErrorKind::usage,
                    "the answers ended before the questions; nothing is written (`trireme config "
                    "default` asks none)");
      }
      const std::string answer = line.empty() ? otherwise : line;
      const std::string problem = check(answer);
      if (problem.empty()) {
        if (!answer.empty()) values_.emplace_back(key, answer);
        return;
      }
      std::fprintf(stderr, "%s: %s\n", answer.c_str(), problem.c_str());
    }
  }

  std::string answer(const std::string& key) const {
    for (const auto& [name, value] : values_) {
      if (name == key) return value;
    }
    return "";
  }
  Values take() { return std::move(values_); }

 private:
  const ConfigFile* before_;
  Values values_;
};

auto number_from(long least, long most) {
  return [=](const std::string& text) {
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    const bool good = end != text.c_str() && *end == '\0' && value >= least && value <= most;
    return good ? std::string() : fmt::format("expected a number from {} to {}", least, most);
  };
}

std::string check_word(const std::string& text) { return text.empty() ? "expected a word" : ""; }

std::string check_anything(const std::string&) { return ""; }

std::string check_dtype(const std::string& text) {
  const bool known = text == "auto" || text == "float32" || text == "bfloat16" || text == "float16";
  return known ? "" : "expected auto, float32, bfloat16 or float16";
}

std::string check_device(const std::string& text) {
  const bool one = text.starts_with("cuda:") && text.size() > 5 &&
                   text.find_first_not_of("0123456789", 5) == std::string::npos;
  const bool known = text == "auto" || text == "cpu" || text == "cuda" || one;
  return known ? "" : "expected auto, cpu, cuda, or for one GPU cuda:0, cuda:1, ...";
}

Values ask_all(const ConfigFile* before) {
  Questions questions(before);
  questions.ask("num_machines", "How many machines", "1", number_from(1, most_ranks));
  const int machines = std::stoi(questions.answer("num_machines"));
  if (machines > 1) {
    questions.ask("machine_rank", "Which of them is this one, from 0", "0",
                  number_from(0, machines - 1));
    questions.ask("main_process_ip", "Address of machine 0", "", check_word);
    questions.ask("main_process_port", "Free port of machine 0", "29500", number_from(1, 65535));
  }
  questions.ask("num_processes", "How many processes, on all machines together",
                std::to_string(machines), number_from(1, most_ranks));
  const bool knows_device = before != nullptr && before->find("device") != nullptr;
  if (!gpus().empty() || knows_device) {
    questions.ask("device",
                  fmt::format("Device (this machine has {} GPUs): cpu, cuda, auto", gpus().size()),
                  gpus().empty() ? "cpu" : "cuda", check_device);
  }
  questions.ask("dtype", "Precision of models", "auto", check_dtype);
  questions.ask("model", "Model for verbs that are given none (a folder, org/name, or nothing)", "",
                check_anything);
  return questions.take();
}

std::string yaml_of(const Values& values) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const auto& [key, value] : values) out << YAML::Key << key << YAML::Value << value;
  out << YAML::EndMap;
  return "# Written by `trireme config`. Keys are flags, spelled with underscores.\n" +
         std::string(out.c_str()) + "\n";
}

void write(const std::string& path, const Values& values) {
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  Output file(path);
  file.write(yaml_of(values));
  file.commit();
  std::fprintf(stderr, "trireme: wrote %s\n", path.c_str());
}

void write_default(const std::string& path) {
  if (std::filesystem::exists(path)) {
    throw Error(ErrorKind::usage,
                fmt::format("{} is there already and stays as it is; remove it first, name another "
                            "file with --config_file, or change it with `trireme config`",
                            path));
  }
  write(path, {{"num_machines", "1"}, {"num_processes", "1"}, {"dtype", "auto"}});
}

}  // namespace

int config_main(int argc, char** argv) {
  Arguments arguments(
      "config",
      "Asks how programs are to be started, and writes it down for `trireme launch` "
      "and for --config_file\nof the other verbs. `trireme config default` asks "
      "nothing: one process on this machine.",
      {"trireme config", "trireme config default", "trireme config --config_file two_hosts.yaml"});
  arguments.set_usage("trireme config [default] [OPTIONS]");
  std::string path;
  std::string mode;
  arguments.own_config();
  arguments.app()
      .add_option("--config_file,--config-file", path,
                  fmt::format("Where to write it [{}]", own_config_path()))
      ->type_name("FILE");
  arguments.app()
      .add_option("what", mode, "default: ask nothing")
      ->check(CLI::IsMember({"default"}));
  arguments.add_exit_code(1, "the file cannot be read");
  arguments.add_exit_code(2, "wrong usage, or no answers; nothing is written");
  arguments.add_exit_code(4, "the file cannot be written");
  if (!arguments.parse(argc, argv)) return 0;
  if (path.empty()) path = own_config_path();
  if (mode == "default") {
    write_default(path);
    return 0;
  }
  std::optional<ConfigFile> before;
  if (std::filesystem::exists(path)) before = read_config_file(path, config_flags());
  write(path, ask_all(before ? &*before : nullptr));
  return 0;
}

}  // namespace trireme
