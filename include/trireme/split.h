// Which part of the inputs each process takes: contiguous parts, the first ones longer by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "trireme/error.h"
#include "trireme/tensor.h"

namespace trireme {

/// What one process has of `total` items: [begin, end), then `padding` repeats of the last of all.
struct SplitRange {
  std::int64_t total = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t padding = 0;

  /// With the padding.
  std::int64_t size() const { return end - begin + padding; }
  bool operator==(const SplitRange&) const = default;
};

/// The first `total` mod `processes` get one more than the rest. With `apply_padding` all get as
/// many as the first; where there are no items there is nothing to repeat.
SplitRange split_range(std::int64_t total, int process, int processes, bool apply_padding = false);

/// How inputs of one kind are split. Specialise it for a container of your own.
template <typename Inputs>
struct SplitTraits;

template <typename T>
struct SplitTraits<std::vector<T>> {
  static std::int64_t length(const std::vector<T>& inputs) {
    return static_cast<std::int64_t>(inputs.size());
  }
  static std::vector<T> take(const std::vector<T>& inputs, const SplitRange& range) {
    std::vector<T> taken(inputs.begin() + range.begin, inputs.begin() + range.end);
    if (range.padding > 0) {
      taken.insert(taken.end(), static_cast<std::size_t>(range.padding), inputs.back());
    }
    return taken;
  }
};

/// By rows.
template <>
struct SplitTraits<HostTensor> {
  static std::int64_t length(const HostTensor& inputs);
  static HostTensor take(const HostTensor& inputs, const SplitRange& range) {
    return inputs.slice_rows(range.begin, range.end, range.padding);
  }
};

template <typename... Kinds>
struct SplitTraits<std::variant<Kinds...>> {
  static std::int64_t length(const std::variant<Kinds...>& inputs) {
    return std::visit(
        [](const auto& kind) { return SplitTraits<std::decay_t<decltype(kind)>>::length(kind); },
        inputs);
  }
  static std::variant<Kinds...> take(const std::variant<Kinds...>& inputs,
                                     const SplitRange& range) {
    return std::visit(
        [&](const auto& kind) {
          return std::variant<Kinds...>(
              SplitTraits<std::decay_t<decltype(kind)>>::take(kind, range));
        },
        inputs);
  }
};

/// Columns by name, all of one length.
template <typename Column>
struct SplitTraits<std::map<std::string, Column>> {
  using Columns = std::map<std::string, Column>;
  static std::int64_t length(const Columns& inputs) {
    std::int64_t first = 0;
    for (const auto& [name, column] : inputs) {
      const std::int64_t rows = SplitTraits<Column>::length(column);
      if (name == inputs.begin()->first) first = rows;
      if (rows == first) continue;
      throw Error(ErrorKind::usage, "split_between_processes: column '" + inputs.begin()->first +
                                        "' has " + std::to_string(first) + " items and column '" +
                                        name + "' has " + std::to_string(rows) +
                                        "; give all columns the same number");
    }
    return first;
  }
  static Columns take(const Columns& inputs, const SplitRange& range) {
    Columns taken;
    for (const auto& [name, column] : inputs) {
      taken.emplace(name, SplitTraits<Column>::take(column, range));
    }
    return taken;
  }
};

/// Columns of several kinds in one map.
using Column = std::variant<std::vector<std::string>, HostTensor>;
using Columns = std::map<std::string, Column>;

/// What this process has of some inputs, and which items these are: what gather() needs to put the
/// results together.
template <typename Inputs>
struct Split {
  Inputs items;
  SplitRange range;

  std::int64_t size() const { return range.size(); }
  auto begin() const { return items.begin(); }
  auto end() const { return items.end(); }
  decltype(auto) operator[](std::size_t index) const { return items[index]; }
  /// Passes wherever the inputs would.
  operator const Inputs&() const { return items; }
};

}  // namespace trireme
