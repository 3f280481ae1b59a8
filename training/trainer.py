"""The training loop of fine-tuning: loss, batches, optimizer, epochs.

The network stays in evaluation mode throughout, so that batch normalisation keeps the base model's statistics and only
the batches and the crops are random.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from service.encoder.open_clip_model import preprocessing_of
from service.encoder.token_trimming import text_tower_of, trim_tokens
from service.errors import UsageError
from service.types import Float32Array, OnProgress
from training.mini.fit import epoch_batches, schedule
from training.pairs import PairedPhotograph, read_photographs
from training.validation import recalls

if TYPE_CHECKING:
    import torch

LOCKS = ("none", "photographs")
RATES = {"none": 1e-5, "photographs": 5e-5}
"""The default peak learning rate, by what is locked."""
CROP = (0.6, 1.0)
"""Share of a photograph's area in a random crop, least and most."""
ENCODED_AT_ONCE = 32
LARGEST_SCALE = math.log(100)
"""CLIP's limit on its log logit scale; models with the sigmoid loss exceed it."""
LARGEST_GRADIENT = 1.0

OpenStage = Callable[[str], AbstractContextManager[OnProgress]]
"""Opens a progress display for the stage of work that it is given the name of."""


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """The options of a run; `rate` 0 stands for the default. Raises UsageError for an invalid value."""

    lock: str = "none"
    epochs: int = 5
    batch: int = 64
    rate: float = 0.0
    weight_decay: float = 0.1
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            (self.lock in LOCKS, f"--lock is {self.lock!r}; it can be {' or '.join(LOCKS)}."),
            (self.epochs >= 1, f"--epochs is {self.epochs}; at least 1 is needed."),
            (self.batch >= 2, f"--batch is {self.batch}; a batch needs at least 2 pairs to have wrong answers."),
            (
                0 <= self.rate < 1,
                f"--rate is {self.rate}; it must be at least 0 and below 1, and 0 is the default rate.",
            ),
            (0 <= self.weight_decay < 1, f"--weight-decay is {self.weight_decay}; it must be at least 0 and below 1."),
            (0 < self.validation < 1, f"--validation is {self.validation}; it must be between 0 and 1."),
            (self.seed >= 0, f"--seed is {self.seed}; it cannot be negative."),
        )
        for valid, sentence in rules:
            if not valid:
                raise UsageError(sentence)

    @property
    def peak_rate(self) -> float:
        """The highest learning rate of the run."""
        return self.rate or RATES[self.lock]


@contextmanager
def silent(_: str) -> Iterator[OnProgress]:
    """Show no progress."""
    yield lambda done, total: None


