// The "post_processor" of a tokenizer file: the special tokens around every text.
#include "text/post_processor.h"

#include "core/error.h"
#include "text/json_view.h"
#include "text/token_table.h"

namespace trireme::text {
namespace {

std::int32_t read_id(const JsonView& json) {
  return static_cast<std::int32_t>(json.as_integer(0, TokenTable::kMaxIds - 1));
}

// {"SpecialToken": {"id": "<s>", ..}} or {"Sequence": {"id": "A", ..}}
PostProcessor::Template read_template(const JsonView& json) {
  PostProcessor::Template result;
  int texts = 0;
  const auto special_tokens = json.find("special_tokens");
  json.require("single").each([&](const JsonView& item) {
    if (const auto sequence = item.find("Sequence")) {
      if (sequence->require("id").as_string() != "A") {
        fail(ErrorKind::input, "{}: a template for one text names another", sequence->where());
      }
      result.emplace_back();
      ++texts;
      return;
    }
    const std::string_view name = item.require("SpecialToken").require("id").as_string();
    if (!special_tokens) json.require("special_tokens");
    special_tokens->require(name).require("ids").each(
        [&](const JsonView& id) { result.emplace_back(read_id(id)); });
  });
  if (texts != 1) {
    fail(ErrorKind::input, "{}.single: names the text {} times instead of once", json.where(),
         texts);
  }
  return result;
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
    processor.add(read_template(json));
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    processor.add(
        {read_token_pair(json.require("cls")), std::nullopt, read_token_pair(json.require("sep"))});
  } else if (type != "ByteLevel") {  // which changes offsets only
    fail(ErrorKind::input,
         "{}: unknown post-processor \"{}\"; the known ones are Sequence, TemplateProcessing, "
         "ByteLevel, BertProcessing and RobertaProcessing",
         json.where(), type);
  }
}

}  // namespace

std::vector<std::int32_t> PostProcessor::apply(std::vector<std::int32_t> ids) const {
  for (const Template& step : steps_) {
    std::vector<std::int32_t> result;
    result.reserve(ids.size() + step.size());
    for (const auto& item : step) {
      if (item) {
        result.push_back(*item);
      } else {
        result.insert(result.end(), ids.begin(), ids.end());
      }
    }
    ids = std::move(result);
  }
  return ids;
}

PostProcessor read_post_processor(const JsonView& json) {
  PostProcessor processor;
  read_into(json, processor);
  return processor;
}

}  // namespace trireme::text
