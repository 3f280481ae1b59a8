"""Trimmed tokens give the same embeddings as all tokens, in every kind of text tower."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from service.encoder.open_clip_model import load_network
from service.encoder.token_trimming import TokenTrimming, text_tower_of, trim_tokens, trimming_of
from service.encoder.torchvision_compat import mend_torchvision

LENGTH, WORDS = 16, 99
END = WORDS - 1
"""The end token of these texts, the largest id, as with OpenAI's tokenizer."""
TEXTS = torch.tensor(
    [
        [1, 5, 7, END, *[0] * 12],
        [1, END, *[0] * 14],
        [1, 5, 9, 11, 13, 5, END, *[0] * 9],
        [1, 5, END, 8, END, *[0] * 11],
    ]
)
"""Four texts; the third is the longest, the last has an end token within, as a person may write it."""
LONGEST = 7

Model = Any


def model_of(kind: str = "CLIP", **text: Any) -> Model:
    """A random open_clip model whose text tower has these settings."""
    mend_torchvision()
    import open_clip

    torch.manual_seed(0)
    settings: dict[str, Any] = {"context_length": LENGTH, "vocab_size": WORDS, "width": 16, "heads": 2, "layers": 3}
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    more: dict[str, Any] = {}
    if kind == "CoCa":
        more["multimodal_cfg"] = {"context_length": LENGTH, "vocab_size": WORDS, "width": 16, "heads": 2, "layers": 1}
        more["multimodal_cfg"]["attn_pooler_heads"] = 2
        vision |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    model = getattr(open_clip, kind)(embed_dim=8, vision_cfg=vision, text_cfg=settings | text, **more)
    for parameter in model.parameters():
        # By default positions and projections are nearly zero, and differences would be too.
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def all_tokens(model: Model, tokens: torch.Tensor) -> torch.Tensor:
    """Embeddings by open_clip's own method."""
    outputs: torch.Tensor = model.encode_text(tokens, normalize=False)
    return outputs


CAUSAL = {
    "OpenAI's CLIP": ("CLIP", {}),
    "EVA02, MobileCLIP-B": ("CustomTextCLIP", {"no_causal_mask": False}),
    "worldwide": ("CLIP", {"pool_type": "eos", "eos_id": END}),
    "worldwide, text tower apart": ("CustomTextCLIP", {"pool_type": "eos", "eos_id": END}),
    "a linear projection": ("CLIP", {"proj_bias": True}),
    "no projection": ("CustomTextCLIP", {"proj_type": "none"}),
    "attention of another kind": ("CLIP", {"qk_norm": True, "scale_attn": True}),
}
ATTENDS_TO_ALL = {
    "SigLIP": ("CustomTextCLIP", {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}),
    "CLIPA": ("CLIP", {"no_causal_mask": True, "pool_type": "last"}),
    "MobileCLIP-S, MobileCLIP2": ("CustomTextCLIP", {"no_causal_mask": True}),
    "causal, but the last token": ("CLIP", {"pool_type": "last"}),
    "CoCa": ("CoCa", {"embed_cls": True, "output_tokens": True}),
}


@pytest.mark.parametrize(("kind", "text"), CAUSAL.values(), ids=CAUSAL)
def test_causal_tower_gets_no_token_after_the_end_and_gives_the_same(kind: str, text: dict[str, Any]) -> None:
    model = model_of(kind, **text)
    trimmed = trim_tokens(model, TEXTS)
    assert trimmed.shape == (len(TEXTS), LONGEST)
    assert torch.allclose(text_tower_of(model)(trimmed), all_tokens(model, TEXTS), atol=1e-5)


