// What the interpreter changes for as long as a block lasts, and restores whatever happens.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "text/jinja/interpreter.h"

namespace trireme::jinja {

/// Makes a new scope the current one.
class Interpreter::Inner {
 public:
  explicit Inner(Interpreter& interpreter) : Inner(interpreter, interpreter.scope_) {}
  /// Within `outer`, the scope that a macro was made in.
  Inner(Interpreter& interpreter, std::shared_ptr<Scope> outer)
      : interpreter_(interpreter),
        before_(std::exchange(interpreter.scope_, std::make_shared<Scope>(std::move(outer)))) {}
  ~Inner() { interpreter_.scope_ = std::move(before_); }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> before_;
};

/// Gathers what is printed instead of printing it.
class Interpreter::Capture {
 public:
  explicit Capture(Interpreter& interpreter)
      : interpreter_(interpreter), before_(std::exchange(interpreter.output_, std::string())) {}
  ~Capture() { interpreter_.output_ = std::move(before_); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  std::string take() { return std::exchange(interpreter_.output_, std::string()); }

 private:
  Interpreter& interpreter_;
  std::string before_;
};

}  // namespace trireme::jinja
