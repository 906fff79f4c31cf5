// What one rendering has used so far, and what everything that evaluates shares.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/limits.h"
#include "text/jinja/value.h"

namespace trireme::jinja {

/// Counts against the limits and remembers where evaluation is.
class Runtime {
 public:
  /// `now`: seconds since the epoch, UTC, for strftime_now.
  Runtime(const Limits& limits, std::int64_t now) : limits_(limits), now_(now) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Throws Fault once the rendering has done too much.
  void charge(std::size_t steps = 1);
  /// Throws Fault unless a string of so many bytes may be built; `bytes` saturate, never wrap.
  void check_size(std::size_t bytes) const;
  /// A string value, paid for.
  Value text(std::string text);

  std::int64_t now() const { return now_; }
  int line() const { return line_; }
  void at_line(int line) { line_ = line; }

  /// What may refer to itself (namespaces, scopes that macros close over) hands in how to empty it
  /// here, so that no cycle outlives the rendering.
  void empty_at_end(std::function<void()> empty) { cycles_.push_back(std::move(empty)); }

  /// One level of recursion for as long as it lives.
  class Level {
   public:
    explicit Level(Runtime& runtime);
    ~Level() { --runtime_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  Limits limits_;
  std::int64_t now_;
  std::size_t steps_ = 0;
  std::size_t level_ = 0;
  int line_ = 1;
  std::vector<std::function<void()>> cycles_;
};

/// The arguments of a call, evaluated.
class Arguments {
 public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Takes the named argument out; nothing if it was not given.
  std::optional<Value> take(std::string_view name);
};

struct Parameter {
  std::string_view name;
  std::optional<Value> otherwise = std::nullopt;  ///< required when empty
};

/// One value per parameter. Throws Fault naming `function` for missing and surplus arguments.
std::vector<Value> bind(std::string_view function, const Arguments& arguments,
                        const std::vector<Parameter>& parameters);

/// The items of any iterable. Throws Fault if it is none.
Cursor iterate(const Value& value);
bool is_iterable(const Value& value);
/// All items at once, each charged.
std::vector<Value> to_vector(Runtime& runtime, const Value& value);
/// len(). Throws Fault for what has none.
std::size_t length(const Value& value);

/// Each throws Fault, with the message of an undefined value, if `value` is of another kind.
std::int64_t want_integer(const Value& value, std::string_view what);
const std::string& want_text(const Value& value, std::string_view what);

}  // namespace trireme::jinja
