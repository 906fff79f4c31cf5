"""Random small templates over the context of expressions.py, most of them well formed."""

import random
import re

# Where Python prints an address, a class or a value within itself, there is
# nothing to compare; nor where repr() shows that |e and |safe make a class of their own.
ADDRESS = re.compile(r" .t 0x[0-9a-f]+|<class |<built-in|<bound method|<function|\.\.\.\}|\[\.\.\.|Markup\(", re.I)

_NAMES = ["s", "empty", "uni", "spaced", "lines", "n", "neg", "zero", "f", "t", "no", "nil", "l",
          "mixed", "nested", "d", "numbers", "users", "messages", "missing", "x", "y", "ns"]
_CONSTANTS = ["0", "1", "2", "-1", "3.5", "10", "true", "false", "none", "''", "'a'", "'b'", "' '",
              "'Hello'", "'role'", "'é'", "'\\n'", "[]", "{}", "()", "[1, 2]", "['a', 'b']",
              "{'a': 1}", "(1, 'x')"]
_BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in",
           "not in"]
_FILTERS = ["abs", "capitalize", "count", "default", "d('z')", "default('q', true)", "dictsort",
            "first", "float", "int", "int(5)", "items", "join", "join(', ')", "last", "length",
            "list", "lower", "map('string')", "map('upper')", "map(attribute='name')", "max", "min",
            "reject", "rejectattr('age')", "replace('a', 'b')", "reverse", "round", "round(1)",
            "select", "select('string')", "select('defined')", "selectattr('role')",
            "selectattr('role', 'eq', 'user')", "sort", "sort(reverse=true)", "string", "sum",
            "title", "tojson", "tojson(indent=2)", "trim", "unique", "upper", "indent(2)",
            "indent(1, true)", "batch(2)", "e", "safe", "center(9)", "truncate(6)", "wordcount",
            "format(1)", "attr('name')", "slice(2)"]
_TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true",
          "false", "mapping", "sequence", "iterable", "callable", "odd", "even", "lower", "upper",
          "eq 1", "gt 1", "lt(2)", "in [1, 'a']", "divisibleby 2", "sameas none", "ne 'a'"]
_METHODS = ["upper()", "lower()", "strip()", "lstrip()", "rstrip('d')", "title()", "split()",
            "split('l')", "split('o', 1)", "rsplit(none, 1)", "startswith('H')", "endswith('d')",
            "replace('l', 'L', 1)", "find('o')", "count('l')", "index('e')", "splitlines()",
            "items()", "keys()", "values()", "get('a')", "get('zz', 1)", "capitalize()", "isdigit()",
            "partition(' ')", "join(['x', 'y'])", "zfill(4)", "append(1)", "name", "role", "a", "b",
            "0", "content", "age", "address.city"]
_SLICES = ["[0]", "[-1]", "[1:]", "[:2]", "[::-1]", "[1:3]", "['a']", "['role']", "[-2:]", "[::2]",
           "[n]", "[3::-1]", "[nil:2]"]
_SPACE = ["", "", " ", "\n", "  ", "\n\n", "\t", " \n ", "x", "a b\n", "\u00a0"]


class _Writer:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, options):
        return self.random.choice(options)

    def expression(self, depth):
        kind = self.random.random()
        if depth <= 0 or kind < 0.15:
            return self.pick(_NAMES if self.random.random() < 0.6 else _CONSTANTS)
        inner = lambda: self.expression(depth - 1)
        if kind < 0.35:
            left, right = inner(), inner()
            text = f"{left} {self.pick(_BINARY)} {right}"
            return f"({text})" if self.random.random() < 0.6 else text
        if kind < 0.55:
            return f"{self.atom(depth)} | {self.pick(_FILTERS)}"
        if kind < 0.65:
            return f"{self.atom(depth)} is {self.pick(['', 'not '])}{self.pick(_TESTS)}"
        if kind < 0.78:
            return f"{self.atom(depth)}.{self.pick(_METHODS)}"
        if kind < 0.88:
            # Jinja2 folds the slice of a constant into "undefined" where Python raises: names only.
            base = self.atom(depth)
            return f"{base if base in _NAMES else self.pick(_NAMES)}{self.pick(_SLICES)}"
        if kind < 0.91:
            return f"{inner()} if {inner()} else {inner()}"
        if kind < 0.93:
            return f"{self.pick(['not', '-', '+'])} {self.atom(depth)}"
        if kind < 0.96:
            return f"[{inner()}, {inner()}]"
        if kind < 0.98:
            return f"{{'k': {inner()}, {self.atom(0)}: {inner()}}}"
        return f"range({self.pick(['3', '1, 4', '5, 0, -2', 'n'])})"

    def atom(self, depth):
        text = self.expression(depth - 1)
        return text if re.fullmatch(r"\w+", text) else f"({text})"

    def tag(self, body):
        return ("{%" + self.pick(["", "", "", "-", "+"]) + " " + body + " "
                + self.pick(["", "", "", "-"]) + "%}")

    def block(self, depth):
        kind = self.random.random()
        if depth <= 0 or kind < 0.4:
            return ("{{" + self.pick(["", "", "-"]) + " " + self.expression(self.pick([0, 1, 1, 2, 3]))
                    + " " + self.pick(["", "", "-"]) + "}}")
        test = self.expression(self.pick([0, 1, 2]))
        if kind < 0.55:
            middle = self.tag("else") + self.body(depth) if self.random.random() < 0.5 else ""
            return self.tag(f"if {test}") + self.body(depth) + middle + self.tag("endif")
        if kind < 0.75:
            source = self.pick(["l", "messages", "users", "mixed", "range(4)", "d.items()",
                                self.atom(1)])
            target = "x, y" if "items" in source else "x"
            condition = f" if {self.expression(2)}" if self.random.random() < 0.2 else ""
            extra = self.pick(["", "", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}",
                               "{% if x %}{% continue %}{% endif %}",
                               "{% if loop.index0 == 1 %}{% break %}{% endif %}",
                               "{{ loop.previtem is defined }}"])
            return (self.tag(f"for {target} in {source}{condition}") + extra + self.body(depth)
                    + self.tag("endfor"))
        if kind < 0.9:
            return self.tag(f"set {self.pick(['x', 'y', 's'])} = {self.expression(1)}")
        if kind < 0.93:
            return self.tag("set y") + self.body(depth) + self.tag("endset")
        if kind < 0.96:
            return (self.tag("set ns = namespace(a=1)") + self.tag(f"set ns.a = {test}")
                    + "{{ ns.a }}")
        return (self.tag("macro m(x, y=1)") + self.body(depth) + self.tag("endmacro")
                + "{{ m(" + self.expression(1) + ") }}")

    def body(self, depth):
        return "".join(self.pick(_SPACE) + self.block(depth - 1)
                       for _ in range(self.pick([1, 1, 1, 2]))) + self.pick(_SPACE)


def generate(count: int, seed: int) -> list:
    """`count` templates, the same for the same seed."""
    writer = _Writer(seed)
    return [writer.body(3) for _ in range(count)]
