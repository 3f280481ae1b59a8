"""A random CLIP of a few hundred kilobytes, as the files of a hub repository."""

from __future__ import annotations

import json
from typing import Any

from service.encoder.torchvision_compat import mend_torchvision

WORDS = ["[UNK]", "[PAD]", "[EOS]", "a", "cat", "dog", "red", "flower"]


def tiny_model(tokenizer: str | None = None) -> dict[str, bytes]:
    """Files of a random open_clip model: configuration and safetensors weights.

    Args:
        tokenizer: the repository of a transformers tokenizer; None for open_clip's own.
    """
    mend_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    text: dict[str, Any] = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    if tokenizer:
        text |= {"hf_tokenizer_name": tokenizer, "vocab_size": len(WORDS)}
        text |= {"tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "pool_type": "last"}
    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": text,
    }
    network = open_clip.CLIP(**json.loads(json.dumps(model)))
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
    return {
        "README.md": b"A random model for tests.\n",
        "open_clip_config.json": json.dumps({"model_cfg": model, "preprocess_cfg": preprocessing}).encode(),
        "open_clip_model.safetensors": save(network.state_dict()),
    }


def tiny_tokenizer() -> dict[str, bytes]:
    """Files of a transformers tokenizer that knows eight words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = Whitespace()
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "eos_token": "[EOS]",
        "model_max_length": 16,
    }
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps(settings).encode(),
        "special_tokens_map.json": b'{"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[EOS]"}',
    }
