// `trireme run`: one prompt, streamed to the terminal; or a conversation.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <numeric>
#include <string>

#include "batch/choices.h"
#include "batch/json_text.h"
#include "cli/arguments.h"
#include "cli/one_text.h"
#include "cli/output.h"
#include "cli/ranks.h"
#include "cli/row_job.h"
#include "cli/signals.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "trireme/engine.h"

namespace trireme {

namespace {

constexpr std::int64_t default_new_tokens = 256;
constexpr int interrupted = 128;  // plus the signal's number, as shells have it

struct RunSettings {
  Options options;
  SamplingParams sampling;
  std::optional<std::string> prompt;
  bool chat = false;
  std::string system;
  std::vector<std::string> choices;  ///< labels that an answer must be one of; none: any text
  std::int64_t listed = 0;           ///< how many of them are told of; 0: all
  bool stats = false;
};

/// The turns of a chat, as the JSON that the chat template takes.
class Conversation {
 public:
  explicit Conversation(const std::string& system) : system_(system) { reset(); }

  void reset() {
    turns_.clear();
    if (!system_.empty()) add("system", system_);
  }
  void add(const std::string& role, const std::string& content) {
    turns_.push_back(fmt::format(R"({{"role":"{}","content":{}}})", role, json_string(content)));
  }
  void take_back() { turns_.pop_back(); }
  std::string json() const {
    std::string text;
    for (const std::string& turn : turns_) text += (text.empty() ? "" : ",") + turn;
    return "[" + text + "]";
  }

 private:
  std::string system_;
  std::vector<std::string> turns_;
};

/// Answers prompts on the rank that drives the engine.
class Session {
 public:
  Session(Engine& engine, const RunSettings& settings)
      : engine_(engine), settings_(settings), conversation_(settings.system) {}

  /// Streams the answer. Returns its exit code.
  int answer(const std::string& prompt);
  /// The same with labels: prints the likeliest.
  int choose(const std::string& prompt);
  /// A line, an answer, a line, ...
  int converse();

 private:
  using Clock = std::chrono::steady_clock;
  Request request_for(const std::string& prompt);
  void print_probabilities(const Choice& choice) const;
  void print_stats(const Result& result, Clock::time_point start, Clock::time_point first) const;

