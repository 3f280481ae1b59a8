"""Trims padding tokens that cannot change the embedding.

A tokenizer pads each text to the tower's context length, mostly 77 tokens; a query has about ten. Which tokens matter
depends on how the text tower is built:

- Transformers towers mask padding, so it never matters.
- In a causal tower (OpenAI's CLIP and its descendants) no token attends to a later one and the embedding is taken
  from the end token, so nothing after the end token matters.
- Any other tower attends to all tokens, padding included (SigLIP, MobileCLIP-S), or takes the embedding from the last
  position (SigLIP, CoCa): all tokens matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from service.types import Int64Array

if TYPE_CHECKING:
    import torch

Rule = Literal["all", "until padding", "until the largest", "until the token"]


@dataclass(frozen=True)
class TokenTrimming:
    """Which tokens of a batch of texts the text tower needs.

    Attributes:
        rule: "all"; "until padding": up to the last one that is not `token`; "until the largest": up to the first
            occurrence of each text's largest token id (the end token of OpenAI's tokenizer); "until the token": up to
            the first `token` of each text.
        token: id of the padding token or of the end token.
    """

    rule: Rule
    token: int = 0

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ValueError(f"there is no rule {self.rule}")

    def length(self, tokens: Int64Array) -> int:
        """How many columns of tokens (n, length) any of the texts needs, at least one."""
        if self.rule == "until padding":
            used = np.flatnonzero((tokens != self.token).any(axis=0))
            return int(used[-1]) + 1 if len(used) else 1
        if self.rule == "all" or not len(tokens):
            return int(tokens.shape[1])
        pooled = tokens.argmax(axis=1) if self.rule == "until the largest" else (tokens == self.token).argmax(axis=1)
        return int(pooled.max()) + 1

    def trim(self, tokens: Int64Array) -> Int64Array:
        """Tokens (n, length) without the last columns that none of the texts needs."""
        return tokens[:, : self.length(tokens)]

    def as_json(self) -> dict[str, Any]:
        """Both fields; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TokenTrimming:
        """Read what `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        return cls(content["rule"], int(content["token"]))


@dataclass(frozen=True)
class _CausalTower:
    """A causal text tower of open_clip whose embedding is that of the end token; `pooling` says how it finds it."""

    tower: Any
    pooling: Literal["argmax", "eos"]
    end_token: int

    @classmethod
    def of(cls, model: Any) -> _CausalTower | None:
        """The text tower of an open_clip model; None where it is of another kind, or of an unknown one."""
        from open_clip.model import CLIP
        from open_clip.transformer import TextTransformer

        # Exactly these two: a subclass may treat its tokens differently.
        if type(model) is CLIP:
            tower, pooling, end_token = model, model.text_pool_type, model.text_eos_id
        elif type(getattr(model, "text", None)) is TextTransformer and model.text.cls_emb is None:
            tower, pooling, end_token = model.text, model.text.pool_type, model.text.eos_id
        else:
            return None
        if getattr(tower, "output_tokens", False) or pooling not in ("argmax", "eos"):
            return None
        return cls(tower, pooling, int(end_token)) if _is_causal(tower.attn_mask) else None

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, dimension), not normalised, of tokens (n, length) of any length."""
        from open_clip.transformer import text_global_pool
        from torch import nn

        tower, length = self.tower, tokens.shape[1]
        dtype = tower.transformer.get_cast_dtype()
        embedded = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
        hidden = tower.ln_final(tower.transformer(embedded, attn_mask=tower.attn_mask[:length, :length]))
        outputs: torch.Tensor = text_global_pool(hidden, tokens, self.pooling, eos_token_id=self.end_token)
        if isinstance(tower.text_projection, nn.Linear):
            outputs = tower.text_projection(outputs)
        elif tower.text_projection is not None:
            outputs = outputs @ tower.text_projection
        return outputs


def trimming_of(model: Any) -> TokenTrimming:
    """Which tokens the text tower of an open_clip model needs."""
    transformers = transformers_text_tower(model)
    if transformers is not None:
        return TokenTrimming("until padding", int(transformers.config.pad_token_id))
    causal = _CausalTower.of(model)
    if causal is None:
        return TokenTrimming("all")
    if causal.pooling == "argmax":
        return TokenTrimming("until the largest")
    return TokenTrimming("until the token", causal.end_token)


def trim_tokens(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Tokens (n, length), on the CPU, without the columns that cannot change the embedding.

    Pass them to `text_tower_of`: open_clip's own `encode_text` does not take fewer tokens in a causal tower.
    """
    return tokens[:, : trimming_of(model).length(tokens.numpy())]


def text_tower_of(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The text tower of an open_clip model: trimmed tokens (n, length) to embeddings (n, dimension), not normalised.

    It can be traced: the length is that of the tokens, not of the example. A causal tower uses only as many of its
    positions and as much of its mask as there are tokens, where open_clip would add all positions.
    """
    return _CausalTower.of(model) or partial(model.encode_text, normalize=False)


def transformers_text_tower(model: Any) -> Any | None:
    """The text tower of an open_clip model where it is a transformers model, else None."""
    text = getattr(model, "text", None)
    return text if type(text).__name__ == "HFTextEncoder" else None


def _is_causal(mask: torch.Tensor | None) -> bool:
    """Whether an additive attention mask lets each position attend to itself and all before it, and nothing else."""
    import torch

    if mask is None:
        return False
    forbidden = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return bool((mask[forbidden] == float("-inf")).all()) and bool((mask[~forbidden] == 0).all())
