"""Writes the exact distributions that transformers' own logits processors leave."""

import json
from pathlib import Path

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

VOCAB = 50
# Settings that a sampler composes; `previous` are the ids that a repetition penalty applies to.
SETTINGS = [
    dict(),
    dict(temperature=0.7),
    dict(temperature=1.6),
    dict(top_k=1),
    dict(top_k=7),
    dict(top_k=200),
    dict(top_p=0.9),
    dict(top_p=0.35),
    dict(top_p=1e-4),
    dict(min_p=0.05),
    dict(min_p=0.3),
    dict(repetition_penalty=1.3),
    dict(repetition_penalty=0.8),
    dict(temperature=0.8, top_p=0.95),
    dict(temperature=0.7, top_k=20, top_p=0.8),
    dict(temperature=1.5, min_p=0.1),
    dict(temperature=0.6, top_k=10, top_p=0.95, min_p=0.02, repetition_penalty=1.1),
    dict(temperature=1.2, top_k=30, top_p=0.7, min_p=0.01, repetition_penalty=1.5),
]


def logit_vectors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    normal = torch.randn(VOCAB, generator=generator)
    return {
        "peaked": 4 * normal,
        "flat": 0.5 * torch.randn(VOCAB, generator=generator) - 1,
        "negative": 2 * torch.randn(VOCAB, generator=generator) - 20,
    }


def processors_for(settings: dict, model):
    """What generate() would apply for these settings, in its order (sampling, one beam)."""
    neutral = dict(temperature=1.0, top_k=0, top_p=1.0)
    config = GenerationConfig(do_sample=True, **neutral | settings)
    return model._get_logits_processor(config, input_ids_seq_length=1, device="cpu")


def probabilities(settings: dict, logits: torch.Tensor, previous: list[int], model) -> torch.Tensor:
    processors = processors_for(settings, model)
    return processors(torch.tensor([previous]), logits[None].clone())[0].softmax(-1)


def is_near_a_threshold(settings: dict, logits: torch.Tensor, previous: list[int], model) -> bool:
    """Whether nudging a threshold by 1e-5 changes which tokens survive: rounding could decide."""
    kept = probabilities(settings, logits, previous, model) > 0
    for name in {"top_p", "min_p"} & settings.keys():
        for nudge in (1 - 1e-5, 1 + 1e-5):
            nudged = settings | {name: min(1.0, settings[name] * nudge)}
            if ((probabilities(nudged, logits, previous, model) > 0) != kept).any():
                return True
    return False


def write_samplers(path: Path) -> None:
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCAB, n_embd=8, n_layer=1, n_head=1, n_positions=8)
    )
    generator = torch.Generator().manual_seed(6)
    previous = torch.randint(0, VOCAB, (12,), generator=generator).tolist()
    vectors, cases = logit_vectors(), []
    for name, logits in vectors.items():
        for settings in SETTINGS:
            if is_near_a_threshold(settings, logits, previous, model):
                raise SystemExit(f"samplers: {name} {settings} lies on a threshold; change it")
            result = probabilities(settings, logits, previous, model)
            cases.append({"logits": name, "settings": settings, "probabilities": result.tolist()})
    document = {
        "previous": previous,
        "logits": {name: logits.tolist() for name, logits in vectors.items()},
        "cases": cases,
    }
    path.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    import sys

    write_samplers(Path(sys.argv[1]))
