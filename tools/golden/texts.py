"""Makes tests/data/texts: tiny encoders and a tiny T5 with tokenizers of their own, and what the
pipelines of transformers answer to texts (README.md).
Usage: texts.py tests/data/texts TEXT_TO_TRAIN_TOKENIZERS_ON"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
import transformers
from tasks import BERT, LABELS, T5, randomize, write_json
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    pipeline,
)

VOCAB = 320
TEXTS = [
    "To be, or not to be: that is the question.",
    "O Romeo, Romeo! wherefore art thou Romeo? Deny thy father and refuse thy name.",
    "Peace!",
    "Now is the winter of our discontent made glorious summer by this sun of York; and all the "
    "clouds that lour'd upon our house in the deep bosom of the ocean buried.",
    "Caf\u00e9 na\u00efve, \u4f60\u597d \U0001f600 \u2014 \u00bd price!",
    "",
]
PAIRS = [(TEXTS[0], TEXTS[2]), (TEXTS[2], TEXTS[1]), ("", TEXTS[0])]
MASKED = [
    "To be, or not to [MASK].",
    "O [MASK], Romeo! wherefore art [MASK] Romeo?",
    "[MASK]",
]
TASKS = {
    "translation_en_to_de": dict(prefix="translate English to German: ", max_length=30, num_beams=4,
                                 early_stopping=True),
    "summarization": dict(prefix="summarize: ", max_length=60),
}  # fmt: skip


def word_piece(corpus: str, length: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCAB, special_tokens=special, limit_alphabet=60)
    tokenizer.train_from_iterator(corpus.splitlines(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def unigram(corpus: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCAB, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    tokenizer.train_from_iterator(corpus.splitlines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )


def save(folder: Path, model, tokenizer, share_with: str = "") -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if share_with:
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).unlink()
            os.symlink(f"../{share_with}/{name}", folder / name)


def answers(folder: Path, **content) -> None:
    note = dict(transformers_version=transformers.__version__)
    write_json(folder / "golden.json", note | content)


def make_classifier(out: Path, tokenizer) -> None:
    folder = out / "classify"
    config = BertConfig(**BERT | LABELS | dict(vocab_size=len(tokenizer), max_position_embeddings=64))
    model = randomize(BertForSequenceClassification(config), 9000)
    save(folder, model, tokenizer)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, batch_size=4)
    rows = []
    inputs = TEXTS + [dict(text=a, text_pair=b) for a, b in PAIRS]
    for given, scores in zip(inputs, classify(inputs, top_k=None, padding=True, truncation=True)):
        row = given if isinstance(given, dict) else dict(text=given)
        rows.append(row | dict(scores={s["label"]: s["score"] for s in scores}, label=scores[0]["label"]))
    answers(folder, rows=rows)


def make_masked(out: Path, tokenizer) -> None:
    folder = out / "masked"
    config = BertConfig(**BERT | dict(vocab_size=len(tokenizer), max_position_embeddings=64))
    model = randomize(BertForMaskedLM(config), 9010)
    save(folder, model, tokenizer, share_with="classify")
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    rows = []
    for text in MASKED:
        found = fill(text, top_k=5)
        masks = found if isinstance(found[0], list) else [found]
        rows.append(dict(text=text, masks=[[dict(token_id=c["token"], token=c["token_str"],
                                                  probability=c["score"]) for c in mask]
                                           for mask in masks]))  # fmt: skip
    answers(folder, rows=rows)


@torch.no_grad()
def make_sentences(out: Path, tokenizer) -> None:
    folder = out / "sentence"
    config = BertConfig(**BERT | dict(vocab_size=len(tokenizer), max_position_embeddings=64))
    model = randomize(BertModel(config), 9020)
    save(folder, model, tokenizer, share_with="classify")
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    write_json(folder / "modules.json",
               [dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
                for i, (path, kind) in enumerate(modules)])  # fmt: skip
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling/config.json",
               dict(word_embedding_dimension=32, pooling_mode_mean_tokens=True))  # fmt: skip
    limit = 40
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=limit, do_lower_case=False))
    # As sentence-transformers does it: one padded batch, the mean over what is no padding.
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=limit, return_tensors="pt")
    hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].float()
    vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
    lengths = [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    answers(folder, rows=[dict(text=t, embedding=v.tolist(), prompt_tokens=min(n, limit), truncated=n > limit)
                          for t, v, n in zip(TEXTS, vectors, lengths)])  # fmt: skip


def clear_text(model, tokenizer, text: str, new_tokens: int):
    """Greedy, if every token is the best by a margin and the text goes somewhere."""
    ids = tokenizer(text, return_tensors="pt").input_ids
    found = model.generate(ids, max_new_tokens=new_tokens, do_sample=False, num_beams=1,
                           output_scores=True, return_dict_in_generate=True)  # fmt: skip
    for scores in found.scores:
        best = scores[0].topk(2).values
        if best[0] - best[1] < 1e-3 * scores[0].abs().max():
            return None
    tokens = found.sequences[0, 1:].tolist()
    return tokens if len(set(tokens)) > 5 else None


def make_t5(out: Path, corpus: str) -> None:
    tokenizer = unigram(corpus)
    folder = out / "t5"
    sizes = T5 | dict(vocab_size=len(tokenizer), tie_word_embeddings=False)
    config = T5Config(**sizes, task_specific_params=TASKS)
    model = randomize(T5ForConditionalGeneration(config), 9032)
    save(folder, model, tokenizer)
    model.generation_config.use_cache = False  # which takes the encoder's number of layers
    prefix = TASKS["translation_en_to_de"]["prefix"]
    translate = pipeline("translation_en_to_de", model=model, tokenizer=tokenizer)
    rows = []
    for text in TEXTS:
        for before in ("", prefix):
            ids = clear_text(model, tokenizer, before + text, 30)
            if ids is None:
                continue
            row = dict(text=text, prefix=before, tokens=len(tokenizer(before + text).input_ids))
            row["text_of_12"] = tokenizer.decode(ids[:12], skip_special_tokens=True)
            if before:
                # Since transformers 4.57 a pipeline's own 256 new tokens count, not the task's.
                new_tokens = TASKS["translation_en_to_de"]["max_length"] - 1
                answer = translate(text, num_beams=1, max_new_tokens=new_tokens)[0]
                row["translation"] = answer["translation_text"]
            rows.append(row)
    first = tokenizer(TEXTS[0], return_tensors="pt").input_ids
    fresh = T5ForConditionalGeneration.from_pretrained(folder)  # the pipeline has changed the other
    fresh.generation_config.use_cache = False
    lengths = {}
    for max_length in (None, 9, 20):
        if max_length is not None:
            fresh.generation_config.max_length = max_length
        lengths[str(max_length)] = len(fresh.generate(first)[0]) - 1
    print("t5:", [(row["text"][:20], row["prefix"][:10]) for row in rows])
    if len(rows) < 5 or not any("translation" in row for row in rows):
        raise SystemExit("too few texts with a clear greedy answer")
    answers(folder, rows=rows, new_tokens_by_max_length=lengths)


def main() -> None:
    out, corpus = Path(sys.argv[1]), Path(sys.argv[2]).read_text()[:200_000]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    shared = word_piece(corpus, 64)
    make_classifier(out, shared)
    make_masked(out, shared)
    make_sentences(out, shared)
    make_t5(out, corpus)


if __name__ == "__main__":
    main()
