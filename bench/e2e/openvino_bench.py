"""A peer: OpenVINO, through optimum-intel, on a model of the Llama-3.2-1B shape.

    python bench/e2e/openvino_bench.py --model DIR --threads 2

DIR is what `OVModelForCausalLM.from_pretrained(..., export=True).save_pretrained(DIR)` wrote. Prints tokens
per second of a prefill of 512 tokens and of the decoding after it, and the seconds of one wave of the
main job: 64 sequences of 100 (or --prompt) tokens, 20 new ones each.
"""

import argparse
import time

import openvino
import torch
import transformers
from optimum.intel import OVModelForCausalLM


def timed(model: OVModelForCausalLM, sequences: int, prompt: int, new: int) -> float:
    ids = torch.randint(2, 1000, (sequences, prompt))
    begin = time.perf_counter()
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        min_new_tokens=new,
        do_sample=False,
        pad_token_id=0,
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16", help="bf16 or f32")
    parser.add_argument("--prompt", type=int, default=100, help="tokens of a row of the main job")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    model = OVModelForCausalLM.from_pretrained(
        args.model,
        ov_config={
            "INFERENCE_PRECISION_HINT": args.precision,
            "INFERENCE_NUM_THREADS": str(args.threads),
            "NUM_STREAMS": "1",
        },
    )
    timed(model, 1, 16, 2)
    first = min(timed(model, 1, 512, 1) for _ in range(2))
    more = min(timed(model, 1, 512, 33) for _ in range(2))
    wave = timed(model, 64, args.prompt, 20)
    print(
        f"openvino {openvino.__version__} {args.precision}: prefill {512 / first:.1f}, "
        f"decode {32 / (more - first):.1f} tokens/s; 64 rows of {args.prompt} + 20: {wave:.1f} s"
    )


if __name__ == "__main__":
    main()
