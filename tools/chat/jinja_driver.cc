// Renders templates from standard input, a JSON object a line ({"template", "context", "now"}),
// and prints {"output"} or {"error"} for each: what compare.py holds against jinja2.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "text/jinja/template.h"

int main() {
  using Json = nlohmann::ordered_json;
  for (std::string line; std::getline(std::cin, line);) {
    const Json request = Json::parse(line);
    Json answer;
    try {
      const trireme::jinja::Template parsed(request.at("template").get<std::string>());
      answer["output"] = parsed.render(request.at("context"), request.value("now", 0));
    } catch (const trireme::Error& error) {
      answer["error"] = error.what();
    }
    std::cout << answer.dump() << std::endl;
  }
}