def pair_loss(
    photographs: torch.Tensor,
    texts: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor | None,
    ignored: torch.Tensor,
) -> torch.Tensor:
    """The loss of CLIP or, with a `bias`, of SigLIP, as open_clip's `ClipLoss` and `SigLipLoss`.

    `photographs` and `texts` (n, d) are unit vectors, pair by pair. Unlike in open_clip, photographs (rows) and texts
    (columns) marked in `ignored`, bool (n, n), count as neither right nor wrong answers for each other.
    """
    import torch
    from torch.nn import functional

    logits = scale * photographs @ texts.T
    if bias is not None:
        logits = logits + bias
    logits = logits.masked_fill(ignored, -torch.inf)
    if bias is not None:
        signs = 2 * torch.eye(len(logits), device=logits.device) - 1
        return -functional.logsigmoid(signs * logits).sum() / len(logits)
    right = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def draw_epoch(texts_of: Sequence[Sequence[int]], batch: int, seed: int, epoch: int) -> list[list[tuple[int, int]]]:
    """Batches of (photograph, text) pairs for one epoch, no photograph twice in a batch.

    Batches below a quarter of the full size, left over from photographs with many texts, are dropped, because they
    would move the weights as far as a full one; the next epoch draws others.
    """
    batches = epoch_batches(texts_of, batch, int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
    least = min(batch, len(texts_of)) / 4
    return [pairs for pairs in batches if len(pairs) >= least] or batches


class Trainer:
    """A network with its optimizer, its pairs and, where the photograph tower is locked, the photographs' vectors."""

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        train: list[PairedPhotograph],
        validation: list[PairedPhotograph],
        settings: TrainerSettings,
        device: str,
        threads: int,
        open_stage: OpenStage,
    ) -> None:
        import torch
        from open_clip.transform import AugmentationCfg, image_transform_v2

        self.settings, self.device, self.threads, self.open_stage = settings, device, threads, open_stage
        self.train, self.validation = train, validation
        self.texts = list(dict.fromkeys(text for each in (*train, *validation) for text in each.texts))
        row_of = {text: row for row, text in enumerate(self.texts)}
        self.texts_of = [[row_of[text] for text in each.texts] for each in train]
        self.validation_texts_of = [[row_of[text] for text in each.texts] for each in validation]
        self.tokens = torch.cat([tokenizer(self.texts[at : at + 1024]) for at in range(0, len(self.texts), 1024)])
        self.network = network.to(device=device, memory_format=torch.channels_last).eval()
        self.locked = settings.lock == "photographs"
        if self.locked:
            network.visual.requires_grad_(False)
        self.optimizer = _optimizer(network, settings)
        self.largest_scale = max(LARGEST_SCALE, float(network.logit_scale.detach()))
        preprocessing = preprocessing_of(network)
        self.side = decode_side(network)
        self.prepare = image_transform_v2(preprocessing, is_train=False)
        self.crop = image_transform_v2(preprocessing, is_train=True, aug_cfg=AugmentationCfg(scale=CROP))
        self.vectors: torch.Tensor | None = None
        self.validation_vectors: torch.Tensor | None = None
        if self.locked:
            both = self._encode([*train, *validation], "Encoding photographs")
            self.vectors, self.validation_vectors = both[: len(train)], both[len(train) :]

    def run_epoch(self, epoch: int) -> float:
        """Train for epoch number `epoch`, counted from 1; the mean loss of its steps."""
        import torch

        settings = self.settings
        batches = draw_epoch(self.texts_of, settings.batch, settings.seed, epoch)
        steps = settings.epochs * len(batches)
        losses = []
        with self.open_stage(f"Epoch {epoch} of {settings.epochs}") as on_progress, torch.random.fork_rng():
            torch.manual_seed(settings.seed * 100_003 + epoch)
            for done, (pairs, photographs) in enumerate(zip(batches, self._vectors_of(batches), strict=True)):
                for group in self.optimizer.param_groups:
                    group["lr"] = settings.peak_rate * schedule((epoch - 1) * len(batches) + done, steps)
                losses.append(self._step(pairs, photographs))
                if not math.isfinite(losses[-1]):
                    raise UsageError(
                        f"The loss is no longer a number in epoch {epoch}: --rate {settings.peak_rate:g} is too high. "
                        "Choose a smaller one and start over with --fresh."
                    )
                on_progress(done + 1, len(batches))
        return sum(losses) / len(losses)

    def measure(self) -> dict[str, float]:
        """Recalls of the current network on the validation photographs and their texts."""
        rows = sorted({row for rows in self.validation_texts_of for row in rows})
        index = {row: number for number, row in enumerate(rows)}
        texts_of = [[index[row] for row in own] for own in self.validation_texts_of]
        photographs = self.validation_vectors
        if photographs is None:
            photographs = self._encode(self.validation, "Validating")
        return recalls(self._encode_texts(rows), photographs.cpu().numpy(), texts_of)

    def trained(self) -> dict[str, torch.Tensor]:
        """The trainable weights, by name."""
        return {name: value.detach() for name, value in self.network.named_parameters() if value.requires_grad}

    def _vectors_of(self, batches: list[list[tuple[int, int]]]) -> Iterator[torch.Tensor]:
        """Unit vectors of each batch's photographs: precomputed, or encoded from new random crops."""
        import torch

        if self.vectors is not None:
            for pairs in batches:
                yield self.vectors[[photograph for photograph, _ in pairs]]
            return
        paths = [[self.train[photograph].path for photograph, _ in pairs] for pairs in batches]
        for images in read_photographs(paths, self.side, self.threads):
            prepared = torch.stack([self.crop(image) for image in images])
            yield self._encode_prepared(prepared)

    def _step(self, pairs: list[tuple[int, int]], photographs: torch.Tensor) -> float:
        import torch

        network = self.network
        tokens = trim_tokens(network, self.tokens[[text for _, text in pairs]]).to(self.device)
        texts = torch.nn.functional.normalize(text_tower_of(network)(tokens), dim=-1)
        own = [set(self.texts_of[photograph]) for photograph, _ in pairs]
        ignored = torch.tensor([[text in texts_here for _, text in pairs] for texts_here in own], device=self.device)
        ignored.fill_diagonal_(False)
        bias = getattr(network, "logit_bias", None)
        loss = pair_loss(photographs, texts, network.logit_scale.exp(), bias, ignored)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(
            [weight for group in self.optimizer.param_groups for weight in group["params"]], LARGEST_GRADIENT
        )
        self.optimizer.step()
        with torch.no_grad():
            network.logit_scale.clamp_(max=self.largest_scale)
        return float(loss.detach())

    def _encode(self, photographs: list[PairedPhotograph], stage: str) -> torch.Tensor:
        """Unit vectors (n, d) of photographs as they are."""
        import torch

        paths = [each.path for each in photographs]
        groups = [paths[at : at + ENCODED_AT_ONCE] for at in range(0, len(paths), ENCODED_AT_ONCE)]
        parts: list[torch.Tensor] = []
        with self.open_stage(stage) as on_progress, torch.no_grad():
            for images in read_photographs(groups, self.side, self.threads):
                parts.append(self._encode_prepared(torch.stack([self.prepare(image) for image in images])))
                on_progress(min(len(parts) * ENCODED_AT_ONCE, len(paths)), len(paths))
        return torch.cat(parts)

    def _encode_prepared(self, prepared: torch.Tensor) -> torch.Tensor:
        import torch

        batch = prepared.to(device=self.device, memory_format=torch.channels_last)
        vectors: torch.Tensor = self.network.encode_image(batch, normalize=True)
        return vectors

    def _encode_texts(self, rows: list[int]) -> Float32Array:
        import torch

        parts = []
        with torch.no_grad():
            for at in range(0, len(rows), ENCODED_AT_ONCE):
                tokens = trim_tokens(self.network, self.tokens[rows[at : at + ENCODED_AT_ONCE]])
                outputs = text_tower_of(self.network)(tokens.to(self.device))
                parts.append(torch.nn.functional.normalize(outputs, dim=-1).cpu())
        vectors: Float32Array = torch.cat(parts).numpy()
        return vectors


def _optimizer(network: Any, settings: TrainerSettings) -> torch.optim.Optimizer:
    """AdamW without weight decay on norms, biases, scales, and embeddings, where unused words would fade."""
    import torch

    embeddings = [module for module in network.modules() if isinstance(module, torch.nn.Embedding)]
    embedding_ids = {id(module.weight) for module in embeddings}
    listed = network.no_weight_decay() if hasattr(network, "no_weight_decay") else set()
    decayed: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            exempt = weight.ndim < 2 or id(weight) in embedding_ids or name in listed
            (others if exempt or name.endswith("positional_embedding") else decayed).append(weight)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.peak_rate, betas=(0.9, 0.98))


def decode_side(network: Any) -> int:
    """Least length of a decoded photograph's shorter side in pixels: twice the tower's side, as in the service."""
    size = preprocessing_of(network).size
    return 2 * (size if isinstance(size, int) else max(size))
