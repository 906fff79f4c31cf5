"""A peer: the Llama-3.2-1B shape in transformers, as bench/e2e/run.sh measures it in Trireme.

    python bench/e2e/transformers_bench.py --threads 1 [--processor-time]

One line of the table: tokens per second of a prefill of 512 tokens, and of the decoding that follows.
"""

import argparse
import time

import torch
import transformers
from made_up_model import made_up_model


def build() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=128256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_theta=5e5,
    )
    return made_up_model(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--processor-time", action="store_true")
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    torch.set_num_threads(args.threads)
    model = build()
    prefills, decodes = [], []
    with torch.inference_mode():
        model(torch.zeros((1, 16), dtype=torch.long))  # warm-up
        for _ in range(args.repetitions):
            begin = clock()
            out = model(torch.randint(0, 128256, (1, 512)), use_cache=True, logits_to_keep=1)
            prefills.append(512 / (clock() - begin))
            token = torch.zeros((1, 1), dtype=torch.long)
            begin = clock()
            for _ in range(args.new_tokens):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
            decodes.append(args.new_tokens / (clock() - begin))
    name = f"llama-1b, transformers {transformers.__version__}, torch {torch.__version__}"
    median = args.repetitions // 2
    print(f"| {name:<44} | {sorted(prefills)[median]:8.2f} | {sorted(decodes)[median]:8.2f} | | | | | | | |")


if __name__ == "__main__":
    main()
