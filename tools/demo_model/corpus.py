"""Turns the plays into documents of a few speeches each, and those into a stream of token ids."""

import random

from tokenizer import BEGIN_OF_TEXT, END_OF_TEXT, END_OF_TURN, TURN

MEAN_SPEECHES = 6  # per document; lengths are geometric, so a document may end at any speech
CHAT_SHARE = 0.25  # of the llama model's documents are written in the shape of its chat template


def split_speeches(text: str, validation_share: float = 0.08):
    """The speeches of the plays ("NAME:\\nlines"), as (training, validation) lists."""
    speeches = [s.strip("\n") for s in text.split("\n\n") if s.strip()]
    cut = int(len(speeches) * (1 - validation_share))
    return speeches[:cut], speeches[cut:]


def documents(speeches: list[str], rng: random.Random):
    """Consecutive speeches in groups of random length; each speech appears once."""
    start = 0
    while start < len(speeches):
        count = 1
        while rng.random() > 1 / MEAN_SPEECHES:
            count += 1
        yield speeches[start : start + count]
        start += count


def render(document: list[str], family: str, rng: random.Random) -> str:
    if family == "llama" and rng.random() < CHAT_SHARE:
        return BEGIN_OF_TEXT + "".join(TURN + speech + END_OF_TURN for speech in document)
    begin = BEGIN_OF_TEXT if family == "llama" else ""
    return begin + "\n\n".join(document) + END_OF_TEXT


def token_stream(speeches: list[str], tokenizer, family: str, rng: random.Random) -> list[int]:
    """One pass over the speeches, cut into fresh documents in a fresh order."""
    texts = [render(document, family, rng) for document in documents(speeches, rng)]
    rng.shuffle(texts)
    encoded = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return [token for encoding in encoded for token in encoding.ids]
