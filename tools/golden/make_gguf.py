"""Makes tests/data/gguf (README.md): tiny GGUF files and what others make of them.

    make_gguf.py tests/data/gguf

Files come from the `gguf` package. What they stand for comes from its own dequantisation, and wherever
transformers can load such a file, from transformers.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from cases import VOCAB
from gguf import GGMLQuantizationType as Type
from hf_to_gguf import add_tensor, add_tokenizer, finish, gguf_tensors, open_writer, rope_factors
from make import clear_greedy, distance, logits_of, random_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

TOKENIZERS = Path(__file__).parents[2] / "tests/data/tokenizers"
LENGTHS = [5, 24]  # tokens; more than the sliding window
BLOCK_TYPES = [Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q2_K, Type.Q3_K, Type.Q4_K,
               Type.Q5_K, Type.Q6_K, Type.IQ4_NL, Type.IQ4_XS]
# Where the float16 scales of a block are; all other bytes may be anything.
SCALES = {Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q6_K: (208,), Type.Q4_1: (0, 2), Type.Q5_1: (0, 2),
          Type.Q4_K: (0, 2), Type.Q5_K: (0, 2)}


def random_blocks(kind: Type, count: int, rng, scale=0.01) -> np.ndarray:
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES.get(kind, (0,)):
        halves = (rng.standard_normal(count) * scale).astype(np.float16)
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(count, 2)
    return blocks


def write_blocks(path: Path) -> None:
    """Three blocks of every type, with an ordinary, a denormal and the largest scale, and their values."""
    rng = np.random.default_rng(1)
    tensors = {}
    for kind in BLOCK_TYPES:
        blocks = random_blocks(kind, 3, rng, 0.5)
        for at in SCALES.get(kind, (0,)):  # a denormal scale, and the largest
            blocks[1, at : at + 2] = np.frombuffer(np.uint16(0x8003).tobytes(), np.uint8)
            blocks[2, at : at + 2] = np.frombuffer(np.uint16(0x7BFF).tobytes(), np.uint8)
        tensors[f"{kind.name}.blocks"] = torch.from_numpy(blocks)
        tensors[f"{kind.name}.values"] = torch.from_numpy(
            gguf.quants.dequantize(blocks.reshape(1, -1), kind)[0])
    save_file(tensors, path)


SMALL = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=128,
             bos_token_id=1, eos_token_id=2)
ONE_LAYER = SMALL | dict(num_hidden_layers=1)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=8192)


def models():
    """Name, config, type of the matrices. Every architecture, dtype and way to rotate is there once."""
    yield "llama", LlamaConfig(**SMALL, rope_theta=500000.0, rope_scaling=LLAMA3,
                               tie_word_embeddings=True), Type.F16
    # The context that the factors stem from is no Llama's: they count as they are.
    yield "llama_factors", LlamaConfig(
        **ONE_LAYER, rope_theta=500.0, tie_word_embeddings=True,
        rope_scaling=LLAMA3 | dict(original_max_position_embeddings=16)), Type.Q8_0
    yield "llama_bias", LlamaConfig(**ONE_LAYER, attention_bias=True, mlp_bias=True, tie_word_embeddings=False), Type.Q8_0
    yield "mistral", MistralConfig(**SMALL, sliding_window=10), Type.Q4_0
    yield "qwen2", Qwen2Config(**{k: v for k, v in ONE_LAYER.items() if k != "head_dim"},
                               tie_word_embeddings=True, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=32)), Type.F32
    # transformers does not read key_length: its default is 128.
    yield "qwen3", Qwen3Config(**ONE_LAYER | dict(num_attention_heads=2, num_key_value_heads=1, head_dim=128),
                               tie_word_embeddings=True), Type.BF16
    yield "gpt2", GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=80,
                             bos_token_id=2, eos_token_id=2), Type.Q8_0
    # As a Q4_K_M file mixes types. Rows of 256 for K-quants; o_proj and down_proj have shorter ones.
    yield "llama_k", LlamaConfig(**ONE_LAYER | dict(hidden_size=256, intermediate_size=32),
                                 tie_word_embeddings=True), Type.Q4_K


def deinterleave(weights: np.ndarray, heads: int) -> np.ndarray:
    pairs = weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def state_of(path: Path, config: dict, like: dict) -> dict:
    """The state dict that the file stands for, by the gguf package's numbers."""
    arch = gguf_tensors(config, {k: torch.arange(v.numel()).reshape(v.shape) for k, v in like.items()})
    values = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
              for t in gguf.GGUFReader(path).tensors}
    state = {}
    for name, tensor in like.items():
        # Where each element went: the converter, run on indices.
        new = [n for n, places in gguf_tensors(config, {name: torch.arange(tensor.numel(), dtype=torch.float32)
                                                        .reshape(tensor.shape)}).items()]
        if not new:
            continue
        places = arch[new[0]].astype(np.int64).ravel()
        flat = np.empty(tensor.numel(), dtype=np.float32)
        flat[places] = values[new[0]].ravel()
        state[name] = torch.from_numpy(flat.reshape(tensor.shape))
    return state


def with_state(config, state: dict):
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    missing = set(dict(model.named_parameters())) - set(state)
    assert not missing, missing
    model.load_state_dict(state, strict=False)
    return model


def compare_with_transformers(folder: Path, model, config: dict) -> str:
    """What transformers loads from the file, under the case's own config."""
    try:
        loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
        theirs = {k: v for k, v in loaded.state_dict().items()}
        ids = torch.arange(3, 40)
        other = with_state(model.config, theirs)
        assert distance(logits_of(other, ids), logits_of(model, ids)) < 1e-6
        return "the same weights"
    except (AssertionError, KeyError, ValueError, RuntimeError) as error:
        return f"no answer: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


