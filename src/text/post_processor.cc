// The "post_processor" of a tokenizer file: the special tokens around a text, or around two.
#include "text/post_processor.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "text/json_view.h"
#include "text/token_table.h"

namespace trireme::text {
namespace {

void append(Encoding& to, const Encoding& part) {
  to.ids.insert(to.ids.end(), part.ids.begin(), part.ids.end());
  to.type_ids.insert(to.type_ids.end(), part.type_ids.begin(), part.type_ids.end());
}

void append(Encoding& to, std::int32_t id, std::int32_t type_id) {
  to.ids.push_back(id);
  to.type_ids.push_back(type_id);
}

void prepend(Encoding& to, std::int32_t id, std::int32_t type_id) {
  to.ids.insert(to.ids.begin(), id);
  to.type_ids.insert(to.type_ids.begin(), type_id);
}

// [CLS] A [SEP], or [CLS] A [SEP] B [SEP] with types 0 0 0 1 1.
class BertProcessing final : public PostProcessStep {
 public:
  BertProcessing(std::int32_t cls, std::int32_t sep) : cls_(cls), sep_(sep) {}

  void apply(std::vector<Encoding>& parts, bool add_special_tokens) const override {
    if (!add_special_tokens) return;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i == 0) prepend(parts[i], cls_, 0);
      append(parts[i], sep_, i == 0 ? 0 : 1);
    }
  }
  std::size_t added_tokens(bool is_pair) const override { return is_pair ? 3 : 2; }

 private:
  std::int32_t cls_, sep_;
};

class RobertaProcessing final : public PostProcessStep {
 public:
  RobertaProcessing(std::int32_t cls, std::int32_t sep) : cls_(cls), sep_(sep) {}

  void apply(std::vector<Encoding>& parts, bool add_special_tokens) const override {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      std::ranges::fill(parts[i].type_ids, 0);
      if (!add_special_tokens) continue;
      prepend(parts[i], i == 0 ? cls_ : sep_, 0);
      append(parts[i], sep_, 0);
    }
  }
  std::size_t added_tokens(bool is_pair) const override { return is_pair ? 4 : 2; }

 private:
  std::int32_t cls_, sep_;
};

class TemplateProcessing final : public PostProcessStep {
 public:
  TemplateProcessing(std::vector<TemplateItem> single, std::vector<TemplateItem> pair,
                     std::string where)
      : single_(std::move(single)), pair_(std::move(pair)), where_(std::move(where)) {}

  void apply(std::vector<Encoding>& parts, bool add_special_tokens) const override {
    if (parts.size() != 1 && parts.size() != 2) {
      fail(ErrorKind::input, "{}: a template is for one text or two, and an earlier one made {}",
           where_, parts.size());
    }
    if (parts.size() == 2) check_pair();
    std::vector<Encoding> result;
    for (const TemplateItem& item : parts.size() == 1 ? single_ : pair_) {
      if (item.text == TemplateItem::kSpecial) {
        if (!add_special_tokens) continue;
        result.push_back({item.ids, std::vector(item.ids.size(), item.type_id)});
      } else {
        Encoding& text = parts[static_cast<std::size_t>(item.text)];
        std::ranges::fill(text.type_ids, item.type_id);
        result.push_back(std::move(text));  // each is named once
      }
    }
    parts = std::move(result);
  }

  std::size_t added_tokens(bool is_pair) const override {
    std::size_t count = 0;
    for (const TemplateItem& item : is_pair ? pair_ : single_) count += item.ids.size();
    return count;
  }

 private:
  void check_pair() const {
    for (const int text : {0, 1}) {
      const auto named = std::ranges::count(pair_, text, &TemplateItem::text);
      if (named != 1) {
        fail(ErrorKind::input, "{}.pair: names the text {} {} times instead of once", where_,
             text == 0 ? "A" : "B", named);
      }
    }
  }

  std::vector<TemplateItem> single_, pair_;
  std::string where_;
};

std::int32_t read_id(const JsonView& json) {
  return static_cast<std::int32_t>(json.as_integer(0, TokenTable::kMaxIds - 1));
}

std::int32_t read_type_id(const JsonView& item) {
  const auto type_id = item.find("type_id");
  constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
  return type_id ? static_cast<std::int32_t>(type_id->as_integer(0, kMost)) : 0;
}

