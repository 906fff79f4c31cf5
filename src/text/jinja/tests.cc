#include "text/jinja/tests.h"

#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace trireme::jinja {
namespace {

using Given = const Arguments&;

template <bool (Value::*Holds)() const>
bool of_kind(Runtime&, const Value& value, Given given) {
  bind("the test", given, {});
  return (value.*Holds)();
}

template <Operator operation>
bool compared(Runtime& runtime, const Value& value, Given given) {
  return compares(runtime, operation, value, bind("the test", given, {{"other"}})[0]);
}

bool has_remainder(Runtime& runtime, const Value& value, const Value& divisor,
                   std::int64_t remainder) {
  return equal(arithmetic(runtime, Operator::modulo, value, divisor), Value(remainder));
}

bool is_defined(Runtime&, const Value& value, Given given) {
  bind("defined", given, {});
  return !value.is_undefined();
}

bool is_odd(Runtime& runtime, const Value& value, Given given) {
  bind("odd", given, {});
  return has_remainder(runtime, value, Value(2), 1);
}

bool is_even(Runtime& runtime, const Value& value, Given given) {
  bind("even", given, {});
  return has_remainder(runtime, value, Value(2), 0);
}

bool is_divisible(Runtime& runtime, const Value& value, Given given) {
  return has_remainder(runtime, value, bind("divisibleby", given, {{"num"}})[0], 0);
}

template <bool wanted>
bool is_exactly(Runtime&, const Value& value, Given given) {
  bind("the test", given, {});
  return value.is_bool() && value.boolean() == wanted;
}

bool is_sequence(Runtime&, const Value& value, Given given) {
  bind("sequence", given, {});
  if (value.is_object()) return value.object().is_sequence();
  return !value.is_none() && !value.is_number();
}

bool is_iterable_value(Runtime&, const Value& value, Given given) {
  bind("iterable", given, {});
  return is_iterable(value);
}

bool is_callable(Runtime&, const Value& value, Given given) {
  bind("callable", given, {});
  return value.is_undefined() || (value.is_object() && value.object().is_callable());
}

bool is_same(Runtime&, const Value& value, Given given) {
  return value.same_as(bind("sameas", given, {{"other"}})[0]);
}

template <bool (*Holds)(std::string_view)>
bool cased(Runtime& runtime, const Value& value, Given given) {
  bind("the test", given, {});
  return Holds(to_text(runtime, value));
}

bool names_filter(Runtime&, const Value& value, Given given) {
  bind("filter", given, {});
  return value.is_string() && find_filter(value.text()) != nullptr;
}

bool names_test(Runtime&, const Value& value, Given given) {
  bind("test", given, {});
  return value.is_string() && find_test(value.text()) != nullptr;
}

bool is_escaped(Runtime&, const Value&, Given given) {
  bind("escaped", given, {});
  return false;
}

struct NamedTest {
  std::string_view name;
  Test run;
};

constexpr NamedTest tests[] = {
    {"!=", compared<Operator::unequal>},
    {"<", compared<Operator::less>},
    {"<=", compared<Operator::less_equal>},
    {"==", compared<Operator::equal>},
    {">", compared<Operator::greater>},
    {">=", compared<Operator::greater_equal>},
    {"boolean", of_kind<&Value::is_bool>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", compared<Operator::equal>},
    {"equalto", compared<Operator::equal>},
    {"escaped", is_escaped},
    {"even", is_even},
    {"false", is_exactly<false>},
    {"filter", names_filter},
    {"float", of_kind<&Value::is_real>},
    {"ge", compared<Operator::greater_equal>},
    {"greaterthan", compared<Operator::greater>},
    {"gt", compared<Operator::greater>},
    {"in", compared<Operator::in>},
    {"integer", of_kind<&Value::is_integer>},
    {"iterable", is_iterable_value},
    {"le", compared<Operator::less_equal>},
    {"lessthan", compared<Operator::less>},
    {"lower", cased<is_lower>},
    {"lt", compared<Operator::less>},
    {"mapping", of_kind<&Value::is_dict>},
    {"ne", compared<Operator::unequal>},
    {"none", of_kind<&Value::is_none>},
    {"number", of_kind<&Value::is_number>},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", of_kind<&Value::is_string>},
    {"test", names_test},
    {"true", is_exactly<true>},
    {"undefined", of_kind<&Value::is_undefined>},
    {"upper", cased<is_upper>},
};

}  // namespace

Test find_test(std::string_view name) {
  const auto* found = std::find_if(std::begin(tests), std::end(tests),
                                   [&](const NamedTest& test) { return test.name == name; });
  return found == std::end(tests) ? nullptr : found->run;
}

}  // namespace trireme::jinja
