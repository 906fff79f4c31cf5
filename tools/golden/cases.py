"""The golden cases: a tiny config per family and feature, and what each must depend on."""

from dataclasses import dataclass, field

from transformers import GPT2Config, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config


@dataclass
class Case:
    name: str
    covers: str
    config: object
    dtype: str = "float32"  # of the checkpoint; goldens are always computed in float32
    weights_of: str = ""  # another case whose weights this one uses (a symbolic link)
    respells: str = ""  # another case that this one only words differently: one golden for both
    shards: int = 1
    spelling: str = "4.57"  # how config.json is written: "4.40", "4.57" or "5"
    edit_json: dict = field(default_factory=dict)  # put into config.json after it is written
    drop_json: list[str] = field(default_factory=list)  # left out of it, as old files do
    hub_names: bool = False  # tensor names and stray tensors of the GPT-2 checkpoint on the hub
    # The covered feature, taken away: config values to change, or parameters to neutralise.
    # The script fails unless each of them changes the logits clearly.
    without: list[dict] = field(default_factory=list)
    without_parameters: list[str] = field(default_factory=list)


VOCAB = 96
COMMON = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
)
GPT2 = dict(
    vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=3, n_positions=80, bos_token_id=2, eos_token_id=2
)
# The llama3 case's shape: tied, and heads * head_dim (64) is not the hidden size (32).
ROPE = COMMON | dict(head_dim=16, tie_word_embeddings=True)
LLAMA3_SCALING = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
YARN_SCALING = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
NO_SCALING = [dict(rope_scaling=None)]


def llama3(**changes):
    return LlamaConfig(**ROPE | dict(rope_theta=500.0, rope_scaling=dict(LLAMA3_SCALING)) | changes)


def llama_cases() -> list[Case]:
    return [
        Case(
            "llama", "GQA 4 over 2, untied head", LlamaConfig(**COMMON, tie_word_embeddings=False)
        ),
        Case(
            "llama_mha_bias",
            "Llama 2's multi-head attention, with attention_bias and mlp_bias",
            LlamaConfig(
                **COMMON
                | dict(num_key_value_heads=4, attention_bias=True, mlp_bias=True, rms_norm_eps=0.02)
            ),
            spelling="4.40",
            without=[dict(rms_norm_eps=1e-6)],
            without_parameters=["q_proj.bias", "k_proj.bias", "v_proj.bias", "o_proj.bias"]
            + ["gate_proj.bias", "up_proj.bias", "down_proj.bias"],
        ),
        Case(
            "llama_9_heads",
            "9 query heads over 3 KV heads: uneven on 2 and 4 ranks",
            LlamaConfig(
                **COMMON
                | dict(
                    hidden_size=36,
                    num_attention_heads=9,
                    num_key_value_heads=3,
                    intermediate_size=44,
                )
            ),
        ),
        Case(
            "llama_bf16",
            "bfloat16 checkpoint",
            LlamaConfig(**COMMON, tie_word_embeddings=True),
            "bfloat16",
        ),
        Case(
            "llama_f16",
            "float16 checkpoint; a config.json as old as the family, with nothing that is default",
            LlamaConfig(**COMMON),
            "float16",
            spelling="4.40",
            drop_json=["head_dim", "attention_bias", "mlp_bias", "rope_theta", "rope_scaling"]
            + ["tie_word_embeddings"],
        ),
        Case(
            "llama_sharded",
            "three safetensors shards and an index",
            LlamaConfig(**COMMON | dict(num_hidden_layers=3)),
            "bfloat16",
            shards=3,
        ),
    ]


