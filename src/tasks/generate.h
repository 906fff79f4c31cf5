// Text generation on a replica's driver: requests in, streamed text and results out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/replica.h"
#include "tasks/generation_defaults.h"
#include "tasks/prompts.h"
#include "tasks/sequences.h"
#include "tasks/stop_strings.h"
#include "trireme/result.h"

namespace trireme {

/// Hears of text as it is generated.
using OnText = std::function<void(std::string_view)>;

class Generator : public SequenceOwner {
 public:
  struct Finished {
    std::uint64_t tag = 0;
    Result result;
  };

  /// On the driver of `replica`. Throws Error(input) when the model has no tokenizer or its
  /// generation_config.json is unusable.
  Generator(Replica& replica, Sequences& sequences, const Prompts& prompts);

  /// Starts a request; what is wrong with it becomes its result. Throws Error(usage) when a request
  /// of this tag is unfinished.
  void submit(std::uint64_t tag, const Request& request, OnText on_text = {});
  /// Drops an unfinished request, which will have no result; false when there is none.
  bool cancel(std::uint64_t tag);
  /// What has finished since the last call.
  std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  /// Requests submitted whose result has not been taken.
  std::int64_t unfinished() const {
    return static_cast<std::int64_t>(active_.size() + finished_.size());
  }

  void take(SequenceEvent& event) override;

  std::int64_t generated_tokens() const { return generated_tokens_; }
  std::int64_t prompt_tokens() const { return prompt_tokens_; }

 private:
  struct Active {
    Active(const Tokenizer& tokenizer, std::vector<std::string> stops)
        : decoder(tokenizer), stop(std::move(stops)) {}
    std::uint64_t tag = 0;
    bool cancelled = false;  ///< while it is told of a token
    StreamDecoder decoder;
    StopStrings stop;
    OnText on_text;
    Result result;
  };

  std::int64_t take_prompt(const Request& request, SequenceRequest& sequence) const;
  void start(std::uint64_t tag, const Request& request, OnText on_text);
  void add_text(Active& active, std::string_view text);
  bool take_tokens(Active& active, const SequenceEvent& event);
  bool take_token(Active& active, std::int32_t token, bool finished, bool ended_by_token);

  Replica& replica_;
  Sequences& sequences_;
  const Prompts& prompts_;
  GenerationDefaults defaults_;
  std::int32_t decoder_start_ = 0;                  ///< of an encoder-decoder model
  std::map<std::uint64_t, Active> active_;          ///< by number of the sequence
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< of the sequences, by tag
  std::optional<std::uint64_t> told_;               ///< the sequence that is told of a token
  std::vector<Finished> finished_;
  std::int64_t generated_tokens_ = 0;
  std::int64_t prompt_tokens_ = 0;
};

}  // namespace trireme
