// Chat templates as model directories ship them, against what transformers' jinja2 makes of them.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const fs::path data = TRIREME_SOURCE_DIR "/tests/data/chat";
const Json question = Json::array({{{"role", "user"}, {"content", "Hi"}}});

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A model directory of one test; gone with it.
class ChatTemplateTest : public testing::Test {
 protected:
  ChatTemplateTest()
      : directory_(fs::temp_directory_path() /
                   fmt::format("trireme_chat_{}_{}", ::getpid(),
                               testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::create_directories(directory_);
  }
  ~ChatTemplateTest() override { fs::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
  }

  std::string render(const Json& messages = question, const ChatOptions& options = {}) const {
    const auto chat = ChatTemplate::load(directory_);
    return chat ? chat->render(messages, options) : "no template";
  }

  std::string error(const Json& messages = question, const ChatOptions& options = {}) const {
    try {
      return "printed: " + render(messages, options);
    } catch (const Error& reason) {
      EXPECT_EQ(reason.kind(), ErrorKind::input);
      return reason.what();
    }
  }

  fs::path directory_;
};

TEST_F(ChatTemplateTest, EveryFamilyPrintsWhatJinja2Prints) {
  const Json input = Json::parse(read(data / "conversations.json"));
  const Json expected = Json::parse(read(data / "expected.json"));
  ASSERT_GT(expected.size(), 250U);
  for (const Json& golden : expected) {
    Json config = input.at("special_tokens");
    const std::string name = golden.at("template");
    config["chat_template"] = read(data / "templates" / (name + ".jinja"));
    write("tokenizer_config.json", config.dump());
    for (const Json& chat : input.at("conversations")) {
      if (chat.at("name") != golden.at("conversation")) continue;
      ChatOptions options;
      options.now = input.at("now");
      options.add_generation_prompt = chat.value("add_generation_prompt", true);
      if (chat.contains("tools")) options.tools = input["tools"][chat["tools"].get<std::string>()];
      if (chat.contains("extra")) options.extra = chat["extra"];
      SCOPED_TRACE(name + ": " + chat.at("name").get<std::string>());
      if (golden.contains("output")) {
        EXPECT_EQ(render(chat.at("messages"), options), golden.at("output"));
        continue;
      }
      const std::string message = error(chat.at("messages"), options);
      EXPECT_FALSE(message.starts_with("printed")) << message;
      if (!golden.at("raised")) continue;
      const std::string raised = golden.at("error").get<std::string>().substr(15);
      EXPECT_NE(message.find(raised), std::string::npos) << message << "\n" << raised;
    }
  }
}

TEST_F(ChatTemplateTest, NoTemplate) {
  EXPECT_FALSE(ChatTemplate::load(directory_).has_value());
  write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": null})");
  EXPECT_FALSE(ChatTemplate::load(directory_).has_value());
}

TEST_F(ChatTemplateTest, AFileOfItsOwnComesFirst) {
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(render(), "config");
  write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(render(), "json");
  write("chat_template.jinja", "file\n");
  EXPECT_EQ(render(), "file");
}

TEST_F(ChatTemplateTest, ToolsSelectTheToolTemplate) {
  ChatOptions with_tools;
  with_tools.tools = Json::array();
  write("chat_template.jinja", "plain");
  write("additional_chat_templates/tool_use.jinja", "{{ tools | length }} tools");
  EXPECT_EQ(render(), "plain");
  EXPECT_EQ(render(question, with_tools), "0 tools");
}

TEST_F(ChatTemplateTest, AListOfTemplates) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "a"},
                              {"name": "tool_use", "template": "b"}]})");
  EXPECT_EQ(render(), "a");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "a"}]})");
  EXPECT_NE(error().find("'default'"), std::string::npos);
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag"}]})");
  EXPECT_NE(error().find("name and a template"), std::string::npos);
}

TEST_F(ChatTemplateTest, SpecialTokens) {
  write("chat_template.jinja",
        "{{ bos_token }} {{ eos_token }} {{ pad_token is defined }} {{ unk_token }} "
        "{{ additional_special_tokens }}");
  const std::string rest = R"("bos_token": "<s>", "eos_token": {"content": "</s>"},
      "pad_token": null, "additional_special_tokens": ["<a>", {"content": "<b>"}])";
  write("special_tokens_map.json", R"({"unk_token": "<u>", "eos_token": "<e>"})");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {}, )" + rest + "}");
  EXPECT_EQ(render(), "<s> </s> False <u> ['<a>', '<b>']");
  write("tokenizer_config.json", "{" + rest + "}");
  EXPECT_EQ(render(), "<s> <e> False <u> ['<a>', '<b>']");
}

TEST_F(ChatTemplateTest, OptionsReachTheTemplate) {
  write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  write("chat_template.jinja",
        "{{ bos_token }}{{ add_generation_prompt }}{{ tools }}{{ documents }}{{ mood }}"
        "{{ strftime_now('%d %b %Y') }}");
  ChatOptions options;
  options.add_generation_prompt = false;
  options.now = 1735689600;
  options.extra = {{"mood", "calm"}, {"bos_token", "<x>"}};
  EXPECT_EQ(render(question, options), "<x>FalseNoneNonecalm01 Jan 2025");
}

TEST_F(ChatTemplateTest, ABrokenTemplateIsAnErrorOnlyWhenRendered) {
  write("chat_template.jinja", "fine\n{% for %}");
  const auto chat = ChatTemplate::load(directory_);
  ASSERT_TRUE(chat.has_value());
  const std::string message = error();
  EXPECT_NE(message.find("chat_template.jinja"), std::string::npos) << message;
  EXPECT_NE(message.find("line 2"), std::string::npos) << message;
}

TEST_F(ChatTemplateTest, FilesThatCannotBeReadAreNotAbsent) {
  write("chat_templates/default.jinja", "x");
  for (const std::string name : {"tokenizer_config.json", "chat_template.jinja",
                                 "special_tokens_map.json", "chat_templates/other.jinja"}) {
    fs::create_symlink("blob", directory_ / name);
    EXPECT_NE(error().find(name + ": cannot open: this link leads to"), std::string::npos)
        << error();
    fs::remove(directory_ / name);
    fs::create_directory(directory_ / name);
    EXPECT_NE(error().find(name + ": not a regular file"), std::string::npos) << error();
    fs::remove(directory_ / name);
  }
  fs::remove_all(directory_ / "chat_templates");
  fs::create_symlink("blob", directory_ / "chat_template.json");
  EXPECT_NE(error().find("chat_template.json: cannot open"), std::string::npos) << error();
}

TEST_F(ChatTemplateTest, BadInput) {
  write("chat_template.jinja", "x");
  EXPECT_NE(error({{"role", "user"}}).find("array"), std::string::npos);
  EXPECT_NE(error(Json::array({1})).find("message 0"), std::string::npos);
  EXPECT_NE(error(Json::array({question[0], {{"role", 3}}})).find("message 1"), std::string::npos);
  ChatOptions options;
  options.tools = "search";
  EXPECT_NE(error(question, options).find("tools"), std::string::npos);
  options = {};
  options.extra = 3;
  EXPECT_NE(error(question, options).find("extra"), std::string::npos);
  write("tokenizer_config.json", "{");
  EXPECT_NE(error().find("not valid JSON"), std::string::npos);
}

}  // namespace
}  // namespace trireme
