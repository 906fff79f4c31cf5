// `trireme bench`: tokens per second of the whole engine, beside what the machine can do at most.
#include "trireme/bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/sizes.h"
#include "cli/verbs.h"

namespace trireme {

namespace {

using Json = nlohmann::ordered_json;
using Phases = std::vector<BenchPhase>;

struct BenchSettings {
  BenchOptions options;
  bool json = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string plural(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// Part of the processor time that the drivers' threads could have had.
double processor_share(const BenchReport& report, const BenchPhase& phase) {
  const double threads = report.threads * report.options.engine.data_parallel_size;
  return phase.seconds > 0 ? phase.processor_seconds / (phase.seconds * threads) : 0;
}

/// null of a limit that was not measured.
Json fraction(double reached, double limit) { return limit > 0 ? Json(reached / limit) : Json(); }

Json phase_json(const BenchReport& report, const Phases& phases) {
  const BenchPhase& phase = report.median(phases);
  Json all = Json::array();
  for (const BenchPhase& one : phases) all.push_back(one.tokens_per_s());
  return {
      {"tokens", phase.tokens},
      {"drafted_tokens", phase.drafted},
      {"accepted_tokens", phase.accepted},
      {"steps", phase.steps},
      {"seconds", phase.seconds},
      {"processor_share", processor_share(report, phase)},
      {"tokens_per_s", phase.tokens_per_s()},
      {"tokens_per_s_of_repetitions", all},
      {"gb_per_s", phase.bytes_per_s() / 1e9},
      {"fraction_of_read_limit", fraction(phase.bytes_per_s(), report.read_bytes_per_s)},
      {"gflop_per_s", phase.operations_per_s() / 1e9},
      {"fraction_of_flop_limit", fraction(phase.operations_per_s(), report.math_operations_per_s)}};
}

Json limits_json(const BenchReport& report) {
  Json by_threads = Json::array();
  for (const ReadPeak& peak : report.read_peaks) {
    by_threads.push_back({{"threads", peak.threads}, {"gb_per_s", peak.bytes_per_s / 1e9}});
  }
  return {{"read_gb_per_s", report.read_bytes_per_s / 1e9},
          {"read_gb_per_s_by_threads", by_threads},
          {"gflop_per_s", report.math_operations_per_s / 1e9},
          {"gflop_unit", report.math_unit}};
}

std::string report_json(const BenchReport& report) {
  const BenchOptions& options = report.options;
  const Options& engine = options.engine;
  const Json json{{"model", report.model},
                  {"architecture", report.architecture},
                  {"parameters", report.parameters},
                  {"dtype", report.dtype},
                  {"quantization", report.quantization},
                  {"isa", report.isa},
                  {"data_parallel_size", engine.data_parallel_size},
                  {"tensor_parallel_size", engine.tensor_parallel_size},
                  {"pipeline_parallel_size", engine.pipeline_parallel_size},
                  {"transport", report.transport},
                  {"threads_per_rank", report.threads},
                  {"processor", report.processor},
                  {"cores", report.cores},
                  {"load_average_before", report.load_average},
                  {"prompt_tokens", options.prompt_tokens},
                  {"new_tokens", options.new_tokens},
                  {"sequences", options.sequences},
                  {"repetitions", options.repetitions},
                  {"processor_time", options.processor_time},
                  {"max_step_tokens", engine.max_step_tokens},
                  {"num_speculative_tokens", engine.num_speculative_tokens},
                  {"load_seconds", report.load_seconds},
                  {"weight_bytes", report.weight_bytes},
                  {"prefill_tokens_per_s", report.median(report.prefill).tokens_per_s()},
                  {"decode_tokens_per_s", report.median(report.decode).tokens_per_s()},
                  {"prefill", phase_json(report, report.prefill)},
                  {"decode", phase_json(report, report.decode)},
                  {"limits", limits_json(report)},
                  {"output_hash", report.output_hash}};
  return json.dump(2) + "\n";
}

std::string configuration_text(const BenchReport& report) {
  const BenchOptions& options = report.options;
  const Options& engine = options.engine;
  const int ranks =
      engine.data_parallel_size * engine.tensor_parallel_size * engine.pipeline_parallel_size;
  return fmt::format(
      "model    {} ({}, {} parameters, {}); {} of weights, ready in {}\n"
      "machine  {}, {}, load average {:.1f} before the run\n"
      "plan     {} (-dp {} -tp {} -pp {}, {}), {} each, {}\n"
      "work     {} of {} prompt and {} new tokens, steps of at most {} tokens, {}{}\n",
      report.model, report.architecture, format_count(static_cast<double>(report.parameters)),
      precision_text(report.dtype, report.quantization), format_bytes(report.weight_bytes),
      format_seconds(report.load_seconds), report.processor, plural(report.cores, "core"),
      report.load_average, plural(ranks, "rank"), engine.data_parallel_size,
      engine.tensor_parallel_size, engine.pipeline_parallel_size, report.transport,
      plural(report.threads, "thread"), report.isa, plural(options.sequences, "sequence"),
      options.prompt_tokens, options.new_tokens, engine.max_step_tokens,
      plural(options.repetitions, "repetition"),
      options.processor_time ? "; seconds of processor time" : "");
}

/// "-" of a limit that was not measured.
std::string percent(double reached, double limit) {
  return limit > 0 ? fmt::format("{:.1f} %", 100 * reached / limit) : "-";
}

std::string phase_row(const char* name, const BenchReport& report, const Phases& phases) {
  const BenchPhase& phase = report.median(phases);
  if (phase.tokens == 0) {
    return fmt::format("{:<8} not measured: --new-tokens must be larger\n", name);
  }
  const auto slower = [](const BenchPhase& a, const BenchPhase& b) {
    return a.tokens_per_s() < b.tokens_per_s();
  };
  const auto [slowest, fastest] = std::minmax_element(phases.begin(), phases.end(), slower);
  return fmt::format(
      "{:<8} {:>9.2f} {:>19} {:>8} {:>9.1f} {:>8} {:>8.2f} {:>8} {:>5.0f} %\n", name,
      phase.tokens_per_s(),
      fmt::format("{:.2f} to {:.2f}", slowest->tokens_per_s(), fastest->tokens_per_s()),
      fmt::format("{:.2f} s", phase.seconds), phase.operations_per_s() / 1e9,
      percent(phase.operations_per_s(), report.math_operations_per_s), phase.bytes_per_s() / 1e9,
      percent(phase.bytes_per_s(), report.read_bytes_per_s), 100 * processor_share(report, phase));
}

std::string drafts_text(const BenchReport& report) {
  if (report.options.engine.num_speculative_tokens == 0) return "";
  const BenchPhase& phase = report.median(report.decode);
  return fmt::format("drafts   {} tokens guessed ahead, {} accepted, {:.2f} tokens per step\n",
                     phase.drafted, phase.accepted,
                     static_cast<double>(phase.tokens) /
                         static_cast<double>(std::max<std::int64_t>(1, phase.steps)));
}

std::string limits_text(const BenchReport& report) {
  std::string reads;
  for (const ReadPeak& peak : report.read_peaks) {
    reads += fmt::format("{}{:.1f} GB/s with {}", reads.empty() ? "" : ", ", peak.bytes_per_s / 1e9,
                         plural(peak.threads, "thread"));
  }
  if (report.read_peaks.empty()) {
    return fmt::format("limits   copying: {:.1f} GB/s read and written; arithmetic not measured\n",
                       report.read_bytes_per_s / 1e9);
  }
  return fmt::format("limits   {:.1f} GFLOP/s ({})\n         reading memory: {}\n",
                     report.math_operations_per_s / 1e9, report.math_unit, reads);
}

std::string report_text(const BenchReport& report) {
  return configuration_text(report) +
         fmt::format("\n{:<8} {:>9} {:>19} {:>8} {:>9} {:>8} {:>8} {:>8} {:>7}\n", "", "tokens/s",
                     "slowest to fastest", "time", "GFLOP/s", "of limit", "GB/s", "of limit",
                     "CPU") +
         phase_row("prefill", report, report.prefill) + phase_row("decode", report, report.decode) +
         drafts_text(report) + "\n" + limits_text(report) + "output   " + report.output_hash +
         " (the same under every plan)\n";
}

void add_workload(CLI::App& app, BenchOptions& options) {
  const auto add = [&](const char* name, auto& value, const char* help) {
    app.add_option(name, value, help)
        ->type_name("N")
        ->check(at_least_one(std::int64_t{1} << 30))
        ->capture_default_str();
  };
  add("--prompt-tokens", options.prompt_tokens, "Tokens of each prompt");
  add("--new-tokens", options.new_tokens, "Tokens to generate for each, at least 3 to measure");
  add("--sequences", options.sequences, "Prompts at once, shared among the replicas");
  add("--repetitions", options.repetitions, "Measure so often and show the median");
}

bool parse(BenchSettings& settings, int argc, char** argv) {
  Arguments arguments(
      "bench",
      "Measures prompt tokens and new tokens per second with random prompts, and what the machine\n"
      "can do at most: reading memory, multiplying. No tokenizer is needed; with --shape, no file.",
      {"trireme bench --model demo/llama", "trireme bench --shape llama-1b --repetitions 3",
       "trireme bench --shape llama-8b -tp 2 --sequences 8 --json"});
  CLI::App& app = arguments.app();
  std::string shape;
  app.add_option("--shape", shape,
                 "Instead of --model, a well-known model's sizes with made-up weights: " +
                     joined(bench_shapes()))
      ->type_name("NAME");
  add_workload(app, settings.options);
  app.add_flag("--processor-time", settings.options.processor_time,
               "Count processor time instead of time: where other programs run. For --threads 1");
  app.add_flag("--json", settings.json, "Print one JSON object");
  arguments.add_model(settings.options.engine);
  arguments.add_plan(settings.options.engine);
  arguments.add_machine(settings.options.engine);
  arguments.add_exit_code(5, "stopped: a rank died or hung");
  if (!arguments.parse(argc, argv)) return false;
  if (shape.empty() == settings.options.engine.model.empty()) {
    throw Error(ErrorKind::usage,
                "give either --model DIR or --shape NAME; shapes: " + joined(bench_shapes()));
  }
  if (!shape.empty()) settings.options.engine.model = "shape:" + shape;
  return true;
}

}  // namespace

int bench_main(int argc, char** argv) {
  BenchSettings settings;
  if (!parse(settings, argc, argv)) return 0;
  place_devices(settings.options.engine);
  const Options engine = bench_engine_options(settings.options);
  const VerbNeeds needs{"bench", {ModelKind::decoder}};
  // Lengths that fit the benchmark need not fit a model of another kind.
  if (rank_place().rank <= 0) check_kind(make_plan(settings.options.engine), needs);
  if (needs_ranks(engine)) {
    check_plan_fits(engine, {}, needs);
    return run_on_ranks(engine, {.arguments = as_strings(argc, argv)});
  }
  const BenchReport report = run_bench(
      settings.options,
      [&](const Options& options, const Hosts& hosts) { check_plan_fits(options, hosts, needs); });
  if (report.prefill.empty()) return 0;  // another rank has the report
  print_out(settings.json ? report_json(report) : report_text(report));
  return 0;
}

}  // namespace trireme
