"""Trains a demo model on a text of plays and writes it in Hugging Face layout (see README.md)."""

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
from corpus import split_speeches, token_stream
from tokenizer import END_OF_TURN, train_tokenizer
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

VOCAB_SIZE = 1024
SEQUENCE = {"llama": 384, "gpt2": 384}
POSITIONS = {"llama": 1024, "gpt2": 384}
SAVED_DTYPE = {"llama": torch.bfloat16, "gpt2": torch.float16}


def llama(tokenizer) -> LlamaForCausalLM:
    """8 query heads read 2 KV heads; head_dim * heads (256) differs from the hidden size (192)."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=POSITIONS["llama"],
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def gpt2(tokenizer) -> GPT2LMHeadModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB_SIZE,
            n_embd=128,
            n_layer=5,
            n_head=4,
            n_positions=POSITIONS["gpt2"],
            embd_pdrop=0.05,
            resid_pdrop=0.05,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def add_dropout(model: LlamaForCausalLM, rate: float) -> None:
    """Drops out what each block adds to the residual stream; the saved model has none of it."""

    def drop(module, _inputs, output):
        return torch.nn.functional.dropout(output, rate, module.training)

    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(drop)
        layer.mlp.down_proj.register_forward_hook(drop)


def batches(speeches, tokenizer, family, batch_size, rng):
    """Endless [batch_size, sequence + 1] token ids; every pass cuts new documents."""
    width = SEQUENCE[family] + 1
    stream: list[int] = []
    while True:
        while len(stream) < batch_size * width:
            stream += token_stream(speeches, tokenizer, family, rng)
        rows, stream = stream[: batch_size * width], stream[batch_size * width :]
        yield torch.tensor(rows).view(batch_size, width)


def loss_of(model, rows):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def validate(model, rows) -> float:
    """Mean loss in nats per token over the validation windows."""
    model.eval()
    total = sum(loss_of(model, part).item() * len(part) for part in rows.split(16))
    model.train()
    return total / len(rows)


def learning_rate(step: int, args) -> float:
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    progress = (step - args.warmup) / max(1, args.steps - args.warmup)
    return args.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def optimizer_of(model, args):
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))


def save(model, tokenizer, family: str, out: Path) -> None:
    """Writes a rounded copy of the model, its tokenizer and its sampling defaults."""
    eos = [tokenizer.eos_token_id]
    if family == "llama":
        eos.append(tokenizer.convert_tokens_to_ids(END_OF_TURN))
    weights = {name: tensor.to(SAVED_DTYPE[family]) for name, tensor in model.state_dict().items()}
    copy = type(model)(model.config).to(SAVED_DTYPE[family])
    copy.load_state_dict(weights)
    copy.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=eos if len(eos) > 1 else eos[0],
        pad_token_id=tokenizer.eos_token_id,
        do_sample=True,
        temperature=0.8,
        top_p=0.95,
        max_new_tokens=96,
    )
    copy.save_pretrained(out)
    tokenizer.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=["llama", "gpt2"])
    parser.add_argument("text", type=Path, help="the plays, e.g. tinyshakespeare.txt")
    parser.add_argument("out", type=Path, help="model directory to write")
    parser.add_argument("--start-from", type=Path, help="model directory to go on from")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--validate-every", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    text = args.text.read_text()
    training, validation = split_speeches(text)
    tokenizer = train_tokenizer(args.family, text, VOCAB_SIZE, POSITIONS[args.family])
    model = {"llama": llama, "gpt2": gpt2}[args.family](tokenizer)
    if args.start_from:
        start_from = type(model).from_pretrained(args.start_from, dtype=torch.float32)
        model.load_state_dict(start_from.state_dict())
    if args.family == "llama":
        add_dropout(model, args.dropout)
    held_out = token_stream(validation, tokenizer, args.family, random.Random(0))
    width = SEQUENCE[args.family] + 1
    held_out_rows = torch.tensor(held_out[: len(held_out) // width * width]).view(-1, width)
    bytes_per_token = len("\n\n".join(validation).encode()) / len(held_out)
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{args.family}: {parameters} parameters, {bytes_per_token:.2f} bytes per token", flush=True
    )

    rows = batches(training, tokenizer, args.family, args.batch, random.Random(args.seed))
    optimizer = optimizer_of(model, args)
    best, start = math.inf, time.time()
    model.train()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        loss = loss_of(model, next(rows))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % args.validate_every == 0 or step + 1 == args.steps:
            held = validate(model, held_out_rows)
            report = {
                "step": step + 1,
                "train": round(loss.item(), 4),
                "validation": round(held, 4),
                "validation_per_byte": round(held / bytes_per_token, 4),
                "seconds": round(time.time() - start),
            }
            print(json.dumps(report), flush=True)
            if held < best:
                best = held
                save(model, tokenizer, args.family, args.out)


if __name__ == "__main__":
    main()
