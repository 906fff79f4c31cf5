#!/usr/bin/env python3
"""Makes the model directories of tests/data/tokenizers that have no tokenizer.json, and freezes
what `transformers` makes of them: BERT's vocab.txt, T5's spiece.model, RoBERTa's vocab.json and
merges.txt.

    make_files.py [--corpus FILE] [--out tests/data/tokenizers] [--nmt-nfkc] [--size 600]
                  [--driver build/release/tokenizer_driver --count 100000]

Needs transformers, sentencepiece and protobuf. --nmt-nfkc takes sentencepiece's own rules, as T5
does, instead of the few of rules.py. With --driver they are compared with `transformers` on random
text too, as differential.py does it; exits 1 when there is a difference.
"""
import argparse
import json
import pathlib
import sys

import sentencepiece
from transformers import BertTokenizerFast, RobertaTokenizerFast, T5TokenizerFast
from transformers.convert_slow_tokenizer import import_protobuf

import differential
from charsmap import charsmap
from make import ROOT, freeze
from rules import RULES
from texts import MULTILINGUAL

KINDS = ROOT / "tests/data/tokenizers"


def write_config(folder, **config):
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def tokens_by_id(kind):
    model = json.loads((KINDS / kind / "tokenizer.json").read_text())["model"]
    return model, sorted(model["vocab"], key=model["vocab"].get)


def bert_files(folder, args):
    """Cased, and a special token with another name."""
    _, tokens = tokens_by_id("bert")
    tokens[tokens.index("[MASK]")] = "<mask>"
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in tokens))
    write_config(folder, tokenizer_class="BertTokenizer", do_lower_case=False, strip_accents=True,
                 tokenize_chinese_chars=False, mask_token="<mask>",
                 added_tokens_decoder={"800": {"content": "[X]", "lstrip": True, "special": True,
                                               "normalized": False, "rstrip": False,
                                               "single_word": False}})
    return BertTokenizerFast


def roberta_files(folder, args):
    model, tokens = tokens_by_id("gpt2")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens = special + [t for t in tokens if t != "<|endoftext|>"] + ["<mask>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    merges = ["#version: 0.2", *model["merges"]]
    (folder / "merges.txt").write_text("".join(merge + "\n" for merge in merges))
    write_config(folder, tokenizer_class="RobertaTokenizer")
    return RobertaTokenizerFast


def t5_files(folder, args):
    corpus, model = folder / "corpus.txt", folder / "spiece.model"
    corpus.write_text("".join(args.lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "spiece"), vocab_size=args.size, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=["<user>", "O'Neil"],
        character_coverage=0.99, minloglevel=2, num_threads=1)
    corpus.unlink()
    (folder / "spiece.vocab").unlink()
    proto = import_protobuf().ModelProto.FromString(model.read_bytes())
    proto.trainer_spec.ClearField("input")  # names of this machine
    proto.trainer_spec.ClearField("model_prefix")
    if not args.nmt_nfkc:
        proto.normalizer_spec.name = "rules.py"
        proto.normalizer_spec.precompiled_charsmap = charsmap(RULES)
    model.write_bytes(proto.SerializeToString())
    write_config(folder, tokenizer_class="T5Tokenizer", extra_ids=5, legacy=args.nmt_nfkc)
    return T5TokenizerFast


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=KINDS)
    parser.add_argument("--nmt-nfkc", action="store_true")
    parser.add_argument("--size", type=int, default=600)
    parser.add_argument("--driver")
    parser.add_argument("--count", type=int, default=100_000)
    args = parser.parse_args()
    args.lines = MULTILINGUAL * 40
    if args.corpus:
        args.lines += args.corpus.read_text().splitlines(keepends=True)[:12000]
    differences = 0
    for make in (bert_files, roberta_files, t5_files):
        folder = args.out / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = make(folder, args).from_pretrained(folder).backend_tokenizer
        freeze(folder, tokenizer)
        print(make.__name__, tokenizer.get_vocab_size())
        if args.driver:
            differences += differential.run(tokenizer, folder, args.driver, args.count, seed=0)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
