// Rows of every format to requests, and results to lines.
#include "batch/row_codec.h"

#include <limits>

#include "support/scratch.h"

namespace trireme {
namespace {

RawRow raw(std::string bytes, std::uint64_t index = 3) {
  return {index, index + 1, std::move(bytes)};
}

DecodedRow decode_json(const std::string& bytes, RowSettings settings = {}) {
  return RowCodec(std::move(settings)).decode(raw(bytes));
}

Result result_of(const std::string& text) {
  Result result;
  result.text = text;
  result.token_ids = {1, 2, 3};
  result.prompt_tokens = 5;
  return result;
}

TEST(RowCodec, ReadsPrompts) {
  const DecodedRow row = decode_json(R"({"prompt":"Hi \u00e9","id":"a\"b","ignored":[1]})");
  ASSERT_FALSE(row.error);
  EXPECT_EQ(row.request.prompt, "Hi \xc3\xa9");
  EXPECT_EQ(row.request.row, 3u);
  EXPECT_EQ(row.reply.id, R"("a\"b")");
  EXPECT_EQ(decode_json(R"({"prompt":["only"]})").request.prompt, "only");
  EXPECT_EQ(decode_json(R"({"text":"t"})").request.prompt, "t");
  EXPECT_EQ(decode_json(R"({"text":"t","prompt":"p"})").request.prompt, "p");
  EXPECT_EQ(decode_json(R"({"prompt":"a","prompt":"b"})").request.prompt, "b");
  EXPECT_EQ(*decode_json(R"({"prompt":[7,8]})").request.token_ids,
            (std::vector<std::int32_t>{7, 8}));
  EXPECT_EQ(*decode_json(R"({"token_ids":[0]})").request.token_ids, (std::vector<std::int32_t>{0}));
  EXPECT_EQ(
      decode_json(R"({"prompt":null,"messages":[{"role":"user","content":"x"}]})").request.messages,
      R"([{"role":"user","content":"x"}])");
  EXPECT_EQ(
      decode_json(R"({"messages":[{"role":"user"}],"tools":[{"type":"function"}]})").request.tools,
      R"([{"type":"function"}])");
}

/// A parameter that nobody reads would give another answer than the one that was asked for.
TEST(RowCodec, RefusesParametersThatItDoesNotKnow) {
  const auto error = [](const std::string& field) -> std::string {
    const DecodedRow row = decode_json("{\"prompt\":\"x\"," + field + "}");
    return row.error ? row.error->code + ": " + row.error->message : "";
  };
  for (const char* const field :
       {R"("num_beams":4)", R"("stop_token_ids":[2])", R"("guided_json":{"a":1})"}) {
    expect_contains(error(field), "unsupported_field: line 4: field");
  }
  expect_contains(error(R"("maxTokens":4)"), "if it is \"max_tokens\" that is meant");
  expect_contains(error(R"("top-p":0.5)"), "\"top_p\"");
  expect_contains(error(R"("temprature":0.5)"), "\"temperature\"");
  expect_contains(error(R"("max_new_token":5)"), "\"max_new_tokens\"");
  for (const char* const field :
       {R"("num_beams":null)", R"("stop_token_ids":[])", R"("feed":1)", R"("top":1)", R"("n":5)",
        R"("category":"a")", R"("max_tokens":5)", R"("stops":["x"])"}) {
    EXPECT_EQ(error(field), "") << field;
  }
  RowSettings settings;
  settings.prompt_template = "{temprature}";
  EXPECT_FALSE(decode_json(R"({"temprature":1})", settings).error) << "columns of a template";
}

TEST(RowCodec, EchoesIds) {
  const auto id = [](const std::string& json) {
    return decode_json("{\"prompt\":\"x\",\"id\":" + json + "}").reply.id;
  };
  EXPECT_EQ(id("17"), "17");
  EXPECT_EQ(id("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(id("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(id("2.5"), "2.5");
  EXPECT_EQ(id("\"x\\ny\""), "\"x\\ny\"");
  EXPECT_EQ(id("null"), "3");
  EXPECT_EQ(decode_json(R"({"prompt":"x"})").reply.id, "3");
}

TEST(RowCodec, ReadsSampling) {
  RowSettings settings;
  settings.sampling.temperature = 0.5f;
  settings.sampling.do_sample = false;
  settings.sampling.top_k = 7;
  const SamplingParams s =
      decode_json(R"({"prompt":"x","max_tokens":16.0,"temperature":0.25,"top_p":0.5,"min_p":0.125,
                      "seed":18446744073709551615,"stop":["a","b"],"repetition_penalty":1.5,
                      "ignore_eos":true,"top_k":null})",
                  settings)
          .request.sampling;
  EXPECT_EQ(s.max_new_tokens, 16);
  EXPECT_EQ(s.temperature, 0.25f);
  EXPECT_EQ(s.do_sample, std::nullopt);  // a row that names a temperature wants it
  EXPECT_EQ(s.top_p, 0.5f);
  EXPECT_EQ(s.min_p, 0.125f);
  EXPECT_EQ(s.top_k, 0) << "null switches it off";
  EXPECT_EQ(s.seed, ~std::uint64_t{0});
  EXPECT_EQ(s.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.repetition_penalty, 1.5f);
  EXPECT_EQ(s.ignore_eos, true);
  EXPECT_EQ(decode_json(R"({"prompt":"x"})", settings).request.sampling.do_sample, false);
  EXPECT_EQ(
      decode_json(R"({"prompt":"x","max_completion_tokens":4})").request.sampling.max_new_tokens,
      4);
  EXPECT_EQ(decode_json(R"({"prompt":"x","stop":"."})").request.sampling.stop.size(), 1u);
}

struct BadRowCase {
  const char* bytes;
  const char* code;
  const char* expected;
};

const BadRowCase bad_rows[] = {
    {"{", "invalid_json", "not valid JSON"},
    {"{} {}", "invalid_json", "not valid JSON"},
    {"{\"prompt\":\"\xff\"}", "invalid_utf8", "not valid JSON"},
    {R"({"prompt":"\ud800"})", "invalid_json", "not valid JSON"},
    {R"({"prompt":NaN})", "invalid_json", "not valid JSON"},
    {"3", "invalid_row", "is a number"},
    {"[1]", "invalid_row", "is a list"},
    {"{}", "missing_field", "neither \"prompt\" nor"},
    {R"({"prompt":null})", "missing_field", "neither"},
    {R"({"prompt":3})", "invalid_field", "\"prompt\" must be"},
    {R"({"prompt":["a","b"]})", "invalid_field", "2 prompts"},
    {R"({"prompt":[]})", "invalid_field", "empty"},
    {R"({"prompt":[1,-1]})", "invalid_field", "token 1"},
    {R"({"prompt":[1,2147483648]})", "invalid_field", "token 1"},
    {R"({"prompt":"a","messages":[{"role":"user"}]})", "invalid_row", "both"},
    {R"({"messages":"x"})", "invalid_field", "\"messages\" must be a list"},
    {R"({"messages":[]})", "invalid_field", "empty"},
    {R"({"messages":[{"content":"x"}]})", "invalid_field", "message 0"},
    {R"({"messages":[{"role":"user"},3]})", "invalid_field", "message 1"},
    {R"({"prompt":"x","id":[1]})", "invalid_field", "\"id\" must be"},
    {R"({"prompt":"x","id":true})", "invalid_field", "\"id\" must be"},
    {R"({"prompt":"x","max_tokens":0})", "invalid_field", "\"max_tokens\" is 0"},
    {R"({"prompt":"x","max_tokens":1.5})", "invalid_field", "\"max_tokens\" must be an integer"},
    {R"({"prompt":"x","max_tokens":"5"})", "invalid_field", "is a string"},
    {R"({"prompt":"x","max_tokens":true})", "invalid_field", "true or false"},
    {R"({"prompt":"x","max_tokens":5,"max_new_tokens":6})", "invalid_field", "another spelling"},
    {R"({"prompt":"x","temperature":-1})", "invalid_field", "\"temperature\""},
    {R"({"prompt":"x","temperature":1e300})", "invalid_field", "\"temperature\""},
    {R"({"prompt":"x","top_p":0})", "invalid_field", "above 0 and at most 1"},
    {R"({"prompt":"x","min_p":1.5})", "invalid_field", "\"min_p\""},
    {R"({"prompt":"x","top_k":-2})", "invalid_field", "\"top_k\""},
    {R"({"prompt":"x","repetition_penalty":0})", "invalid_field", "\"repetition_penalty\""},
    {R"({"prompt":"x","stop":[""]})", "invalid_field", "empty string"},
    {R"({"prompt":"x","stop":5})", "invalid_field", "\"stop\" must be"},
    {R"({"prompt":"x","seed":"a"})", "invalid_field", "\"seed\""},
    {R"({"prompt":"x","do_sample":1})", "invalid_field", "\"do_sample\""},
    {R"({"prompt":"x","tools":{}})", "invalid_field", "\"tools\""},
    {R"({"prompt":"x","presence_penalty":0.5})", "unsupported_field", "\"presence_penalty\""},
    {R"({"custom_id":"x","url":"/v1/completions"})", "missing_field", "\"body\""},
};

TEST(RowCodec, ExplainsBadRows) {
  RowCodec codec({});
  for (const BadRowCase& bad : bad_rows) {
    SCOPED_TRACE(bad.bytes);
    const DecodedRow row = codec.decode(raw(bad.bytes));
    ASSERT_TRUE(row.error);
    EXPECT_EQ(row.error->code, bad.code);
    expect_contains(row.error->message, bad.expected);
    EXPECT_TRUE(row.error->message.starts_with("line 4: "));
  }
  EXPECT_FALSE(codec.decode(raw(R"({"prompt":"x","presence_penalty":0,"logit_bias":{}})")).error);
}

TEST(RowCodec, LimitsDepth) {
  const std::string deep =
      "{\"prompt\":\"x\",\"a\":" + std::string(200, '[') + std::string(200, ']') + "}";
  EXPECT_EQ(decode_json(deep).error->code, "invalid_json");
}

TEST(RowCodec, DefectsAreErrors) {
  RowCodec codec({});
  RawRow row = raw("");
  row.defect = RowDefect::too_long;
  EXPECT_EQ(codec.decode(row).error->code, "row_too_long");
  row.defect = RowDefect::unterminated_quote;
  EXPECT_EQ(codec.decode(row).error->code, "invalid_csv");
}

TEST(RowCodec, FillsTemplatesFromJson) {
  const RowSettings settings{.prompt_template = "{q}|{n}|{x}|{list}|{no}|{{}}"};
  const std::string row =
      R"({"q":"a\nb","n":3,"x":1.5,"list":["é", {"k": true}],"no":null,"id":9,"temperature":"hot"})";
  const DecodedRow decoded = decode_json(row, settings);
  ASSERT_FALSE(decoded.error);
  EXPECT_EQ(decoded.request.prompt, "a\nb|3|1.5|[\"\xc3\xa9\",{\"k\":true}]|null|{}");
  EXPECT_EQ(decoded.reply.id, "9");
  EXPECT_EQ(decode_json(R"({"q":"a"})", settings).error->code, "missing_column");
}

TEST(RowCodec, ReadsText) {
  RowCodec codec({.format = RowFormat::text});
  EXPECT_EQ(codec.decode(raw("{\"not\": json")).request.prompt, "{\"not\": json");
  EXPECT_EQ(codec.decode(raw("")).request.prompt, "");
  EXPECT_EQ(codec.decode(raw("\xff")).error->code, "invalid_utf8");
  RowCodec templated({.format = RowFormat::text, .prompt_template = "Say {prompt}!"});
  EXPECT_EQ(templated.decode(raw("hi")).request.prompt, "Say hi!");
  expect_contains(
      message_of(ErrorKind::usage,
                 [] { RowCodec({.format = RowFormat::text, .prompt_template = "{q}"}); }),
      "no column \"q\"");
}

TEST(RowCodec, ReadsCsv) {
  RowSettings settings{.format = RowFormat::csv, .csv_header = {"id", "q", "prompt"}};
  RowCodec codec(settings);
  const DecodedRow row = codec.decode(raw("7,x,\"a\nb\""));
  EXPECT_EQ(row.request.prompt, "a\nb");
  EXPECT_EQ(row.reply.id, "\"7\"");
  expect_contains(codec.decode(raw("7,x")).error->message, "2 fields, but the header has 3");
  EXPECT_EQ(codec.decode(raw("7,x,\"a\"b")).error->code, "invalid_csv");
  settings.prompt_template = "{q}/{prompt}/{q}";
  EXPECT_EQ(RowCodec(settings).decode(raw("7,x,y")).request.prompt, "x/y/x");
  settings.prompt_template = "{nope}";
  expect_contains(message_of(ErrorKind::usage, [&] { RowCodec{settings}; }),
                  "the input has: id, q, prompt");
  RowCodec single({.format = RowFormat::csv, .csv_header = {"question"}});
  EXPECT_EQ(single.decode(raw("why")).request.prompt, "why");
  expect_contains(message_of(ErrorKind::usage,
                             [] {
                               RowCodec({.format = RowFormat::csv, .csv_header = {"a", "b"}});
                             }),
                  "no column is called \"prompt\"");
  for (const auto& [header, own, advice] : {std::tuple{"a;b", ',', "with commas or tabs"},
                                            std::tuple{"a\tb", ',', "--input-format tsv"},
                                            std::tuple{"a,b", '\t', "--input-format csv"}}) {
    RowSettings other{.format = RowFormat::csv, .delimiter = own, .csv_header = {header}};
    expect_contains(message_of(ErrorKind::usage, [&] { RowCodec{other}; }), advice);
  }
  RowCodec({.format = RowFormat::csv, .csv_header = {"Which, pray"}});
}

TEST(RowCodec, ReadsTokenIds) {
  RowCodec text({.format = RowFormat::text, .token_ids = true});
  EXPECT_EQ(*text.decode(raw("[1, 2,3]")).request.token_ids, (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(*text.decode(raw("4 5")).request.token_ids, (std::vector<std::int32_t>{4, 5}));
  for (const char* bad : {"", "a", "1 2x", "-1", "99999999999", "1.5"}) {
    EXPECT_TRUE(text.decode(raw(bad)).error) << bad;
  }
  EXPECT_EQ(*decode_json("[9]", {.token_ids = true}).request.token_ids,
            (std::vector<std::int32_t>{9}));
}

TEST(RowCodec, MakesChats) {
  EXPECT_EQ(decode_json(R"({"prompt":"say \"x\""})", {.chat = true}).request.messages,
            R"([{"role":"user","content":"say \"x\""}])");
  EXPECT_FALSE(decode_json(R"({"prompt":"x"})", {.chat = true}).request.prompt);
}

