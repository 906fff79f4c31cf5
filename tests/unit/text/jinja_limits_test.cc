// Templates that want too much: each ends soon, in an error that says so.
#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "text/jinja/template.h"

namespace trireme::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

/// The error of a template, "" if it has none; it must take less than ten seconds of CPU time.
std::string error_of(const std::string& source, const Json& context = Json::object(),
                     const Limits& limits = Limits()) {
  const std::clock_t start = std::clock();
  std::string message;
  try {
    Template(source).render(context, 0, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    message = error.what();
  }
  EXPECT_LT((std::clock() - start) / CLOCKS_PER_SEC, 10) << source.substr(0, 200);
  return message;
}

void expect_error(const std::string& source, const std::string& part,
                  const Limits& limits = Limits()) {
  const std::string message = error_of(source, Json::object(), limits);
  EXPECT_NE(message.find(part), std::string::npos) << source.substr(0, 200) << "\n" << message;
}

TEST(JinjaLimits, Time) {
  Limits limits;
  limits.steps /= 10;
  const auto expect_stop = [&](const std::string& source) {
    expect_error(source, "does too much", limits);
  };
  expect_stop("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
  expect_stop("{% for a in range(99999) %}{{ range(99999) | sum }}{% endfor %}");
  expect_stop("{% for a in range(99999) %}{{ 'x' * 1000000 == 'y' }}{% endfor %}");
  expect_stop(
      "{% set l = range(99999) | list %}{% for a in range(99999) %}{{ l == l }}{% endfor %}");
  expect_stop("{% set l = range(99999) | list %}{% for a in l %}{{ l[1:] | length }}{% endfor %}");
  expect_stop(
      "{% set s = 'ab' * 1000000 %}{% for a in range(99999) %}{{ s.count('b') }}{% endfor %}");
}

TEST(JinjaLimits, Output) {
  expect_error("{{ 'x' * 100000000 }}", "more than 67108864 bytes");
  expect_error("{{ 'x' * 9223372036854775807 }}", "more than 67108864 bytes");
  expect_error("{{ [1] * 9223372036854775807 }}", "more than");
  expect_error("{% set x = 'y' * 1000000 %}{% for a in range(100) %}{{ x }}{% endfor %}",
               "more than 67108864 bytes");
  expect_error("{{ ('a' * 100000).replace('a', 'b' * 100000) }}", "more than");
  expect_error("{{ (['a'] * 100000) | join('b' * 100000) }}", "more than");
  expect_error("{{ [1] | tojson(indent=999999999) }}", "more than");
  expect_error("{{ 'x' | center(999999999) }}", "more than");
  expect_error("{{ 'x' | indent(999999999, true) }}", "more than");
  expect_error("{{ '%999999999d' % 1 }}", "too large");
  expect_error("{{ '%.999999999f' % 1.5 }}", "too large");
  expect_error("{{ '{:999999999}'.format(1) }}", "too large");
  expect_error("{{ range(100001) | length }}", "more than 100000 items");
  expect_error("{{ range(-9223372036854775807, 9223372036854775807) }}", "more than 100000 items");
}

TEST(JinjaLimits, Recursion) {
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recurses");
  expect_error("{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}", "nests too deeply");
  expect_error("{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}", "nests too deeply");
  expect_error("{{ " + repeat("not ", 5000) + "1 }}", "nests too deeply");
  expect_error("{{ " + repeat("-", 5000) + "1 }}", "nests too deeply");
  expect_error("{{ 1" + repeat(" + 1", 5000) + " }}", "nests too deeply");
  expect_error("{{ x" + repeat(".x", 5000) + " }}", "nests too deeply");
  expect_error("{{ x" + repeat(" | list", 5000) + " }}", "nests too deeply");
  expect_error("{{ 1" + repeat(" if 1 else 1", 5000) + " }}", "nests too deeply");
  expect_error(repeat("{% if 1 %}", 5000), "nest too deeply");
  expect_error(repeat("{% set " + repeat("(", 5000) + "a", 1), "nests too deeply");
  EXPECT_EQ(error_of("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% endif %}"), "");
}

TEST(JinjaLimits, ValuesThatGrowInALoop) {
  const std::string loop = "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}";
  expect_error(loop + "{% set ns.x = [ns.x] %}{% endfor %}", "nests more than");
  expect_error(loop + "{% set ns.x = {'a': ns.x} %}{% endfor %}", "nests more than");
  expect_error(loop + "{% set ns.x = ns.x | map('string') %}{% endfor %}", "nests more than");
  expect_error(loop + "{% set ns.x = [] | map(attribute='a', default=ns.x) %}{% endfor %}",
               "nests more than");
  expect_error(loop + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}", "a value");
  expect_error(loop + "{% set ns.x = ns.x + ns.x %}{% endfor %}", "holds more than");
  expect_error(loop + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}", "more than 67108864 bytes");
}

/// What refers to itself must neither loop nor leak (the sanitizer builds check the latter), nor
/// overflow the stack when it goes.
TEST(JinjaLimits, Cycles) {
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), "");
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% for a in range(9999) %}"
                     "{% set ns.x = namespace(y=ns.x) %}{% endfor %}"),
            "");
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% for a in range(9999) %}{% set before = ns.m %}"
                     "{% macro m() %}{{ before() }}{% endmacro %}{% set ns.m = m %}{% endfor %}"),
            "");
  EXPECT_EQ(
      error_of("{% set ns = namespace() %}{% for a in range(9999) %}{% for b in [1] %}"
               "{% set c = loop.changed(ns.l) %}{% set ns.l = loop %}{% endfor %}{% endfor %}"),
      "");
}

TEST(JinjaLimits, BadSourcesAndContexts) {
  expect_error("\xff", "not valid UTF-8");
  expect_error("{{ '\xc3' }}", "not valid UTF-8");
  EXPECT_NE(error_of("{{ x }}", {{"x", 18446744073709551615U}}).find("64 bits"), std::string::npos);
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
  EXPECT_NE(error_of("{{ x }}", {{"x", deep}}).find("levels deep"), std::string::npos);
  EXPECT_NE(error_of("{{ x }}", {{"x", "\xff"}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(error_of(repeat("x", 5 << 20)).find("larger than"), std::string::npos);
}

}  // namespace
}  // namespace trireme::jinja
