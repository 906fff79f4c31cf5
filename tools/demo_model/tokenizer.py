"""Trains the byte-level BPE tokenizer of a demo model and writes it in Hugging Face layout."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
BEGIN_OF_TEXT = "<|begin_of_text|>"
TURN = "<|turn|>"
END_OF_TURN = "<|eot|>"

# Llama 3's way to split text before the merges (published in its tokenizer.json).
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# A chat is a scene of the play: each message is a speech, and `name` says who speaks it.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.name is defined %}
        {%- set name = message.name %}
    {%- elif message.role == 'assistant' %}
        {%- set name = 'ROMEO' %}
    {%- elif message.role == 'system' %}
        {%- set name = 'Chorus' %}
    {%- else %}
        {%- set name = 'JULIET' %}
    {%- endif %}
    {{- '<|turn|>' + name + ':\\n' + message.content | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|turn|>ROMEO:\\n' }}
{%- endif %}
"""


def train_tokenizer(family: str, text: str, vocab_size: int, max_length: int):
    """A `family` ("llama" or "gpt2") tokenizer with `vocab_size` tokens, specials first."""
    llama = family == "llama"
    specials = [END_OF_TEXT, BEGIN_OF_TEXT, TURN, END_OF_TURN] if llama else [END_OF_TEXT]
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not llama)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"), byte_level])
        if llama
        else byte_level
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    begin = BEGIN_OF_TEXT if llama else END_OF_TEXT
    tokenizer.post_processor = (
        processors.TemplateProcessing(
            single=f"{begin} $A",
            pair=f"{begin} $A {begin} $B",
            special_tokens=[(begin, tokenizer.token_to_id(begin))],
        )
        if llama
        else processors.ByteLevel(trim_offsets=False)
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=END_OF_TEXT,
        additional_special_tokens=specials[2:],
        clean_up_tokenization_spaces=False,
        model_max_length=max_length,
    )
    if llama:
        fast.chat_template = CHAT_TEMPLATE
    return fast
