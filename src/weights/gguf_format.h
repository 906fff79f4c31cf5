// The GGUF format, versions 2 and 3, little-endian (ggml's docs/gguf.md): a header of typed
// metadata and of tensors' names, shapes, types and places, then the tensors' bytes. Pure functions
// over bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"
#include "weights/gguf_types.h"

namespace trireme {

/// No header is larger: with a vocabulary of a quarter of a million tokens it takes ten megabytes.
constexpr std::uint64_t gguf_header_limit = std::uint64_t{1} << 27;

/// A value of the metadata. Integers of all sizes are int64, floats double; an array has one kind
/// of element.
using GgufValue = std::variant<std::int64_t, double, bool, std::string, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<bool>, std::vector<std::string>>;

/// Typed access to the metadata; messages name the file and the key.
class GgufMetadata {
 public:
  explicit GgufMetadata(std::string file) : file_(std::move(file)) {}

  /// False if there is one of that name already.
  bool add(std::string key, GgufValue value);

  bool has(std::string_view key) const { return get(key) != nullptr; }
  // Nothing where the key is absent; Error(input) where its value is of another kind.
  std::optional<std::int64_t> integer(std::string_view key) const;
  /// An integer, or a list with one for each layer if these are all the same.
  std::optional<std::int64_t> integer_of_layers(std::string_view key) const;
  /// A finite float, or an integer as one.
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  const std::string* string(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  const std::vector<std::string>* strings(std::string_view key) const;

  const std::map<std::string, GgufValue, std::less<>>& all() const { return values_; }
  const std::string& file() const { return file_; }
  /// Throws Error(input): "<file>: <key> is <value>; expected <expected>".
  [[noreturn]] void reject(std::string_view key, std::string_view expected) const;

 private:
  const GgufValue* get(std::string_view key) const;
  template <typename T>
  const T* value_of(std::string_view key, std::string_view expected) const;

  std::string file_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

struct GgufTensor {
  std::string name;
  std::uint32_t type_id = 0;
  const GgufType* type = nullptr;   ///< null if Trireme does not know that type
  std::vector<std::int64_t> shape;  ///< as everywhere here, the last dimension without gaps
  std::uint64_t offset = 0;         ///< of its first byte in the file
  std::uint64_t bytes = 0;          ///< 0 for an unknown type

  std::int64_t elements() const {
    std::int64_t product = 1;
    for (const std::int64_t size : shape) product *= size;
    return product;
  }
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  ///< in order of name
};

/// Reads the header of a file of `file_size` bytes that begins with `bytes`; nothing if the header
/// goes on beyond them. Throws Error(input) naming `file` and the key or tensor unless every count
/// and size is possible in such a file, keys and tensors are unique, and the tensors lie within the
/// file, aligned, and apart from each other.
std::optional<GgufHeader> parse_gguf_header(std::string_view bytes, std::uint64_t file_size,
                                            const std::string& file);

}  // namespace trireme
