"""Writes rotary frequencies, cosines and sines at far positions, as transformers computes them."""

import json
from pathlib import Path

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

POSITIONS = [1, 30000, 100000, 131071]
CASES = {
    "default": dict(head_dim=128, rope_theta=500000.0),
    "linear": dict(
        head_dim=64, rope_theta=10000.0, rope_scaling=dict(rope_type="linear", factor=2.5)
    ),
    "llama3": dict(  # Llama 3.1
        head_dim=128,
        rope_theta=500000.0,
        rope_scaling=dict(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=8192,
        ),
    ),
    "yarn": dict(  # Qwen2.5 beyond its trained length
        head_dim=128,
        rope_theta=1000000.0,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768),
    ),
    "yarn_exact_range": dict(
        head_dim=64,
        rope_theta=10000.0,
        rope_scaling=dict(
            rope_type="yarn",
            factor=32.0,
            original_max_position_embeddings=4096,
            beta_fast=24.0,
            beta_slow=2.0,
            mscale=0.707,
            mscale_all_dim=1.0,
            truncate=False,
        ),
    ),
}


def short(values: torch.Tensor) -> list[float]:
    """Nine digits are enough for every float32 to come back as itself."""
    return [float(f"{value:.9g}") for value in values.tolist()]


def case_of(settings: dict) -> dict:
    config = LlamaConfig(max_position_embeddings=131072, **settings)
    rotary = LlamaRotaryEmbedding(config)
    cos, sin = rotary(torch.zeros(1), torch.tensor([POSITIONS]))
    half = settings["head_dim"] // 2  # the second half repeats the first
    return {
        "config": settings,
        "frequencies": short(rotary.inv_freq),
        "cos": [short(row[:half]) for row in cos[0]],
        "sin": [short(row[:half]) for row in sin[0]],
    }


def write_rope(path: Path) -> None:
    cases = {name: case_of(settings) for name, settings in CASES.items()}
    document = {"max_positions": 131072, "positions": POSITIONS, "cases": cases}
    path.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    import sys

    write_rope(Path(sys.argv[1]))
