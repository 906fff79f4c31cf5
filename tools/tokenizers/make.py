#!/usr/bin/env python3
"""Trains the small tokenizers of tests/data/tokenizers and freezes what Hugging Face's
`tokenizers` says about some hundreds of strings.

    make.py [--corpus FILE] [--out tests/data/tokenizers] [KIND ...]

Each KIND/ gets a tokenizer.json of a family's structure and a golden.json. The corpus is any
English text; the files that are committed were trained on the complete works of Shakespeare.
"""
import argparse
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

from texts import MULTILINGUAL, golden_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
META = "\u2581"


def byte_level_alphabet():
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def train(tokenizer, corpus, size, special, alphabet=(), **options):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                  initial_alphabet=list(alphabet), **options)
    tokenizer.train_from_iterator(corpus, trainer)


def gpt2(corpus):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, corpus, 800, ["<|endoftext|>"], byte_level_alphabet())
    return t


def llama3(corpus):
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, corpus, 800, [], byte_level_alphabet())
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                          "<|end_header_id|>", "<|eot_id|>"]
                         + [f"<|reserved_special_token_{i}|>" for i in range(12)])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                      pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    # Words that are in the vocabulary though no merge makes them: ignore_merges finds them.
    data = json.loads(t.to_str())
    return data, ["Whatsoever", "\u0120notwithstanding"]


def qwen2(corpus):
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, corpus, 800, [], byte_level_alphabet())
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken("<tool_call>", normalized=False),
                  AddedToken("</tool_call>", normalized=False),
                  AddedToken("<think>", normalized=False)])
    return t


def sentencepiece(corpus):
    """The model of Llama 2: characters of the text, byte fallback, fused unknowns."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend(META),
                                         normalizers.Replace(" ", META)])
    t.pre_tokenizer = pre_tokenizers.Split(META, "merged_with_next")
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    train(t, corpus, 1000, special, limit_alphabet=120)
    data = json.loads(t.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"]
                            if not token["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def with_bos(t):
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    t.decoder = decoders.Sequence([decoders.Replace(META, " "), decoders.ByteFallback(),
                                   decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


def llama2(corpus):
    t = sentencepiece(corpus)
    t.pre_tokenizer = None
    return with_bos(t)


def mistral(corpus):
    """The newer form: Metaspace instead of a normalizer."""
    t = sentencepiece(corpus)
    t.normalizer = None
    t.pre_tokenizer = pre_tokenizers.Metaspace(META, prepend_scheme="first", split=False)
    t = with_bos(t)
    t.add_special_tokens(["[INST]", "[/INST]"])
    return t


def gpt2_odd(corpus):
    """Added tokens with every flag, and a prefix space."""
    t = gpt2(corpus)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<eol>", rstrip=True),
                          AddedToken("<both>", lstrip=True, rstrip=True),
                          AddedToken("<norm>", normalized=True)])
    t.add_tokens([AddedToken("Thou", single_word=True), AddedToken("LORD", normalized=True),
                  AddedToken("king", single_word=True, normalized=False),
                  AddedToken("kingdom", normalized=False), AddedToken("\u00e9t\u00e9"),
                  AddedToken("  ", normalized=False), "fi"])
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", 0), ("<|endoftext|>", 0))
    return t


def split_odd(corpus):
    """The pre-tokenizers and normalizers that the families' own files leave out."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([
        normalizers.Strip(), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Replace(Regex(r"[`\u00b4]{2,}"), '"'), normalizers.Replace("--", "\u2014")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Split(Regex(r"\b[aeiou]\w"), "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[^\W\d_]{4,6}+"), "contiguous", invert=True)])
    train(t, corpus, 600, ["<unk>"])
    t.decoder = decoders.Sequence([decoders.Metaspace(META, "never"), decoders.Fuse()])
    return t


def whitespace(corpus):
    """Whitespace words, Metaspace that splits, a decoder that strips both sides."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False, byte_fallback=False))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Whitespace(), pre_tokenizers.Metaspace(META, "always")])
    train(t, corpus, 600, ["<unk>"])
    t.decoder = decoders.Metaspace(META, "always")
    t.add_tokens([AddedToken("Caf\u00e9", normalized=True), AddedToken("O'Neil", single_word=True)])
    return t


KINDS = {f.__name__: f for f in (gpt2, llama3, qwen2, llama2, mistral, gpt2_odd, split_odd,
                                 whitespace)}


def build(name, corpus):
    made = KINDS[name](corpus)
    if isinstance(made, tuple):
        data, extra = made
        # New words go behind the last id of the model; what was added moves up.
        vocab = data["model"]["vocab"]
        base = len(vocab)
        for i, word in enumerate(extra):
            vocab[word] = base + i
        for token in data["added_tokens"]:
            token["id"] += len(extra)
        text = json.dumps(data)
        for step in data["post_processor"]["processors"]:
            for special in step.get("special_tokens", {}).values():
                special["ids"] = [i + len(extra) for i in special["ids"]]
        text = json.dumps(data)
        made = Tokenizer.from_str(text)
    return made


def golden(tokenizer):
    """What is left out of a case: "plain" if it is "ids", "decoded" if it is "text", "all" if it
    is "decoded"."""
    cases = []
    for text in golden_texts(list(tokenizer.get_added_tokens_decoder().values())):
        ids = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids)
        everything = tokenizer.decode(ids, skip_special_tokens=False)
        case = {"text": text, "ids": ids}
        if plain != ids:
            case["plain"] = plain
        if decoded != text:
            case["decoded"] = decoded
        if everything != decoded:
            case["all"] = everything
        cases.append(case)
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/data/tokenizers")
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    args = parser.parse_args()
    corpus = MULTILINGUAL * 40
    if args.corpus:
        corpus += args.corpus.read_text().splitlines(keepends=True)[:12000]
    for name in args.kinds or KINDS:
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = build(name, corpus)
        data = json.loads(tokenizer.to_str())
        # Both spellings of merges occur in the wild; the older files have strings.
        if name in ("gpt2", "llama2"):
            data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(text)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        lines = [json.dumps(case, separators=(",", ":")) for case in golden(tokenizer)]
        (folder / "golden.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
        print(name, tokenizer.get_vocab_size(), len(text), "bytes,", len(lines), "cases")


if __name__ == "__main__":
    main()