  Engine& engine_;
  const RunSettings& settings_;
  Conversation conversation_;
  Output out_{"-"};
  std::uint64_t tag_ = 0;
};

Request Session::request_for(const std::string& prompt) {
  Request request;
  request.sampling = settings_.sampling;
  request.choices = settings_.choices;
  if (settings_.chat) {
    if (!is_valid_utf8(prompt)) throw Error(ErrorKind::input, "the prompt is not valid UTF-8");
    conversation_.add("user", prompt);
    request.messages = conversation_.json();
  } else {
    request.prompt = prompt;
  }
  return request;
}

int Session::choose(const std::string& prompt) {
  engine_.submit_choice(tag_++, request_for(prompt));
  if (settings_.chat) conversation_.take_back();  // each prompt is asked about by itself
  std::vector<Engine::FinishedChoice> finished;
  while (finished.empty() && !stop_requested()) finished = engine_.step_choices();
  if (finished.empty()) return interrupted + stop_signal();
  const Choice& choice = finished[0].choice;
  if (choice.error) {
    print_error(choice.error->message);
    return exit_code(ErrorKind::input);
  }
  out_.write(settings_.choices[static_cast<std::size_t>(choice.label)] + "\n");
  out_.flush();
  if (settings_.stats) print_probabilities(choice);
  return 0;
}

/// The likeliest first; the first of equals.
void Session::print_probabilities(const Choice& choice) const {
  std::vector<std::size_t> order(choice.probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{},
                           [&](std::size_t i) { return choice.logprobs[i]; });
  if (settings_.listed > 0) {
    order.resize(std::min(order.size(), static_cast<std::size_t>(settings_.listed)));
  }
  std::string line;
  for (const std::size_t i : order) {
    line += fmt::format("{}{} {:.4f}", line.empty() ? "[" : ", ", settings_.choices[i],
                        choice.probabilities[i]);
  }
  line += fmt::format("; {} prompt tokens]", choice.prompt_tokens);
  std::fprintf(stderr, "%s\n", paint(look_at_terminal(STDERR_FILENO), Colour::dim, line).c_str());
}

int Session::answer(const std::string& prompt) {
  if (!settings_.choices.empty()) return choose(prompt);
  const auto start = Clock::now();
  auto first = start;
  bool any = false;
  const Request request = request_for(prompt);
  engine_.submit(tag_++, request, [&](std::string_view piece) {
    if (!any) first = Clock::now();
    any = true;
    out_.write(piece);
    out_.flush();
  });
  std::vector<Engine::Finished> finished;
  while (finished.empty() && !stop_requested()) finished = engine_.step();
  if (finished.empty() || !finished[0].result.error) {
    out_.write("\n");
    out_.flush();
  }
  if (finished.empty()) return interrupted + stop_signal();
  const Result& result = finished[0].result;
  if (settings_.chat && result.error) conversation_.take_back();
  if (result.error) {
    print_error(result.error->message);
    return exit_code(ErrorKind::input);
  }
  if (settings_.chat) conversation_.add("assistant", result.text);
  if (settings_.stats) print_stats(result, start, first);
  return 0;
}

void Session::print_stats(const Result& result, Clock::time_point start,
                          Clock::time_point first) const {
  const auto seconds = [](auto duration) {
    return std::chrono::duration<double>(duration).count();
  };
  const double prefill = seconds(first - start);
  const double decode = seconds(Clock::now() - first);
  const auto made = static_cast<double>(result.token_ids.size());
  const EngineStats stats = engine_.stats();
  const std::string line = fmt::format(
      "[{} prompt tokens, first text after {:.2f} s; {} new tokens{}; {}, {} rank{}]",
      result.prompt_tokens, prefill, result.token_ids.size(),
      decode > 0 && made > 1 ? fmt::format(", {:.1f} tokens/s", (made - 1) / decode) : "",
      stats.isa, stats.ranks, stats.ranks > 1 ? "s" : "");
  std::fprintf(stderr, "%s\n", paint(look_at_terminal(STDERR_FILENO), Colour::dim, line).c_str());
}

int Session::converse() {
  const Terminal terminal = look_at_terminal(STDERR_FILENO);
  std::fprintf(stderr, "%s\n",
               paint(terminal, Colour::dim,
                     settings_.chat ? "A line each; /reset forgets the conversation, /exit ends."
                                    : "A prompt a line; /exit ends.")
                   .c_str());
  for (std::string line;;) {
    std::fputs(paint(terminal, Colour::bold, "> ").c_str(), stderr);
    std::fflush(stderr);
    if (!std::getline(std::cin, line)) break;
    if (line == "/exit" || line == "/quit") return 0;
    if (line.empty()) continue;
    if (line == "/reset") {
      conversation_.reset();
      continue;
    }
    answer(line);
    if (stop_requested()) break;
  }
  std::fputs("\n", stderr);
  return stop_requested() ? interrupted + stop_signal() : 0;
}

int drive(Engine& engine, const RunSettings& settings) {
  const StopSignals signals;
  Session session(engine, settings);
  if (settings.prompt) return session.answer(*settings.prompt);
  if (isatty(STDIN_FILENO) != 0) return session.converse();
  const std::string prompt = text_or_standard_input({});
  return stop_requested() ? interrupted + stop_signal() : session.answer(prompt);
}

void settle_choices(CLI::App& app, const std::string& text, RunSettings& settings) {
  if (app.count("--choices") == 0) return;
  refuse_beside_choices(app);
  RowSettings rows;
  take_choices(text, rows);
  if (!rows.choices_column.empty()) {
    throw Error(ErrorKind::usage,
                fmt::format("--choices {}: one prompt has no columns; name the labels", text));
  }
  settings.choices = std::move(rows.choices);
  settings.listed = std::max<std::int64_t>(0, settings.sampling.top_k.value_or(0));
}

bool parse(RunSettings& settings, int argc, char** argv) {
  Arguments arguments(
      "run",
      "Continues a prompt and streams the text to standard output. Without a prompt, reads "
      "standard\n"
      "input; on a terminal, asks for a line at a time.",
      {"trireme run --model demo/llama \"ROMEO:\"",
       "trireme run -m demo/llama --chat \"Who art thou?\" --temperature 0.7 --seed 7",
       "echo \"Once upon a time\" | trireme run -m demo/gpt2 -tp 2 -n 50"});
  CLI::App& app = arguments.app();
  app.add_option("prompt", settings.prompt, "The text to continue")->type_name("TEXT");
  app.add_flag("--chat", settings.chat,
               "The prompt is a user's message: apply the model's chat template");
  app.add_option("--system", settings.system, "The system's message, with --chat")
      ->type_name("TEXT");
  app.add_flag("--stats", settings.stats,
               "Print tokens per second, or the labels' probabilities, on standard error [on a\n"
               "terminal]");
  std::string choices;
  app.add_option("--choices", choices,
                 "Answer with one of these labels, the likeliest: a file with a label a line, or\n"
                 "a,b,c")
      ->type_name("FILE|a,b,c");
  arguments.add_sampling(settings.sampling);
  arguments.add_model(settings.options, &settings.sampling.seed);
  app.get_option("--model")->required();
  arguments.add_plan(settings.options);
  arguments.add_machine(settings.options);
  arguments.add_exit_code(5, "stopped: a rank died or hung");
  arguments.add_exit_code(130, "interrupted with Ctrl-C (143: ended by SIGTERM)");
  if (!arguments.parse(argc, argv)) return false;
  settle_choices(app, choices, settings);
  if (settings.options.data_parallel_size > 1) {
    throw Error(ErrorKind::usage,
                "--data-parallel-size: `run` has one prompt, which one replica answers; use -tp or "
                "-pp, or `trireme batch` for many prompts");
  }
  if (!settings.system.empty() && !settings.chat) {
    throw Error(ErrorKind::usage, "--system: has a meaning only with --chat");
  }
  const Terminal terminal = look_at_terminal(STDERR_FILENO);
  settings.stats = settings.stats || terminal.interactive;
  return true;
}

}  // namespace

int run_main(int argc, char** argv) {
  RunSettings settings;
  if (!parse(settings, argc, argv)) return 0;
  place_devices(settings.options);
  const VerbNeeds needs{"run", {ModelKind::decoder, ModelKind::encoder_decoder}};
  if (needs_ranks(settings.options)) {
    print_once(check_plan_fits(settings.options, {}, needs).generation_warnings);
    return run_on_ranks(settings.options, {.arguments = as_strings(argc, argv), .patient = true});
  }
  ModelFacts facts;  // on the first rank, which drives
  Ranks ranks(settings.options, [&](const Options& options, const Hosts& hosts) {
    facts = check_plan_fits(options, hosts, needs);
    print_once(facts.generation_warnings);
  });
  if (!settings.sampling.max_new_tokens && !facts.says_how_long) {
    settings.sampling.max_new_tokens = default_new_tokens;
  }
  Engine engine(std::move(ranks));
  if (engine.is_driver()) return drive(engine, settings);
  ignore_stop_signals();
  engine.follow();
  return 0;
}

}  // namespace trireme
