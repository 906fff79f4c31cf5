"""Golden cases of GPTQ and AWQ checkpoints: packed here from the formats' descriptions, and what
transformers computes with the matrices that they stand for. `quantized.py tests/data/golden` writes
these cases alone."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, MistralConfig
from transformers import Qwen2Config, Qwen3Config

VOCAB = 96
SIZES = dict(
    vocab_size=VOCAB,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


@dataclass
class QuantizedCase:
    name: str
    covers: str
    config: object
    quantization: dict
    kept: tuple = ()  # endings of modules that are not quantised

    @property
    def awq(self) -> bool:
        return self.quantization["quant_method"] == "awq"

    @property
    def bits(self) -> int:
        return self.quantization["bits"]


def gptq(**changes) -> dict:
    return (
        dict(quant_method="gptq", bits=4, group_size=32, desc_act=False, sym=False, lm_head=False)
        | dict(damp_percent=0.01, true_sequential=True, checkpoint_format="gptq")
        | changes
    )


def awq(**changes) -> dict:
    return dict(
        quant_method="awq", bits=4, group_size=32, zero_point=True, version="gemm"
    ) | dict(modules_to_not_convert=None) | changes


def quantized_cases() -> list[QuantizedCase]:
    untied = SIZES | dict(tie_word_embeddings=False)
    return [
        QuantizedCase(
            "llama_gptq",
            "GPTQ v1 with act-order, zeros of 0 that borrow from their neighbours",
            LlamaConfig(**untied),
            gptq(desc_act=True),
        ),
        QuantizedCase(
            "qwen2_gptq_v2",
            "GPTQ v2, biases of q, k and v",
            Qwen2Config(**SIZES, tie_word_embeddings=True),
            gptq(checkpoint_format="gptq_v2"),
        ),
        QuantizedCase(
            "mistral_gptq_int8",
            "GPTQ of eight bits, symmetric, one group a row (group_size -1)",
            MistralConfig(**untied, sliding_window=16),
            gptq(bits=8, sym=True, group_size=-1),
        ),
        QuantizedCase(
            "qwen3_awq",
            "AWQ, with modules_to_not_convert",
            Qwen3Config(**untied | dict(head_dim=32)),
            awq(modules_to_not_convert=["v_proj"]),
            kept=("v_proj",),
        ),
    ]


# Quantising, rounding to the nearest.


def quantize(w: np.ndarray, case: QuantizedCase, rng) -> dict:
    """w [n, k] as codes [n, k], zeros and float16 scales [groups, n], and the group of each k."""
    n, k = w.shape
    most = 2**case.bits - 1
    size = k if case.quantization["group_size"] < 0 else case.quantization["group_size"]
    groups = np.arange(k, dtype=np.int32) // size
    if case.quantization.get("desc_act"):
        groups = groups[rng.permutation(k)]
    zeros, scales = [], []
    codes = np.zeros((n, k), np.int64)
    for group in range(-(-k // size)):
        part = w[:, groups == group]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if case.quantization.get("sym"):
            high = np.maximum(-low, high)
            low = -high
        low[::7] = 0  # every seventh output has a zero of 0
        scale = ((high - low) / most).astype(np.float16)
        zero = np.round(-low / scale.astype(np.float32)).clip(0, most)
        if case.quantization.get("sym"):
            zero[:] = 2 ** (case.bits - 1)
        q = np.round(part / scale.astype(np.float32)[:, None]) + zero[:, None]
        codes[:, groups == group] = q.clip(0, most)
        zeros.append(zero.astype(np.int64))
        scales.append(scale)
    return dict(codes=codes, zeros=np.stack(zeros), scales=np.stack(scales), groups=groups)


def dequantize(q: dict) -> np.ndarray:
    """[n, k], float32: exact, since codes less zeros have 9 bits and scales 11."""
    difference = (q["codes"] - q["zeros"][q["groups"]].T).astype(np.float32)
    return difference * q["scales"][q["groups"]].T.astype(np.float32)


# Packing.


def pack_lowest_first(values: np.ndarray, bits: int, axis: int) -> np.ndarray:
    """Consecutive integers along `axis` into words, the lowest bits first."""
    each = 32 // bits
    values = np.moveaxis(values.astype(np.uint64), axis, -1)
    fields = values.reshape(*values.shape[:-1], -1, each)
    words = (fields << (np.arange(each, dtype=np.uint64) * bits)).sum(-1).astype(np.uint32)
    return np.moveaxis(words, -1, axis)


def pack_gptq(q: dict, case: QuantizedCase) -> dict:
    qweight = pack_lowest_first(q["codes"].T, case.bits, 0)
    qzeros = pack_lowest_first(q["zeros"], case.bits, 1)
    if case.quantization["checkpoint_format"] == "gptq":
        qzeros = qzeros - np.uint32(0xFFFFFFFF // (2**case.bits - 1))  # may borrow
    return dict(qweight=qweight, qzeros=qzeros, scales=q["scales"], g_idx=q["groups"])


def pack_awq(q: dict) -> dict:
    def pack(values):
        lanes = values.reshape(values.shape[0], -1, 8)[:, :, AWQ_ORDER]
        return pack_lowest_first(lanes.reshape(values.shape), 4, 1)

    return dict(qweight=pack(q["codes"].T), qzeros=pack(q["zeros"]), scales=q["scales"])


def as_signed(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.view(np.int32) if array.dtype == np.uint32 else array)


# And back, for check.py: written apart from the above, one element at a time.


def unpacked(tensors: dict, name: str, quantization: dict) -> np.ndarray:
    words = tensors[name + ".qweight"].view(np.uint32)
    zero_words = tensors[name + ".qzeros"].view(np.uint32)
    scales = tensors[name + ".scales"].astype(np.float32)
    if quantization["quant_method"] == "awq":
        place = [AWQ_ORDER.index(i) for i in range(8)]
        k, n = words.shape[0], words.shape[1] * 8
        size = k if quantization["group_size"] < 0 else quantization["group_size"]

        def code(row, col):
            return int(words[col, row // 8]) >> (4 * place[row % 8]) & 15

        def zero(row, group):
            return int(zero_words[group, row // 8]) >> (4 * place[row % 8]) & 15

        groups = [col // size for col in range(k)]
    else:
        bits = quantization["bits"]
        each, mask = 32 // bits, 2**bits - 1
        k, n = words.shape[0] * each, words.shape[1]
        ones = (0xFFFFFFFF // mask) * (quantization["checkpoint_format"] == "gptq")

        def code(row, col):
            return int(words[col // each, row]) >> (bits * (col % each)) & mask

        def zero(row, group):
            return (int(zero_words[group, row // each]) + ones) >> (bits * (row % each)) & mask

        groups = tensors[name + ".g_idx"].tolist()
    w = np.zeros((n, k), np.float32)
    for row in range(n):
        for col in range(k):
            group = groups[col]
            w[row, col] = np.float32(code(row, col) - zero(row, group)) * scales[group, row]
    return w


def load_dequantized(folder: Path):
    """The model of a case as transformers would have it, from its files."""
    tensors = load_numpy(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    quantization = config.pop("quantization_config")
    state = {}
    for name, value in tensors.items():
        module, _, kind = name.rpartition(".")
        if kind == "qweight":
            state[module + ".weight"] = torch.from_numpy(unpacked(tensors, module, quantization))
        elif kind not in ("qzeros", "scales", "g_idx"):
            state[name] = torch.from_numpy(value.astype(np.float32))
    config = AutoConfig.for_model(**config)
    config.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or [name for name in missing if name != "lm_head.weight"]:
        raise SystemExit(f"{folder.name}: {missing} {unexpected}")
    model.tie_weights()
    return model


# Cases.


def is_quantized(name: str, module, case: QuantizedCase) -> bool:
    return (
        isinstance(module, torch.nn.Linear)
        and name != "lm_head"
        and not name.endswith(case.kept or ("-",))
    )


@torch.no_grad()
def quantize_model(model, case: QuantizedCase, seed: int) -> dict:
    """Gives `model` the dequantised matrices; returns the tensors of the checkpoint."""
    rng = np.random.default_rng(seed)
    packed = {}
    for name, module in model.named_modules():
        if not is_quantized(name, module, case):
            continue
        q = quantize(module.weight.numpy(), case, rng)
        module.weight.copy_(torch.from_numpy(dequantize(q)))
        parts = pack_awq(q) if case.awq else pack_gptq(q, case)
        packed |= {f"{name}.{part}": as_signed(array) for part, array in parts.items()}
    quantized = {name.rpartition(".")[0] + ".weight" for name in packed}
    for name, parameter in model.named_parameters():
        if name not in quantized:
            packed[name] = parameter.detach().numpy().astype(np.float16)
    return packed


def write_quantized(out: Path) -> None:
    from make import random_model, round_weights, write_goldens

    for index, case in enumerate(quantized_cases()):
        folder = out / case.name
        folder.mkdir(parents=True, exist_ok=True)
        seed = 5000 + 10 * index
        model = random_model(case.config, seed)
        round_weights(round_weights(model, torch.float16), torch.float32)
        tensors = quantize_model(model, case, seed)
        save_numpy(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        case.config.architectures = [type(model).__name__]
        case.config.dtype = "float16"
        config = json.loads(case.config.to_json_string(use_diff=False))
        config = {key: config[key] for key in sorted(config) if key in kept_keys(case.config)}
        config["quantization_config"] = case.quantization
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        case_like = type("C", (), dict(name=case.name, covers=case.covers, dtype="float16"))
        case_like.without, case_like.without_parameters = [], []
        meta = write_goldens(case_like, model, folder, seed)
        (folder / "golden.json").write_text(json.dumps(meta, indent=2) + "\n")
        print(f"{case.name:18} float32 error {meta['hf_float32_error']:.1e}")


def kept_keys(config) -> set:
    """What save_pretrained would write."""
    return set(json.loads(config.to_json_string())) | {"architectures", "dtype", "model_type"}


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    write_quantized(Path(sys.argv[1]))
