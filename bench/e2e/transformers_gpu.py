"""A peer on a GPU: the Llama-3.1-8B shape in transformers, bfloat16, as bench/e2e/gpu.sh measures it
in Trireme; and what the GPU can do at most.

    python bench/e2e/transformers_gpu.py [--sequences 1 8 64] [--prefill 128 2048 8192]

One line each: tokens per second of generate() beyond its first token, of a prefill, bytes per second
of a copy (read and written), operations per second of a matrix product.
"""

import argparse
import time

import torch
import transformers


def seconds(work) -> float:
    """The median of five runs, after one that does not count."""
    times = []
    for _ in range(6):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return sorted(times[1:])[2]


def limits() -> None:
    source = torch.randn(2**30, device="cuda", dtype=torch.float32)
    target = torch.empty_like(source)
    print(f"copy: {2 * source.nbytes / seconds(lambda: target.copy_(source)) / 1e12:.2f} TB/s")
    del source, target
    n = 8192
    a = torch.randn(n, n, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(n, n, device="cuda", dtype=torch.bfloat16)
    print(f"bfloat16 product: {2 * n**3 / seconds(lambda: a @ b) / 1e12:.0f} TFLOP/s")


def build() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        tie_word_embeddings=False,
        rope_theta=5e5,
        eos_token_id=None,
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        return transformers.LlamaForCausalLM(config).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--prefill", type=int, nargs="*", default=[128, 2048, 8192])
    parser.add_argument("--new-tokens", type=int, default=64)
    args = parser.parse_args()
    limits()
    model = build()
    name = f"transformers {transformers.__version__}, torch {torch.__version__}"
    with torch.inference_mode():
        for sequences in args.sequences:
            ids = torch.randint(0, 128256, (sequences, 128), device="cuda")

            def generate(tokens: int) -> float:
                return seconds(
                    lambda: model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
                )

            rest = generate(args.new_tokens) - generate(1)
            print(f"{name}: decode, {sequences} sequences: {sequences * (args.new_tokens - 1) / rest:.1f} tokens/s")
        for tokens in args.prefill:
            ids = torch.randint(0, 128256, (1, tokens), device="cuda")
            rate = tokens / seconds(lambda: model(ids, use_cache=True, logits_to_keep=1))
            print(f"{name}: prefill of {tokens}: {rate:.0f} tokens/s")


if __name__ == "__main__":
    main()
