#!/usr/bin/env python3
"""Compares the tokenizers with Hugging Face's `tokenizers` on random text: encoding with and
without special tokens, pairs of texts, decoding and streaming of what was encoded and of random
ids.

    differential.py --driver build/release/tokenizer_driver [--count 100000] [--seed 0] [DIR ...]

DIR: model directories with a tokenizer.json; those of tests/data/tokenizers if none are given.
Exits 1 when there is a difference, printing the first few; 77 when the package is not installed.
"""
import argparse
import functools
import json
import pathlib
import random
import re
import subprocess
import sys

try:
    import tokenizers
    from tokenizers import Tokenizer
except ImportError:
    print("differential.py: the Python package tokenizers is not installed: nothing compared")
    sys.exit(77)

import grapheme_tables
from texts import random_line

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHUNK = 5000
# Tokens of the decoders' own spelling, which random ids alone would seldom put in a row.
BYTE_RUN = 0.3
LIMITS = [None] * 30 + [8, 9, 12, 13, 20, 40, 41]


def random_ids(rng, tokenizer, size, bytes_):
    ids = []
    while len(ids) < rng.choice([1, 2, 5, 20]):
        if bytes_ and rng.random() < BYTE_RUN:
            text = "".join(chr(rng.choice([0xa, 0xe9, 0x20ac, 0x1f600])) for _ in range(2))
            run = [bytes_[b] for b in text.encode()]
            ids += run[:rng.randint(1, len(run))]
        else:
            ids.append(rng.randrange(size + 3))
    return ids


def decoded_otherwise(tokenizer):
    """The added tokens that releases before 0.23 decode to their content, and later ones (and
    Trireme) to its normalized form, which is what the decoder expects."""
    if tuple(map(int, tokenizers.__version__.split(".")[:2])) >= (0, 23) or not tokenizer.normalizer:
        return set()
    return {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.normalized
            and tokenizer.normalizer.normalize_str(token.content) != token.content}


@functools.cache
def classes():
    """What src/text/grapheme_tables.cc says."""
    rows = re.findall(r"\{0x(\w+), 0x(\w+), (\w+)\}",
                      (ROOT / "src/text/grapheme_tables.cc").read_text())
    return {c: name for first, last, name in rows
            for c in range(int(first, 16), int(last, 16) + 1)}


@functools.cache
def clusters_otherwise(c):
    """Whether the installed release knows another version of Unicode than Trireme, in which this
    character takes part in grapheme clusters in another way."""
    same = (ord(c) in grapheme_tables.HANGUL_SYLLABLES
            or ord(c) in grapheme_tables.REGIONAL_INDICATORS)
    return not same and grapheme_tables.grapheme_class(ord(c)) != classes().get(ord(c))


def random_texts(rng, tokenizer, added, count):
    texts = [random_line(rng, added) for _ in range(count)]
    if "Precompiled" not in str(tokenizer.normalizer):
        return texts
    return ["".join(c for c in text if not clusters_otherwise(c)) for text in texts]


def ask(driver, requests):
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(driver, input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.split(b"\n") if line]


def compare(driver, tokenizer, requests):
    """The requests that got another answer than `tokenizers` gives."""
    texts = [r["text"] for r in requests if "text" in r]
    ids = iter(tokenizer.encode_batch(texts))
    plain = iter(tokenizer.encode_batch(texts, add_special_tokens=False))
    lists = [r["ids"] for r in requests if "ids" in r]
    skipped = iter(tokenizer.decode_batch(lists))
    everything = iter(tokenizer.decode_batch(lists, skip_special_tokens=False))
    both = [(r["first"], r["second"]) for r in requests if "first" in r]
    pairs = iter(tokenizer.encode_batch(both))
    plain_pairs = iter(tokenizer.encode_batch(both, add_special_tokens=False))
    for request, answer in zip(requests, ask(driver, requests)):
        if "first" in request:
            pair, plain_pair = next(pairs), next(plain_pairs)
            if request["limit"]:
                pair = limited(tokenizer, request)
            expected = {"ids": pair.ids, "types": pair.type_ids, "plain": plain_pair.ids,
                        "plain_types": plain_pair.type_ids}
        elif "text" in request:
            expected = {"ids": next(ids).ids, "plain": next(plain).ids}
        else:
            expected = {"text": next(skipped), "all": next(everything)}
        if answer != expected:
            yield request, expected, answer


def limited(tokenizer, request):
    tokenizer.enable_truncation(request["limit"])
    pair = tokenizer.encode(request["first"], request["second"])
    tokenizer.no_truncation()
    return pair


def run(tokenizer, folder, driver, count, seed):
    """Compares the package's `tokenizer` with what the driver makes of `folder`."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rng = random.Random(seed)
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    size = max(tokenizer.get_vocab().values()) + 1
    bytes_ = [tokenizer.token_to_id(f"<0x{b:02X}>") for b in range(256)]
    bytes_ = None if None in bytes_ else bytes_
    unlike = decoded_otherwise(tokenizer)
    differences = 0
    for start in range(0, count, CHUNK):
        texts = random_texts(rng, tokenizer, added, min(CHUNK, count - start))
        requests = [{"text": text} for text in texts]
        requests += [{"ids": e.ids} for e in tokenizer.encode_batch(texts)]
        requests += [{"first": a, "second": b, "limit": rng.choice(LIMITS)}
                     for a, b in zip(texts[::4], texts[1::4])]
        requests += [{"ids": random_ids(rng, tokenizer, size, bytes_)} for _ in texts]
        requests = [r for r in requests if unlike.isdisjoint(r.get("ids", ()))]
        for request, expected, answer in compare([driver, str(folder)], tokenizer, requests):
            differences += 1
            if differences <= 5:
                print(f"  {ascii(request)}\n    expected {ascii(expected)}\n    got      "
                      f"{ascii(answer)}")
    print(f"{folder.name}: {count} texts, {count // 4} pairs, {2 * count} id lists, "
          f"{differences} differences", flush=True)
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    folders = args.folders or sorted(f.parent for f in
                                     (ROOT / "tests/data/tokenizers").glob("*/tokenizer.json"))
    total = 0
    for folder in folders:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        total += run(tokenizer, folder, args.driver, args.count, args.seed)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
