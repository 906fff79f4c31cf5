// OpenAI's batch format, in and out.
#include <simdjson.h>

#include <map>

#include "batch/row_codec.h"
#include "support/scratch.h"

namespace trireme {
namespace {

const char* const chat_row =
    R"({"custom_id":"r-1","method":"POST","url":"/v1/chat/completions","body":{"model":"m",
        "messages":[{"role":"user","content":"hi"}],"max_completion_tokens":8,"temperature":0}})";

DecodedRow decode(const std::string& bytes, std::uint64_t index = 2) {
  return RowCodec({}).decode({index, index + 1, bytes});
}

Result answer() {
  Result result;
  result.text = "hello";
  result.token_ids = {1, 2};
  result.prompt_tokens = 4;
  return result;
}

TEST(OpenAiRow, ReadsChats) {
  const DecodedRow row = decode(chat_row);
  ASSERT_FALSE(row.error) << row.error->message;
  EXPECT_EQ(row.request.messages, R"([{"role":"user","content":"hi"}])");
  EXPECT_EQ(row.request.sampling.max_new_tokens, 8);
  EXPECT_EQ(row.request.sampling.temperature, 0.0f);
  EXPECT_EQ(row.reply.kind, RowReply::Kind::openai_chat);
}

TEST(OpenAiRow, AnswersInOpenAisForm) {
  const std::string line = encode_result(decode(chat_row).reply, answer());
  simdjson::dom::parser parser;
  const simdjson::dom::element json = parser.parse(line);
  EXPECT_EQ(std::string_view(json["custom_id"]), "r-1");
  EXPECT_TRUE(json["error"].is_null());
  EXPECT_EQ(std::int64_t(json["response"]["status_code"]), 200);
  EXPECT_TRUE(std::string_view(json["id"]).starts_with("batch_req_"));
  const auto body = json["response"]["body"];
  EXPECT_EQ(std::string_view(body["object"]), "chat.completion");
  EXPECT_EQ(std::string_view(body["model"]), "m");
  EXPECT_EQ(std::int64_t(body["created"]), 2);
  const auto choice = body["choices"].at(0);
  EXPECT_EQ(std::string_view(choice["message"]["content"]), "hello");
  EXPECT_EQ(std::string_view(choice["message"]["role"]), "assistant");
  EXPECT_EQ(std::string_view(choice["finish_reason"]), "stop");
  EXPECT_EQ(std::int64_t(body["usage"]["total_tokens"]), 6);
}

TEST(OpenAiRow, IdsDeriveFromTheRowAlone) {
  const std::string line = encode_result(decode(chat_row).reply, answer());
  EXPECT_EQ(line, encode_result(decode(chat_row).reply, answer()));
  EXPECT_NE(line, encode_result(decode(chat_row, 3).reply, answer()));
}

TEST(OpenAiRow, ReadsCompletions) {
  const DecodedRow row = decode(
      R"({"custom_id":"c","method":"POST","url":"/v1/completions","body":{"prompt":"once","stop":"."}})");
  EXPECT_EQ(row.request.prompt, "once");
  const std::string line = encode_result(row.reply, answer());
  expect_contains(line, R"("object":"text_completion")");
  expect_contains(line, R"("choices":[{"index":0,"text":"hello",)");
}

TEST(OpenAiRow, ErrorsKeepTheCustomId) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"custom_id":"c","body":3})", "\"body\" must be an object"},
      {R"({"custom_id":"c","url":"/v1/embeddings","body":{}})", "only /v1/chat/completions"},
      {R"({"custom_id":"c","method":"GET","url":"/v1/completions","body":{"prompt":"x"}})", "POST"},
      {R"({"custom_id":"c","url":"/v1/chat/completions","body":{"prompt":"x"}})", "neither"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","n":2}})",
       "\"n\" must be 1"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","stream":true}})",
       "\"stream\""},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","temprature":0.2}})",
       "\"temprature\" of the body is unknown (did you mean temperature?)"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","suffix":"y"}})",
       "\"suffix\" of the body is unknown; leave it out"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","max_tokens":"9"}})",
       "max_tokens"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","response_format":{"type":"json_object"}}})",
       "response_format"},
      {R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"x","response_format":3}})",
       "response_format"}};
  for (const auto& [bytes, expected] : cases) {
    SCOPED_TRACE(bytes);
    const DecodedRow row = decode(bytes);
    ASSERT_TRUE(row.error);
    expect_contains(row.error->message, expected);
    Result result;
    result.error = row.error;
    const std::string line = encode_result(row.reply, result);
    expect_contains(line, R"("custom_id":"c","response":{"status_code":400,)");
    expect_contains(line, R"("type":"invalid_request_error")");
    simdjson::dom::parser parser;
    EXPECT_TRUE(parser.parse(line)["error"]["message"].is_string()) << line;
  }
  EXPECT_EQ(decode(R"({"custom_id":5,"body":{}})").reply.custom_id, "null");
}

DecodedRow decode_for(RowTask task, const std::string& bytes) {
  RowSettings settings;
  settings.task = task;
  return RowCodec(settings).decode({0, 1, bytes});
}

TEST(OpenAiRow, AsksForVectors) {
  const std::string row =
      R"({"custom_id":"c","url":"/v1/embeddings","body":{"model":"m","input":"text"}})";
  const DecodedRow decoded = decode_for(RowTask::embed, row);
  ASSERT_FALSE(decoded.error) << decoded.error->message;
  EXPECT_EQ(decoded.reply.kind, RowReply::Kind::openai_embedding);
  EXPECT_EQ(decoded.request.prompt, "text");
  const std::string line = encode_embedding(decoded.reply, {.values = {0.5f}, .prompt_tokens = 3});
  EXPECT_NE(line.find(R"("body":{"object":"list","data":[{"object":"embedding","index":0,)"
                      R"("embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":3,)"
                      R"("total_tokens":3}}},"error":null})"),
            std::string::npos)
      << line;
  EXPECT_EQ(decode_for(RowTask::generate, row).error->code, "unsupported_url");
  EXPECT_EQ(decode_for(RowTask::classify, row).error->code, "unsupported_url");
}

TEST(OpenAiRow, RefusesOtherFormsOfVectors) {
  for (const auto& [body, word] : std::map<std::string, std::string>{
           {R"({"input":"a","encoding_format":"base64"})", "encoding_format"},
           {R"({"input":"a","dimensions":3})", "dimensions"},
           {R"({"prompt":"a"})", "no \"input\""},
           {R"({"input":["a","b"]})", "own row"}}) {
    const std::string row = R"({"custom_id":"c","body":)" + body + "}";
    const DecodedRow decoded = decode_for(RowTask::embed, row);
    ASSERT_TRUE(decoded.error) << body;
    EXPECT_NE(decoded.error->message.find(word), std::string::npos) << decoded.error->message;
    EXPECT_NE(encode_error(decoded.reply, *decoded.error).find("\"status_code\":400"),
              std::string::npos);
  }
  EXPECT_EQ(decode_for(RowTask::embed, R"({"custom_id":"c","url":"/v1/completions","body":{}})")
                .error->code,
            "unsupported_url");
}

}  // namespace
}  // namespace trireme
