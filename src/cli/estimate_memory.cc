// `trireme estimate-memory`: what a model takes in each precision.
#include <fmt/format.h>

#include <algorithm>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "trireme/plan.h"

namespace trireme {

namespace {

struct Precision {
  const char* name;
  const char* dtype;
  const char* quantization;
};
constexpr Precision precisions[] = {{"float32", "float32", "auto"},
                                    {"bfloat16", "bfloat16", "auto"},
                                    {"float16", "float16", "auto"},
                                    {"int8", "auto", "int8"},
                                    {"int4", "auto", "int4"}};

const Precision& precision(const std::string& name) {
  for (const Precision& known : precisions) {
    if (name == known.name) return known;
  }
  throw Error(ErrorKind::usage,
              fmt::format("--dtypes {}: expected float32, bfloat16, float16, int8 "
                          "or int4",
                          name));
}

std::int64_t most_bytes(const PlanReport& report, std::int64_t (*bytes)(const RankShare&)) {
  std::int64_t most = 0;
  for (const RankShare& rank : report.ranks) most = std::max(most, bytes(rank));
  return most;
}

/// The most that one rank holds of the weights when every stage is as small as can be: less memory
/// than that is too little for any rank.
std::int64_t largest_stage(Options options, const PlanReport& whole) {
  options.pipeline_parallel_size = static_cast<int>(whole.max_pipeline_parallel);
  options.data_parallel_size = 1;
  return most_bytes(make_plan(options), [](const RankShare& rank) { return rank.weight_bytes; });
}

std::string row(const Precision& chosen, Options options) {
  options.dtype = chosen.dtype;
  options.quantization = chosen.quantization;
  try {
    const PlanReport report = make_plan(options);
    return fmt::format(
        "{:<10} {:>14} {:>12} {:>12} {:>14}\n", chosen.name,
        format_bytes(largest_stage(options, report)),
        format_bytes(most_bytes(report, [](const RankShare& rank) { return rank.weight_bytes; })),
        format_bytes(most_bytes(report, [](const RankShare& rank) { return rank.kv_cache_bytes; })),
        format_bytes(most_bytes(report, [](const RankShare& rank) { return rank.total(); })));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    return fmt::format("{:<10} {}\n", chosen.name, error.what());  // as for quantised checkpoints
  }
}

}  // namespace

int estimate_memory_main(int argc, char** argv) {
  Arguments arguments(
      "estimate-memory",
      "What a model takes in each precision: weights, KV cache and all, of the rank "
      "that has most.\nReads headers only; `trireme plan` says more about one "
      "precision.",
      {"trireme estimate-memory demo/llama",
       "trireme estimate-memory org/name --dtypes bfloat16 int4 -tp 2"});
  arguments.set_usage("trireme estimate-memory MODEL [OPTIONS]");
  Options options;
  std::string model;
  std::vector<std::string> names;
  arguments.app().add_option("name", model, "As --model");
  arguments.app()
      .add_option("--dtypes", names, "Of float32, bfloat16, float16, int8, int4 [all]")
      ->type_name("NAME...");
  arguments.add_model(options);
  arguments.add_plan(options);
  arguments.add_machine(options);
  if (!arguments.parse(argc, argv)) return 0;
  if (!model.empty()) options.model = model;
  if (options.model.empty()) {
    throw Error(ErrorKind::usage, "name a model, as in `trireme estimate-memory demo/llama`");
  }
  const PlanReport report = make_plan(options);
  std::string text =
      fmt::format("{} ({}, {} parameters), {} sequences of {} tokens\n\n", options.model,
                  report.architecture, format_count(static_cast<double>(report.parameters)),
                  report.max_sequences, report.max_model_len);
  text += fmt::format("{:<10} {:>14} {:>12} {:>12} {:>14}\n", "precision", "largest stage",
                      "weights", "KV cache", "in all");
  if (names.empty()) {
    for (const Precision& each : precisions) names.emplace_back(each.name);
  }
  for (const std::string& name : names) text += row(precision(name), options);
  print_out(text);
  return 0;
}

}  // namespace trireme
