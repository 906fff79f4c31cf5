"""How likely transformers finds labels after a prompt, in float32: tests/data/golden/choices.json.

    python tools/golden/choices.py demo tests/data tests/data/golden/choices.json

Each label is scored by itself, in one forward pass over prompt and label: no tree, no cache. The
rules by which a label becomes tokens are those of docs/choices.md, without its shortcut.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, T5ForConditionalGeneration

LONG = "ROMEO:\nBut, soft! what light through yonder window breaks? It is the east, and Juliet is the "
CASES = [
    dict(model="demo/llama", prompt="My love is as deep as the ", choices=["sea", "sky", "ocean", "seal", "seas"]),
    dict(model="demo/llama", prompt=LONG, choices=["sun", "moon", "sunny day", "sun and the moon", "s"]),
    dict(model="demo/llama", prompt="The king said", choices=[" yes", " no", " nothing", "!", ", no more"]),
    dict(model="demo/llama", chat="Who art thou?", choices=["A man", "A woman", "A king", "A"]),
    dict(model="demo/gpt2", prompt="My love is as deep as the ", choices=["sea", "sky", "ocean", "seal", "seas"]),
    dict(model="demo/gpt2", prompt=LONG, choices=["sun", "moon", "sunny day", "sun and the moon", "s"]),
    dict(model="golden/qwen2", ids=[7, 30, 5], choices=[[9], [9, 4], [9, 4, 11], [50], [51, 9, 4]]),
    dict(model="golden/qwen2", ids=list(range(3, 43)), choices=[[i % 7 + 60, i + 3] for i in range(40)]),
    dict(model="texts/t5", prompt="To be, or not to be: that is the question.", choices=["be", "beard", "the", "Romeo"]),
]


def logprobs(model, ids, **inputs):
    with torch.no_grad():
        return model(**ids, **inputs).logits[0].log_softmax(-1)


def tokens_after(tokenizer, text, label, special):
    """The label's tokens, and whether the text's stay what they are."""
    before = tokenizer(text, add_special_tokens=special).input_ids
    whole = tokenizer(text + label, add_special_tokens=special).input_ids
    fits = whole[: len(before)] == before
    return (whole[len(before) :] if fits else tokenizer(label, add_special_tokens=False).input_ids), fits


def read(tokenizer, case):
    """Ids of the prompt, and of each label."""
    if "ids" in case:
        return case["ids"], case["choices"]
    special, text = True, case.get("prompt")
    if "chat" in case:
        messages = [{"role": "user", "content": case["chat"]}]
        special, text = False, tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    labels = [tokens_after(tokenizer, text, label, special) for label in case["choices"]]
    spaces = len(text) - len(text.rstrip(" "))
    if spaces and not all(fits for _, fits in labels):
        text, moved = text[:-spaces], text[-spaces:]
        labels = [tokens_after(tokenizer, text, moved + label, special) for label in case["choices"]]
    return tokenizer(text, add_special_tokens=special).input_ids, [ids for ids, _ in labels]


def score(case, folders):
    folder = folders[case["model"].split("/")[0]] / case["model"]
    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    is_t5 = "t5" in case["model"]
    kind = T5ForConditionalGeneration if is_t5 else AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = None if "ids" in case else AutoTokenizer.from_pretrained(folder)
    if is_t5:
        source = torch.tensor([tokenizer(case["prompt"]).input_ids])
        prompt = [model.config.decoder_start_token_id]
        labels = [tokenizer(label, add_special_tokens=False).input_ids for label in case["choices"]]
    else:
        prompt, labels = read(tokenizer, case)
    scores = []
    for label in labels:
        ids = torch.tensor([prompt + label])
        rows = logprobs(model, dict(input_ids=source, decoder_input_ids=ids) if is_t5 else dict(input_ids=ids))
        at = range(len(prompt) - 1, len(prompt) + len(label) - 1)
        total = sum(rows[i, token].double() for i, token in zip(at, label))
        if any(other != label and other[: len(label)] == label for other in labels):
            total += rows[-1, ends].double().logsumexp(0)
        scores.append(float(total))
    return dict(case, prompt_tokens=len(source[0]) if is_t5 else len(prompt), labels=labels, logprobs=scores)


def main(demo, data, out):
    folders = {"demo": Path(demo).parent, "golden": Path(data), "texts": Path(data)}
    cases = [score(case, folders) for case in CASES]
    lines = ",\n  ".join(json.dumps(case) for case in cases)
    Path(out).write_text(f"[\n  {lines}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
