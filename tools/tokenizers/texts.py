"""Texts for training and testing tokenizers: all scripts, and everything that is awkward."""
import random

MULTILINGUAL = [
    "The quick brown fox jumps over the lazy dog; it isn't the dog's fault, they'll say.\n",
    "Le c\u0153ur d\u00e9\u00e7u mais l'\u00e2me plut\u00f4t na\u00efve, Lou\u00ffs r\u00eava de "
    "crapa\u00fcter en cano\u00eb au-del\u00e0 des \u00eeles.\n",
    "Zw\u00f6lf Boxk\u00e4mpfer jagen Viktor quer \u00fcber den gro\u00dfen Sylter Deich.\n",
    "El ping\u00fcino Wenceslao hizo kil\u00f3metros bajo exhaustiva lluvia y fr\u00edo.\n",
    "\u0421\u044a\u0435\u0448\u044c \u0436\u0435 \u0435\u0449\u0451 \u044d\u0442\u0438\u0445 "
    "\u043c\u044f\u0433\u043a\u0438\u0445 \u0444\u0440\u0430\u043d\u0446\u0443\u0437\u0441\u043a"
    "\u0438\u0445 \u0431\u0443\u043b\u043e\u043a, \u0434\u0430 \u0432\u044b\u043f\u0435\u0439 "
    "\u0447\u0430\u044e.\n",
    "\u039e\u03b5\u03c3\u03ba\u03b5\u03c0\u03ac\u03b6\u03c9 \u03c4\u03b7\u03bd \u03c8\u03c5\u03c7"
    "\u03bf\u03c6\u03b8\u03cc\u03c1\u03b1 \u03b2\u03b4\u03b5\u03bb\u03c5\u03b3\u03bc\u03af"
    "\u03b1.\n",
    "\u05d3\u05d2 \u05e1\u05e7\u05e8\u05df \u05e9\u05d8 \u05d1\u05d9\u05dd \u05de\u05d0\u05d5"
    "\u05db\u05d6\u05d1 \u05d5\u05dc\u05e4\u05ea\u05e2 \u05de\u05e6\u05d0 \u05d7\u05d1\u05e8"
    "\u05d4.\n",
    "\u0646\u0635 \u062d\u0643\u064a\u0645 \u0644\u0647 \u0633\u0631 \u0642\u0627\u0637\u0639 "
    "\u0648\u0630\u0648 \u0634\u0623\u0646 \u0639\u0638\u064a\u0645.\n",
    "\u090b\u0937\u093f\u092f\u094b\u0902 \u0915\u094b \u0938\u0924\u093e\u0928\u0947 "
    "\u0935\u093e\u0932\u0947 \u0926\u0941\u0937\u094d\u091f \u0930\u093e\u0915\u094d\u0937"
    "\u0938\u094b\u0902 \u0915\u0947 \u0930\u093e\u091c\u093e.\n",
    "\u0e40\u0e1b\u0e47\u0e19\u0e21\u0e19\u0e38\u0e29\u0e22\u0e4c\u0e2a\u0e38\u0e14\u0e1b\u0e23"
    "\u0e30\u0e40\u0e2a\u0e23\u0e34\u0e10\u0e40\u0e25\u0e34\u0e28\u0e04\u0e38\u0e13\u0e04\u0e48"
    "\u0e32.\n",
    "\u3044\u308d\u306f\u306b\u307b\u3078\u3068\u3061\u308a\u306c\u308b\u3092\u3001\u30a4\u30ed"
    "\u30cf\u30cb\u30db\u30d8\u30c8\u3002\n",
    "\u5929\u5730\u7384\u9ec4\uff0c\u5b87\u5b99\u6d2a\u8352\u3002\u65e5\u6708\u76c8\u6603\uff0c"
    "\u8fb0\u5bbf\u5217\u5f20\u3002\n",
    "\ub2e4\ub78c\uc950 \ud5cc \uccc7\ubc14\ud034\uc5d0 \ud0c0\uace0\ud30c.\n",
    "\u10db\u10d0\u10e6\u10da\u10d8\u10d5\u10d0 \u10d8\u10e1\u10ec\u10e0\u10d0\u10e4\u10d4\u10d1"
    "\u10d3\u10d0.\n",
    "T\u00f4i c\u00f3 th\u1ec3 \u0103n th\u1ee7y tinh m\u00e0 kh\u00f4ng h\u1ea1i g\u00ec.\n",
    "for (int i = 0; i < 1024; ++i) {\n\tsum += a[i] * 3.14159e-10;  // comment\n}\n",
    "In 2024, 12345678 people paid $1,234.56 (or \u20ac987,65) at 10:30.\r\n",
]

