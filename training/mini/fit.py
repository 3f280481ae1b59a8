"""The training phases with a frozen image tower: contrastive loss over captions and pseudo-photographs.

First the heads alone on the features of both frozen towers, then heads and text tower together, and those again after
the image tower was trained. Image features are precomputed. The random draws of an epoch depend on the seed and the
epoch's number only, and each epoch ends with a checkpoint, so an interrupted run resumes with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.store.atomic import replacing
from training.mini.imagenet_classes import ClassPhotographs, ClassText, draw_classes, may_show
from training.mini.settings import MiniSettings

if TYPE_CHECKING:
    import torch

CHUNK = 192
"""Texts encoded at once; a batch is sorted by length, so that there is little padding."""
LARGEST_SCALE = math.log(100)
WHOLE_SHARE = 0.3
"""Share of photographs in a batch that are shown whole, as the finished model gets them, and not as a view."""


@dataclass(frozen=True)
class TextTable:
    """Token ids int64 (n, length), padded at the end, and the number of tokens in each row (n,) without padding."""

    ids: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True)
class Examples:
    """Training data.

    Attributes:
        features: (1 + views, photographs, width) float16, standardised, first those of whole photographs.
        texts: the captions, then the texts of classes.
        pooled_texts: (texts, width), their features by the text tower as it was before training.
        captions_of: the rows of each photograph's captions.
        class_texts: texts of pseudo-photographs, or none.
        class_photographs: draws pseudo-photographs, or None.
        class_shares: (photographs, classes), the classifier's probabilities of what real photographs show.
    """

    features: torch.Tensor
    texts: TextTable
    pooled_texts: torch.Tensor
    captions_of: Sequence[Sequence[int]]
    class_texts: Sequence[ClassText]
    class_photographs: ClassPhotographs | None
    class_shares: torch.Tensor


@dataclass(frozen=True)
class Phase:
    """Some epochs with one set of rates; a text rate of 0 freezes the text tower.

    `seed` is added to the seed of the settings.
    """

    name: str
    epochs: int
    head_rate: float
    text_rate: float
    seed: int


def first_phases(settings: MiniSettings) -> list[Phase]:
    """The heads alone, then with the text tower."""
    return [
        Phase("heads", settings.warm_epochs, settings.warm_rate, 0.0, 0),
        Phase("heads and text tower", settings.epochs, settings.head_rate, settings.text_rate, 1000),
    ]


def last_phases(settings: MiniSettings) -> list[Phase]:
    """The text tower again, after the image tower was trained."""
    return [Phase("text tower again", settings.again_epochs, settings.again_head_rate, settings.again_text_rate, 5000)]


def tokenize(tokenizer: Any, texts: Sequence[str], length: int) -> TextTable:
    """Token ids of texts, cut at `length` tokens and padded to the longest."""
    import torch

    coded = tokenizer(list(texts), truncation=True, max_length=length, padding=True, return_tensors="np")
    ids = torch.from_numpy(np.asarray(coded["input_ids"], dtype=np.int64))
    return TextTable(ids, torch.from_numpy(np.asarray(coded["attention_mask"]).sum(axis=1)))


def pool_texts(network: Any, table: TextTable, rows: torch.Tensor) -> torch.Tensor:
    """Pooled features float32 (n, width) of some rows of a table, before the text's head."""
    import torch

    order = rows[torch.argsort(table.lengths[rows])]
    parts = []
    for chunk in torch.split(order, CHUNK):
        ids = table.ids[chunk, : int(table.lengths[chunk].max())]
        mask = (ids != network.text.config.pad_token_id).long()
        output = network.text.transformer(input_ids=ids, attention_mask=mask)
        parts.append(network.text.pooler(output, mask))
    inverse = torch.argsort(torch.argsort(table.lengths[rows]))
    return torch.cat(parts)[inverse]


def epoch_batches(captions_of: Sequence[Sequence[int]], batch: int, seed: int) -> list[list[tuple[int, int]]]:
    """Batches of (photograph, caption) pairs for one epoch: each caption once, no photograph twice in a batch.

    Two captions of one photograph in a batch would count as wrong answers for each other.
    """
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(list(rows)) for rows in captions_of]
    batches = []
    for turn in range(max(len(rows) for rows in captions_of)):
        order = [each for each in generator.permutation(len(captions_of)) if turn < len(shuffled[each])]
        pairs = [(int(each), int(shuffled[each][turn])) for each in order]
        batches += [pairs[first : first + batch] for first in range(0, len(pairs), batch)]
    return [pairs for pairs in batches if len(pairs) > 1]


