"""A peer of bench/e2e/main_job.sh: the same rows through transformers + Accelerate.

    python bench/e2e/transformers_main_job.py --model DIR --rows rows.jsonl --threads 2

As people write it: rows split between processes, static batches of 64, padding on the left, bfloat16.
Prints the seconds of everything, the seconds without imports and weights, and the versions.
"""

import argparse
import json
import time

BEGIN = time.perf_counter()

import accelerate
import torch
import transformers
from made_up_model import made_up_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    state = accelerate.PartialState(cpu=True)
    config = transformers.AutoConfig.from_pretrained(args.model)
    model = made_up_model(config)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=f"{args.model}/tokenizer.json", padding_side="left"
    )
    tokenizer.pad_token_id = 0
    with open(args.rows) as file:
        prompts = [json.loads(line)["prompt"] for line in file]
    loaded = time.perf_counter()
    texts = []
    with state.split_between_processes(prompts) as mine, torch.inference_mode():
        for begin in range(0, len(mine), args.batch):
            batch = tokenizer(mine[begin : begin + args.batch], return_tensors="pt", padding=True)
            batch.pop("token_type_ids", None)
            out = model.generate(
                **batch, max_new_tokens=20, min_new_tokens=20, do_sample=False, pad_token_id=0
            )
            texts += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :])
    assert len(texts) == len(prompts)
    end = time.perf_counter()
    print(
        f"{end - BEGIN:.1f} {end - loaded:.1f} transformers {transformers.__version__}, "
        f"torch {torch.__version__}, accelerate {accelerate.__version__}"
    )


if __name__ == "__main__":
    main()
