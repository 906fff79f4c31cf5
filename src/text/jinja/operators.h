// Arithmetic, comparison and containment, with Python's rules.
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace trireme::jinja {

/// + - * / // % **. Throws Fault for kinds that do not go together, division by zero, and
/// integers beyond 64 bits.
Value arithmetic(Runtime& runtime, Operator operation, const Value& left, const Value& right);
Value negative(const Value& value);
Value positive(const Value& value);
/// ==, <, in and their relatives.
bool compares(Runtime& runtime, Operator operation, const Value& left, const Value& right);
/// ==, paid for by size.
bool charged_equal(Runtime& runtime, const Value& left, const Value& right);
/// Python's `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);
/// int ** int for a non-negative exponent. Throws Fault when it overflows.
std::int64_t integer_power(std::int64_t base, std::int64_t exponent);

}  // namespace trireme::jinja
