#include "batch/input_files.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "batch/row_source.h"
#include "core/error.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

InputFile file_of(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  if (error || !fs::is_regular_file(path, error)) return {path.string(), {}};
  return {path.string(), bytes};
}

/// In the order of their bytes.
std::vector<InputFile> files_of(std::vector<std::string> paths) {
  std::ranges::sort(paths);
  std::vector<InputFile> files;
  for (const std::string& path : paths) files.push_back(file_of(path));
  return files;
}

/// An empty file has neither rows nor a header: a shell writes out the _SUCCESS of a folder, too.
void drop_empty(std::vector<InputFile>& files) {
  const auto is_empty = [](const InputFile& file) { return file.bytes == 0u; };
  if (!std::ranges::all_of(files, is_empty)) std::erase_if(files, is_empty);
}

bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name.starts_with('_');
}

std::vector<InputFile> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const fs::path& path = entry.path();
    std::error_code ignored;
    if (is_hidden(path) || !is_row_extension(row_extension(path.string())) ||
        fs::is_directory(path, ignored)) {
      continue;
    }
    paths.push_back(path.string());
  }
  if (error) fail(ErrorKind::input, "{}: cannot list the folder: {}", folder, error.message());
  if (paths.empty()) {
    fail(ErrorKind::input,
         "{}: no file of rows in this folder (.jsonl, .csv, .tsv, .txt or .parquet, compressed or "
         "not; names with '.' or '_' in front, and folders within, do not count)",
         folder);
  }
  return files_of(std::move(paths));
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (result == GLOB_NOSPACE) fail(ErrorKind::resource, "{}: not enough memory", pattern);
  if (paths.empty()) fail(ErrorKind::input, "{}: no file is called like this", pattern);
  return paths;
}

std::vector<InputFile> files_like(const std::string& pattern) {
  std::vector<std::string> plain;
  std::vector<InputFile> files;
  std::error_code ignored;
  for (const std::string& path : matches(pattern)) {
    if (fs::is_directory(path, ignored)) {
      for (const InputFile& file : files_in(path)) plain.push_back(file.path);
    } else if (!is_hidden(path)) {
      plain.push_back(path);
    }
  }
  if (plain.empty()) fail(ErrorKind::input, "{}: no file of rows is called like this", pattern);
  return files_of(std::move(plain));
}

bool is_pattern(const std::string& text) { return text.find_first_of("*?[") != text.npos; }

std::vector<InputFile> resolve(const std::string& input) {
  std::error_code ignored;
  if (input == "-") return {{input, {}}};
  const auto kind = fs::status(input, ignored).type();
  if (kind == fs::file_type::directory) return files_in(input);
  // A file may be called like a pattern.
  if (kind == fs::file_type::not_found && is_pattern(input)) return files_like(input);
  return {file_of(input)};  // whoever opens it says what is wrong with it
}

}  // namespace

std::vector<InputFile> resolve_inputs(const std::vector<std::string>& inputs) {
  std::vector<InputFile> files;
  for (const std::string& input : inputs) {
    std::vector<InputFile> more = resolve(input);
    std::ranges::move(more, std::back_inserter(files));
  }
  if (std::ranges::count(files, "-", &InputFile::path) > 1) {
    fail(ErrorKind::usage, "-i -: standard input can be read only once");
  }
  drop_empty(files);
  return files;
}

}  // namespace trireme