TEST(RowReply, WritesResults) {
  RowReply reply;
  reply.id = "\"a\"";
  Result result = result_of("b\n\"");
  EXPECT_EQ(
      encode_result(reply, result),
      R"({"id":"a","text":"b\n\"","prompt_tokens":5,"completion_tokens":3,"finish_reason":"stop"})");
  result.finish_reason = FinishReason::length;
  expect_contains(encode_result(reply, result), R"("finish_reason":"length")");
  result.error = RequestError{"context_length_exceeded", "too long"};
  EXPECT_EQ(encode_result(reply, result),
            R"({"id":"a","error":{"code":"context_length_exceeded","message":"too long"}})");
}

TEST(RowReply, WritesScores) {
  RowReply reply;
  reply.id = "0";
  Score score;
  score.token_ids = {5, 6, 7};
  score.logprobs = {-0.5f, -std::numeric_limits<float>::infinity()};
  score.sum = -0.1;
  EXPECT_EQ(encode_score(reply, score),
            R"({"id":0,"token_ids":[5,6,7],"logprobs":[-0.5,null],"sum":-0.1})");
}

RowSettings texts(RowTask task = RowTask::classify) {
  RowSettings settings;
  settings.task = task;
  return settings;
}

TEST(RowCodec, ReadsPairsOfTexts) {
  const DecodedRow row =
      decode_json(R"({"text":"a","text_pair":"b","truncate":true,"temperature":-1})", texts());
  EXPECT_FALSE(row.error) << "there is no temperature where nothing is generated";
  EXPECT_EQ(row.request.prompt, "a");
  EXPECT_EQ(row.request.text_pair, "b");
  EXPECT_EQ(row.request.truncate, true);
  RowSettings settings = texts();
  settings.truncate = false;
  EXPECT_EQ(decode_json(R"({"text":"a"})", settings).request.truncate, false);
  expect_contains(decode_json(R"({"text":"a","text_pair":1})", texts()).error->message,
                  "text_pair");
  expect_contains(decode_json(R"({"text":"a","truncate":"no"})", texts()).error->message,
                  "truncate");
  expect_contains(decode_json(R"({"text":["a","b"]})", texts()).error->message, "\"text_pair\"");
  const DecodedRow generated = decode_json(R"({"text":"a","text_pair":"b","truncate":"no"})");
  EXPECT_FALSE(generated.error) << "other keys are ignored";
  EXPECT_EQ(generated.request.text_pair, std::nullopt);
}