EMOJI = ["\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
         "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd",
         "\u2764\ufe0f", "1\ufe0f\u20e3", "\U0001fae8", "\U0001f9d1\u200d\U0001f680"]
AWKWARD = [
    "", " ", "  ", "   ", "\n", "\r\n", "\r", "\t", " \n", "\n ", " \n \n ", "\t \t", "\u00a0",
    "\u3000", "\u2028", "\u2029", "\u0085", "\u180e", "\u200b", "\u200d", "\ufeff", "\u2060",
    "\u0000", "\u0001", "\u001f", "\u007f", "\u009f", "\u00ad", "\ufffd", "\uffff",
    "\U0010ffff", "\ue000", "a\u0000b", "\u0301", "e\u0301", "\u00e9", "\u0065\u0323\u0302",
    "\u1ec7", "\u0344", "\u212b", "\u2126", "\ufb01", "\ufb03x", "\u1e9e", "\u00df", "\u0130",
    "\u0131", "\u017f", "it\u017f", "\u01c5", "\u0345", "\u03a3\u03c3\u03c2", "\u1100\u1161\u11a8",
    "\uac01", "\ufdfa", "\u2460", "\u00bd", "\u2167", "\u0664\u0662", "\u096a\u0968",
    "\U0001d7d8\U0001d7d9", "\u4e00\u4e8c\u4e09", "\u3007", "\u00b2\u00b3\u00b9",
    "'s", "I'm", "I'M", "I'LL", "we've", "'re'd'll", "don't", "DON'T", "'\u017f", "'S's",
    "O\u2019Neil", "''", "\"'\"", "``x''", "x--y---z", "hello  world", " hello", "hello ",
    "  hello  ", "hello\nworld", "hello \n world", "hello\r\n\r\nworld", "a\u00a0b", "a\u3000b",
    "a \u2009 b", "\u2581", "\u2581\u2581a", "a\u2581b", " \u2581 ", "<0x41>", "<0x0A>", "<0xFF>",
    "<0x4>", "<unk>", "<s>", "</s>", "<s", "0", "1234567890", "3.14", "1,000,000", "1e-5",
    "0x1F", "12 345", "v1.2.3", "a1b2c3", "x=1+2*3/4-5", "!!!", "?!?!", "...", "\u2026",
    "#include <x>", "a_b_c", "__init__", "C++", "e.g.", "http://a.b/c?d=e&f=g#h", "a@b.co",
    "\u0915\u094d\u0937", "\u0e01\u0e33", "\u0bb8\u0bcd\u0bb0\u0bc0", "\u1780\u17d2\u1798",
    "\u0f40\u0fb5", "\u1000\u1039\u1000", "\u13a0\uab70", "\U00010400\U00010428",
    "\U0001e900\U0001e922", "\U00012000", "\U00013000", "\U0001d11e", "\U00020000\U0002ebf0",
    "\U00031350", "\u1c89\u1c8a", "\ua7cb", "\U0001cc00", "\U00011f50", "\U0001e4f0", "\U00016d40",
    "\u0897x", "x\u0ecey", "\u07fd", "\u1abf\u0301", "\U00011938", "\U00011935\U00011930",
    "\u202ertl\u202c", "\u05d0\u05b7\u05b8", "\u0627\u0644\u0644\u0651\u064e\u0647",
    "Thou art", "thou Thouart", "my king's kingdom", "kingdom kings king", "LORD lord Lord",
    "\u00e9t\u00e9 e\u0301te\u0301", "first  second", "of\ufb01ce", "Caf\u00e9 cafe\u0301",
    "O'Neil xO'Neil O'Neily", "Whatsoever notwithstanding Whatsoever",
    "Wherefore art thou Romeo?\nDeny thy father and refuse thy name;", "a" * 400, "ab" * 150,
    "\u00e9" * 99, " " * 130, "\n" * 50, "1" * 100, "!" * 70, "\U0001f600" * 20, "x " * 60,
    "the" * 70, "na\u00efve co\u00f6perate \u00c6on", "\u0391\u0392\u0393", "AaBbCc",
]

