// Any bytes as a chat template: an error or a text, never a crash, and soon.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "text/jinja/template.h"

namespace {

const nlohmann::ordered_json& variables() {
  static const auto context = nlohmann::ordered_json::parse(R"({
    "s": "Hello World", "uni": "Straße ΑΣ 🚣", "n": 7, "f": 2.5, "t": true, "nil": null,
    "l": [3, 1, 2], "d": {"b": 1, "a": "two", "c": [1, {"x": null}]},
    "messages": [{"role": "system", "content": "Be brief."},
                 {"role": "user", "content": "Hi <there>\nyou"},
                 {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}],
    "bos_token": "<s>", "eos_token": "</s>", "tools": null, "add_generation_prompt": true})");
  return context;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  trireme::jinja::Limits limits;
  limits.steps = 100'000;
  limits.output_bytes = 1U << 20;
  try {
    trireme::jinja::Template(source).render(variables(), 1753800000, limits);
  } catch (const trireme::Error&) {
    return 0;
  }
  return 0;
}