TEST(RowCodec, FillsTheTemplateOfASecondText) {
  RowSettings settings = texts();
  settings.prompt_template = "{p}";
  settings.pair_template = "is it {h}?";
  DecodedRow row = decode_json(R"({"p":"a","h":"b","text_pair":"c"})", settings);
  EXPECT_EQ(row.request.prompt, "a");
  EXPECT_EQ(row.request.text_pair, "is it b?");
  expect_contains(decode_json(R"({"p":"a"})", settings).error->message, "--pair-template names");
  settings.pair_template.clear();
  EXPECT_EQ(decode_json(R"({"p":"a","text_pair":"c"})", settings).request.text_pair, "c");

  settings = texts();
  settings.format = RowFormat::csv;
  settings.csv_header = {"text", "text_pair"};
  EXPECT_EQ(decode_json("a,b", settings).request.text_pair, "b");
  EXPECT_EQ(decode_json("a,\xff", settings).error->code, "invalid_utf8");
  settings.pair_template = "{text}{text_pair}";
  EXPECT_EQ(decode_json("a,b", settings).request.text_pair, "ab");
  settings.pair_template = "{c}";
  expect_contains(message_of(ErrorKind::usage, [&] { RowCodec{settings}; }), "--pair-template");
  settings.format = RowFormat::text;
  expect_contains(message_of(ErrorKind::usage, [&] { RowCodec{settings}; }), "--pair-template");
  settings.pair_template = "not {text}";
  EXPECT_EQ(decode_json("a", settings).request.text_pair, "not a");
}

