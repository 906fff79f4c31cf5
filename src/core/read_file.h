// Reading the small files of a model directory whole, telling what is absent from what cannot be
// read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/error.h"

namespace trireme {

/// What to blame when a system call on a file failed: what lies there, or what this process may do.
ErrorKind kind_of_errno(int error);

/// Whether anything goes by this name; a link that leads nowhere does. Throws Error(resource) where
/// that cannot be seen for want of a permission.
bool there_is(const std::filesystem::path& path);
/// Whether a directory, perhaps behind links, goes by this name. Throws like there_is.
bool is_folder(const std::filesystem::path& path);

/// Opens a regular file for reading. Throws Error(input) if there is none or it is something else,
/// Error(resource) if it may not be read; the message names the file.
int open_regular_file(const std::filesystem::path& path);

/// All of a file's bytes. Throws like open_regular_file.
std::string read_file(const std::filesystem::path& path);
/// The same, or nothing if nothing goes by this name.
std::optional<std::string> read_file_if_there(const std::filesystem::path& path);

}  // namespace trireme
