// From what a user types after --model to a directory or a GGUF file: a path, or a repository in
// the local Hugging Face cache (layout: models--org--name/refs/main holds a commit,
// snapshots/<commit>/ the files).
#include <algorithm>
#include <cstdlib>

#include "core/read_file.h"
#include "weights/file.h"
#include "weights/gguf_model.h"
#include "weights/tensor_source.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view name_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

fs::path home() {
  const char* home = environment("HOME");
  return home != nullptr ? home : "/nonexistent";
}

/// "~" and "~/x" as the Hugging Face libraries expand them.
fs::path expanded(std::string_view path) {
  if (path == "~") return home();
  return path.starts_with("~/") ? home() / path.substr(2) : fs::path(path);
}

/// "$NAME" and "${NAME}" as Python's expandvars has them: what is not set stays as it is.
std::string with_variables(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool braces = text.starts_with("${");
    const std::size_t begin = braces ? 2 : 1;
    const std::size_t end = std::min(text.find_first_not_of(name_characters, begin), text.size());
    const bool whole = !braces || (end < text.size() && text[end] == '}');
    const std::size_t length = text[0] != '$' || !whole ? 1 : end + (braces ? 1 : 0);
    const std::string name(length > 1 ? text.substr(begin, end - begin) : "");
    const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
    out += value != nullptr ? std::string_view(value) : text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

/// A folder as the cache's variables name it.
fs::path folder_of(const char* value) { return with_variables(expanded(value).string()); }

/// The hub cache, by the rules of huggingface_hub: the first variable that is set decides.
fs::path hub_cache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const char* value = environment(variable)) return folder_of(value);
  }
  if (const char* value = environment("HF_HOME")) return folder_of(value) / "hub";
  if (const char* value = environment("XDG_CACHE_HOME"))
    return folder_of(value) / "huggingface/hub";
  return home() / ".cache/huggingface/hub";
}

/// "org/name" or "name", of letters, digits, '-', '_' and '.', without "..".
bool is_repository_name(std::string_view model) {
  std::size_t slashes = 0;
  for (const char c : model) {
    if (c == '/') ++slashes;
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '/';
    if (!plain) return false;
  }
  return slashes <= 1 && !model.empty() && model.front() != '/' && model.back() != '/' &&
         model.front() != '.' && model.find("..") == std::string_view::npos;
}

/// Branches may contain slashes ("refs/pr/1"), but must stay inside the cache.
bool is_revision(std::string_view revision) {
  const fs::path path(revision);
  if (revision.empty() || path.is_absolute()) return false;
  for (const fs::path& part : path) {
    if (part == ".." || part == "." || part.empty()) return false;
  }
  return revision.find('\0') == std::string_view::npos;
}

fs::path repository_directory(const fs::path& cache, std::string_view model) {
  std::string name = "models--";
  for (const char c : model) name += c == '/' ? std::string("--") : std::string(1, c);
  return cache / name;
}

std::string names_in(const fs::path& directory) {
  std::string names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    names += (names.empty() ? "" : ", ") + entry.path().filename().string();
  }
  return names.empty() ? "none" : names;
}

/// The commit that refs/<revision> holds, or nothing.
std::string commit_of(const fs::path& repository, std::string_view revision) {
  const fs::path file = repository / "refs" / revision;
  std::string commit = is_folder(file) ? "" : read_file_if_there(file).value_or("");
  commit.erase(std::min(commit.find_first_of(" \t\r\n"), commit.size()));
  return is_repository_name(commit) && commit.find('/') == std::string::npos ? commit : "";
}

/// The model in a directory: the directory itself, or its GGUF file; an empty path if there is
/// none.
fs::path model_in(const fs::path& directory) {
  return there_is(directory / "config.json") ? directory : gguf_in(directory);
}

fs::path find_snapshot(const fs::path& repository, std::string_view model,
                       std::string_view revision) {
  if (!is_revision(revision)) {
    fail(ErrorKind::usage, "--revision {}: not the name of a branch or commit",
         printable(revision));
  }
  const fs::path snapshots = repository / "snapshots";
  const std::string commit = commit_of(repository, revision);
  for (const fs::path& snapshot : {snapshots / commit, snapshots / revision}) {
    if (snapshot == snapshots / "") continue;
    if (const fs::path model_there = model_in(snapshot); !model_there.empty()) return model_there;
  }
  if (!commit.empty() && is_folder(snapshots / commit)) {
    fail(ErrorKind::input,
         "{}: the download of {} is incomplete, it has no config.json; run: hf download {}",
         (snapshots / commit).string(), model, model);
  }
  fail(ErrorKind::input,
       "{}: the cache has no revision {} of {} (commits there: {}); run: hf download {} --revision "
       "{}",
       repository.string(), revision, model, names_in(snapshots), model, revision);
}

bool leads_nowhere(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(path, error) && !fs::exists(path, error);
}

/// A directory without config.json: what did the user mean?
[[noreturn]] void fail_without_config(const fs::path& directory) {
  const std::string where = directory.string();
  if (is_folder(directory / "snapshots")) {
    fail(ErrorKind::input,
         "{}: this is a repository of the Hugging Face cache, not a model directory; give one of "
         "its "
         "snapshots ({}) or --model org/name",
         where, names_in(directory / "snapshots"));
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (there_is(entry.path() / "config.json")) {
      fail(ErrorKind::input, "{}: no config.json here, but {} has one; did you mean that?", where,
           entry.path().string());
    }
  }
  fail(ErrorKind::input,
       "{}: no config.json in this directory; a model directory holds config.json, safetensors "
       "files "
       "and a tokenizer, as save_pretrained() writes them, or a GGUF file",
       where);
}

}  // namespace

fs::path find_model(std::string_view model, std::string_view revision) {
  if (model.empty()) fail(ErrorKind::usage, "--model is empty: give a directory or org/name");
  const fs::path path = expanded(model);
  if (is_folder(path)) {
    if (const fs::path model_there = model_in(path); !model_there.empty()) return model_there;
    fail_without_config(path);
  }
  if (leads_nowhere(path)) {
    fail(ErrorKind::input, "{}: this link leads to {}, which is not there", path.string(),
         fs::read_symlink(path).string());
  }
  if (there_is(path)) {
    if (is_gguf_name(path)) return path;
    const fs::path parent = path.parent_path().empty() ? "." : path.parent_path();
    fail(ErrorKind::input, "{}: this is a file; give the model's directory ({}) or a .gguf file",
         path.string(), parent.string());
  }
  const fs::path cache = hub_cache();
  if (is_repository_name(model)) {
    const fs::path repository = repository_directory(cache, model);
    if (is_folder(repository)) return find_snapshot(repository, model, revision);
    fail(ErrorKind::input,
         "{}: no such directory, and not in the Hugging Face cache either ({}); check the path, or "
         "run: hf download {}",
         model, repository.string(), model);
  }
  fail(ErrorKind::input, "{}: no such directory", printable(model));
}

}  // namespace trireme