K_TYPES = {"token_embd.weight": Type.Q6_K, "blk.0.attn_q.weight": Type.Q4_K, "blk.0.attn_k.weight": Type.Q5_K,
           "blk.0.attn_v.weight": Type.Q6_K, "blk.0.ffn_gate.weight": Type.Q3_K,
           "blk.0.ffn_up.weight": Type.Q2_K, "blk.0.attn_output.weight": Type.Q5_0,
           "blk.0.ffn_down.weight": Type.Q5_1}


def small_tokenizer() -> dict:
    """A tokenizer.json of VOCAB tokens, for ASCII text: letters, digits, some signs and the commonest pairs."""
    special = ["<|pad|>", "<|begin|>", "<|end|>"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    characters = letters + [c.upper() for c in letters] + list("0123456789.,:;!?'-()") + ["Ġ", "Ċ"]
    pairs = "th he in er an re on at en nd ti es or te of ed is it al ar st to".split()
    merges = [[a, b] for a, b in pairs][: VOCAB - len(special) - len(characters)]
    tokens = special + characters + ["".join(m) for m in merges]
    assert len(tokens) == VOCAB
    return {"model": {"vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges},
            "added_tokens": [{"id": i, "content": t, "special": True} for i, t in enumerate(special)],
            "post_processor": {"begin": special[1]}}


def write_model(folder: Path, name: str, config, kind: Type, seed: int) -> None:
    folder.mkdir(parents=True)
    model = random_model(config, seed)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        spelled = json.loads((Path(scratch) / "config.json").read_text())
    path = folder / "model.gguf"
    w = open_writer(path, spelled, name)
    if name == "llama":
        template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}"
        add_tokenizer(w, small_tokenizer(), "gpt-2", dict(bos="<|begin|>", eos="<|end|>"), template)
    else:
        w.add_bos_token_id(config.bos_token_id)
        w.add_eos_token_id(config.eos_token_id)
    rng = np.random.default_rng(seed)
    for tensor, data in gguf_tensors(spelled, model.state_dict()).items():
        its = K_TYPES.get(tensor, kind) if kind == Type.Q4_K else kind
        block = gguf.GGML_QUANT_SIZES[its][0]
        if block == 256 and data.ndim == 2:  # which the package cannot make
            blocks = random_blocks(its, data.size // 256, rng, 0.002)
            w.add_tensor(tensor, blocks.reshape(data.shape[0], -1), raw_dtype=its)
        else:
            add_tensor(w, tensor, data, its)
    if (factors := rope_factors(spelled)) is not None:
        w.add_tensor("rope_freqs.weight", factors)
    finish(w)
    model = with_state(config, state_of(path, spelled, dict(model.named_parameters())))
    print(f"{name}: {path.stat().st_size} bytes; transformers: {compare_with_transformers(folder, model, spelled)}")
    write_goldens(folder, model, seed)


def write_goldens(folder: Path, model, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for i, n in enumerate(LENGTHS):
        ids = torch.randint(3, VOCAB, (n,), generator=generator)
        logits = logits_of(model, ids)
        logprobs = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
        tensors |= {f"ids.{i}": ids, f"logits.{i}": logits, f"logprobs.{i}": logprobs}
    prompt, tokens, gaps = clear_greedy(model, seed + 1)
    tensors |= {"greedy.prompt": prompt, "greedy.tokens": tokens, "greedy.gaps": gaps}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")


def write_tokenizer(path: Path, kind: str, arch: str, pre: str, roles: dict, template=None) -> None:
    w = gguf.GGUFWriter(path, arch)
    add_tokenizer(w, json.loads((TOKENIZERS / kind / "tokenizer.json").read_text()), pre, roles, template)
    finish(w)


def write_sentencepiece_golden(folder: Path) -> None:
    """What transformers' tokenizer of the file says: scores allow more merges than were trained."""
    with tempfile.TemporaryDirectory() as scratch:
        # from_pretrained wants a model, too: only its sizes are read.
        path = Path(scratch) / "model.gguf"
        shutil.copy(folder / "llama2.gguf", path)
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file="model.gguf").backend_tokenizer
    texts = [item["text"] for item in json.loads((TOKENIZERS / "llama2/golden.json").read_text())]
    texts = [t for t in texts if "<unk>" not in t][::6]  # not a special token there
    golden = [{"text": t, "ids": tokenizer.encode(t, add_special_tokens=False).ids} for t in texts]
    (folder / "llama2.json").write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n")


def main() -> None:
    out = Path(sys.argv[1])
    for child in ("models", "tokenizers", "blocks.safetensors"):
        path = out / child
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write_blocks(out / "blocks.safetensors")
    for seed, (name, config, kind) in enumerate(models()):
        write_model(out / "models" / name, name, config, kind, 100 + seed)
    tokenizers = out / "tokenizers"
    tokenizers.mkdir()
    write_tokenizer(tokenizers / "llama2.gguf", "llama2", "llama", "",
                    dict(bos="<s>", eos="</s>", unk="<unk>"), "{{ bos_token }}[INST] {{ messages[0].content }}")
    write_tokenizer(tokenizers / "llama3.gguf", "llama3", "llama", "llama-bpe",
                    dict(bos="<|begin_of_text|>", eos="<|end_of_text|>"))
    write_tokenizer(tokenizers / "qwen2.gguf", "qwen2", "qwen2", "qwen2",
                    dict(bos="<|endoftext|>", eos="<|im_end|>"))
    write_tokenizer(tokenizers / "gpt2.gguf", "gpt2", "gpt2", "gpt-2",
                    dict(bos="<|endoftext|>", eos="<|endoftext|>"))
    write_sentencepiece_golden(tokenizers)


if __name__ == "__main__":
    main()