@pytest.mark.parametrize(("kind", "text"), CAUSAL.values(), ids=CAUSAL)
def test_tokens_after_the_end_do_not_change_the_vector_of_a_causal_tower(kind: str, text: dict[str, Any]) -> None:
    model = model_of(kind, **text)
    other = TEXTS.clone()
    other[:, LONGEST:] = torch.randint(0, END, other[:, LONGEST:].shape, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(all_tokens(model, other), all_tokens(model, TEXTS), atol=1e-5)
    nearer = TEXTS.clone()
    nearer[0, 1] += 1
    assert not torch.allclose(all_tokens(model, nearer)[0], all_tokens(model, TEXTS)[0], atol=1e-3)


@pytest.mark.parametrize(("kind", "text"), ATTENDS_TO_ALL.values(), ids=ATTENDS_TO_ALL)
def test_tower_that_attends_to_all_tokens_gets_them_all(kind: str, text: dict[str, Any]) -> None:
    model = model_of(kind, **text)
    assert trimming_of(model) == TokenTrimming("all")
    assert torch.equal(trim_tokens(model, TEXTS), TEXTS)
    assert torch.equal(text_tower_of(model)(TEXTS), all_tokens(model, TEXTS))
    other = TEXTS.clone()
    other[:, LONGEST + 1 :] = 3
    assert not torch.allclose(all_tokens(model, other), all_tokens(model, TEXTS), atol=1e-4), "it does attend to them"


def test_tower_with_another_mask_gets_all_tokens() -> None:
    model = model_of()
    model.attn_mask[0, 3] = 0.0
    assert trimming_of(model) == TokenTrimming("all")


def test_transformers_tower_gets_no_padding_and_gives_the_same() -> None:
    model, tokenizer, _ = load_network("mini")
    model = model.eval()
    tokens = tokenizer(["a dog", "two children play in the snow in front of a house", "cat"])
    trimmed = trim_tokens(model, tokens)
    padding = model.text.config.pad_token_id
    assert trimming_of(model) == TokenTrimming("until padding", padding)
    assert trimmed.shape[1] == int((tokens != padding).sum(dim=1).max()) < tokens.shape[1]
    with torch.inference_mode():
        assert torch.allclose(text_tower_of(model)(trimmed), all_tokens(model, tokens), atol=1e-5)


def test_full_text_is_not_trimmed() -> None:
    full = torch.full((1, LENGTH), 5)
    full[0, -1] = END
    model = model_of()
    assert torch.equal(trim_tokens(model, full), full)
    assert torch.allclose(text_tower_of(model)(full), all_tokens(model, full), atol=1e-5)


def test_text_without_an_end_token_is_pooled_as_before() -> None:
    model = model_of(pool_type="eos", eos_id=END)
    endless = torch.full((1, LENGTH), 5)
    trimmed = trim_tokens(model, endless)
    assert torch.allclose(text_tower_of(model)(trimmed), all_tokens(model, endless), atol=1e-5)


class TextTower(torch.nn.Module):
    """A text tower as the module that converters take."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.encode = text_tower_of(model)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.encode(tokens)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_traced_tower_takes_texts_of_any_length() -> None:
    encode = TextTower(model_of())
    traced = torch.jit.trace(encode, (TEXTS[:2, :5],), check_trace=False)  # type: ignore[no-untyped-call]
    for tokens in (TEXTS, TEXTS[:, :LONGEST], TEXTS[1:2, :2]):
        assert torch.allclose(traced(tokens), encode(tokens), atol=1e-5)


@pytest.mark.parametrize("rule", ["all", "until padding", "until the largest", "until the token"])
def test_json_round_trip(rule: Any) -> None:
    assert TokenTrimming.from_json(TokenTrimming(rule, 7).as_json()) == TokenTrimming(rule, 7)


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="no rule until Tuesday"):
        TokenTrimming.from_json({"rule": "until Tuesday", "token": 0})
    with pytest.raises(KeyError):
        TokenTrimming.from_json({"rule": "all"})


def test_padding_alone_leaves_one_column() -> None:
    assert TokenTrimming("until padding", 0).trim(np.zeros((2, 5), np.int64)).shape == (2, 1)
