#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cc: where the Unicode versions inside Hugging Face's `tokenizers`
differ from those of Debian 12's PCRE2 10.42 (Unicode 14) and utf8proc 2.8 (Unicode 15).

Asks both about every code point and prints the ranges on which they disagree. Takes two minutes.

    unicode_tables.py > src/text/unicode_tables.cc     (needs tokenizers, and Python 3.11: the
                                                        unicodedata of 3.11 is Unicode 14)
"""
import ctypes
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
EVERYTHING = "".join(map(chr, ALL))
CATEGORIES = "Lu Ll Lm Lo Mn Mc Nd No Pd Po Sm So Cf".split()
STABLE, COMPAT, COMPOSE, DECOMPOSE = 2, 4, 8, 16

libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]
utf8proc = ctypes.CDLL("libutf8proc.so.2")
utf8proc.utf8proc_map.restype = ctypes.c_ssize_t
utf8proc.utf8proc_map.argtypes = [
    ctypes.c_char_p, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]


def removed_by(pre_tokenizer):
    """The code points that a pre-tokenizer with behaviour `removed` takes out."""
    kept = set()
    for piece, _ in pre_tokenizer.pre_tokenize_str(EVERYTHING):
        kept.update(map(ord, piece))
    return set(ALL) - kept


def matched(pattern):
    return removed_by(pre_tokenizers.Split(Regex(pattern), "removed"))


def ranges(code_points):
    result = []
    for c in sorted(code_points):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def utf8proc_map(text, options):
    data, out = text.encode(), ctypes.c_void_p()
    length = utf8proc.utf8proc_map(data, len(data), ctypes.byref(out), options | STABLE)
    result = ctypes.string_at(out.value, length).decode()
    libc.free(out)
    return result


def newer_categories():
    rows = []
    for name in CATEGORIES:
        now = matched(r"\p{%s}" % name)
        rows += [(a, b, name)
                 for a, b in ranges(c for c in now if unicodedata.category(chr(c)) != name)]
    return sorted(rows)


def newer_numerics():
    known = matched(r"[\p{Nd}\p{Nl}\p{No}]")
    digits = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in ALL if c not in known
            and len(digits.pre_tokenize_str("a" + chr(c))) == 2}


def newer_lowercase():
    lower = normalizers.Lowercase().normalize_str
    rows = []
    for c in ALL:
        mapped = lower(chr(c))
        if c == 0x130 or ord(mapped) == utf8proc.utf8proc_tolower(c):
            continue
        to = ord(mapped)
        if rows and rows[-1][1] == c - 1 and rows[-1][2] + c - rows[-1][0] == to:
            rows[-1][1] = c
        else:
            rows.append([c, c, to])
    return rows


def inert():
    forms = {"NFD": DECOMPOSE, "NFC": COMPOSE, "NFKD": DECOMPOSE | COMPAT, "NFKC": COMPOSE | COMPAT}
    # U+11930 composes with U+11935 to U+11938, which is newer. utf8proc 2.8 composes a Hangul
    # syllable with U+11A7, which is not a final consonant but the place before the first one.
    different = {0x11930, 0x11a7}
    for name, options in forms.items():
        form = getattr(normalizers, name)().normalize_str
        different |= {c for c in ALL if form(chr(c)) != utf8proc_map(chr(c), options)}
    nfd = normalizers.NFD().normalize_str
    # One mark of every combining class that decides an order: 1, 8, 10, 103, 202, 220, 230, 232.
    marks = "\u0334\u3099\u05b0\u0e38\u0327\u0316\u0301\u0315"
    for c in ALL:
        pairs = [s for mark in marks for s in (chr(c) + mark, mark + chr(c))]
        if any(nfd(s) != utf8proc_map(s, DECOMPOSE) for s in pairs):
            different.add(c)
    return different


def print_table(name, row_type, rows):
    print(f"\nstd::span<const {row_type}> {name}() {{")
    print(f"  static constexpr {row_type} kRanges[] = {{")
    line = "     "
    for row in rows:
        cell = "{" + ", ".join(f"Category::{v}" if isinstance(v, str) else f"0x{v:X}"
                               for v in row) + "},"
        if len(line) + 1 + len(cell) > 100:
            print(line)
            line = "     "
        line += " " + cell
    print(line)
    print("  };\n  return kRanges;\n}")


def main():
    p = matched(r"\p{P}") | {ord(c) for c in "$+<=>^`|~"}
    p_then = removed_by(pre_tokenizers.Punctuation("removed"))
    mn = matched(r"\p{Mn}")
    bert = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False,
                                      strip_accents=True, lowercase=False)
    mn_then = {c for c in ALL if not bert.normalize_str(chr(c))}
    bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False,
                                      strip_accents=False, lowercase=False)
    cleaned = {c for c in ALL if not bert.normalize_str(chr(c))}
    m = matched(r"\p{M}")
    m_then = set(ALL) - set(map(ord, normalizers.StripAccents().normalize_str(EVERYTHING)))
    print("// Where Unicode versions differ. Generated by tools/tokenizers/unicode_tables.py.")
    print('#include "text/unicode_tables.h"\n\nnamespace trireme::text {')
    print("// clang-format off")
    print_table("newer_than_unicode_14", "NewerRange", newer_categories())
    print_table("numeric_since_unicode_17", "CodePointRange", ranges(newer_numerics()))
    print_table("punctuation_since_unicode_8", "CodePointRange", ranges(p - p_then))
    print_table("punctuation_until_unicode_8", "CodePointRange", ranges(p_then - p))
    print_table("marks_since_unicode_8", "CodePointRange", ranges(m - m_then))
    print_table("marks_until_unicode_8", "CodePointRange", ranges(m_then - m))
    print_table("nonspacing_since_unicode_8", "CodePointRange", ranges(mn - mn_then))
    print_table("nonspacing_until_unicode_8", "CodePointRange", ranges(mn_then - mn))
    print_table("removed_by_clean_text", "CodePointRange", ranges(cleaned))
    print_table("lowercase_since_unicode_15", "LowercaseRange", newer_lowercase())
    print_table("inert_in_normalization", "CodePointRange", ranges(inert()))
    print("\n// clang-format on\n}  // namespace trireme::text")


if __name__ == "__main__":
    sys.exit(main())
