"""Some of the rules of sentencepiece's nmt_nfkc, for charsmaps that are small enough to commit, and
rules of one's own: replacements that grow, shrink and vanish, and rules that begin one another."""
import unicodedata


def nfkc_rules():
    rules = {}
    for first, last in ((0xa0, 0xff), (0x130, 0x17f), (0x2460, 0x2473), (0x2126, 0x212b),
                        (0xff01, 0xff5e), (0xfb00, 0xfb06), (0x3300, 0x3310), (0x958, 0x95f),
                        (0xac00, 0xac08), (0xfdfa, 0xfdfa), (0x1d400, 0x1d40f)):
        for c in range(first, last + 1):
            if unicodedata.normalize("NFKC", chr(c)) != chr(c):
                rules[chr(c)] = unicodedata.normalize("NFKC", chr(c))
    for base in "aeiounAEIOU\u304b\u304d\u30cf\u0438\u03b1":
        for mark in "\u0300\u0301\u0303\u0308\u3099\u309a\u0306":
            composed = unicodedata.normalize("NFKC", base + mark)
            if len(composed) == 1:
                rules[base + mark] = composed
    return rules


REMOVED = [*range(1, 9), 0xb, *range(0xe, 0x20), 0x7f, 0x8f, 0x9f, 0x200d]
SPACES = [9, 10, 12, 13, 0xa0, 0x1680, *range(0x2000, 0x200d), 0x2028, 0x3000, 0xfeff, 0xfffd]
RULES = {**nfkc_rules(), **{chr(c): "" for c in REMOVED}, **{chr(c): " " for c in SPACES},
         "\u2026": "...", "\u00ad": "", "\u0915": "ka", "\u0930": "\u0931", "\u1100": "\u11a8",
         "\u00a9": "(c)", "\u0600": "#", "\u0903": ":", "\u0e33": "\u0e4d\u0e32", "\u094d": "",
         "\U0001f600": ":-)", "\U0001f469": "", "zz": "z", "zzz": "Z"}