RANGES = [(0x20, 0x7e)] * 6 + [(0, 0x1f), (0x80, 0xff), (0xa0, 0x17f), (0x300, 0x36f),
          (0x370, 0x3ff), (0x400, 0x4ff), (0x590, 0x5ff), (0x600, 0x6ff), (0x900, 0x97f),
          (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1e00, 0x1eff), (0x1ab0, 0x1aff), (0x2000, 0x206f),
          (0x20a0, 0x20ff), (0x2100, 0x214f), (0x2460, 0x24ff), (0x3040, 0x30ff),
          (0x3130, 0x318f), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xe0ff),
          (0xfb00, 0xfb4f), (0xfdf0, 0xfdff), (0xfe00, 0xfe6f), (0xff00, 0xffef),
          (0x10000, 0x100ff), (0x10d40, 0x10d8f), (0x11380, 0x113ff), (0x11900, 0x1194f),
          (0x1d400, 0x1d7ff), (0x1f300, 0x1f6ff), (0x1fa70, 0x1faff), (0x20000, 0x200ff),
          (0xe0000, 0xe01ff), (0x0, 0xd7ff), (0xe000, 0x10ffff)]
SPACES = [" ", " ", " ", "  ", "\n", "\r\n", "\t", "   ", "\u00a0", "\u3000", "\n\n", " \n"]


# Beyond those: the edges of BERT's blocks of ideographs, what it removes, and what takes part in
# grapheme clusters, in every way that a cluster is held together.
MORE_RANGES = RANGES + [
    (0x3400, 0x340f), (0x4db0, 0x4dcf), (0x9ff0, 0x9fff), (0xf8f0, 0xf90f), (0xfaf0, 0xfb0f),
    (0x2a6d0, 0x2a70f), (0x2b730, 0x2b74f), (0x2b810, 0x2b82f), (0x2b910, 0x2b92f),
    (0x2cea0, 0x2ceb0), (0x2f800, 0x2fa1f), (0x80, 0xa0), (0x600, 0x605), (0x2000, 0x206f),
    (0xfff0, 0xffff), (0x1d165, 0x1d17f), (0xe0000, 0xe007f), (0x900, 0x963), (0x980, 0x9ff),
    (0xa960, 0xa97c), (0xd7b0, 0xd7fb), (0x1160, 0x11ff), (0xac00, 0xac40), (0x1f1e6, 0x1f1ff),
    (0x1b00, 0x1b4f), (0x1000, 0x109f), (0x110bd, 0x110cd), (0x11000, 0x11fff),
    (0x16d63, 0x16d6a)]
