"""Makes tests/data/tasks: tiny encoders, encoder-decoders and classifiers, and what transformers
and torch compute with them (README.md). Usage: tasks.py tests/data/tasks [CASE...]"""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    Qwen3Config,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
)

VOCAB = 96
LENGTHS = [1, 5, 37, 70]  # 37 and 70 cross blocks of 32 and of 64
TARGETS = [1, 40, 7, 33]  # of encoder-decoders, beside those
NEW_TOKENS = 12
BERT = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=80,
    type_vocab_size=2,
    pad_token_id=0,
)
ROBERTA = BERT | dict(type_vocab_size=1, pad_token_id=1, max_position_embeddings=82)
DISTIL = dict(
    vocab_size=VOCAB, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=80
)
LABELS = dict(id2label={0: "joy", 1: "anger", 2: "rest"}, label2id={"joy": 0, "anger": 1, "rest": 2})
T5 = dict(
    vocab_size=VOCAB,
    d_model=32,
    d_kv=12,  # heads * d_kv is not d_model
    d_ff=48,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=3,
    relative_attention_num_buckets=8,
    relative_attention_max_distance=20,
    decoder_start_token_id=0,
    pad_token_id=0,
    eos_token_id=1,
)


@dataclass
class Case:
    name: str
    covers: str
    kind: str  # sentence, masked, classify, seq2seq
    model_class: object
    config: object
    pooling: dict = field(default_factory=dict)  # of sentence-transformers; written as its files
    normalize: bool = False
    old_names: bool = False  # gamma and beta, as checkpoints from TensorFlow have


def cases() -> list[Case]:
    mean = dict(pooling_mode_mean_tokens=True)
    return [
        Case("bert_mean", "mean pooling, normalised", "sentence", BertModel, BertConfig(**BERT),
             mean, normalize=True),
        Case("bert_cls", "the first token's vector; relu", "sentence", BertModel,
             BertConfig(**BERT | dict(hidden_act="relu", layer_norm_eps=0.01)),
             dict(pooling_mode_cls_token=True)),
        Case("bert_max", "largest values; gelu_new; no modules.json would mean mean", "sentence",
             BertModel, BertConfig(**BERT | dict(hidden_act="gelu_new")),
             dict(pooling_mode_max_tokens=True)),
        Case("bert_weighted", "mean weighted by position", "sentence", BertModel,
             BertConfig(**BERT), dict(pooling_mode_weightedmean_tokens=True)),
        Case("roberta_sqrt", "RoBERTa: positions from 2 on, one token type", "sentence",
             RobertaModel, RobertaConfig(**ROBERTA), dict(pooling_mode_mean_sqrt_len_tokens=True)),
        Case("bert_masked", "masked tokens, tied decoder, old names of norms", "masked",
             BertForMaskedLM, BertConfig(**BERT), old_names=True),
        Case("bert_masked_untied", "a decoder of its own", "masked", BertForMaskedLM,
             BertConfig(**BERT | dict(tie_word_embeddings=False))),
        Case("roberta_masked", "lm_head", "masked", RobertaForMaskedLM, RobertaConfig(**ROBERTA)),
        Case("distilbert_masked", "vocab_transform", "masked", DistilBertForMaskedLM,
             DistilBertConfig(**DISTIL)),
        Case("bert_classify", "pooler and classifier, pairs of texts", "classify",
             BertForSequenceClassification, BertConfig(**BERT, **LABELS)),
        Case("roberta_classify", "classification head", "classify",
             RobertaForSequenceClassification, RobertaConfig(**ROBERTA, **LABELS)),
        Case("distilbert_classify", "pre_classifier", "classify",
             DistilBertForSequenceClassification, DistilBertConfig(**DISTIL, **LABELS)),
        Case("gpt2_classify", "score of the last token", "classify",
             AutoModelForSequenceClassification,
             GPT2Config(vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=3, n_positions=80,
                        pad_token_id=0, **LABELS)),
        Case("llama_classify", "the same over rotary positions and GQA", "classify",
             AutoModelForSequenceClassification,
             LlamaConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48,
                         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=128, pad_token_id=0, **LABELS)),
        Case("qwen3_classify", "the same with q and k norms", "classify",
             AutoModelForSequenceClassification,
             Qwen3Config(vocab_size=VOCAB, hidden_size=32, intermediate_size=48,
                         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         head_dim=8, max_position_embeddings=128, pad_token_id=0, **LABELS)),
        Case("t5", "T5 as first published: relu, tied and scaled head", "seq2seq",
             T5ForConditionalGeneration, T5Config(**T5)),
        Case("t5_gated", "flan-T5: gated gelu, a head of its own", "seq2seq",
             T5ForConditionalGeneration,
             T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
        Case("t5_far", "default buckets; distances beyond the farthest", "seq2seq",
             T5ForConditionalGeneration,
             T5Config(**T5 | dict(relative_attention_num_buckets=32,
                                  relative_attention_max_distance=128))),
    ]  # fmt: skip


