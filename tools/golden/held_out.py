"""Random models that nobody has seen: the program against transformers and against itself."""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GenerationConfig, GPT2Config, LlamaConfig
from transformers import MistralConfig, Qwen2Config, Qwen3Config

CLEAR_GAP = 1e-4  # two best logits closer than this (of the largest) may swap
PLANS = (
    "--threads 1",
    "--threads 2",
    "--threads 3",
    "-tp 2",
    "-tp 3",
    "-pp 2",
    "-dp 2 -tp 2",
    "--max-num-batched-tokens 5",
    "--max-num-batched-tokens 64",
)
HEADS = [(7, 7), (14, 2), (9, 3), (5, 5), (4, 1), (8, 2), (6, 2), (3, 3), (12, 4), (1, 1)]
ROPES = [
    None,
    dict(rope_type="linear", factor=2.5),
    dict(rope_type="dynamic", factor=4.0),  # no effect within max_position_embeddings
    dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=128,
    ),
    dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256),
    dict(
        rope_type="yarn",
        factor=8.0,
        original_max_position_embeddings=128,
        beta_fast=24,
        beta_slow=2,
        attention_factor=0.9,
    ),
]


def random_config(rng: random.Random, family: str):
    """A shape with awkward remainders whose layers take at most about six million parameters."""
    heads, kv_heads = rng.choice(HEADS)
    head_dim = rng.choice([d for d in (40, 64, 80, 96, 128) if 320 <= d * heads <= 1024] or [128])
    vocab, mlp = rng.randint(300, 4000), rng.choice([333, 515, 1000, 1408, 2731])
    # Qwen3 and sometimes the others have a hidden size of their own.
    loose = family == "qwen3" or (family in ("llama", "mistral") and rng.random() < 0.3)
    hidden = rng.choice([320, 360, 456, 576]) if loose else heads * head_dim
    per_layer = hidden * (2 * (heads + kv_heads) * head_dim + 3 * mlp)
    layers = max(1, min(6, 6_000_000 // per_layer))
    tied = rng.random() < 0.5
    if family == "gpt2":
        return GPT2Config(
            vocab_size=vocab,
            n_embd=hidden,
            n_head=heads,
            n_layer=layers,
            n_inner=rng.choice([None, mlp]),
            n_positions=640,
            tie_word_embeddings=tied,
            activation_function=rng.choice(["gelu_new", "gelu", "relu"]),
            scale_attn_by_inverse_layer_idx=rng.random() < 0.3,
            bos_token_id=1,
            eos_token_id=2,
        )
    common = dict(
        vocab_size=vocab,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=1024,
        rms_norm_eps=rng.choice([1e-6, 1e-5]),
        tie_word_embeddings=tied,
        rope_theta=rng.choice([1e4, 5e5, 1e6]),
        rope_scaling=rng.choice(ROPES),
        bos_token_id=1,
        eos_token_id=2,
    )
    window = rng.choice([1, 63, 100, 256])
    if family == "mistral":
        return MistralConfig(**common, head_dim=head_dim, sliding_window=rng.choice([None, window]))
    if family == "qwen2":
        windows = dict(sliding_window=window, max_window_layers=rng.randint(0, layers))
        return Qwen2Config(**common, **windows, use_sliding_window=rng.random() < 0.5)
    biased = rng.random() < 0.4
    if family == "qwen3":
        return Qwen3Config(**common, head_dim=head_dim, attention_bias=biased)
    return LlamaConfig(
        **common, head_dim=head_dim, attention_bias=biased, mlp_bias=rng.random() < 0.3
    )


@torch.no_grad()
def random_weights(config, rng: random.Random):
    """transformers' own initialisation, or all of it wider, with biases and norms that matter."""
    torch.manual_seed(rng.randrange(2**31))
    model = AutoModelForCausalLM.from_config(config).eval()
    if rng.random() < 0.7:
        for name, parameter in model.named_parameters():
            noise = 0.1 * torch.randn(parameter.shape)
            is_norm_weight = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + noise if is_norm_weight else noise)
    return model


def write_tokenizer(folder: Path, vocab: int) -> None:
    """Bytes, and words that only a model can say; ids 0, 1 and 2 are special."""
    pieces = ["<unk>", "<s>", "</s>", *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    pieces += [f"Ġw{i}" for i in range(len(pieces), vocab)]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE({piece: i for i, piece in enumerate(pieces)}, [])
    )
    tokenizer.add_special_tokens(pieces[:3])
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


def write_model(folder: Path, rng: random.Random, family: str) -> str:
    """Saves a model as its maker would; returns a line about it."""
    config = random_config(rng, family)
    dtype = rng.choice(["float32", "bfloat16", "float16"])
    model = random_weights(config, rng)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, dtype))
    model.config.dtype = dtype
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    model.save_pretrained(folder, max_shard_size=rng.choice(["5GB", size // 3]))
    write_tokenizer(folder, config.vocab_size)
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kv_heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    return (
        f"{family:8} {config.num_hidden_layers}x{config.hidden_size}"
        f" {config.num_attention_heads}/{kv_heads} vocab {config.vocab_size} {dtype}"
        f" {rope.get('rope_type', 'default')}{' tied' if config.tie_word_embeddings else ''}"
    )


def load(folder: Path, dtype: torch.dtype):
    # Eager: GPT-2's sdpa of transformers 4 overlooks scale_attn_by_inverse_layer_idx.
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()


@torch.no_grad()
def logits_of(model, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor([ids]), use_cache=False).logits[0].float()


class Program:
    """Runs the program on one model; every output in a file of its own."""

    def __init__(self, program: Path, model: Path):
        self.program, self.model, self.calls = program, model, 0

    def __call__(self, verb: str, rows: list[dict], *flags: str) -> Path:
        self.calls += 1
        source, target = (self.model.parent / f"{self.calls}.{end}" for end in ("in", "out"))
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [self.program, verb, "-m", self.model, "-i", source, "-o", target, *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{verb} {' '.join(flags)}: {done.returncode}: {done.stderr[-400:]}")
        return target


def kl(wanted: torch.Tensor, got: torch.Tensor) -> float:
    """Mean over positions of KL(wanted || got), nats; both are logits."""
    p, q = wanted.double().log_softmax(-1), got.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean().item()


def check_scores(run: Program, sequences: list[list[int]], exact: list[torch.Tensor]) -> float:
    """Float32: largest difference of logits, log-probabilities and sums, of the largest logit."""
    rows = [{"token_ids": ids} for ids in sequences]
    file = run.model.parent / "float32.safetensors"
    scores = run("score", rows, "--ids", "--dtype", "float32", "--logits", str(file))
    ours, worst = load_file(file), 0.0
    for i, line in enumerate(scores.read_text().splitlines()):
        row, wanted, ids = json.loads(line), exact[i], sequences[i]
        scale = wanted.abs().max()
        logprobs = wanted[:-1].log_softmax(-1).gather(1, torch.tensor(ids)[1:, None])[:, 0]
        if row["token_ids"] != ids or ours[f"ids.{i}"].tolist() != ids:
            raise RuntimeError(f"score: row {i} has other ids")
        errors = [(ours[f"logits.{i}"] - wanted).abs().max() / scale]
        if len(ids) > 1:
            errors.append((torch.tensor(row["logprobs"]) - logprobs).abs().max() / scale)
        errors.append(abs(row["sum"] - logprobs.sum().item()) / len(ids) / scale)
        worst = max(worst, max(float(error) for error in errors))
    return worst


def check_bfloat16(run: Program, sequences: list[list[int]], exact: list[torch.Tensor]):
    """Mean KL from float32 of our bfloat16 and of Hugging Face's."""
    file = run.model.parent / "bfloat16.safetensors"
    rows = [{"token_ids": ids} for ids in sequences]
    run("score", rows, "--ids", "--dtype", "bfloat16", "--logits", str(file))
    ours, model = load_file(file), load(run.model, torch.bfloat16)
    theirs = torch.cat([logits_of(model, ids) for ids in sequences])
    wanted = torch.cat(exact)
    mine = torch.cat([ours[f"logits.{i}"].float() for i in range(len(sequences))])
    return kl(wanted, mine), kl(wanted, theirs)


def generate(model, prompt: list[int]):
    """Ids, and for each of them whether the choice was clear."""
    out = model.generate(
        torch.tensor([prompt]), output_scores=True, return_dict_in_generate=True, pad_token_id=0
    )
    best = torch.cat(out.scores).topk(2).values
    clear = (best[:, 0] - best[:, 1]) > CLEAR_GAP * best.abs().max()
    return out.sequences[0, len(prompt) :].tolist(), clear.tolist()


def write_generation_config(folder: Path, rng: random.Random, model, prompts) -> None:
    """End tokens that do come up, and what else generate() reads there."""
    model.generation_config = GenerationConfig(max_new_tokens=24, eos_token_id=None)
    ends = [generate(model, prompt)[0][rng.randint(5, 20)] for prompt in prompts[:2]]
    length = rng.choice([dict(max_new_tokens=18), dict(max_length=50), {}])
    GenerationConfig(
        bos_token_id=1,
        eos_token_id=rng.choice([2, ends[0], ends]),
        repetition_penalty=rng.choice([None, 1.0, 1.3]),
        **length,
    ).save_pretrained(folder)


def check_greedy(run: Program, prompts: list[list[int]]) -> int:
    """Tokens compared with generate(), as text, up to the first choice that is not clear."""
    model = load(run.model, torch.float32)
    tokenizer = tokenizers.Tokenizer.from_file(str(run.model / "tokenizer.json"))
    ends = model.generation_config.eos_token_id
    rows = run("batch", [{"prompt": ids} for ids in prompts], "--dtype", "float32")
    compared = 0
    for prompt, line in zip(prompts, rows.read_text().splitlines()):
        row, (ids, clear) = json.loads(line), generate(model, prompt)
        sure = clear.index(False) if False in clear else len(ids)
        stopped = ids[-1] in (ends if isinstance(ends, list) else [ends])
        wanted = tokenizer.decode(ids[: min(sure, len(ids) - stopped)])
        if sure == len(ids):
            end = "stop" if stopped else "length"
            same = (row["text"], row["finish_reason"]) == (wanted, end)
            same = same and row["completion_tokens"] == len(ids)
        else:  # the last character of a part may be half a one
            same = row["text"].startswith(wanted.rstrip("\ufffd"))
        if not same:
            raise RuntimeError(f"batch: prompt {prompt[:8]}..: {ids} {wanted!r}, but {row}")
        compared += sure
    return compared


def sha256(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def check_plans(run: Program, dtype: str, sequences, prompts) -> str:
    """One hash of everything that `score` and `batch` write, under every plan that is possible."""
    plain = None
    for plan in PLANS:
        flags = ["--dtype", dtype, *plan.split()]
        logits = run.model.parent / "plan.safetensors"
        rows = [{"token_ids": ids} for ids in sequences]
        try:
            scores = run("score", rows, "--ids", "--logits", str(logits), *flags)
        except RuntimeError as error:
            if "virtual shards" in str(error):
                continue  # too few heads for this plan
            raise
        answers = [{"prompt": ids, "temperature": 0.9, "seed": i} for i, ids in enumerate(prompts)]
        answers += [{"prompt": ids, "temperature": 0} for ids in prompts]
        digest = sha256(scores, logits, run("batch", answers, *flags, "-n", "12"))
        plain = plain or digest
        if digest != plain:
            raise RuntimeError(f"{dtype} {plan}: {digest}, but {plain} for {PLANS[0]}")
    return plain


def check_model(program: Path, folder: Path, rng: random.Random, family: str) -> bool:
    """Makes a model, checks it, prints its line of the table."""
    about = write_model(folder / "model", rng, family)
    run = Program(program, folder / "model")
    try:
        model = load(run.model, torch.float32)
        vocab = model.config.vocab_size
        lengths = (1, 37, rng.randint(70, 600))
        sequences = [[rng.randrange(vocab) for _ in range(n)] for n in lengths]
        prompts = [[rng.randrange(3, vocab) for _ in range(n)] for n in (1, 5, 33)]
        exact = [logits_of(model, ids) for ids in sequences]
        error = check_scores(run, sequences, exact)
        ours, theirs = check_bfloat16(run, sequences, exact)
        write_generation_config(run.model, rng, model, prompts)
        compared = check_greedy(run, prompts)
        digest = check_plans(run, rng.choice(["float32", "bfloat16"]), sequences, prompts)
    except (RuntimeError, subprocess.TimeoutExpired) as failure:
        print(f"{about:66} FAILED: {failure}", flush=True)
        return False
    good = error <= 1e-4 and ours <= theirs
    print(
        f"{about:66} {error:.1e}  {ours:.1e} {theirs:.1e}  {compared:3} {digest}"
        f"{'' if good else '  FAILED'}",
        flush=True,
    )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="build/release/trireme")
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder that keeps the models that fail")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # transformers 5 on a generation_config without a length
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"{'transformers ' + transformers.__version__:66} f32 err  bf16 KL: ours, HF  greedy sha")
    failed = 0
    for i in range(args.models):
        rng = random.Random(f"{args.seed}.{i}")
        family = ["gpt2", "llama", "mistral", "qwen2", "qwen3"][i % 5]
        with tempfile.TemporaryDirectory() as folder:
            if not check_model(args.program.resolve(), Path(folder), rng, family):
                failed += 1
                if args.keep:
                    shutil.copytree(folder, args.keep / f"{args.seed}.{i}", dirs_exist_ok=True)
    if failed:
        sys.exit(f"{failed} of {args.models} models failed")


if __name__ == "__main__":
    main()
