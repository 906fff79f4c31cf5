// Text generation on a replica's driver: requests in, streamed text and results out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "runtime/replica.h"
#include "tasks/generation_defaults.h"
#include "tasks/prompts.h"
#include "tasks/stop_strings.h"
#include "trireme/result.h"

namespace trireme {

/// Hears of text as it is generated.
using OnText = std::function<void(std::string_view)>;

class Generator {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Result result;
  };

  /// On the driver of `replica`. `now`: see Prompts.
  Generator(Replica& replica, std::int64_t now);

  /// Starts a request; what is wrong with it becomes its result. `tag` is unique among the
  /// unfinished ones.
  void submit(std::uint64_t tag, const Request& request, OnText on_text = {});
  /// One step of the replica; returns what finished.
  std::vector<Finished> step();
  /// Nothing is left to do.
  bool idle() const { return active_.empty() && failed_.empty(); }
  /// Requests submitted and not yet finished.
  std::int64_t unfinished() const { return static_cast<std::int64_t>(active_.size()); }

  const Prompts& prompts() const { return prompts_; }
  std::int64_t generated_tokens() const { return generated_tokens_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }

 private:
  struct Active {
    Active(const Tokenizer& tokenizer, std::vector<std::string> stops, OnText listener)
        : decoder(tokenizer), stop(std::move(stops)), on_text(std::move(listener)) {}
    StreamDecoder decoder;
    StopStrings stop;
    OnText on_text;
    Result result;
  };

  void start(std::uint64_t tag, const Request& request, OnText on_text);
  void add_text(Active& active, std::string_view text);
  bool take(Active& active, const SequenceEvent& event);

  Replica& replica_;
  GenerationDefaults defaults_;
  Prompts prompts_;
  std::map<std::uint64_t, Active> active_;
  std::vector<Finished> failed_;
  std::int64_t generated_tokens_ = 0;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace trireme
