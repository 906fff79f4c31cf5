"""Makes tests/data/golden: tiny random models and what Hugging Face makes of them (README.md)."""

import copy
import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from cases import VOCAB, Case, all_cases, wide_configs
from quantized import write_quantized
from safetensors.torch import save_file
from rope import write_rope
from samplers import write_samplers
from transformers import AutoModelForCausalLM

LENGTHS = [5, 37, 70]  # tokens; 37 and 70 cross blocks of 32 and of 64
PROMPT, NEW_TOKENS = 5, 24
EOS = 2
CLEAR_GAP = 1e-2  # the greedy golden's smallest gap between the two best logits, of the largest


def random_model(config, seed: int):
    """Weights wide enough that a wrong rotation, mask or bias shows at 1e-4."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm_weight = name.endswith("weight") and parameter.dim() == 1
            scale = 0.5 if "wte" in name or "embed_tokens" in name else 0.25
            parameter.copy_(1 + 0.3 * noise if is_norm_weight else scale * noise)
    return model


def round_weights(model, dtype: torch.dtype):
    """Gives the parameters `dtype`; Module.to() would round the rotary frequencies too."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


@torch.no_grad()
def logits_of(model, ids: torch.Tensor, **more) -> torch.Tensor:
    return model(ids[None], use_cache=False, **more).logits[0]


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference relative to b's largest logit: the measure of DESIGN's 1e-4."""
    return ((a.double() - b.double()).abs().max() / b.double().abs().max()).item()


def greedy(model, prompt: torch.Tensor):
    """NEW_TOKENS ids, and the gap between the two best logits (not relative) at each of them."""
    ids, gaps = prompt.tolist(), []
    for _ in range(NEW_TOKENS):
        best = logits_of(model, torch.tensor(ids))[-1].topk(2)
        ids.append(best.indices[0].item())
        gaps.append((best.values[0] - best.values[1]).item())
    return ids[len(prompt) :], gaps


def clear_greedy(model, seed: int):
    """A prompt whose continuation has no end of text and no near tie."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(200):
        prompt = torch.randint(3, VOCAB, (PROMPT,), generator=generator)
        largest = logits_of(model, prompt).abs().max().item()
        tokens, gaps = greedy(model, prompt)
        if EOS not in tokens and min(gaps) > CLEAR_GAP * largest:
            return prompt, torch.tensor(tokens), torch.tensor(gaps)
    raise SystemExit("no prompt with a clear greedy continuation")


def with_config(model, changes: dict):
    """The same weights under a changed config."""
    config = copy.deepcopy(model.config)
    for key, value in changes.items():
        setattr(config, key, value)
    if "sliding_window" in changes and hasattr(config, "layer_types"):
        config.layer_types = None
    other = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    other.load_state_dict(model.state_dict())
    return other


def without_parameter(model, suffix: str):
    other = copy.deepcopy(model)
    neutral = 1.0 if suffix.endswith("weight") else 0.0
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.endswith(suffix):
                parameter.fill_(neutral)
    return other


def check_sensitivity(case: Case, model, ids: torch.Tensor) -> None:
    """Fails unless taking away what the case covers changes the logits by far more than 1e-4."""
    expected = logits_of(model, ids)
    variants = [(str(changes), with_config(model, changes)) for changes in case.without]
    variants += [(name, without_parameter(model, name)) for name in case.without_parameters]
    for what, other in variants:
        change = distance(logits_of(other, ids), expected)
        if change < 1e-2:
            raise SystemExit(f"{case.name}: the logits hardly depend on {what} ({change:.1e})")


def check_window(model, ids: torch.Tensor) -> None:
    """HF's sliding window against a mask of our own: query i sees keys i - window + 1 .. i."""
    window, n = model.config.sliding_window, len(ids)
    behind = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    hidden = (behind < 0) | (behind >= window)
    mask = torch.zeros(n, n).masked_fill(hidden, torch.finfo(torch.float32).min)
    plain = with_config(model, {"sliding_window": None})
    if (
        distance(logits_of(plain, ids, attention_mask=mask[None, None]), logits_of(model, ids))
        > 1e-6
    ):
        raise SystemExit("HF's sliding window is not the one that this project implements")


def respell(config: dict, spelling: str, dtype: str) -> dict:
    """config.json in the words of transformers 4.40, 4.57 (as written here) or 5."""
    config = dict(config)
    config.pop("dtype", None)
    config["torch_dtype" if spelling == "4.40" else "dtype"] = dtype
    if spelling == "4.57":
        return config
    if spelling == "4.40":
        config["transformers_version"] = "4.40.0"
        config.pop("layer_types", None)
        return config
    config["transformers_version"] = "5.0.0"
    scaling = config.pop("rope_scaling", None) or {"rope_type": "default"}
    config["rope_parameters"] = {"rope_theta": config.pop("rope_theta"), **scaling}
    return config


