// Small templates, each on one point of the language, against what jinja2 made of them.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "text/jinja/template.h"

namespace trireme::jinja {
namespace {

using Json = nlohmann::ordered_json;

Json golden() {
  std::ifstream file(TRIREME_SOURCE_DIR "/tests/data/chat/expressions.json");
  return Json::parse(file);
}

/// {"output"} or {"error"}.
Json rendered(const std::string& source, const Json& context, std::int64_t now) {
  try {
    return {{"output", Template(source).render(context, now)}};
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return {{"error", error.what()}};
  }
}

TEST(JinjaGolden, SmallTemplatesPrintWhatJinja2Prints) {
  const Json data = golden();
  ASSERT_GT(data.at("cases").size(), 900U);
  for (const Json& expected : data.at("cases")) {
    const std::string source = expected.at("template");
    const Json actual = rendered(source, data.at("context"), data.at("now"));
    if (expected.contains("output")) {
      EXPECT_EQ(actual.value("output", actual.dump()), expected.at("output")) << source;
    } else {
      EXPECT_TRUE(actual.contains("error")) << source << "\n" << actual;
    }
  }
}

TEST(JinjaGolden, WhatATemplateRaisesComesThroughWithItsLine) {
  const Json actual = rendered("a\n{% if t %}\n{{ raise_exception('no ' ~ s) }}{% endif %}",
                               {{"t", true}, {"s", "tools"}}, 0);
  EXPECT_EQ(actual.at("error"), "template, line 3: no tools");
}

TEST(JinjaGolden, ErrorsNameTheLine) {
  EXPECT_EQ(rendered("a\n\n{{ 1 + }}", Json::object(), 0).at("error"),
            "template, line 3: unexpected '}}'");
  EXPECT_EQ(rendered("a\n{{ x }}\n{{ x.y }}", Json::object(), 0).at("error"),
            "template, line 3: 'x' is undefined");
  EXPECT_EQ(rendered("{% for x in y %}\n\n", Json::object(), 0).at("error"),
            "template, line 2: the template ends where 'endfor' is missing");
  EXPECT_EQ(rendered("\n{{ x | shout }}", Json::object(), 0).at("error"),
            "template, line 2: No filter named 'shout'");
}

TEST(JinjaGolden, ATemplateRendersTheSameTwice) {
  const Template parsed(
      "{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}"
      "{% endfor %}{{ ns.n }}");
  const Json context = {{"l", {1, 2, 3}}};
  EXPECT_EQ(parsed.render(context), "6");
  EXPECT_EQ(parsed.render(context), "6");
}

}  // namespace
}  // namespace trireme::jinja