TEST(RowCodec, PutsThePrefixBeforeEveryText) {
  RowSettings settings = texts(RowTask::translate);
  settings.prefix = "say: ";
  const DecodedRow row =
      decode_json(R"({"text":"a","max_new_tokens":3,"truncate":true})", settings);
  EXPECT_EQ(row.request.prompt, "say: a");
  EXPECT_EQ(row.request.sampling.max_new_tokens, 3);
  EXPECT_EQ(row.request.truncate, true);
  EXPECT_EQ(decode_json(R"({"token_ids":[1]})", settings).request.prompt, std::nullopt);
}

TEST(RowReply, WritesVectors) {
  RowReply reply;
  reply.id = "\"v\"";
  Embedding embedding{.values = {1.0f, -0.1f, 1e-8f, std::numeric_limits<float>::infinity()},
                      .prompt_tokens = 3};
  EXPECT_EQ(encode_embedding(reply, embedding),
            R"({"id":"v","embedding":[1,-0.1,1e-08,null],"prompt_tokens":3})");
  embedding.truncated = true;
  expect_contains(encode_embedding(reply, embedding), R"("prompt_tokens":3,"truncated":true})");
  embedding.error = {"code", "why"};
  EXPECT_EQ(encode_embedding(reply, embedding),
            R"({"id":"v","error":{"code":"code","message":"why"}})");
}