def link(path: Path, other_case: str) -> None:
    """Makes `path` a symbolic link to the file of that name of another case."""
    path.unlink(missing_ok=True)
    path.symlink_to(Path("..") / other_case / path.name)


def save_with_hub_names(model, path: Path) -> None:
    """Writes a GPT-2 as openai-community/gpt2 is: the bare base model and its causal masks."""
    tensors = dict(model.transformer.state_dict())
    positions = model.config.n_positions
    for layer in range(model.config.n_layer):
        mask = torch.ones(positions, positions, dtype=torch.bool).tril()
        tensors[f"h.{layer}.attn.bias"] = mask[None, None].clone()
    save_file(tensors, path, metadata={"format": "pt"})


def write_model(case: Case, model, folder: Path) -> None:
    saved = round_weights(copy.deepcopy(model), getattr(torch, case.dtype))
    saved.config.dtype = case.dtype
    size = sum(p.numel() * p.element_size() for p in saved.parameters())
    saved.save_pretrained(
        folder, max_shard_size=size * 5 // 4 // case.shards if case.shards > 1 else "1GB"
    )
    if case.hub_names:
        save_with_hub_names(saved, folder / "model.safetensors")
    elif case.weights_of:
        link(folder / "model.safetensors", case.weights_of)
    path = folder / "config.json"
    config = respell(json.loads(path.read_text()), case.spelling, case.dtype) | case.edit_json
    for key in case.drop_json:
        del config[key]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def bfloat16_divergence(model, sequences, expected) -> float:
    """Mean KL(float32 || bfloat16) of HF's own bfloat16 on this machine, in nats per position."""
    rounded = round_weights(copy.deepcopy(model), torch.bfloat16)
    parts = []
    for ids, logits in zip(sequences, expected):
        wanted, got = logits.log_softmax(-1), logits_of(rounded, ids).float().log_softmax(-1)
        parts.append((wanted.exp() * (wanted - got)).sum(-1))
    return torch.cat(parts).mean().item()


def double_error(model, sequences, expected) -> float:
    """How far HF's float32 is from its own float64: what 1e-4 has room for."""
    exact = copy.deepcopy(model).double()
    return max(distance(logits, logits_of(exact, ids)) for ids, logits in zip(sequences, expected))


def write_goldens(case: Case, model, folder: Path, seed: int) -> dict:
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(3, VOCAB, (n,), generator=generator) for n in LENGTHS]
    expected = [logits_of(model, ids) for ids in sequences]
    check_sensitivity(case, model, sequences[-1])
    tensors = {}
    for i, (ids, logits) in enumerate(zip(sequences, expected)):
        logprobs = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        tensors |= {f"ids.{i}": ids, f"logits.{i}": logits, f"logprobs.{i}": logprobs}
    prompt, tokens, gaps = clear_greedy(model, seed + 1)
    tensors |= {"greedy.prompt": prompt, "greedy.tokens": tokens, "greedy.gaps": gaps}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
    return {
        "covers": case.covers,
        "transformers_version": transformers.__version__,
        "checkpoint_dtype": case.dtype,
        "largest_logit": max(logits.abs().max().item() for logits in expected),
        "hf_float32_error": double_error(model, sequences, expected),
        "hf_bfloat16_mean_kl": bfloat16_divergence(model, sequences, expected),
    }


def make(case: Case, out: Path, seed: int, models: dict) -> None:
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = random_model(case.config, seed)
    if case.weights_of:
        model.load_state_dict(models[case.weights_of].state_dict())
    round_weights(model, getattr(torch, case.dtype))
    round_weights(model, torch.float32)  # what a float32 run of the checkpoint computes with
    models[case.name] = model
    if case.name == "mistral":
        check_window(model, torch.arange(70) % VOCAB)
    write_model(case, model, folder)
    if case.respells:
        link(folder / "golden.safetensors", case.respells)
        link(folder / "golden.json", case.respells)
        return
    meta = write_goldens(case, model, folder, seed)
    (folder / "golden.json").write_text(json.dumps(meta, indent=2) + "\n")
    print(
        f"{case.name:18} float32 error {meta['hf_float32_error']:.1e}"
        f"  bf16 KL {meta['hf_bfloat16_mean_kl']:.1e}"
    )


def write_wide(out: Path) -> None:
    for name, config in wide_configs().items():
        config.architectures = ["GPT2LMHeadModel" if "gpt2" in name else "LlamaForCausalLM"]
        config.dtype = "float32"
        config.save_pretrained(out / name)


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    models = {}
    for index, case in enumerate(all_cases()):
        make(case, out, 1000 + 10 * index, models)
    write_wide(out)
    write_quantized(out)
    write_samplers(out / "samplers.json")
    write_rope(out / "rope.json")


if __name__ == "__main__":
    main()
