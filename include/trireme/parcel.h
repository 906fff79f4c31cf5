// How values travel between the processes of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "trireme/error.h"
#include "trireme/tensor.h"

namespace trireme {

using Bytes = std::vector<std::byte>;

/// Appends a string of bytes and its length.
inline void put_bytes(Bytes& out, std::span<const std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  const auto* const begin = reinterpret_cast<const std::byte*>(&size);
  out.insert(out.end(), begin, begin + sizeof(size));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Takes off what put_bytes() has appended. Throws Error(peer_lost) where it is cut short.
inline std::span<const std::byte> take_bytes(std::span<const std::byte>& in) {
  std::uint64_t size = 0;
  const bool readable = in.size() >= sizeof(size);
  if (readable) std::memcpy(&size, in.data(), sizeof(size));
  if (!readable || size > in.size() - sizeof(size)) {
    throw Error(ErrorKind::peer_lost, "a message from another process is cut short");
  }
  const auto bytes = in.subspan(sizeof(size), static_cast<std::size_t>(size));
  in = in.subspan(sizeof(size) + bytes.size());
  return bytes;
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What gather() and broadcast() need to know of a type. Specialise it for one of your own:
///   kind: in words; must be the same on all processes; "" goes with any (there is nothing in it)
///   pack: the bytes to send;  join: the whole, from the bytes of each process in order
///   first: the leading `count` of its `count_of` items
template <typename Value, typename = void>
struct Parcel;

template <typename T>
struct Parcel<std::vector<T>, std::enable_if_t<std::is_trivially_copyable_v<T>>> {
  static std::string kind(const std::vector<T>&) {
    return "a list of items of " + std::to_string(sizeof(T)) + " bytes";
  }
  static Bytes pack(const std::vector<T>& values) {
    Bytes bytes(values.size() * sizeof(T));
    std::size_t at = 0;
    for (const T value : values) std::memcpy(bytes.data() + sizeof(T) * at++, &value, sizeof(T));
    return bytes;
  }
  static std::vector<T> join(const std::vector<Bytes>& parts) {
    std::vector<T> all;
    for (const Bytes& part : parts) {
      for (std::size_t at = 0; at + sizeof(T) <= part.size(); at += sizeof(T)) {
        T value;
        std::memcpy(&value, part.data() + at, sizeof(T));
        all.push_back(value);
      }
    }
    return all;
  }
  static std::int64_t count_of(const std::vector<T>& values) {
    return static_cast<std::int64_t>(values.size());
  }
  static std::vector<T> first(const std::vector<T>& values, std::int64_t count) {
    return {values.begin(), values.begin() + count};
  }
};

template <>
struct Parcel<std::vector<std::string>> {
  using Strings = std::vector<std::string>;
  static std::string kind(const Strings&) { return "a list of strings"; }
  static Bytes pack(const Strings& values) {
    Bytes bytes;
    for (const std::string& value : values) put_bytes(bytes, std::as_bytes(std::span(value)));
    return bytes;
  }
  static Strings join(const std::vector<Bytes>& parts) {
    Strings all;
    for (std::span<const std::byte> part : parts) {
      while (!part.empty()) all.push_back(text_of(take_bytes(part)));
    }
    return all;
  }
  static std::int64_t count_of(const Strings& values) {
    return static_cast<std::int64_t>(values.size());
  }
  static Strings first(const Strings& values, std::int64_t count) {
    return {values.begin(), values.begin() + count};
  }
};

/// Tensors meet along their first dimension, which may differ; a single number is a row.
template <>
struct Parcel<HostTensor> {
  static std::string kind(const HostTensor& tensor);
  static Bytes pack(const HostTensor& tensor);
  static HostTensor join(const std::vector<Bytes>& parts);
  static std::int64_t count_of(const HostTensor& tensor) { return tensor.rows(); }
  static HostTensor first(const HostTensor& tensor, std::int64_t count) {
    return tensor.shape().empty() ? tensor : tensor.slice_rows(0, count);
  }
};

template <typename... Kinds>
struct Parcel<std::variant<Kinds...>> {
  using Variant = std::variant<Kinds...>;
  static std::string kind(const Variant& value) {
    return std::visit(
        [](const auto& held) { return Parcel<std::decay_t<decltype(held)>>::kind(held); }, value);
  }
  static Bytes pack(const Variant& value) {
    Bytes bytes = std::visit(
        [](const auto& held) { return Parcel<std::decay_t<decltype(held)>>::pack(held); }, value);
    bytes.push_back(static_cast<std::byte>(value.index()));
    return bytes;
  }
  static Variant join(const std::vector<Bytes>& parts) {
    const std::size_t index = parts.empty() || parts[0].empty()
                                  ? sizeof...(Kinds)
                                  : std::to_integer<std::size_t>(parts[0].back());
    std::vector<Bytes> held = parts;
    for (Bytes& part : held) {
      if (!part.empty()) part.pop_back();
    }
    Variant all;
    std::size_t alternative = 0;
    const bool found = ((alternative++ == index && (all = Parcel<Kinds>::join(held), true)) || ...);
    if (!found) throw Error(ErrorKind::peer_lost, "a message from another process is cut short");
    return all;
  }
  static std::int64_t count_of(const Variant& value) {
    return std::visit(
        [](const auto& held) { return Parcel<std::decay_t<decltype(held)>>::count_of(held); },
        value);
  }
  static Variant first(const Variant& value, std::int64_t count) {
    return std::visit(
        [&](const auto& held) {
          return Variant(Parcel<std::decay_t<decltype(held)>>::first(held, count));
        },
        value);
  }
};

template <typename Column>
struct Parcel<std::map<std::string, Column>> {
  using Columns = std::map<std::string, Column>;
  static std::string kind(const Columns& columns) {
    std::string text = "columns";
    for (const auto& [name, column] : columns) text += " " + name + ": " + kind_of(column) + ";";
    return text;
  }
  static Bytes pack(const Columns& columns) {
    Bytes bytes;
    for (const auto& [name, column] : columns) {
      put_bytes(bytes, std::as_bytes(std::span(name)));
      put_bytes(bytes, Parcel<Column>::pack(column));
    }
    return bytes;
  }
  static Columns join(const std::vector<Bytes>& parts) {
    std::map<std::string, std::vector<Bytes>> by_name;
    for (std::span<const std::byte> part : parts) {
      while (!part.empty()) {
        const std::string name = text_of(take_bytes(part));
        const auto column = take_bytes(part);
        by_name[name].emplace_back(column.begin(), column.end());
      }
    }
    Columns all;
    for (const auto& [name, columns] : by_name) all.emplace(name, Parcel<Column>::join(columns));
    return all;
  }
  /// Of the first column; -1 where another one has another number.
  static std::int64_t count_of(const Columns& columns) {
    std::int64_t count = 0;
    for (const auto& [name, column] : columns) {
      const std::int64_t own = Parcel<Column>::count_of(column);
      if (name == columns.begin()->first) count = own;
      if (own != count) return -1;
    }
    return count;
  }
  static Columns first(const Columns& columns, std::int64_t count) {
    Columns kept;
    for (const auto& [name, column] : columns) {
      kept.emplace(name, Parcel<Column>::first(column, count));
    }
    return kept;
  }

 private:
  static std::string kind_of(const Column& column) { return Parcel<Column>::kind(column); }
};

}  // namespace trireme