// {"SpecialToken": {"id": "<s>", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}
TemplateItem read_item(const JsonView& json, const JsonView& processor) {
  TemplateItem item;
  if (const auto sequence = json.find("Sequence")) {
    const JsonView id = sequence->require("id");
    if (id.as_string() != "A" && id.as_string() != "B") {
      fail(ErrorKind::input, "{}: unknown text \"{}\"; expected A or B", id.where(),
           id.as_string());
    }
    item.text = id.as_string() == "A" ? 0 : 1;
    item.type_id = read_type_id(*sequence);
    return item;
  }
  const JsonView special = json.require("SpecialToken");
  item.type_id = read_type_id(special);
  processor.require("special_tokens")
      .require(special.require("id").as_string())
      .require("ids")
      .each([&](const JsonView& id) { item.ids.push_back(read_id(id)); });
  return item;
}

std::vector<TemplateItem> read_items(const JsonView& processor, std::string_view member) {
  std::vector<TemplateItem> items;
  if (const auto list = processor.find(member)) {
    list->each([&](const JsonView& item) { items.push_back(read_item(item, processor)); });
  }
  return items;
}

// ["</s>", 2]
std::int32_t read_token_pair(const JsonView& json) {
  std::int32_t id = -1;
  std::size_t index = 0;
  json.each([&](const JsonView& item) {
    if (index++ == 1) id = read_id(item);
  });
  if (index != 2) fail(ErrorKind::input, "{}: expected a token and its id", json.where());
  return id;
}

void read_into(const JsonView& json, PostProcessor& processor) {
  const std::string_view type = json.require("type").as_string();
  if (type == "Sequence") {
    json.require("processors").each([&](const JsonView& step) { read_into(step, processor); });
  } else if (type == "TemplateProcessing") {
    processor.add(
        make_template(read_items(json, "single"), read_items(json, "pair"), json.where()));
  } else if (type == "BertProcessing") {
    processor.add(std::make_unique<BertProcessing>(read_token_pair(json.require("cls")),
                                                   read_token_pair(json.require("sep"))));
  } else if (type == "RobertaProcessing") {
    processor.add(make_roberta_processing(read_token_pair(json.require("cls")),
                                          read_token_pair(json.require("sep"))));
  } else if (type != "ByteLevel") {  // which changes offsets only
    fail(ErrorKind::input,
         "{}: unknown post-processor \"{}\"; the known ones are Sequence, TemplateProcessing, "
         "ByteLevel, BertProcessing and RobertaProcessing",
         json.where(), type);
  }
}

}  // namespace

Encoding PostProcessor::apply(std::vector<Encoding> texts, bool add_special_tokens) const {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    texts[i].type_ids.assign(texts[i].ids.size(), static_cast<std::int32_t>(i));
  }
  for (const auto& step : steps_) step->apply(texts, add_special_tokens);
  if (texts.empty()) return {};
  Encoding result = std::move(texts.front());
  for (std::size_t i = 1; i < texts.size(); ++i) append(result, texts[i]);
  return result;
}

std::size_t PostProcessor::added_tokens(bool is_pair) const {
  std::size_t count = 0;
  for (const auto& step : steps_) count += step->added_tokens(is_pair);
  return count;
}

PostProcessor read_post_processor(const JsonView& json) {
  PostProcessor processor;
  read_into(json, processor);
  return processor;
}

std::unique_ptr<PostProcessStep> make_template(std::vector<TemplateItem> single,
                                               std::vector<TemplateItem> pair, std::string where) {
  if (std::ranges::count(single, 1, &TemplateItem::text) != 0) {
    fail(ErrorKind::input, "{}.single: a template for one text names another", where);
  }
  if (const auto texts = std::ranges::count(single, 0, &TemplateItem::text); texts != 1) {
    fail(ErrorKind::input, "{}.single: names the text {} times instead of once", where, texts);
  }
  return std::make_unique<TemplateProcessing>(std::move(single), std::move(pair), std::move(where));
}

std::unique_ptr<PostProcessStep> make_roberta_processing(std::int32_t cls, std::int32_t sep) {
  return std::make_unique<RobertaProcessing>(cls, sep);
}

}  // namespace trireme::text
