// Reading a tokenizer from the files of before tokenizer.json, as `transformers` converts them
// (convert_slow_tokenizer.py and the tokenizers' own defaults).
#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.h"
#include "text/bert_normalizer.h"
#include "text/bpe.h"
#include "text/charsmap.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_builder.h"
#include "text/unigram.h"
#include "text/word_piece.h"

namespace trireme {

using text::AddedToken;
using text::JsonFile;
using text::JsonView;
using text::TemplateItem;

namespace {

// In the order in which `transformers` adds them.
constexpr std::array<std::string_view, 7> kRoles = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
constexpr std::string_view kAdditional = "additional_special_tokens";

// The token of a role, as a config says it: an object, or only the content of `otherwise`.
AddedToken special_token(const JsonView& json, AddedToken otherwise) {
  if (json.is_string()) {
    otherwise.content = json.as_string();
    return otherwise;
  }
  AddedToken token = text::read_added_token(json);
  token.special = true;
  return token;
}

AddedToken plain_special(std::string_view content) {
  return {.content = std::string(content), .special = true};
}

// The class of the tokenizer of a model that does not name it.
std::string family_of_model(std::string_view type, std::string_view otherwise) {
  if (type.starts_with("qwen")) return "Qwen2Tokenizer";
  if (type == "roberta") return "RobertaTokenizer";
  // Models of many names have GPT-2's files. BERT's and SentencePiece's are more ambiguous.
  constexpr std::array<std::string_view, 7> kUnambiguous = {
      "bert", "distilbert", "electra", "mobilebert", "t5", "mt5", "umt5"};
  if (type.empty() || otherwise.starts_with("GPT2") ||
      std::ranges::find(kUnambiguous, type) != kUnambiguous.end()) {
    return std::string(otherwise);
  }
  return fmt::format("tokenizer of a \"{}\"", type);
}

}  // namespace

/// What the files say, and the family's defaults where they say nothing.
struct TokenizerBuilder::OlderFiles {
  const ModelTexts& texts;
  std::optional<JsonFile> config;       // tokenizer_config.json
  std::optional<JsonFile> special_map;  // special_tokens_map.json, unless the config replaces it
  std::optional<JsonFile> added;        // added_tokens.json, likewise

  explicit OlderFiles(const ModelTexts& from)
      : texts(from), config(JsonFile::read(from, "tokenizer_config.json")) {
    if (find("added_tokens_decoder")) return;
    special_map = JsonFile::read(texts, "special_tokens_map.json");
    added = JsonFile::read(texts, "added_tokens.json");
  }

  std::optional<JsonView> find(std::string_view key) const {
    return config ? config->root().find(key) : std::nullopt;
  }
  bool flag(std::string_view key, bool otherwise) const {
    const auto member = find(key);
    return member ? member->as_bool() : otherwise;
  }
  std::optional<JsonView> find_role(std::string_view role) const {
    const auto replaced = special_map ? special_map->root().find(role) : std::nullopt;
    return replaced ? replaced : find(role);
  }
  /// The token of a role, or `otherwise`.
  AddedToken role(std::string_view name, const AddedToken& otherwise) const {
    const auto token = find_role(name);
    return token ? special_token(*token, otherwise) : otherwise;
  }

