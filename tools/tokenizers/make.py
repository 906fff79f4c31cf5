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

from charsmap import charsmap
from rules import RULES
from texts import MULTILINGUAL, golden_pairs, golden_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
META = "\u2581"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


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


def word_piece(corpus, normalizer, pre_tokenizer, size=800, special=SPECIAL, **options):
    t = Tokenizer(models.WordPiece(unk_token=special[1]))
    t.normalizer, t.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special,
                                        show_progress=False, limit_alphabet=300, **options)
    t.train_from_iterator(corpus, trainer)
    return t


def bert(corpus):
    t = word_piece(corpus, normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer())
    t.decoder = decoders.WordPiece("##", cleanup=True)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return t


def bert_odd(corpus):
    """Cased, another prefix, short words; types of its own; added tokens that normalize."""
    t = word_piece(corpus, normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False,
                                                      strip_accents=False, lowercase=False),
                   pre_tokenizers.BertPreTokenizer(), 700, continuing_subword_prefix="@@")
    data = json.loads(t.to_str())
    data["model"] |= {"max_input_chars_per_word": 9, "continuing_subword_prefix": "@@"}
    t = Tokenizer.from_str(json.dumps(data))
    t.decoder = decoders.Sequence([decoders.WordPiece("@@", cleanup=False), decoders.Fuse()])
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.add_tokens([AddedToken("Caf\u00e9"), AddedToken("wherefore", single_word=True)])
    return t


def bert_accents(corpus):
    """Accents without case, case without accents: what BERT's own files never have."""
    t = word_piece(corpus, normalizers.Sequence([
        normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True,
                                   strip_accents=True, lowercase=False), normalizers.Nmt()]),
        pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(True)]))
    t.decoder = decoders.WordPiece("##", cleanup=True)
    t.post_processor = processors.Sequence([processors.RobertaProcessing(
        ("[SEP]", 3), ("[CLS]", 2))])
    t.add_special_tokens(["[MASK]"])
    return t


def word_level(corpus):
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=500, special_tokens=["<unk>", "<s>"],
                                        show_progress=False)
    t.train_from_iterator(corpus, trainer)
    t.post_processor = processors.TemplateProcessing(
        single="<s>:2 $A:3", pair="$B:1 <s>:5 $A:7 <s>", special_tokens=[("<s>", 1)])
    return t


def unigram(corpus, normalizer, pre_tokenizer, special=("<pad>", "</s>", "<unk>"), size=900):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=list(special),
                                      unk_token="<unk>", show_progress=False)
    t.train_from_iterator(corpus, trainer)
    return t


def ends(t):
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return t


def t5(corpus):
    """The form of T5's own file, with few rules: some of nmt_nfkc's, and odd ones."""
    t = unigram(corpus, normalizers.Precompiled(charsmap(RULES)),
                pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                         pre_tokenizers.Metaspace(META, "always")]))
    t.decoder = decoders.Metaspace(META, "always")
    t.add_special_tokens([f"<extra_id_{i}>" for i in range(4, -1, -1)])
    return ends(t)


def spm_first(corpus):
    """The form that `transformers` makes of sentencepiece's models, Metaspace for the text only."""
    t = unigram(corpus, normalizers.Sequence([
        normalizers.Precompiled(charsmap(RULES)), normalizers.Strip(False, True),
        normalizers.Replace(Regex(" {2,}"), META)]), pre_tokenizers.Metaspace(META, "first"))
    t.decoder = decoders.Metaspace(META, "first")
    t.add_tokens([AddedToken("<sep>", normalized=False, lstrip=True),
                  AddedToken("<cls>", normalized=False, special=True)])
    return ends(t)


def unigram_odd(corpus):
    """Whole texts for words, byte fallback; scores with ties, above zero, and far below; a token
    twice, and one that unknown characters make when they are put together."""
    t = unigram(corpus, normalizers.NFKC(),
                pre_tokenizers.Metaspace(META, "always", split=False), size=700)
    data = json.loads(t.to_str())
    vocab = data["model"]["vocab"]
    vocab += [[f"<0x{b:02X}>", -9.0] for b in range(256) if b != 0xF0]
    vocab += [[w, -2.5] for w in ("ab", "ba", "a", "b", "aba", "bab", "aa", "bb")]
    vocab += [["the", -1.25], ["the", -7.75], ["\u4e8c\u4e00", -300.5], ["\u03b2", 2],
              ["\U0001f600\U0001f600", -1e3], ["", -1.0]]
    data["model"]["byte_fallback"] = True
    t = Tokenizer.from_str(json.dumps(data))
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(META, "always"),
                                   decoders.Fuse()])
    t.add_tokens(["<new>", AddedToken("Romeo", single_word=True)])
    return ends(t)


KINDS = {f.__name__: f for f in (gpt2, llama3, qwen2, llama2, mistral, gpt2_odd, split_odd,
                                 whitespace, bert, bert_odd, bert_accents, word_level, t5,
                                 spm_first, unigram_odd)}


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


def added_tokens(tokenizer):
    return list(tokenizer.get_added_tokens_decoder().values())


def golden(tokenizer):
    """What is left out of a case: "plain" if it is "ids", "decoded" if it is "text", "all" if it
    is "decoded"."""
    cases = []
    for text in golden_texts(added_tokens(tokenizer)):
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


def pairs(tokenizer):
    """Two texts, with a limit for some, and the ids and types of the pair."""
    cases = []
    for first, second, limit in golden_pairs(added_tokens(tokenizer)):
        tokenizer.no_truncation()
        if limit:
            tokenizer.enable_truncation(limit)
        encoding = tokenizer.encode(first, second)
        plain = tokenizer.encode(first, second, add_special_tokens=False)
        cases.append({"first": first, "second": second, "limit": limit, "ids": encoding.ids,
                      "types": encoding.type_ids, "plain": plain.ids,
                      "plain_types": plain.type_ids})
    tokenizer.no_truncation()
    return cases


def freeze(folder, tokenizer):
    """Writes what the package says: golden.json about texts, pairs.json about pairs."""
    for name, cases in (("golden", golden(tokenizer)), ("pairs", pairs(tokenizer))):
        lines = [json.dumps(case, separators=(",", ":")) for case in cases]
        (folder / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/data/tokenizers")
    parser.add_argument("--keep", action="store_true", help="tokenizer.json as it is there")
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    args = parser.parse_args()
    corpus = MULTILINGUAL * 40
    if args.corpus:
        corpus += args.corpus.read_text().splitlines(keepends=True)[:12000]
    for name in args.kinds or KINDS:
        folder = args.out / name
        if args.keep:
            freeze(folder, Tokenizer.from_file(str(folder / "tokenizer.json")))
            continue
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = build(name, corpus)
        data = json.loads(tokenizer.to_str())
        # Both spellings of merges occur in the wild; the older files have strings.
        if name in ("gpt2", "llama2"):
            data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(text)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        freeze(folder, tokenizer)
        print(name, tokenizer.get_vocab_size(), len(text), "bytes")


if __name__ == "__main__":
    main()