def randomize(model, seed: int):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm_weight = name.endswith("weight") and parameter.dim() == 1
            wide = "embeddings" in name or "relative_attention_bias" in name or "embed" in name
            scale = 1.0 if wide else 0.25
            parameter.copy_(1 + 0.3 * noise if is_norm_weight else scale * noise)
    return model.eval()


def write_json(path: Path, content) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def pooled(case: Case, hidden: torch.Tensor) -> torch.Tensor:
    """sentence-transformers' Pooling and Normalize of [n, hidden], for a text without padding."""
    (mode,) = case.pooling
    n = len(hidden)
    weights = torch.arange(1, n + 1, dtype=torch.float32)[:, None]
    value = {
        "pooling_mode_mean_tokens": lambda: hidden.mean(0),
        "pooling_mode_cls_token": lambda: hidden[0],
        "pooling_mode_max_tokens": lambda: hidden.max(0).values,
        "pooling_mode_weightedmean_tokens": lambda: (hidden * weights).sum(0) / weights.sum(),
        "pooling_mode_mean_sqrt_len_tokens": lambda: hidden.sum(0) / n**0.5,
    }[mode]()
    return torch.nn.functional.normalize(value, dim=0) if case.normalize else value


@torch.no_grad()
def encoder_goldens(case: Case, model, generator) -> dict:
    tensors = {}
    for i, n in enumerate(LENGTHS):
        ids = torch.randint(3, VOCAB, (n,), generator=generator)
        inputs = dict(input_ids=ids[None], attention_mask=torch.ones(1, n, dtype=torch.long))
        tensors[f"ids.{i}"] = ids
        if getattr(model.config, "type_vocab_size", 1) > 1 and i >= 2:
            types = (torch.arange(n) >= n // 3).long()
            tensors[f"type_ids.{i}"] = types
            inputs["token_type_ids"] = types[None]
        out = model(**inputs)
        if case.kind == "sentence":
            tensors[f"hidden.{i}"] = out.last_hidden_state[0]
            tensors[f"values.{i}"] = pooled(case, out.last_hidden_state[0])
        elif case.kind == "masked":
            tensors[f"logits.{i}"] = out.logits[0]
        else:
            tensors[f"values.{i}"] = out.logits[0]
    return tensors


@torch.no_grad()
def seq2seq_goldens(model, generator) -> dict:
    tensors = {}
    for i, (n, m) in enumerate(zip(LENGTHS, TARGETS)):
        source = torch.randint(3, VOCAB, (n,), generator=generator)
        target = torch.cat([torch.tensor([0]), torch.randint(3, VOCAB, (m - 1,), generator=generator)])
        logits = model(input_ids=source[None], decoder_input_ids=target[None]).logits[0]
        tensors |= {f"source.{i}": source, f"ids.{i}": target, f"logits.{i}": logits}
    source = tensors["source.2"]
    for attempt in range(200):
        ids = torch.tensor([[0]])
        gaps = []
        for _ in range(NEW_TOKENS):
            logits = model(input_ids=source[None], decoder_input_ids=ids).logits[0, -1]
            best = logits.topk(2)
            gaps.append(((best.values[0] - best.values[1]) / logits.abs().max()).item())
            ids = torch.cat([ids, best.indices[None, :1]], 1)
        tokens = ids[0, 1:]
        if min(gaps) > 1e-3 and 1 not in tokens.tolist():
            return tensors | {"greedy.source": source, "greedy.tokens": tokens}
        source = torch.randint(3, VOCAB, (37,), generator=generator)
    raise SystemExit("no source with a clear greedy continuation")


def write_sentence_files(case: Case, folder: Path) -> None:
    modules = [("", "", "Transformer"), ("1_Pooling", "1_Pooling", "Pooling")]
    if case.normalize:
        modules.append(("2_Normalize", "2_Normalize", "Normalize"))
    listed = [
        dict(idx=i, name=str(i), path=path, type=f"sentence_transformers.models.{kind}")
        for i, (_, path, kind) in enumerate(modules)
    ]
    write_json(folder / "modules.json", listed)
    (folder / "1_Pooling").mkdir()
    pooling = dict(word_embedding_dimension=32, pooling_mode_mean_tokens=False) | case.pooling
    write_json(folder / "1_Pooling/config.json", pooling)
    settings = dict(max_seq_length=64, do_lower_case=False)
    write_json(folder / "sentence_bert_config.json", settings)


def rename(case: Case, folder: Path, model) -> None:
    tensors = {k: v.clone().contiguous() for k, v in model.state_dict().items()}
    if case.old_names:
        tensors = {
            k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
            for k, v in tensors.items()
            if k not in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make(case: Case, out: Path, seed: int) -> None:
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model_class = case.model_class
    if model_class is AutoModelForSequenceClassification:
        model = model_class.from_config(case.config, attn_implementation="eager")
    else:
        case.config._attn_implementation = "eager"
        model = model_class(case.config)
    model = randomize(model, seed)
    model.save_pretrained(folder)
    rename(case, folder, model)
    if case.kind == "sentence":
        write_sentence_files(case, folder)
    generator = torch.Generator().manual_seed(seed + 1)
    if case.kind == "seq2seq":
        tensors = seq2seq_goldens(model, generator)
    else:
        tensors = encoder_goldens(case, model, generator)
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    note = dict(covers=case.covers, kind=case.kind, transformers_version=transformers.__version__)
    write_json(folder / "golden.json", note)
    print(case.name, {k: tuple(v.shape) for k, v in tensors.items() if k.endswith(".2")})


TORCH = {
    "torch_transformer": dict(d_model=32, nhead=4, num_encoder_layers=2, num_decoder_layers=3,
                              dim_feedforward=48),
    "torch_norm_first": dict(d_model=32, nhead=4, num_encoder_layers=2, num_decoder_layers=2,
                             dim_feedforward=48, activation="gelu", norm_first=True, bias=False,
                             tgt_is_causal=True),
    "torch_bare_layers": dict(d_model=32, nhead=4, dim_feedforward=48, bare_layers=True),
}  # fmt: skip


class BareLayers(torch.nn.Module):
    """The PyTorch seed's example of model parallelism: one layer on either side."""

    def __init__(self, d_model, nhead, dim_feedforward):
        super().__init__()
        sizes = dict(d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward, batch_first=True)
        self.encoder = torch.nn.TransformerEncoderLayer(**sizes)
        self.decoder = torch.nn.TransformerDecoderLayer(**sizes)

    def forward(self, src, tgt, tgt_mask=None):
        return self.decoder(tgt, self.encoder(src))


@torch.no_grad()
def make_torch(name: str, settings: dict, out: Path, seed: int) -> None:
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    arguments = dict(settings)
    causal = arguments.pop("tgt_is_causal", False)
    if arguments.pop("bare_layers", False):
        model = BareLayers(**arguments)
    else:
        model = torch.nn.Transformer(**arguments, batch_first=True)
    model = randomize(model, seed)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = dict(architectures=["TorchTransformer"], model_type="torch_transformer") | settings
    write_json(folder / "config.json", config)
    generator = torch.Generator().manual_seed(seed + 1)
    tensors = {}
    for i, (n, m) in enumerate(zip(LENGTHS, TARGETS)):
        src = torch.randn((n, settings["d_model"]), generator=generator)
        tgt = torch.randn((m, settings["d_model"]), generator=generator)
        mask = torch.nn.Transformer.generate_square_subsequent_mask(m) if causal else None
        values = model(src[None], tgt[None], tgt_mask=mask)[0]
        tensors |= {f"src.{i}": src, f"tgt.{i}": tgt, f"values.{i}": values}
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    note = dict(covers=str(settings), kind="torch", torch_version=torch.__version__)
    write_json(folder / "golden.json", note)
    print(name)


def main() -> None:
    out, wanted = Path(sys.argv[1]), sys.argv[2:]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for index, case in enumerate(cases()):
        if not wanted or case.name in wanted:
            make(case, out, 5000 + 10 * index)
    for index, (name, settings) in enumerate(TORCH.items()):
        if not wanted or name in wanted:
            make_torch(name, settings, out, 7000 + 10 * index)


if __name__ == "__main__":
    main()
