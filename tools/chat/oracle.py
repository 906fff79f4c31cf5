"""jinja2 as transformers' apply_chat_template configures it: the truth that our interpreter meets."""

import copy
import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks what the assistant said; the text passes through."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_pass_through")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _pass_through(self, caller):
        return caller()


def environment(now: int = 0) -> ImmutableSandboxedEnvironment:
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def strftime_now(format):
        moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).replace(tzinfo=None)
        return moment.strftime(format)

    result = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    result.filters["tojson"] = tojson
    result.globals["raise_exception"] = raise_exception
    result.globals["strftime_now"] = strftime_now
    return result


def render(template: str, context: dict, now: int = 0) -> dict:
    """{"output": text}, or {"error": message, "raised": whether the template itself raised it}.

    The context is copied: a few filters change lists in place, whatever the sandbox says."""
    try:
        text = environment(now).from_string(template).render(**copy.deepcopy(context))
        text.encode("utf-8")
        return {"output": text}
    except Exception as error:  # whatever Python raises is an error of the template
        return {"error": f"{type(error).__name__}: {error}",
                "raised": type(error) is jinja2.exceptions.TemplateError}
