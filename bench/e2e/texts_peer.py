"""Rows for bench/e2e/texts.sh, and its peers: sentence-transformers, transformers + Accelerate.

    python bench/e2e/texts_peer.py rows TEXT_FILE ROWS > rows.jsonl
    python bench/e2e/texts_peer.py embed --model DIR --rows rows.jsonl --threads 2 --batch 32
    python bench/e2e/texts_peer.py classify --model DIR --rows rows.jsonl --threads 2 --batch 32

Prints the seconds of everything, the seconds without imports and weights, and what it ran on.
`classify` makes its weights up from DIR/config.json. Both get texts sorted by length, longest
first, as sentence-transformers does by itself: little padding.
"""

import argparse
import json
import random
import time

BEGIN = time.perf_counter()


def write_rows(path: str, count: int) -> None:
    """Lines and, one in four, passages of up to two dozen lines."""
    with open(path) as file:
        lines = [line.strip() for line in file if line.strip()]
    choose = random.Random(5)
    for index in range(count):
        length = choose.choice([1, 1, 1, choose.randint(2, 24)])
        begin = choose.randrange(len(lines) - length)
        print(json.dumps({"id": index, "text": " ".join(lines[begin : begin + length])}))


def read_texts(path: str) -> list[str]:
    with open(path) as file:
        return [json.loads(line)["text"] for line in file]


def embed(args) -> tuple[float, str]:
    import sentence_transformers
    import torch

    torch.set_num_threads(args.threads)
    kwargs = {"dtype": getattr(torch, args.dtype)}
    model = sentence_transformers.SentenceTransformer(args.model, device="cpu", model_kwargs=kwargs)
    texts = read_texts(args.rows)
    model.encode(texts[:4])
    loaded = time.perf_counter()
    vectors = model.encode(texts, batch_size=args.batch, convert_to_numpy=args.dtype == "float32")
    with open("/dev/null", "w") as out:
        for vector in vectors:
            out.write(json.dumps(vector.tolist()))
    return loaded, f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"


def classify(args) -> tuple[float, str]:
    import accelerate
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    state = accelerate.PartialState(cpu=True)
    config = transformers.AutoConfig.from_pretrained(args.model)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model = model.to(getattr(torch, args.dtype)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    texts = sorted(read_texts(args.rows), key=len, reverse=True)
    loaded = time.perf_counter()
    scores = []
    with state.split_between_processes(texts) as mine, torch.inference_mode():
        for begin in range(0, len(mine), args.batch):
            batch = tokenizer(mine[begin : begin + args.batch], return_tensors="pt", padding=True,
                              truncation=True)  # fmt: skip
            scores += model(**batch).logits.float().softmax(-1).tolist()
    assert len(scores) == len(texts)
    versions = f"transformers {transformers.__version__}, accelerate {accelerate.__version__}"
    return loaded, f"{versions}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    rows = verbs.add_parser("rows")
    rows.add_argument("text")
    rows.add_argument("count", type=int)
    for name in ("embed", "classify"):
        verb = verbs.add_parser(name)
        verb.add_argument("--model", required=True)
        verb.add_argument("--rows", required=True)
        verb.add_argument("--threads", type=int, default=1)
        verb.add_argument("--batch", type=int, default=32)
        verb.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    if args.verb == "rows":
        return write_rows(args.text, args.count)
    loaded, versions = (embed if args.verb == "embed" else classify)(args)
    end = time.perf_counter()
    print(f"{end - BEGIN:.2f} {end - loaded:.2f} {versions}")


if __name__ == "__main__":
    main()