CLUSTER_PARTS = ["\u0301", "\u0308\u0301", "\u200d", "\u200c", "\ufe0f", "\u00a9", "\u00ae",
                 "\u0915", "\u0930", "\u094d", "\u09cd", "\u0903", "\u0600", "\u0d4e", "\u1100",
                 "\u1161", "\u11a8", "\uac00", "\uac01", "\U0001f1e6", "\U0001f469", "\U0001f3fb",
                 "\U0001f600", "\r", "\n", "\u0001", "\u3099", "a", "e", "\u304b", "z", "zz",
                 "\ufb01", "\uff21", "\u0e33", "\u2026", " ", "\u00bd", "\u0958", "\u1a60",
                 "\U000113d0"]


def random_text(rng, added, ranges=RANGES):
    """A string of up to thirty parts: words, characters of one script, spaces, added tokens."""
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30])):
        kind = rng.random()
        if kind < 0.35:
            low, high = rng.choice(ranges)
            count = rng.choice([1, 1, 2, 3, 7])
            parts.append("".join(chr(c) for c in (rng.randint(low, high) for _ in range(count))
                                 if not 0xd800 <= c <= 0xdfff))
        elif kind < 0.60:
            parts.append(rng.choice(SPACES))
        elif kind < 0.75:
            line = rng.choice(MULTILINGUAL)
            start = rng.randrange(len(line))
            parts.append(line[start:start + rng.randint(1, 12)])
        elif kind < 0.85:
            parts.append(rng.choice(AWKWARD)[:40])
        elif kind < 0.90:
            parts.append(rng.choice(EMOJI))
        elif kind < 0.97 and added:
            parts.append(rng.choice(added))
        else:
            parts.append(rng.choice(["'s", "'T", "'re", "'VE", "'m", "'ll", "'D", "'", "2024"]))
    return "".join(parts)


def random_clusters(rng):
    """Characters that form grapheme clusters, and letters with marks."""
    parts = []
    for _ in range(rng.choice([2, 3, 5, 8, 20])):
        if rng.random() < 0.6:
            parts.append(rng.choice(CLUSTER_PARTS))
        else:
            low, high = rng.choice(MORE_RANGES)
            c = rng.randint(low, high)
            parts.append(" " if 0xd800 <= c <= 0xdfff else chr(c))
    return "".join(parts)


def random_line(rng, added):
    """What the differential tests take: any of the above, now and then a long word."""
    kind = rng.random()
    if kind < 0.2:
        return random_clusters(rng)
    if kind < 0.23:
        word = rng.choice(["a", "ab", "the", "\u4e00", "e\u0301", "z", "\u2581"])
        return word * rng.randint(1, 300)
    return random_text(rng, added, RANGES if kind < 0.6 else MORE_RANGES)


def golden_pairs(added_tokens):
    """Two texts and a limit of tokens, or none."""
    rng = random.Random(2)
    added = [token.content for token in added_tokens]
    cases = [("a question", "an answer", None), ("", "", None), ("a", "", 8), ("", "a b", 8)]
    for limit in [None] * 8 + [4, 5, 8, 9, 16, 17, 64, 65] * 3:
        cases.append((random_text(rng, added), random_text(rng, added), limit))
    for words in ((40, 3), (3, 40), (20, 20), (21, 20), (20, 21), (7, 8), (8, 7)):
        cases += [("to be " * words[0], "or not " * words[1], limit) for limit in (16, 17, 40)]
    return cases


def golden_texts(added_tokens):
    """The awkward strings, those with added tokens in them, and some at random."""
    added = [token.content for token in added_tokens]
    texts = AWKWARD + EMOJI + MULTILINGUAL + ["".join(EMOJI), "x".join(EMOJI)]
    for content in added[6:]:
        texts.append(f"a {content}b")
    for content in added[:6]:
        texts += [content, f"a{content}b", f"a {content} b", f"  {content}  {content}\n",
                  f"{content}{content}", content[:-1], content.upper(), content.lower(),
                  f" {content}", f"{content} ", f"x\n{content}\nhello"]
    rng = random.Random(1)
    texts += [random_text(rng, added) for _ in range(120)]
    return list(dict.fromkeys(texts))
