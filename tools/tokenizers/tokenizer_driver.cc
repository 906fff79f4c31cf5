// Answers requests to tokenize, a JSON object a line: what differential.py compares with
// Hugging Face's `tokenizers`.
//
//   tokenizer_driver MODEL_DIRECTORY < requests > answers
//   {"text": ".."} -> {"ids": [..], "plain": [..]}      with and without special tokens
//   {"first": "..", "second": "..", "limit": 8 or null} -> the same with "types" and "plain_types"
//   {"ids": [..]}  -> {"text": "..", "all": ".."}       without and with special tokens
// Every decoding is also streamed; "stream" names what went wrong there, if anything did.
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

using trireme::Tokenizer;
using Ids = std::vector<std::int32_t>;

std::string decode(const Tokenizer& tokenizer, const Ids& ids, bool skip, nlohmann::json& answer) {
  std::string text = tokenizer.decode(ids, skip);
  trireme::StreamDecoder stream(tokenizer, skip);
  std::string streamed;
  const auto take = [&](const std::string& part) {
    if (trireme::text::invalid_utf8_offset(part)) answer["stream"] = "not UTF-8";
    streamed += part;
  };
  for (const std::int32_t id : ids) take(stream.push(id));
  take(stream.finish());
  if (streamed != text) answer["stream"] = streamed;
  return text;
}

nlohmann::json answer_pair(const Tokenizer& tokenizer, const nlohmann::json& request) {
  const std::string first = request["first"], second = request["second"];
  trireme::EncodeOptions options;
  const auto plain = tokenizer.encode_segments(first, second, {.add_special_tokens = false});
  if (!request["limit"].is_null()) options.max_length = request["limit"];
  const auto encoding = tokenizer.encode_segments(first, second, options);
  return {{"ids", encoding.ids},
          {"types", encoding.type_ids},
          {"plain", plain.ids},
          {"plain_types", plain.type_ids}};
}

nlohmann::json answer(const Tokenizer& tokenizer, const nlohmann::json& request) {
  if (request.contains("first")) return answer_pair(tokenizer, request);
  nlohmann::json result;
  if (request.contains("text")) {
    const std::string text = request["text"];
    result["ids"] = tokenizer.encode(text);
    result["plain"] = tokenizer.encode(text, false);
  } else {
    const Ids ids = request["ids"];
    result["text"] = decode(tokenizer, ids, true, result);
    result["all"] = decode(tokenizer, ids, false, result);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) return std::cerr << "usage: tokenizer_driver MODEL_DIRECTORY\n", 2;
  const auto tokenizer = Tokenizer::load(argv[1]);
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(*tokenizer, nlohmann::json::parse(line)).dump() << '\n';
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "tokenizer_driver: " << error.what() << '\n';
  return 1;
}