def rope_cases() -> list[Case]:
    """One set of weights (llama3's) under every rope scaling and every spelling of it."""

    def case(name, covers, config, **more):
        return Case(name, covers, config, weights_of="llama3", **more)

    def respelled(name, spelling, of, config):
        return case(
            name,
            f"{of} in the words of transformers {spelling}",
            config,
            spelling=spelling,
            respells=of,
        )

    linear = dict(rope_theta=500.0, rope_scaling=dict(rope_type="linear", factor=4.0))
    dynamic = dict(
        rope_theta=500.0,
        rope_scaling=dict(rope_type="dynamic", factor=4.0),
        max_position_embeddings=32,
    )
    yarn = dict(rope_theta=500.0, rope_scaling=dict(YARN_SCALING))
    return [
        Case(
            "llama3", "llama3 rope scaling, tied, head_dim of its own", llama3(), without=NO_SCALING
        ),
        respelled("llama3_v4", "4.40", "llama3", llama3()),
        respelled("llama3_v5", "5", "llama3", llama3()),
        case(
            "llama_linear",
            "linear rope scaling, in the words of 4.40 (type, not rope_type)",
            LlamaConfig(**ROPE | linear),
            spelling="4.40",
            edit_json=dict(rope_scaling=dict(type="linear", factor=4.0)),
            without=NO_SCALING,
        ),
        respelled("llama_linear_v5", "5", "llama_linear", LlamaConfig(**ROPE | linear)),
        case(
            "llama_dynamic",
            "dynamic NTK rope scaling; 37 and 70 tokens lie beyond the trained 32",
            LlamaConfig(**ROPE | dynamic),
            without=NO_SCALING,
        ),
        case("llama_yarn", "yarn rope scaling", LlamaConfig(**ROPE | yarn), without=NO_SCALING),
    ]


def gpt2_cases() -> list[Case]:
    biases = ["c_attn.bias", "attn.c_proj.bias", "c_fc.bias", "mlp.c_proj.bias"]
    norms = ["ln_1.bias", "ln_2.bias", "ln_f.bias"]
    return [
        Case(
            "gpt2",
            "biases, Conv1D, gelu_new, tied head",
            GPT2Config(**GPT2),
            without_parameters=biases + norms,
        ),
        Case(
            "gpt2_untied",
            "untied head, attention scaled by layer index, n_inner, exact gelu",
            GPT2Config(
                **GPT2,
                n_inner=40,
                tie_word_embeddings=False,
                layer_norm_epsilon=0.02,
                scale_attn_by_inverse_layer_idx=True,
                activation_function="gelu",
            ),
            without=[dict(scale_attn_by_inverse_layer_idx=False), dict(layer_norm_epsilon=1e-5)],
        ),
    ]


def other_cases() -> list[Case]:
    qwen2 = COMMON | dict(tie_word_embeddings=True, rope_theta=1000000.0)
    qwen3 = COMMON | dict(head_dim=16, tie_word_embeddings=False, rope_theta=1000000.0)
    return [
        Case(
            "mistral",
            "sliding window of 16 keys, itself included",
            MistralConfig(**COMMON, sliding_window=16),
            without=[dict(sliding_window=None), dict(sliding_window=17), dict(sliding_window=15)],
        ),
        Case(
            "qwen2",
            "q, k and v biases, tied; a sliding_window that use_sliding_window turns off",
            Qwen2Config(**qwen2, use_sliding_window=False),
            edit_json=dict(sliding_window=8, max_window_layers=1),
            without_parameters=["q_proj.bias", "k_proj.bias", "v_proj.bias"],
        ),
        Case(
            "qwen2_sliding",
            "the second layer slides over 8 keys (max_window_layers), the first does not",
            Qwen2Config(**qwen2, use_sliding_window=True, sliding_window=8, max_window_layers=1),
            weights_of="qwen2",
            without=[
                dict(layer_types=["full_attention"] * 2),
                dict(layer_types=["sliding_attention"] * 2),
            ],
        ),
        Case(
            "qwen3",
            "q and k norms, head_dim 16",
            Qwen3Config(**qwen3),
            without_parameters=["q_norm.weight", "k_norm.weight"],
        ),
        Case(
            "qwen3_v5",
            "qwen3 in the words of transformers 5",
            Qwen3Config(**qwen3),
            weights_of="qwen3",
            spelling="5",
            respells="qwen3",
        ),
        Case(
            "gpt2_hub",
            "the names of the GPT-2 checkpoint on the hub: no prefix, masks stored as tensors",
            GPT2Config(**GPT2),
            weights_of="gpt2",
            respells="gpt2",
            hub_names=True,
        ),
    ]


def wide_configs() -> dict[str, object]:
    """Config-only directories (dummy weights) for invariance tests: several K blocks and shards."""
    return {
        "wide_llama": LlamaConfig(
            **COMMON
            | dict(
                vocab_size=640,
                hidden_size=256,
                intermediate_size=1408,
                num_hidden_layers=3,
                num_attention_heads=8,
                max_position_embeddings=1024,
            )
        ),
        "wide_gpt2": GPT2Config(
            **GPT2 | dict(vocab_size=640, n_embd=192, n_head=6, n_positions=1024)
        ),
    }


def all_cases() -> list[Case]:
    return gpt2_cases() + llama_cases() + rope_cases() + other_cases()
