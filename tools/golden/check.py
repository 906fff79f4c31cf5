"""Loads every golden case from its files and compares logits; runs under transformers 4 and 5."""

import sys
from pathlib import Path

import torch
import transformers
from make import distance, logits_of
from quantized import load_dequantized
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def load(folder: Path):
    if "quantization_config" in (folder / "config.json").read_text():
        return load_dequantized(folder)  # transformers would want GPTQModel or AutoAWQ, and a GPU
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )


def main() -> None:
    version = int(transformers.__version__.split(".")[0])
    worst = 0.0
    for path in sorted(Path(sys.argv[1]).glob("*/golden.safetensors")):
        folder = path.parent
        if version < 5 and folder.name.endswith("_v5"):
            continue  # words that transformers 4 does not know
        model = load(folder)
        golden = load_file(path)
        error = max(
            distance(logits_of(model, golden[f"ids.{i}"]), golden[f"logits.{i}"]) for i in range(3)
        )
        print(f"{folder.name:18} {error:.1e}{'  DIFFERS' if error > 1e-5 else ''}")
        worst = max(worst, error)
    if worst > 1e-5:
        raise SystemExit(f"transformers {transformers.__version__} disagrees with the goldens")


if __name__ == "__main__":
    main()
