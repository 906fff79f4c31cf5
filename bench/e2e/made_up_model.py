"""A transformers model of a given shape with constant weights, for measuring: the time of a product
does not depend on the numbers."""

import torch
import transformers


def made_up_model(config: transformers.PretrainedConfig) -> torch.nn.Module:
    """In bfloat16, ready for inference."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.fill_(0.01)
    # Its frequencies are no parameters and were lost with the memory.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()
