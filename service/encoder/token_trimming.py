"""Up to where a text tower looks at its tokens; what comes behind can be left out, and vectors stay as they are.

A tokenizer fills each text up to the length that a tower can take at most, 77 tokens mostly, and a query has about
ten. Which of them count is no matter of belief but of how a tower is built:

- Towers of transformers mask padding, so nothing looks at it.
- In a causal tower (OpenAI's CLIP and its kin) no token sees a later one, and the vector is taken from the end token
  of the text, so nothing behind that one can reach it.
- Any other tower lets all tokens see all, padding too (SigLIP, MobileCLIP-S), or takes its vector from the last place
  (SigLIP, CoCa): all tokens count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from service.encoder.torch_precision import transformers_tower
from service.types import Int64Array

if TYPE_CHECKING:
    import torch

Rule = Literal["all", "until padding", "until the largest", "until the token"]


@dataclass(frozen=True)
class UsedTokens:
    """Which tokens of some texts a tower looks at.

    `rule` says up to where: "all" of them, "until padding" up to the last that is not `token`, "until the largest" up
    to the first of the largest numbers of each text (the end token of OpenAI's tokenizer), "until the token" up to the
    first `token` of each.
    """

    rule: Rule
    token: int = 0

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise ValueError(f"there is no rule {self.rule}")

    def count(self, tokens: Int64Array) -> int:
        """How many of the columns of tokens (n, length) count for any of the texts, at least one."""
        if self.rule == "until padding":
            used = np.flatnonzero((tokens != self.token).any(axis=0))
            return int(used[-1]) + 1 if len(used) else 1
        if self.rule == "all" or not len(tokens):
            return int(tokens.shape[1])
        pooled = tokens.argmax(axis=1) if self.rule == "until the largest" else (tokens == self.token).argmax(axis=1)
        return int(pooled.max()) + 1

    def of(self, tokens: Int64Array) -> Int64Array:
        """Tokens (n, length) without the last columns that count for none of the texts."""
        return tokens[:, : self.count(tokens)]

    def as_json(self) -> dict[str, Any]:
        """Both fields, for `read`."""
        return asdict(self)

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> UsedTokens:
        """From what `as_json` gave; raises KeyError, TypeError or ValueError where it is something else."""
        return cls(written["rule"], int(written["token"]))


@dataclass(frozen=True)
class _Causal:
    """A causal text tower of open_clip, whose vector is that of the end token: its parts, and how it finds the end."""

    tower: Any
    pooling: Literal["argmax", "eos"]
    end_token: int

    @classmethod
    def of(cls, model: Any) -> _Causal | None:
        """Of an open_clip model; None where its text tower is of another kind, or of one that is not known here."""
        from open_clip.model import CLIP
        from open_clip.transformer import TextTransformer

        # Exactly these two: what inherits from them may do something else with its tokens.
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
        """Outputs (n, dimension), not normalised, of tokens (n, length) of any length."""
        from open_clip.transformer import text_global_pool
        from torch import nn

        tower, length = self.tower, tokens.shape[1]
        dtype = tower.transformer.get_cast_dtype()
        embedded = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
        seen = tower.ln_final(tower.transformer(embedded, attn_mask=tower.attn_mask[:length, :length]))
        outputs: torch.Tensor = text_global_pool(seen, tokens, self.pooling, eos_token_id=self.end_token)
        if isinstance(tower.text_projection, nn.Linear):
            outputs = tower.text_projection(outputs)
        elif tower.text_projection is not None:
            outputs = outputs @ tower.text_projection
        return outputs


def used_tokens_of(model: Any) -> UsedTokens:
    """Which tokens the text tower of an open_clip model looks at."""
    transformers = transformers_tower(model)
    if transformers is not None:
        return UsedTokens("until padding", int(transformers.config.pad_token_id))
    causal = _Causal.of(model)
    if causal is None:
        return UsedTokens("all")
    return (
        UsedTokens("until the largest")
        if causal.pooling == "argmax"
        else UsedTokens("until the token", causal.end_token)
    )


def without_unused(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Tokens (n, length), on the CPU, of an open_clip model without the columns that change no vector.

    They are for what `text_encoder_of` gives: open_clip's own `encode_text` takes no fewer in a causal tower.
    """
    return tokens[:, : used_tokens_of(model).count(tokens.numpy())]


def text_encoder_of(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What computes outputs (n, dimension), not normalised, of tokens (n, length), as many as `used_tokens_of` leaves.

    It can be traced: the length is that of the tokens, not that of the example. Causal towers get as many of their
    positions and as much of their mask as there are tokens, where open_clip would add all positions.
    """
    return _Causal.of(model) or partial(model.encode_text, normalize=False)


def _is_causal(mask: torch.Tensor | None) -> bool:
    """Whether a mask that is added to attention leaves each place what came before it and itself, and nothing else."""
    import torch

    if mask is None:
        return False
    forbidden = torch.ones_like(mask, dtype=torch.bool).triu(1)
    return bool((mask[forbidden] == float("-inf")).all()) and bool((mask[~forbidden] == 0).all())
