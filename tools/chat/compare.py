"""Holds our interpreter (a jinja_driver binary) against jinja2, on the expression list or on random
templates: `compare.py DRIVER [--random N] [--seed S]`. Prints every difference, exits with 1 if any."""

import argparse
import json
import subprocess
import sys

import expressions
import oracle
import random_templates


def agree(expected: dict, actual: dict) -> bool:
    if "output" in expected or "output" in actual:
        return expected.get("output") == actual.get("output")
    if expected["raised"]:  # the template's own message must come through
        return expected["error"].split(": ", 1)[1] in actual["error"]
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.random:
        templates = random_templates.generate(options.random, options.seed)
    else:
        templates = expressions.TEMPLATES
    now = 1753800000
    requests = [json.dumps({"template": t, "context": expressions.CONTEXT, "now": now})
                for t in templates]
    done = subprocess.run([options.driver], input="\n".join(requests) + "\n", text=True,
                          stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert len(answers) == len(templates), "the driver stopped early"
    differences = errors = 0
    for template, actual in zip(templates, answers):
        expected = oracle.render(template, expressions.CONTEXT, now)
        errors += "error" in expected
        if random_templates.ADDRESS.search(expected.get("output", "")):
            continue  # Python prints an address
        if not agree(expected, actual):
            differences += 1
            print(f"{template!r}\n  jinja2: {expected}\n  ours:   {actual}")
    print(f"{len(templates)} templates, {errors} of them errors, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