def contrastive_loss(
    photographs: torch.Tensor, texts: torch.Tensor, log_scale: torch.Tensor, ignored: torch.Tensor | None = None
) -> torch.Tensor:
    """CLIP's symmetric cross-entropy of `photographs` and `texts` (n, d), pair by pair; both are normalised here.

    `ignored` bool (n, n) marks photographs (rows) and texts (columns) that are not a pair but may fit, and count as
    neither right nor wrong.
    """
    import torch
    from torch.nn import functional

    scale = log_scale.clamp(max=LARGEST_SCALE).exp()
    logits = scale * functional.normalize(photographs) @ functional.normalize(texts).T
    if ignored is not None:
        logits = logits.masked_fill(ignored, -math.inf)
    right = torch.arange(len(logits))
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def fit(
    network: Any,
    examples: Examples,
    settings: MiniSettings,
    phases: Sequence[Phase],
    checkpoint: Path,
    *,
    on_step: Callable[[str, int, int, float], None] | None = None,
    on_epoch: Callable[[str, int], None] | None = None,
) -> None:
    """Train `network` in place, phase by phase, resuming from `checkpoint` where it exists.

    `on_step` is called with the phase's name, the steps done, the steps of the phase, and the loss; `on_epoch` after
    each epoch with the phase's name and the epochs done.
    """
    import torch

    state: dict[str, Any] = {"phase": 0, "epoch": 0, "optimizer": None}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"], strict=False)
    for number, phase in enumerate(phases):
        if number < state["phase"]:
            continue
        trainer = _PhaseTrainer(network, examples, settings, phase)
        if number == state["phase"] and state["optimizer"] is not None:
            trainer.optimizer.load_state_dict(state["optimizer"])
        for epoch in range(state["epoch"] if number == state["phase"] else 0, phase.epochs):
            trainer.run_epoch(epoch, settings.seed + phase.seed + epoch, on_step)
            _save_checkpoint(checkpoint, network, trainer.optimizer, number, epoch + 1)
            if on_epoch is not None:
                on_epoch(phase.name, epoch + 1)


class _PhaseTrainer:
    """The optimizer and schedule of one phase; pooled texts are precomputed where the text tower is frozen."""

    def __init__(self, network: Any, examples: Examples, settings: MiniSettings, phase: Phase) -> None:
        import torch

        self.network, self.examples, self.settings, self.phase = network, examples, settings, phase
        frozen = phase.text_rate == 0
        network.text.transformer.requires_grad_(not frozen)
        heads = [*network.visual.head.parameters(), *network.text.proj.parameters()]
        groups = [
            {"params": heads, "rate": phase.head_rate, "weight_decay": settings.weight_decay},
            {"params": [network.logit_scale], "rate": phase.head_rate, "weight_decay": 0.0},
        ]
        if not frozen:
            # The word embeddings stay frozen: the captions use a tenth of them, and training those alone would
            # separate them from the words that only queries use.
            network.text.transformer.embeddings.requires_grad_(False)
            tower = list(network.text.transformer.encoder.parameters())
            groups.append({"params": tower, "rate": phase.text_rate, "weight_decay": 0.01})
        self.optimizer = torch.optim.AdamW(groups, lr=phase.head_rate, betas=(0.9, 0.98))
        self.pooled = examples.pooled_texts if frozen else None

    def run_epoch(self, epoch: int, seed: int, on_step: Callable[[str, int, int, float], None] | None) -> None:
        import torch

        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.network.train()
        self.network.visual.trunk.eval()
        self.network.text.transformer.eval()
        self.network.visual.head.mlp.drop1.p = self.settings.dropout
        batches = epoch_batches(self.examples.captions_of, self.settings.batch, seed)
        steps = self.phase.epochs * len(batches)
        for position, pairs in enumerate(batches):
            step = epoch * len(batches) + position
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate"] * schedule(step, steps)
            loss = self._step(pairs, generator)
            if on_step is not None:
                on_step(self.phase.name, step + 1, steps, loss)
        self.network.eval()

    def _step(self, pairs: list[tuple[int, int]], generator: torch.Generator) -> float:
        import torch

        examples = self.examples
        photographs = torch.tensor([photograph for photograph, _ in pairs])
        views = torch.randint(1, len(examples.features), (len(pairs),), generator=generator)
        views[torch.rand(len(pairs), generator=generator) < WHOLE_SHARE] = 0
        features = examples.features[views, photographs].float()
        rows = torch.tensor([caption for _, caption in pairs])
        ignored = None
        if examples.class_photographs is not None:
            chosen = draw_classes(examples.class_texts, self.settings.class_pairs, generator)
            drawn = [examples.class_texts[each] for each in chosen]
            features = torch.cat([features, examples.class_photographs.draw(drawn, generator)])
            rows = torch.cat([rows, torch.tensor(chosen) + len(examples.texts.ids) - len(examples.class_texts)])
            ignored = torch.zeros(len(rows), len(rows), dtype=torch.bool)
            ignored[: len(pairs), len(pairs) :] = may_show(examples.class_shares[photographs], drawn)
        pooled = self.pooled[rows] if self.pooled is not None else pool_texts(self.network, examples.texts, rows)
        network = self.network
        loss = contrastive_loss(network.visual.head(features), network.text.proj(pooled), network.logit_scale, ignored)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([p for g in self.optimizer.param_groups for p in g["params"]], 1.0)
        self.optimizer.step()
        return float(loss.detach())


def schedule(step: int, steps: int) -> float:
    """Share of the peak rate: a linear rise over the first twentieth of the steps, then a cosine to 0."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _save_checkpoint(file: Path, network: Any, optimizer: torch.optim.Optimizer, phase: int, epoch: int) -> None:
    """Write what a run needs to resume, without the frozen image tower."""
    import torch

    trained = {name: value for name, value in network.state_dict().items() if ".trunk." not in name}
    state = {"phase": phase, "epoch": epoch, "network": trained, "optimizer": optimizer.state_dict()}
    with replacing(file) as temporary:
        torch.save(state, temporary)
