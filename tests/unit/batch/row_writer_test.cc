// Answers in every form that a file of them can have.
#include "batch/row_writer.h"

#include "batch/compressed_source.h"
#include "batch/kept_fields.h"
#include "batch/row_codec.h"
#include "support/scratch.h"

namespace trireme {
namespace {

class StringSink : public ByteSink {
 public:
  void write(std::string_view bytes) override { text.append(bytes); }
  std::string text;
};

std::string written(const RowForm& form, const std::vector<std::string>& lines) {
  StringSink sink;
  const auto writer = open_row_writer(form, sink);
  for (const std::string& line : lines) writer->add(line);
  writer->finish();
  return sink.text;
}

RowForm form_of(const std::string& name, RowTask task = RowTask::generate) {
  return {output_format_of(name, "auto"), answer_columns(task)};
}

RowReply reply_of(const std::string& id, const std::string& kept = "") {
  RowReply reply;
  reply.id = id;
  reply.kept = kept;
  return reply;
}

std::vector<std::string> three_answers() {
  Result result;
  result.text = "say \"a,b\"\r\nc\\d\t ";
  result.token_ids = {1, 2};
  result.prompt_tokens = 7;
  const std::string first = encode_result(reply_of("\"x\"", "\"n\":1.50,"), result);
  result.text = "";
  return {first, encode_result(reply_of("1"), result),
          encode_error(reply_of("2"), {"bad", "line 3: no"})};
}

TEST(RowWriter, JsonLinesStayWhatTheyAre) {
  EXPECT_EQ(written(form_of("x.jsonl"), {"{\"id\":0}", "{}"}), "{\"id\":0}\n{}\n");
  EXPECT_EQ(written(form_of("x"), {"{\"id\":0}"}), "{\"id\":0}\n");
  EXPECT_EQ(written(form_of("x"), {}), "");
}

TEST(RowWriter, CsvQuotesWhatMustBe) {
  RowForm form = form_of("x.csv");
  form.columns.insert(form.columns.begin(), {"n"});
  EXPECT_EQ(written(form, three_answers()),
            "n,id,text,prompt_tokens,completion_tokens,finish_reason,error_code,error_message\n"
            "1.50,x,\"say \"\"a,b\"\"\r\nc\\d\t \",7,2,stop,,\n"
            ",1,\"\",7,2,stop,,\n"
            ",2,,,,,bad,line 3: no\n");
}

TEST(RowWriter, TsvQuotesTabsAndNoCommas) {
  RowForm form = form_of("x.tsv");
  form.columns = {{"text"}, {"a,b"}};
  EXPECT_EQ(written(form, {R"({"text":"1\t2","a,b":"3,4"})"}), "text\ta,b\n\"1\t2\"\t3,4\n");
}

TEST(RowWriter, TextIsALineARow) {
  EXPECT_EQ(written(form_of("x.txt"), three_answers()), "say \"a,b\"\\r\\nc\\\\d\t \n\n\n");
  EXPECT_EQ(written(form_of("x.txt", RowTask::classify), {R"({"id":0,"label":"good"})"}), "good\n");
  expect_contains(
      message_of(ErrorKind::usage, [] { check_form(form_of("x.txt", RowTask::embed)); }),
      "texts or labels");
}

TEST(RowWriter, ARowThatChoosesAmongOthersHasItsLabelForText) {
  const std::vector<std::string> labels{"sea", "seal"};
  Choice choice;
  choice.label = 1;
  choice.probabilities = {0.25f, 0.75f};
  choice.logprobs = {-2, -1};
  const std::string line = encode_choice(reply_of("0"), choice, labels, 0);
  EXPECT_EQ(written(form_of("x.txt"), {line}), "seal\n");
  EXPECT_NE(written(form_of("x.csv"), {line}).find("\n0,seal,0,,,,\n"), std::string::npos);
}

TEST(RowWriter, OtherAnswersHaveTheirColumns) {
  const std::vector<std::string> labels{"a", "b"};
  const std::string classified = encode_classification(
      reply_of("0"), {.logits = {0, 1}, .scores = {0.25f, 0.75f}, .label = 1}, labels, 0);
  EXPECT_EQ(written(form_of("x.tsv", RowTask::classify), {classified}),
            "id\tlabel\tscore\tscores\tprompt_tokens\ttruncated\terror_code\terror_message\n"
            "0\tb\t0.75\t\"{\"\"a\"\":0.25,\"\"b\"\":0.75}\"\t0\t\t\t\n");
  const std::string vector = encode_embedding(
      reply_of("0"), {.values = {0.1f, -2e-20f}, .prompt_tokens = 3, .truncated = true});
  EXPECT_EQ(written(form_of("x.tsv", RowTask::embed), {vector}),
            "id\tembedding\tprompt_tokens\ttruncated\terror_code\terror_message\n"
            "0\t[0.1,-2e-20]\t3\ttrue\t\t\n");
}

TEST(RowWriter, OpenAiAnswersAreTakenApart) {
  RowReply reply = reply_of("0");
  reply.kind = RowReply::Kind::openai_chat;
  reply.custom_id = "\"mine\"";
  Result result;
  result.text = "hi";
  result.prompt_tokens = 5;
  result.token_ids = {1};
  const std::string chat = encode_result(reply, result);
  const std::string error = encode_error(reply, {"bad", "no"});
  const std::string chosen = encode_choice(
      reply, {.label = 1, .probabilities = {0.25, 0.75}, .logprobs = {-2, -1}, .prompt_tokens = 5},
      std::vector<std::string>{"a", "b"}, 0);
  EXPECT_EQ(written(form_of("x.txt", RowTask::choose), {chosen, error}), "b\n\n");
  reply.kind = RowReply::Kind::openai_completion;
  const std::string completion = encode_result(reply, result);
  reply.kind = RowReply::Kind::openai_embedding;
  const std::string vector = encode_embedding(reply, {.values = {0.5f}, .prompt_tokens = 2});
  EXPECT_EQ(written(form_of("x.csv"), {chat, error, completion}),
            "id,text,prompt_tokens,completion_tokens,finish_reason,error_code,error_message\n"
            "mine,hi,5,1,stop,,\nmine,,,,,bad,no\nmine,hi,5,1,stop,,\n");
  EXPECT_EQ(written(form_of("x.csv", RowTask::embed), {vector}),
            "id,embedding,prompt_tokens,truncated,error_code,error_message\nmine,[0.5],2,,,\n");
}

TEST(RowWriter, CompressedBytesAreTheSameEachTimeAndReadBack) {
  std::vector<std::string> lines;
  for (int i = 0; i < 30'000; ++i) lines.push_back(fmt::format("{{\"id\":{}}}", i * 7919 % 10007));
  const std::string plain = written(form_of("x.jsonl"), lines);
  for (const std::string name : {"x.jsonl.gz", "x.jsonl.zst"}) {
    const std::string packed = written(form_of(name), lines);
    EXPECT_LT(packed.size(), plain.size() / 3);
    EXPECT_EQ(packed, written(form_of(name), lines));
    const auto source = decompressed(bytes_in_memory(packed, name));
    std::string back, piece(100'000, '\0');
    while (const std::size_t got = source->read(piece)) back.append(piece, 0, got);
    EXPECT_EQ(back, plain);
    EXPECT_FALSE(written(form_of(name), {}).empty()) << "an empty file is no compressed one";
  }
  const std::string gzip = written(form_of("x.gz"), {"{}"});
  EXPECT_EQ(gzip.substr(4, 4), std::string(4, '\0')) << "no time";
}

TEST(OutputFormat, ByNameOrAsSaid) {
  using Rows = OutputFormat::Rows;
  const auto rows = [](const std::string& path, const std::string& wanted = "auto") {
    return output_format_of(path, wanted).rows;
  };
  EXPECT_EQ(rows("a/b.csv.gz"), Rows::csv);
  EXPECT_EQ(rows("a.csv/b"), Rows::jsonl);
  EXPECT_EQ(rows("-"), Rows::jsonl);
  EXPECT_EQ(rows("a.csv", "tsv"), Rows::tsv);
  EXPECT_EQ(rows("A.PARQUET"), Rows::parquet);
  for (const char* const name : {"a.csv.bz2", "a.jsonl.xz", "a.zip"}) {
    expect_contains(message_of(ErrorKind::usage, [&] { output_format_of(name, "auto"); }),
                    "is not written");
  }
  EXPECT_EQ(output_format_of("a", "txt.zst").extension(), ".txt.zst");
  EXPECT_EQ(output_format_of("a.csv.gz", "csv").extension(), ".csv");
  expect_contains(message_of(ErrorKind::usage, [&] { rows("a", "xml"); }), "--output-format xml");
  expect_contains(message_of(ErrorKind::usage, [&] { rows("a.parquet.gz"); }), "its own columns");
}

std::string kept(const std::optional<std::vector<std::string>>& keep, const std::string& bytes,
                 RowFormat format = RowFormat::jsonl, std::vector<std::string> header = {}) {
  RowSettings settings;
  settings.format = format;
  settings.csv_header = std::move(header);
  settings.keep_columns = keep;
  RowCodec codec(settings);
  RawRow row;
  row.bytes = bytes;
  const DecodedRow decoded = codec.decode(row);
  return decoded.reply.kept + (decoded.error ? "!" + decoded.error->code : "");
}

using Names = std::vector<std::string>;

TEST(KeepColumns, JsonValuesKeepTheirText) {
  const std::string row =
      R"({"id":1,"prompt":"p\u0041","n":1.500e3,"big":12345678901234567890, "o" : { "a":[1, 2] } ,"z":null})";
  EXPECT_EQ(
      kept(Names{}, row),
      R"("prompt":"p\u0041","n":1.500e3,"big":12345678901234567890,"o":{ "a":[1, 2] },"z":null,)");
  EXPECT_EQ(kept(Names{"o", "none", "n", "id"}, row),
            R"("o":{ "a":[1, 2] },"none":null,"n":1.500e3,)");
  EXPECT_EQ(kept(std::nullopt, row), "");
  EXPECT_EQ(kept(Names{}, "{\"prompt\":\"\",\"a\":1,\"b\":2,\"a\":\"}\\\"{\",\"c\":[\r{}]}"),
            "\"prompt\":\"\",\"a\":\"}\\\"{\",\"b\":2,\"c\":[ {}],");
  EXPECT_EQ(kept(Names{}, "{\"prompt\":\"\xe2\x80\xa8\x7f\xc2\xa0\"}"),
            "\"prompt\":\"\\u2028\\u007f\xc2\xa0\",")
      << "what some reader takes for a line end is escaped";
}

TEST(KeepColumns, NamesThatAnswersHaveAreMarked) {
  EXPECT_EQ(
      kept(Names{}, R"({"prompt":"p","text":1,"error":2,"input_text":3,"error_code":4})"),
      R"("prompt":"p","input_text":1,"input_error":2,"input_input_text":3,"input_error_code":4,)");
  EXPECT_EQ(kept_name(RowTask::embed, "text"), "text");
  EXPECT_EQ(kept_name(RowTask::classify, "label"), "input_label");
  EXPECT_EQ(kept_name(RowTask::generate, "label"), "input_label") << "a row may bring choices";
  EXPECT_EQ(kept_name(RowTask::generate, "input_ids"), "input_ids");
}

TEST(KeepColumns, OfCsvAndTextAreStrings) {
  EXPECT_EQ(kept(Names{}, "1,2.0,\"x\"\"\"", RowFormat::csv, {"id", "n", "prompt"}),
            R"("n":"2.0","prompt":"x\"",)");
  EXPECT_EQ(kept(Names{"prompt", "n"}, "1,2.0,x", RowFormat::csv, {"id", "n", "prompt"}),
            R"("prompt":"x","n":"2.0",)");
  EXPECT_EQ(kept(Names{}, "so", RowFormat::text), R"("input_text":"so",)");
}

TEST(KeepColumns, ErrorRowsHaveThemWhereTheyCouldBeRead) {
  EXPECT_EQ(kept(Names{"a"}, R"({"a":1})"), "\"a\":1,!missing_field");
  EXPECT_EQ(kept(Names{"a"}, R"({"a":1)"), "!invalid_json");
  EXPECT_EQ(kept(Names{}, R"({"custom_id":"a","body":{"prompt":"x"}})"),
            R"("custom_id":"a","body":{"prompt":"x"},!unsupported_row)");
}

TEST(KeepColumns, ATableMustKnowThem) {
  RowSettings settings;
  const std::vector<RowColumn> own{
      {"id", RowColumnType::integer}, {"n", RowColumnType::real64}, {"text"}};
  EXPECT_EQ(table_columns(settings, own)[0], (RowColumn{"id", RowColumnType::integer}));
  EXPECT_EQ(table_columns(settings, {})[0], (RowColumn{"id"}));
  settings.keep_columns = Names{};
  EXPECT_EQ(table_columns(settings, own)[0], (RowColumn{"n", RowColumnType::real64}));
  EXPECT_EQ(table_columns(settings, own)[1], (RowColumn{"input_text"}));
  expect_contains(message_of(ErrorKind::usage, [&] { table_columns(settings, {}); }), "name those");
  settings.keep_columns = Names{"m"};
  check_kept_columns(settings, {});
  expect_contains(message_of(ErrorKind::usage, [&] { check_kept_columns(settings, own); }),
                  "no column \"m\"; the input has: id, n, text");
  settings.keep_columns = Names{"n", "n"};
  expect_contains(message_of(ErrorKind::usage, [&] { check_kept_columns(settings, own); }),
                  "twice");
}

}  // namespace
}  // namespace trireme
