#include "text/jinja/functions.h"

#include <algorithm>
#include <ctime>
#include <memory>

#include "text/jinja/fault.h"
#include "text/jinja/objects.h"
#include "text/jinja/print.h"

namespace trireme::jinja {
namespace {

Value range(Runtime&, Arguments& given) {
  const auto& numbers = given.positional;
  if (!given.named.empty() || numbers.empty() || numbers.size() > 3) {
    fault("range() takes one to three numbers");
  }
  const auto number = [&](std::size_t i) { return want_integer(numbers[i], "range()'s argument"); };
  const bool only_stop = numbers.size() == 1;
  return Value(std::make_shared<Range>(only_stop ? 0 : number(0), number(only_stop ? 0 : 1),
                                       numbers.size() == 3 ? number(2) : 1));
}

void add_pairs(Runtime& runtime, const Value& source, Dict& dict) {
  if (source.is_undefined()) fault("{}", source.why_undefined());
  if (source.is_dict()) {
    for (const auto& [key, value] : source.dict().entries()) dict.set(key, value);
    return runtime.charge(source.dict().size());
  }
  for (const Value& pair : to_vector(runtime, source)) {
    const auto parts = to_vector(runtime, pair);
    if (parts.size() != 2) fault("a dict is made of pairs, not of {} items", parts.size());
    runtime.charge(parts[0].weight() / 8);
    dict.set(parts[0], parts[1]);
  }
}

/// dict(*args, **kwargs), for dict() and namespace().
Dict make_dict(Runtime& runtime, const Arguments& given) {
  if (given.positional.size() > 1) fault("dict() takes at most one positional argument");
  Dict dict;
  if (!given.positional.empty()) add_pairs(runtime, given.positional[0], dict);
  for (const auto& [name, value] : given.named) dict.set(Value(name), value);
  return dict;
}

Value dict(Runtime& runtime, Arguments& given) { return Value::dict(make_dict(runtime, given)); }

Value name_space(Runtime& runtime, Arguments& given) {
  auto object = std::make_shared<Namespace>(make_dict(runtime, given));
  runtime.charge(8);
  runtime.empty_at_end([object] { object->clear(); });
  return Value(std::shared_ptr<Object>(object));
}

Value raise_exception(Runtime& runtime, Arguments& given) {
  throw Fault(to_text(runtime, bind("raise_exception", given, {{"message"}})[0]));
}

Value strftime_now(Runtime& runtime, Arguments& given) {
  const auto values = bind("strftime_now", given, {{"format"}});
  return runtime.text(format_time(runtime.now(), want_text(values[0], "a time format")));
}

}  // namespace

std::string format_time(std::int64_t seconds, const std::string& format) {
  std::tm parts{};
  const auto time = static_cast<std::time_t>(seconds);
  if (gmtime_r(&time, &parts) == nullptr) fault("the time {} has no calendar date", seconds);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out.push_back(format[i]);
      continue;
    }
    std::string directive = "%";
    while (++i < format.size() && std::string_view("-_0^#").find(format[i]) != format.npos) {
      directive.push_back(format[i]);
    }
    const char letter = i < format.size() ? format[i] : '\0';
    if (letter == 'f') {
      out += "000000";                            // the run's time is whole seconds
    } else if (letter != 'z' && letter != 'Z') {  // a time without a zone has neither
      if (letter != '\0') directive.push_back(letter);
      constexpr std::string_view known = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%";
      if (known.find(letter) == std::string_view::npos) {
        out += directive;  // as the C library does
        continue;
      }
      char buffer[128];
      out.append(buffer, std::strftime(buffer, sizeof buffer, directive.c_str(), &parts));
    }
  }
  return out;
}

std::vector<std::pair<std::string, Value>> global_functions() {
  return {{"range", function("<class 'range'>", range)},
          {"dict", function("<class 'dict'>", dict)},
          {"namespace", function("<class 'jinja2.utils.Namespace'>", name_space)},
          {"raise_exception", function("<function raise_exception>", raise_exception)},
          {"strftime_now", function("<function strftime_now>", strftime_now)}};
}

}  // namespace trireme::jinja
