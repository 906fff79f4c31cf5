#include "core/choices.h"

#include <fmt/core.h>

#include <string_view>
#include <unordered_map>

namespace trireme {

std::string wrong_with_choices(const std::vector<std::string>& choices) {
  if (choices.empty()) return "there is no label to choose from";
  if (choices.size() > most_choices) {
    return fmt::format("{} labels; at most {} can be told apart at once", choices.size(),
                       most_choices);
  }
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) return fmt::format("label {} is empty", i + 1);
    const auto [first, fresh] = places.try_emplace(choices[i], i);
    if (!fresh) {
      return fmt::format("labels {} and {} are both \"{}\"; list each once", first->second + 1,
                         i + 1, choices[i]);
    }
  }
  return "";
}

}  // namespace trireme
