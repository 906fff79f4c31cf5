#include "text/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/escapes.h"
#include "text/jinja/fault.h"

namespace trireme::jinja {
namespace {

void append_repr(Runtime& runtime, const Value& value, std::string& out);

void append_items(Runtime& runtime, const std::vector<Value>& items, std::string& out) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(runtime, items[i], out);
  }
}

void append_dict(Runtime& runtime, const Dict& dict, std::string& out) {
  out.push_back('{');
  for (const auto& [key, value] : dict.entries()) {
    if (&key != &dict.entries().front().first) out += ", ";
    append_repr(runtime, key, out);
    out += ": ";
    append_repr(runtime, value, out);
  }
  out.push_back('}');
}

void append_repr(Runtime& runtime, const Value& value, std::string& out) {
  const Runtime::Level level(runtime);
  runtime.charge();
  runtime.check_size(out.size());
  if (value.is_string()) {
    out += python_quoted(value.text());
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_list()) {
    out.push_back('[');
    append_items(runtime, value.items(), out);
    out.push_back(']');
  } else if (value.is_tuple()) {
    out.push_back('(');
    append_items(runtime, value.items(), out);
    out += value.items().size() == 1 ? ",)" : ")";
  } else if (value.is_dict()) {
    append_dict(runtime, value.dict(), out);
  } else if (value.is_object()) {
    out += value.object().repr(runtime);
  } else {
    out += to_text(runtime, value);
  }
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  std::string run(const Value& value) {
    write(value, 0);
    return std::move(out_);
  }

 private:
  void write(const Value& value, std::size_t level) {
    const Runtime::Level deeper(runtime_);
    runtime_.charge();
    runtime_.check_size(out_.size());
    if (value.is_string()) {
      out_ += json_quoted(value.text(), style_.ascii_only);
    } else if (value.is_none()) {
      out_ += "null";
    } else if (value.is_number()) {
      out_ += number(value);
    } else if (value.is_dict()) {
      write_dict(value.dict(), level);
    } else if (value.is_list() || value.is_tuple()) {
      write_items(value.items(), level);
    } else {
      fault("Object of type {} is not JSON serializable", value.type_name());
    }
  }

  std::string number(const Value& value) const {
    if (value.is_bool()) return value.boolean() ? "true" : "false";
    if (value.is_integer()) return std::to_string(value.integer());
    if (std::isnan(value.real())) return "NaN";
    if (std::isinf(value.real())) return value.real() > 0 ? "Infinity" : "-Infinity";
    return format_real(value.real());
  }

  void write_items(const std::vector<Value>& items, std::size_t level) {
    out_.push_back('[');
    for (const Value& item : items) {
      separate(&item != &items.front(), level + 1);
      write(item, level + 1);
    }
    if (!items.empty()) break_line(level);
    out_.push_back(']');
  }

  void write_dict(const Dict& dict, std::size_t level) {
    std::vector<const std::pair<Value, Value>*> order;
    for (const auto& entry : dict.entries()) order.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        return compare(a->first, b->first, "<") == -1;
      });
    }
    out_.push_back('{');
    for (const auto* entry : order) {
      separate(entry != order.front(), level + 1);
      out_ += json_quoted(key(entry->first), style_.ascii_only) + style_.key_separator;
      write(entry->second, level + 1);
    }
    if (!order.empty()) break_line(level);
    out_.push_back('}');
  }

  std::string key(const Value& value) const {
    if (value.is_string()) return value.text();
    if (value.is_none()) return "null";
    if (value.is_number()) return number(value);
    fault("keys must be str, int, float, bool or None, not {}", value.type_name());
  }

  void separate(bool comma, std::size_t level) {
    if (comma) out_ += style_.item_separator;
    break_line(level);
  }

  void break_line(std::size_t level) {
    if (!style_.indent) return;
    out_.push_back('\n');
    for (std::size_t i = 0; i < level; ++i) out_ += *style_.indent;
    runtime_.charge(1 + level * style_.indent->size() / 16);
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value.text();
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.boolean() ? "True" : "False";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_real()) return format_real(value.real());
  return repr(runtime, value);
}

std::string repr(Runtime& runtime, const Value& value) {
  std::string out;
  append_repr(runtime, value, out);
  runtime.check_size(out.size());
  runtime.charge(out.size() / 16);
  return out;
}

std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end =
      std::to_chars(std::begin(buffer), std::end(buffer), value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t mark = text.find('e');
  const int exponent = std::stoi(std::string(text.substr(mark + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed =
      std::to_chars(std::begin(buffer), std::end(buffer), value, std::chars_format::fixed);
  std::string out(buffer, fixed.ptr);
  return out.find('.') == out.npos ? out + ".0" : out;
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return JsonWriter(runtime, style).run(value);
}

}  // namespace trireme::jinja
