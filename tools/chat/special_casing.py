"""Writes src/text/jinja/special_casing.h: the characters whose upper or title case is several."""

import pathlib
import unicodedata

TARGET = pathlib.Path(__file__).parents[2] / "src/text/jinja/special_casing.h"


def literal(text: str) -> str:
    return 'U"' + "".join(f"\\x{ord(c):04x}" for c in text) + '"'


def rows():
    for code in range(0x110000):
        character = chr(code)
        if 0xD800 <= code < 0xE000 or len(character.upper()) == 1:
            continue
        yield f"    {{0x{code:04x}, {literal(character.upper())}, {literal(character.title())}}},"


TARGET.write_text(
    "// The characters whose upper case is several characters: written by tools/chat/special_casing.py\n"
    f"// from Unicode {unicodedata.unidata_version} (SpecialCasing.txt, unconditional mappings).\n"
    "#pragma once\n\n"
    "namespace trireme::jinja {\n\n"
    "struct SpecialCase {\n  char32_t code_point;\n  const char32_t* upper;\n  const char32_t* title;\n};\n\n"
    "/// In ascending order of code points.\n"
    "inline constexpr SpecialCase special_cases[] = {\n" + "\n".join(rows()) + "\n};\n\n"
    "}  // namespace trireme::jinja\n"
)
