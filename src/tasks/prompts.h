// From a request to token ids: plain text, chat messages or ids as they are.
#pragma once

#include <memory>
#include <optional>

#include "core/model_texts.h"
#include "text/chat_template.h"
#include "text/encoding.h"
#include "text/tokenizer.h"
#include "trireme/request.h"
#include "trireme/result.h"

namespace trireme {

class Prompts {
 public:
  /// `now`: seconds since the epoch, for templates that print the date; fixed for a run. `texts`
  /// must outlive it.
  Prompts(const ModelTexts& texts, std::int64_t vocab_size, std::int64_t now);

  /// The tokenizer; loaded when first needed, so that token ids alone need none.
  const Tokenizer& tokenizer() const;
  /// The chat template; read when first needed, and once: what is wrong with it then is what every
  /// request hears. Throws RequestFailure when there is none, Error(input) when it is broken.
  const ChatTemplate& chat_template() const;
  /// Token ids of the request's prompt. Throws RequestFailure.
  std::vector<std::int32_t> encode(const Request& request,
                                   std::optional<std::int32_t> bos_token) const;
  /// Token ids of a text alone: of a prompt (`special`) or of a chat that has been rendered. Throws
  /// RequestFailure; no tokens are none.
  std::vector<std::int32_t> encode_plain(std::string_view text, bool special) const;
  /// What an encoder-decoder model reads, of at most `most` tokens: a longer text is cut if the
  /// request says so. Throws RequestFailure.
  std::vector<std::int32_t> encode_source(const Request& request, std::int64_t most) const;
  /// The request's messages as the chat template writes them. Throws RequestFailure.
  std::string render(const Request& request) const;
  /// The request's text, or pair of texts, as an encoder reads it: with special tokens, and no more
  /// than `max_length` of all. Throws RequestFailure.
  Encoding encode_text(const Request& request,
                       std::size_t max_length = EncodeOptions::kUnlimited) const;
  /// What stands for a token to be found. Throws Error(input) where the tokenizer has none.
  std::int32_t mask_token() const;

 private:
  void check_input(const Request& request) const;
  void check_known(const std::vector<std::int32_t>& ids) const;
  void check_ids(const std::vector<std::int32_t>& ids) const;

  const ModelTexts& texts_;
  std::int64_t vocab_size_;
  std::int64_t now_;
  mutable std::unique_ptr<Tokenizer> tokenizer_;
  mutable bool template_read_ = false;
  mutable std::optional<ChatTemplate> template_;
  mutable std::string template_error_;  ///< why it could not be read
};

/// Something wrong with one request.
class RequestFailure : public std::runtime_error {
 public:
  RequestFailure(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}
  RequestError error() const { return {code_, what()}; }

 private:
  std::string code_;
};

}  // namespace trireme
