// The filters behind `|`.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"

namespace trireme::jinja {

using Filter = Value (*)(Runtime&, const Value& input, const Arguments&);

struct NamedFilter {
  std::string_view name;
  Filter run;
};

/// Null if there is no such filter.
Filter find_filter(std::string_view name);

Filter find_text_filter(std::string_view name);
Filter find_number_filter(std::string_view name);
Filter find_order_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);

template <std::size_t N>
Filter find_in(const NamedFilter (&filters)[N], std::string_view name) {
  for (const NamedFilter& filter : filters) {
    if (filter.name == name) return filter.run;
  }
  return nullptr;
}

/// Looks up what a filter's `attribute` argument names in an item: "a.b.0", an index, or nothing.
class AttributeGetter {
 public:
  explicit AttributeGetter(const Value& attribute);
  /// `otherwise` stands in for what is undefined on the way, unless none.
  Value get(Runtime& runtime, Value item, const Value& otherwise = Value()) const;

 private:
  std::vector<Value> path_;
};

}  // namespace trireme::jinja