TEST(RowReply, WritesLabelsInTheModelsOrder) {
  RowReply reply;
  reply.id = "1";
  const std::vector<std::string> labels{"a", "b \"c\"", "d"};
  const Classification result{
      .logits = {1, 3, 2}, .scores = {0.25f, 0.5f, 0.25f}, .label = 1, .prompt_tokens = 2};
  EXPECT_EQ(encode_classification(reply, result, labels, 0),
            R"({"id":1,"label":"b \"c\"","score":0.5,"scores":{"a":0.25,"b \"c\"":0.5,"d":0.25},)"
            R"("prompt_tokens":2})");
  expect_contains(encode_classification(reply, result, labels, 2),
                  R"("scores":{"b \"c\"":0.5,"d":0.25},)");
  expect_contains(encode_classification(reply, result, labels, 9), R"("a":0.25)");
}

TEST(RowReply, WritesWhatMasksStandFor) {
  RowReply reply;
  reply.id = "1";
  MaskFill fill{.masks = {{{7, "\n", 0.5f}, {8, "b", 0.25f}}, {}}, .prompt_tokens = 4};
  EXPECT_EQ(encode_mask_fill(reply, fill),
            R"({"id":1,"masks":[[{"token":"\n","token_id":7,"probability":0.5},)"
            R"({"token":"b","token_id":8,"probability":0.25}],[]],"prompt_tokens":4})");
}

}  // namespace
}  // namespace trireme
