#include "batch/kept_fields.h"

#include <algorithm>
#include <map>

#include "batch/columns.h"
#include "batch/json_fields.h"
#include "batch/json_text.h"
#include "batch/row_error.h"

namespace trireme {

namespace {

/// With the answer, which may quote the whole of the longest row escaped, still one message.
constexpr std::size_t most_bytes = std::size_t{12} << 20;

class Fields {
 public:
  explicit Fields(const RowSettings& settings) : settings_(settings) {}

  void raw(std::string_view name, std::string_view value) {
    key(name);
    append_raw_json(text_, value);
    text_ += ',';
  }
  void string(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(text_, value);
    text_ += ',';
  }
  std::string take() {
    if (text_.size() > most_bytes) {
      bad_row("row_too_long", "the columns to keep take {} bytes; the limit is {}", text_.size(),
              most_bytes);
    }
    return std::move(text_);
  }

 private:
  void key(std::string_view name) {
    append_json_string(text_, kept_name(settings_.task, name));
    text_ += ':';
  }

  const RowSettings& settings_;
  std::string text_;
};

}  // namespace

std::string kept_fields(const RowSettings& settings, const simdjson::dom::object& row,
                        std::string_view bytes) {
  if (!settings.keep_columns) return "";
  const std::vector<std::string_view> values = raw_values(bytes);
  std::vector<std::string_view> order;
  std::map<std::string_view, std::string_view> last;
  std::size_t index = 0;
  for (const auto [name, value] : row) {
    if (last.insert_or_assign(name, values.at(index++)).second) order.push_back(name);
  }
  Fields fields(settings);
  if (!settings.keep_columns->empty()) {
    order.assign(settings.keep_columns->begin(), settings.keep_columns->end());
  }
  for (const std::string_view name : order) {
    if (!is_kept(settings, name)) continue;
    const auto found = last.find(name);
    fields.raw(name, found == last.end() ? "null" : found->second);
  }
  return fields.take();
}

std::string kept_fields(const RowSettings& settings, const std::vector<std::string>& names,
                        const std::vector<std::string>& values) {
  if (!settings.keep_columns) return "";
  Fields fields(settings);
  const std::vector<std::string>& wanted = *settings.keep_columns;
  for (const std::string& name : wanted.empty() ? names : wanted) {
    const auto found = std::ranges::find(names, name);
    if (!is_kept(settings, name) || found == names.end()) continue;
    fields.string(name, values.at(static_cast<std::size_t>(found - names.begin())));
  }
  return fields.take();
}

}  // namespace trireme
