#include "text/jinja/template.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "text/jinja/fault.h"
#include "text/jinja/functions.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

Block parse_named(std::string_view source, const std::string& name) {
  if (source.size() > Limits().source_bytes) {
    fail(ErrorKind::input, "{}: the template is larger than {} bytes", name, Limits().source_bytes);
  }
  if (!valid_utf8(source)) fail(ErrorKind::input, "{}: the template is not valid UTF-8", name);
  try {
    return parse(source);
  } catch (const SyntaxFault& reason) {
    fail(ErrorKind::input, "{}, line {}: {}", name, reason.line, reason.message);
  }
}

}  // namespace

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)), body_(parse_named(source, name_)) {}

std::string Template::render(const nlohmann::ordered_json& variables, std::int64_t now,
                             const Limits& limits) const {
  Runtime runtime(limits, now);
  try {
    auto globals = std::make_shared<Scope>();
    for (auto& [name, value] : global_functions()) globals->set(name, std::move(value));
    for (const auto& [name, value] : variables.items()) globals->set(name, from_json(value));
    return Interpreter(runtime).render(body_, std::move(globals));
  } catch (const Fault& reason) {
    fail(ErrorKind::input, "{}, line {}: {}", name_, runtime.line(), reason.what());
  }
}

}  // namespace trireme::jinja
