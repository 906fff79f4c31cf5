"""Writes what jinja2 makes of the templates in tests/data/chat: expected.json and expressions.json.

Run it after changing templates/, conversations.json or expressions.py. Where transformers is
installed, its own template compiler must agree."""

import json
import pathlib

import expressions
import oracle

DATA = pathlib.Path(__file__).parents[2] / "tests/data/chat"


def with_transformers(template: str, context: dict):
    """What transformers prints; nothing where it is missing, fails, or asks for the time."""
    try:
        from transformers.utils.chat_template_utils import _compile_jinja_template
    except ImportError:
        return None
    if "strftime_now" in template:
        return None
    try:
        return _compile_jinja_template(template).render(**context)
    except Exception:
        return None


def chats() -> list:
    data = json.loads((DATA / "conversations.json").read_text())
    results = []
    for path in sorted((DATA / "templates").glob("*.jinja")):
        template = path.read_text()
        for chat in data["conversations"]:
            tools = data["tools"][chat["tools"]] if "tools" in chat else None
            context = {**data["special_tokens"], "documents": None, **chat.get("extra", {}),
                       "messages": chat["messages"], "tools": tools,
                       "add_generation_prompt": chat.get("add_generation_prompt", True)}
            result = oracle.render(template, context, data["now"])
            theirs = with_transformers(template, context)
            assert theirs is None or theirs == result.get("output"), (path, chat["name"])
            results.append({"template": path.stem, "conversation": chat["name"], **result})
    return results


def small_templates() -> dict:
    now = 1753800000
    cases = [{"template": t, **oracle.render(t, expressions.CONTEXT, now)}
             for t in expressions.TEMPLATES]
    # Where Python prints an address, only that it prints something is worth keeping.
    cases = [case for case in cases if " at 0x" not in case.get("output", "")
             and "<class" not in case.get("output", "")]
    for case in cases:
        if "error" in case and not case["raised"]:
            case["error"] = case["error"].split(":")[0]  # messages change with Python's version
    return {"context": expressions.CONTEXT, "now": now, "cases": cases}


def write(name: str, value) -> None:
    (DATA / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    results = chats()
    write("expected.json", results)
    small = small_templates()
    write("expressions.json", small)
    failed = sum("error" in r for r in results)
    print(f"{len(results)} chats ({failed} errors), {len(small['cases'])} small templates")
