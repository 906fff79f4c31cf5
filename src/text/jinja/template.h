// A chat template: Jinja2's language as transformers' apply_chat_template evaluates it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/limits.h"

namespace trireme::jinja {

/// A parsed template; rendering is const, and several threads may do it at a time.
class Template {
 public:
  /// Throws Error(input) that begins with `name` and the line.
  explicit Template(std::string_view source, std::string name = "template");

  /// `variables`: an object, the template's global names. `now`: seconds since the epoch, UTC, for
  /// strftime_now. Throws Error(input) with the line for every error that the template raises or
  /// runs into, and when it exceeds the limits.
  std::string render(const nlohmann::ordered_json& variables, std::int64_t now = 0,
                     const Limits& limits = Limits()) const;

 private:
  std::string name_;
  Block body_;
};

}  // namespace trireme::jinja