  std::string family(std::string_view otherwise) const {
    if (const auto name = find("tokenizer_class")) return std::string(name->as_string());
    const auto model = JsonFile::read(texts, "config.json");
    const auto type = model ? model->root().find("model_type") : std::nullopt;
    return family_of_model(type ? type->as_string() : "", otherwise);
  }
};

void TokenizerBuilder::read_older_files(const ModelTexts& texts) {
  const OlderFiles files(texts);
  // The families of each file, by the beginning of their class's name, the default one first.
  struct Family {
    std::string_view file, name;
    void (TokenizerBuilder::*read)(const OlderFiles&);
  };
  using Self = TokenizerBuilder;
  static constexpr Family kFamilies[] = {
      {"vocab.json", "GPT2Tokenizer", &Self::read_gpt2},
      {"vocab.json", "Qwen2Tokenizer", &Self::read_qwen2},
      {"vocab.json", "RobertaTokenizer", &Self::read_roberta},
      {"vocab.txt", "BertTokenizer", &Self::read_bert},
      {"vocab.txt", "DistilBertTokenizer", &Self::read_bert},
      {"vocab.txt", "ElectraTokenizer", &Self::read_bert},
      {"vocab.txt", "MobileBertTokenizer", &Self::read_bert},
      {"spiece.model", "T5Tokenizer", &Self::read_t5},
      {"spiece.model", "MT5Tokenizer", &Self::read_t5},
  };
  for (const Family& first : kFamilies) {
    if (!texts.read(first.file)) continue;
    const std::string name = files.family(first.name);
    std::string known;
    for (const Family& family : kFamilies) {
      if (family.file != first.file) continue;
      if (name.starts_with(family.name)) return (this->*family.read)(files);
      known += fmt::format("{}{}", known.empty() ? "" : ", ", family.name);
    }
    fail(ErrorKind::input,
         "{}: a {} needs a tokenizer.json; {} alone is known for {} (save_pretrained of the fast "
         "tokenizer writes one)",
         texts.where(first.file), name, first.file, known);
  }
  fail(ErrorKind::input,
       "{}: no tokenizer: neither tokenizer.json nor vocab.json, vocab.txt or spiece.model is "
       "there",
       texts.where());
}

void TokenizerBuilder::read_gpt2(const OlderFiles& files) {
  parts_->pre_tokenizer = text::make_gpt2_pre_tokenizer(files.flag("add_prefix_space", false));
  parts_->decoder = text::make_byte_level_decoder();
  parts_->model = text::read_bpe_files(files.texts);
  const Roles roles = {{"bos_token", plain_special("<|endoftext|>")}};
  add_special_tokens(files, roles);
  if (!files.flag("add_bos_token", false)) return;
  const std::int32_t id = id_of("bos_token", files, roles);
  set_template(
      {{.ids = {id}}, {.text = 0}},
      {{.ids = {id}}, {.text = 0}, {.ids = {id}, .type_id = 1}, {.text = 1, .type_id = 1}});
}

void TokenizerBuilder::read_qwen2(const OlderFiles& files) {
  parts_->normalizer = text::make_nfc_normalizer();
  parts_->pre_tokenizer = text::make_qwen2_pre_tokenizer();
  parts_->decoder = text::make_byte_level_decoder();
  parts_->model = text::read_bpe_files(files.texts);
  add_special_tokens(files, {{"bos_token", plain_special("<|endoftext|>")}});
}

void TokenizerBuilder::read_roberta(const OlderFiles& files) {
  parts_->pre_tokenizer = text::make_gpt2_pre_tokenizer(files.flag("add_prefix_space", false));
  parts_->decoder = text::make_byte_level_decoder();
  parts_->model = text::read_bpe_files(files.texts);
  const auto token = [](std::string_view content) {
    return AddedToken{.content = std::string(content), .special = true, .normalized = true};
  };
  // <mask> takes the space before it along, so that it stands for a word.
  const Roles roles = {{"bos_token", token("<s>")},
                       {"eos_token", token("</s>")},
                       {"unk_token", token("<unk>")},
                       {"sep_token", token("</s>")},
                       {"pad_token", token("<pad>")},
                       {"cls_token", token("<s>")},
                       {"mask_token", {.content = "<mask>", .special = true, .lstrip = true}}};
  add_special_tokens(files, roles);
  parts_->post_processor.add(text::make_roberta_processing(id_of("cls_token", files, roles),
                                                           id_of("sep_token", files, roles)));
}

void TokenizerBuilder::read_bert(const OlderFiles& files) {
  text::BertNormalizerOptions options;
  options.handle_chinese_chars = files.flag("tokenize_chinese_chars", true);
  if (const auto strip = files.find("strip_accents")) options.strip_accents = strip->as_bool();
  options.lowercase = files.flag("do_lower_case", true);
  parts_->normalizer = text::make_bert_normalizer(options);
  parts_->pre_tokenizer = text::make_bert_pre_tokenizer();
  parts_->decoder = text::make_word_piece_decoder();
  const Roles roles = {{"unk_token", plain_special("[UNK]")},
                       {"sep_token", plain_special("[SEP]")},
                       {"pad_token", plain_special("[PAD]")},
                       {"cls_token", plain_special("[CLS]")},
                       {"mask_token", plain_special("[MASK]")}};
  parts_->model = std::make_unique<text::WordPiece>(
      text::read_vocabulary_lines(files.texts.require("vocab.txt"), files.texts.where("vocab.txt")),
      text::WordPieceOptions{.unk_token =
                                 files.role("unk_token", roles.find("unk_token")->second).content});
  add_special_tokens(files, roles);
  const std::int32_t cls = id_of("cls_token", files, roles);
  const std::int32_t sep = id_of("sep_token", files, roles);
  set_template({{.ids = {cls}}, {.text = 0}, {.ids = {sep}}}, {{.ids = {cls}},
                                                               {.text = 0},
                                                               {.ids = {sep}},
                                                               {.text = 1, .type_id = 1},
                                                               {.ids = {sep}, .type_id = 1}});
}

void TokenizerBuilder::read_t5(const OlderFiles& files) {
  std::int64_t extra_ids = 100;
  if (const auto count = files.find("extra_ids")) extra_ids = count->as_integer(0, 1 << 20);
  const bool prefix = files.flag("add_prefix_space", true);
  const auto prepend = !prefix                      ? text::MetaspacePrepend::never
                       : files.flag("legacy", true) ? text::MetaspacePrepend::always
                                                    : text::MetaspacePrepend::first;
  parts_->pre_tokenizer = text::make_metaspace_pre_tokenizer(prepend);
  parts_->decoder = text::make_metaspace_decoder(prefix);
  read_unigram(files, extra_ids);
  const Roles roles = {{"eos_token", plain_special("</s>")},
                       {"unk_token", plain_special("<unk>")},
                       {"pad_token", plain_special("<pad>")}};
  add_special_tokens(files, roles);
  for (std::int64_t i = 0; i < extra_ids; ++i) {
    add_if_new(plain_special(fmt::format("<extra_id_{}>", i)));
  }
  const std::int32_t eos = id_of("eos_token", files, roles);
  set_template({{.text = 0}, {.ids = {eos}}},
               {{.text = 0}, {.ids = {eos}}, {.text = 1}, {.ids = {eos}}});
}

// The normalizer and the model of spiece.model; the extra ids are its last tokens, the highest
// number first.
void TokenizerBuilder::read_unigram(const OlderFiles& files, std::int64_t extra_ids) {
  const std::string where = files.texts.where("spiece.model");
  text::SentencePieceModel model =
      text::read_sentencepiece(files.texts.require("spiece.model"), where);
  if (model.model_type != text::SentencePieceModel::kUnigram) {
    fail(ErrorKind::input,
         "{}: a SentencePiece model of type {}; only Unigram models (1) are read without a "
         "tokenizer.json",
         where, model.model_type);
  }
  if (model.unk_id < 0 || model.unk_id >= static_cast<std::int64_t>(model.pieces.size())) {
    fail(ErrorKind::input, "{}: unk_id is {}, and there are {} pieces", where, model.unk_id,
         model.pieces.size());
  }
  std::vector<text::ScoredToken> tokens;
  for (const auto& piece : model.pieces) tokens.push_back({piece.text, piece.score});
  for (std::int64_t i = extra_ids; i-- > 0;) {
    tokens.push_back({fmt::format("<extra_id_{}>", i), 0.0});
  }
  auto rules = model.charsmap.empty()
                   ? nullptr
                   : text::make_precompiled(text::Charsmap(model.charsmap, where));
  parts_->normalizer = text::make_sentencepiece_normalizer(std::move(rules));
  parts_->model = std::make_unique<text::Unigram>(tokens, static_cast<std::int32_t>(model.unk_id),
                                                  false, where);
  for (const auto& piece : model.pieces) {
    const bool control = piece.type == text::SentencePieceModel::control;
    if (control || piece.type == text::SentencePieceModel::user_defined) {
      add({.content = piece.text, .special = control});
    }
  }
}

void TokenizerBuilder::add_if_new(const AddedToken& token) {
  if (!parts_->added_tokens.find(token.content)) add(token);
}

// Tokens by id (added_tokens_decoder, or added_tokens.json), then those that have a role.
void TokenizerBuilder::add_special_tokens(const OlderFiles& files, const Roles& roles) {
  std::vector<std::pair<std::int64_t, AddedToken>> by_id;
  if (const auto decoder = files.find("added_tokens_decoder")) {
    for (const auto& [key, value] : decoder->as_object()) {
      std::int64_t id = -1;
      const auto result = std::from_chars(key.data(), key.data() + key.size(), id);
      if (result.ec != std::errc() || result.ptr != key.data() + key.size()) {
        fail(ErrorKind::input, "{}: \"{}\" is not an id", decoder->where(), key);
      }
      by_id.emplace_back(id, text::read_added_token(decoder->require(key)));
    }
  }
  if (files.added) {
    for (const auto& [content, value] : files.added->root().as_object()) {
      const std::int64_t id =
          files.added->root().require(content).as_integer(0, text::TokenTable::kMaxIds - 1);
      by_id.emplace_back(id, AddedToken{.content = std::string(content), .normalized = true});
    }
  }
  std::ranges::stable_sort(by_id, {}, [](const auto& entry) { return entry.first; });
  std::vector<AddedToken> with_role;
  for (const std::string_view role : kRoles) {
    const auto otherwise = roles.find(role);
    const bool has_default = otherwise != roles.end();
    const AddedToken token = files.role(role, has_default ? otherwise->second : plain_special(""));
    if (!token.content.empty()) with_role.push_back(token);
  }
  if (const auto list = files.find_role(kAdditional)) {
    list->each([&](const JsonView& token) {
      with_role.push_back(special_token(token, plain_special("")));
    });
  }
  const auto same = [](const AddedToken& token) { return token.content; };
  for (auto& [id, token] : by_id) {
    if (std::ranges::find(with_role, token.content, same) != with_role.end()) token.special = true;
    add(token);
  }
  for (const AddedToken& token : with_role) add_if_new(token);
}

// Every role has its token by now.
std::int32_t TokenizerBuilder::id_of(std::string_view role, const OlderFiles& files,
                                     const Roles& roles) const {
  const AddedToken token = files.role(role, roles.find(role)->second);
  const auto id = parts_->added_tokens.find(token.content);
  if (!id) fail(ErrorKind::input, "the tokenizer's {} is empty", role);
  return *id;
}

void TokenizerBuilder::set_template(std::vector<TemplateItem> single,
                                    std::vector<TemplateItem> pair) {
  parts_->post_processor.add(
      text::make_template(std::move(single), std::move(pair), "the tokenizer's template"));
}

}  // namespace trireme
