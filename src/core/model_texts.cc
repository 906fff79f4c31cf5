#include "core/model_texts.h"

#include <algorithm>

#include "core/read_file.h"

namespace trireme {

namespace fs = std::filesystem;

std::string ModelTexts::require(std::string_view name) const {
  std::optional<std::string> text = read(name);
  if (!text) fail(ErrorKind::input, "{}: cannot open: there is no such file", where(name));
  return *std::move(text);
}

std::optional<std::string> DirectoryTexts::read(std::string_view name) const {
  return read_file_if_there(directory_ / name);
}

std::vector<std::string> DirectoryTexts::names_in(std::string_view folder) const {
  std::vector<std::string> names;
  if (!is_folder(directory_ / folder)) return names;
  for (const auto& entry : fs::directory_iterator(directory_ / folder)) {
    names.push_back((fs::path(folder) / entry.path().filename()).string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace trireme
