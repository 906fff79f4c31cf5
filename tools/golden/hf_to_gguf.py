"""Writes a Hugging Face model directory as a GGUF file, as llama.cpp's convert_hf_to_gguf.py lays it out:

    hf_to_gguf.py demo/llama llama.gguf --type q4_0

Llama (and Mistral), Qwen2, Qwen3 and GPT-2; the names come from the `gguf` package's own table.
"""

import argparse
import json
import math
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "GPT2LMHeadModel": "gpt2",
}
CONV1D = ("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight")


def interleave(weights: np.ndarray, heads: int) -> np.ndarray:
    """The rows of each head as llama.cpp rotates them: halves become even and odd rows."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def gguf_tensors(config: dict, state: dict) -> dict:
    """Name -> float32 array, as the file has them."""
    arch = ARCHITECTURES[config["architectures"][0]]
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    enum = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch)
    names = gguf.get_tensor_name_map(enum, layers)
    heads = config.get("num_attention_heads")
    tied = config.get("tie_word_embeddings", arch == "gpt2")
    tensors = {}
    for name, tensor in state.items():
        if tied and name == "lm_head.weight" or name.endswith((".attn.bias", ".masked_bias")):
            continue
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        data = tensor.float().numpy()
        if arch == "llama" and ".attn_q." in new:
            data = interleave(data, heads)
        if arch == "llama" and ".attn_k." in new:
            data = interleave(data, config.get("num_key_value_heads") or heads)
        if arch == "gpt2" and new.endswith(CONV1D):
            data = data.T
        tensors[new] = np.ascontiguousarray(data)
    return tensors


def rope_factors(config: dict) -> np.ndarray | None:
    """rope_freqs.weight of Llama 3.1: how much longer each wavelength gets."""
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") != "llama3":
        return None
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    freqs = 1.0 / config.get("rope_theta", 10000.0) ** (torch.arange(0, head_dim, 2).float() / head_dim)
    factor, low, high = (scaling[k] for k in ("factor", "low_freq_factor", "high_freq_factor"))
    original = scaling["original_max_position_embeddings"]
    factors = []
    for freq in freqs:
        wavelength = 2 * math.pi / freq
        if wavelength < original / high:
            factors.append(1)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


def add_config(w: gguf.GGUFWriter, config: dict) -> None:
    if w.arch == "gpt2":
        w.add_context_length(config["n_positions"])
        w.add_embedding_length(config["n_embd"])
        w.add_feed_forward_length(config.get("n_inner") or 4 * config["n_embd"])
        w.add_block_count(config["n_layer"])
        w.add_head_count(config["n_head"])
        w.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_head_count(heads)
    w.add_head_count_kv(config.get("num_key_value_heads") or heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_dimension_count(head_dim)
    w.add_rope_freq_base(config.get("rope_theta", 10000.0))
    w.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    w.add_vocab_size(config["vocab_size"])
    if config["architectures"][0] == "MistralForCausalLM" and config.get("sliding_window"):
        w.add_sliding_window(config["sliding_window"])
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(scaling["factor"])
        w.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    if scaling.get("rope_type", scaling.get("type")) == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(scaling["factor"])


def add_tokenizer(w: gguf.GGUFWriter, tokenizer: dict, pre: str, roles: dict, template=None) -> None:
    """`tokenizer`: a tokenizer.json; `roles`: bos, eos, ... -> token; `pre` "" means SentencePiece."""
    vocab = dict(tokenizer["model"]["vocab"])
    added = {t["content"]: t for t in tokenizer["added_tokens"]}
    vocab.update({content: token["id"] for content, token in added.items()})
    tokens = sorted(vocab, key=vocab.get)
    types = []
    for token in tokens:
        if token == roles.get("unk"):
            types.append(gguf.TokenType.UNKNOWN)
        elif token in added:
            special = added[token]["special"]
            types.append(gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED)
        elif not pre and len(token) == 6 and token.startswith("<0x"):
            types.append(gguf.TokenType.BYTE)
        else:
            types.append(gguf.TokenType.NORMAL)
    w.add_tokenizer_model("gpt2" if pre else "llama")
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(types)
    merges = [m if isinstance(m, list) else m.split(" ") for m in tokenizer["model"]["merges"]]
    if pre:
        w.add_token_merges([" ".join(merge) for merge in merges])
    else:
        ranks = {}
        for i, (left, right) in enumerate(merges):
            ranks.setdefault(left + right, -float(i))
        w.add_token_scores([ranks.get(t, -float(len(merges) + i)) for i, t in enumerate(tokens)])
    for role, add in (("bos", w.add_bos_token_id), ("eos", w.add_eos_token_id),
                      ("unk", w.add_unk_token_id), ("pad", w.add_pad_token_id)):
        if role in roles:
            add(vocab[roles[role]])
    begins = json.dumps(tokenizer.get("post_processor") or {})
    w.add_add_bos_token("bos" in roles and f'"{roles["bos"]}"' in begins)
    if template:
        w.add_chat_template(template)


def add_tensor(w: gguf.GGUFWriter, name: str, data: np.ndarray, kind: Type) -> None:
    """Vectors stay float32; so do rows that are not whole blocks."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    if data.ndim < 2 or data.shape[-1] % block != 0:
        kind = Type.F32
    w.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)


def open_writer(path: Path, config: dict, name: str) -> gguf.GGUFWriter:
    w = gguf.GGUFWriter(path, ARCHITECTURES[config["architectures"][0]])
    w.add_name(name)
    add_config(w, config)
    return w


def finish(w: gguf.GGUFWriter) -> None:
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", default="f32", help="f32, f16, bf16, q8_0, q4_0, ...")
    parser.add_argument("--pre", help="tokenizer.ggml.pre; empty: SentencePiece")
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    state = {}
    for file in args.model.glob("model*.safetensors"):
        state |= load_file(file)
    w = open_writer(args.out, config, args.model.name)
    if args.pre is not None:
        folder = args.model
        tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text())
        roles = {r: tokenizer_config[f"{r}_token"] for r in ("bos", "eos", "unk", "pad")
                 if tokenizer_config.get(f"{r}_token")}
        template = folder / "chat_template.jinja"
        add_tokenizer(w, json.loads((folder / "tokenizer.json").read_text()), args.pre, roles,
                      template.read_text() if template.exists() else None)
    for name, data in gguf_tensors(config, state).items():
        add_tensor(w, name, data, Type[args.type.upper()])
    if (factors := rope_factors(config)) is not None:
        w.add_tensor("rope_freqs.weight", factors)
    finish(w)


if __name__ == "__main__":
    main()
