// Labels from the command line, from files and from rows.
#include "batch/choices.h"

#include "batch/row_codec.h"
#include "core/error.h"
#include "support/scratch.h"

namespace trireme {
namespace {

using Labels = std::vector<std::string>;

RowSettings taken(const std::string& text) {
  RowSettings rows;
  take_choices(text, rows);
  EXPECT_EQ(rows.task, RowTask::choose);
  return rows;
}

std::string refusal(const std::string& text) {
  RowSettings rows;
  try {
    take_choices(text, rows);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(TakeChoices, BetweenCommas) {
  EXPECT_EQ(taken("a,b").choices, (Labels{"a", "b"}));
  EXPECT_EQ(taken(" very good , bad").choices, (Labels{"very good", "bad"}));
}

TEST(TakeChoices, OfAFile) {
  const Scratch folder;
  const std::string path = folder.file("labels");
  folder.write("labels",
               "\xef\xbb\xbf"
               "one\r\n\n  \n two, three\nlast");
  EXPECT_EQ(taken(path).choices, (Labels{"one", " two, three", "last"}));
  folder.write("labels", R"( ["a", "b,c"] )");
  EXPECT_EQ(taken(path).choices, (Labels{"a", "b,c"}));
  folder.write("labels", "[A]\n[B]\n");
  EXPECT_EQ(taken(path).choices, (Labels{"[A]", "[B]"})) << "no JSON: lines";
  folder.write("labels", "only\n");
  EXPECT_EQ(taken(path).choices, (Labels{"only"}));
  folder.write("labels.json", "{\"a\": 1}");
  EXPECT_TRUE(says(refusal(folder.file("labels.json")), "expected a JSON list of strings"));
  folder.write("labels", "a\xff\nb");
  EXPECT_TRUE(says(refusal(path), "not valid UTF-8"));
  folder.write("labels", "\n\n");
  EXPECT_TRUE(says(refusal(path), "no label to choose from"));
}

TEST(TakeChoices, OfAColumn) {
  const RowSettings rows = taken("{labels}");
  EXPECT_EQ(rows.choices_column, "labels");
  EXPECT_TRUE(rows.choices.empty());
}

TEST(TakeChoices, RefusesWhatIsNoChoice) {
  EXPECT_TRUE(says(refusal("a,b,a"), "labels 1 and 3 are both \"a\""));
  EXPECT_TRUE(says(refusal("a,,b"), "label 2 is empty"));
  EXPECT_TRUE(says(refusal(""), "label 1 is empty"));
  EXPECT_TRUE(says(refusal("labels.txt"), "there is no such file"));
}

DecodedRow decode(const std::string& bytes, RowSettings settings = {}) {
  return RowCodec(std::move(settings)).decode({3, 4, bytes});
}

TEST(RowChoices, OfJsonGoBeforeTheJobs) {
  const RowSettings rows = taken("yes,no");
  EXPECT_EQ(decode(R"({"prompt":"p"})", rows).request.choices, (Labels{"yes", "no"}));
  EXPECT_EQ(decode(R"({"prompt":"p","choices":["a","b"]})", rows).request.choices,
            (Labels{"a", "b"}));
  EXPECT_EQ(decode(R"({"prompt":"p","choices":"a, b"})", rows).request.choices, (Labels{"a", "b"}));
  EXPECT_EQ(decode(R"({"prompt":"p","choices":null})", rows).request.choices,
            (Labels{"yes", "no"}));
  EXPECT_EQ(decode(R"({"prompt":"p","choices":["a","b"]})").request.choices, (Labels{"a", "b"}))
      << "without --choices, too";
}

TEST(RowChoices, ThatAreWrongAreTold) {
  for (const char* row : {R"({"prompt":"p","choices":[]})", R"({"prompt":"p","choices":["a","a"]})",
                          R"({"prompt":"p","choices":[1]})", R"({"prompt":"p","choices":{"a":1}})",
                          R"({"prompt":"p","choices":["a",""]})"}) {
    const DecodedRow decoded = decode(row);
    ASSERT_TRUE(decoded.error) << row;
    EXPECT_EQ(decoded.error->code, "invalid_choices");
    EXPECT_TRUE(says(decoded.error->message, "line 4: field \"choices\""))
        << decoded.error->message;
  }
}

TEST(RowChoices, BehindATemplateAreWhatItsColumnHolds) {
  RowSettings rows = taken("yes,no");
  rows.prompt_template = "{q}";
  EXPECT_EQ(decode(R"({"q":"p","choices":["a","b"]})", rows).request.choices, (Labels{"yes", "no"}))
      << "a column like others";
  rows = taken("{options}");
  rows.prompt_template = "{q}";
  EXPECT_EQ(decode(R"({"q":"p","options":["a","b"]})", rows).request.choices, (Labels{"a", "b"}));
  EXPECT_EQ(decode(R"({"q":"p"})", rows).error->code, "missing_column");
}

TEST(RowChoices, OfCsv) {
  RowSettings rows = taken("{options}");
  rows.format = RowFormat::csv;
  rows.csv_header = {"prompt", "options"};
  EXPECT_EQ(decode("p,\"a, b\"", rows).request.choices, (Labels{"a", "b"}));
  EXPECT_EQ(decode(R"(p,"[""a,b"", ""c""]")", rows).request.choices, (Labels{"a,b", "c"}));
  EXPECT_EQ(decode("p,", rows).error->code, "missing_column");
  rows.choices_column = "other";
  EXPECT_THROW(decode("p,a", rows), Error);
}

TEST(RowChoices, OfTextRowsHaveNoColumn) {
  RowSettings rows = taken("{options}");
  rows.format = RowFormat::text;
  EXPECT_THROW(decode("p", rows), Error);
}

TEST(RowChoices, OfOpenAiRows) {
  const std::string row =
      R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m",)"
      R"("messages":[{"role":"user","content":"x"}],"max_tokens":3}})";
  const DecodedRow decoded = decode(row, taken("yes,no"));
  ASSERT_FALSE(decoded.error);
  EXPECT_EQ(decoded.request.choices, (Labels{"yes", "no"}));
  std::string own = row;
  own.insert(own.find("\"max_tokens\""), R"("choices":["a","b"],)");
  EXPECT_EQ(decode(own, taken("yes,no")).request.choices, (Labels{"a", "b"}));
  Choice choice;
  choice.label = 1;
  choice.probabilities = {0.25f, 0.75f};
  choice.logprobs = {-2, -1};
  const Labels labels{"yes", "no"};
  EXPECT_TRUE(says(encode_choice(decoded.reply, choice, labels, 0),
                   R"("message":{"role":"assistant","content":"no"})"));
}

TEST(EncodeChoice, WritesTheLikeliest) {
  RowReply reply;
  reply.id = "7";
  Choice choice;
  choice.label = 2;
  choice.probabilities = {0.125f, 0.25f, 0.625f};
  choice.logprobs = {-3, -2, -1};
  choice.prompt_tokens = 4;
  const Labels labels{"a", "b\"", "c"};
  EXPECT_EQ(encode_choice(reply, choice, labels, 0),
            R"({"id":7,"label":"c","probability":0.625,"probabilities":{"a":0.125,"b\"":0.25,)"
            R"("c":0.625},"prompt_tokens":4})");
  EXPECT_EQ(encode_choice(reply, choice, labels, 2),
            R"({"id":7,"label":"c","probability":0.625,"probabilities":{"b\"":0.25,"c":0.625},)"
            R"("prompt_tokens":4})");
  choice.error = {"invalid_choices", "no"};
  EXPECT_EQ(encode_choice(reply, choice, labels, 0),
            R"({"id":7,"error":{"code":"invalid_choices","message":"no"}})");
}

}  // namespace
}  // namespace trireme
