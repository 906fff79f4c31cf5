// Reading a BPE model from tokenizer.json, or from vocab.json and merges.txt.
#include <sstream>

#include "core/error.h"
#include "text/bpe.h"
#include "text/json_view.h"

namespace trireme::text {
namespace {

// "a b", as merges.txt and older tokenizer files have it.
void add_joined_merge(Bpe& bpe, std::string_view merge, std::string_view where) {
  const std::size_t space = merge.find(' ');
  if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
    fail(ErrorKind::input, "{}: the merge \"{}\" is not two tokens with one space between", where,
         merge);
  }
  bpe.add_merge(merge.substr(0, space), merge.substr(space + 1), where);
}

// Written without JsonView's index names: there are hundreds of thousands of merges.
void read_merges(const JsonView& json, Bpe& bpe) {
  const simdjson::dom::array merges = json.as_array();
  bpe.reserve_merges(merges.size());
  for (const simdjson::dom::element merge : merges) {
    std::string_view joined;
    if (merge.get(joined) == simdjson::SUCCESS) {
      if (!joined.starts_with("#version")) add_joined_merge(bpe, joined, json.where());
      continue;
    }
    std::string_view left;
    std::string_view right;
    simdjson::dom::array pair;
    if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      fail(ErrorKind::input, "{}: a merge is neither a string nor a list of two strings",
           json.where());
    }
    bpe.add_merge(left, right, json.where());
  }
}

std::string optional_string(const JsonView& json, std::string_view key) {
  const auto member = json.find(key);
  return member ? std::string(member->as_string()) : std::string();
}

}  // namespace

std::unique_ptr<Bpe> read_bpe(const JsonView& json) {
  if (const auto dropout = json.find("dropout")) {
    if (dropout->as_number() != 0) {
      fail(ErrorKind::input, "{}: dropout is for training; set it to null", dropout->where());
    }
  }
  BpeOptions options;
  if (const auto unk = json.find("unk_token")) options.unk_token = unk->as_string();
  options.continuing_subword_prefix = optional_string(json, "continuing_subword_prefix");
  options.end_of_word_suffix = optional_string(json, "end_of_word_suffix");
  options.fuse_unk = json.flag("fuse_unk", false);
  options.byte_fallback = json.flag("byte_fallback", false);
  options.ignore_merges = json.flag("ignore_merges", false);
  auto bpe = std::make_unique<Bpe>(read_vocabulary(json.require("vocab")), std::move(options));
  read_merges(json.require("merges"), *bpe);
  return bpe;
}

std::unique_ptr<Bpe> read_bpe_files(const ModelTexts& texts) {
  const JsonFile vocabulary =
      JsonFile::parse(texts.require("vocab.json"), texts.where("vocab.json"));
  auto bpe = std::make_unique<Bpe>(read_vocabulary(vocabulary.root()), BpeOptions{});
  std::istringstream merges(texts.require("merges.txt"));
  std::string line;
  while (std::getline(merges, line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) {
      add_joined_merge(*bpe, line, texts.where("merges.txt"));
    }
  }
  return bpe;
}

}  // namespace trireme::text
