"""The third phase: the image tower's upper stages and both heads, while the text tower keeps still.

Because texts stand still, each photograph can be held against thousands of captions at once, and all of its
own captions count as right. In the other direction each caption is held against every training photograph:
those of the batch as they are now, the others as they were when last seen (a memory across batches, Wang et
al. 2020). Pseudo-photographs of classes stand beside them as in the phases before. The upper stages are held
near the features that the tower came with, or it would forget what Flickr8k does not show, and what is kept
at the end is an average of weights: over the last steps of a run, and over runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.mini.fit import LARGEST_SCALE, schedule
from training.mini.imagenet_classes import ClassPhotographs, ClassText, draw_classes, may_show
from training.mini.settings import MiniSettings
from training.mini.views import Views, maps_of

if TYPE_CHECKING:
    import torch

CHUNK = 32
"""Photographs that pass through the stages at once; larger chunks leave the processor's cache."""


@dataclass(frozen=True)
class StageExamples:
    """All that the stages are trained on.

    `views` of all photographs and `rows` of those among them that are trained on; `captions_of` each of these
    photographs' rows in `texts`, float32 (texts, width), the pooled features of the text tower; the texts of
    `class_texts` lie at its end. `class_shares` (photographs trained on, classes) says what the classifier
    believes these show. `mean` and `deviation` (width,) standardise photographs' features.
    """

    views: Views
    rows: Sequence[int]
    captions_of: Sequence[Sequence[int]]
    texts: torch.Tensor
    class_texts: Sequence[ClassText]
    class_photographs: ClassPhotographs | None
    class_shares: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor


def photographs_to_texts(logits: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of finding each of a photograph's own captions among the others' texts.

    `logits` (n, texts); the first len(owner) columns are captions, the column j of photograph `owner[j]`.
    A photograph's other captions are neither right nor wrong answers.
    """
    import torch

    columns = torch.arange(len(owner))
    own = torch.zeros_like(logits, dtype=torch.bool)
    own[owner, columns] = True
    others = logits.masked_fill(own, -math.inf).logsumexp(dim=1)[owner]
    right = logits[owner, columns]
    return (torch.logaddexp(right, others) - right).mean()


def fit_stages(
    network: Any,
    upper: torch.nn.Module,
    examples: StageExamples,
    settings: MiniSettings,
    folder: Path,
    *,
    on_step: Callable[[str, int, int, float], None] | None = None,
    on_epoch: Callable[[str, int], None] | None = None,
) -> None:
    """Train `upper`, the part of the network's image tower above the cut, and both heads in place.

    `settings.stage_runs` runs start from the same weights and differ in what they draw; their running averages
    are averaged in turn (Wortsman et al. 2022, Model soups). Goes on from the checkpoints in `folder`, one for
    each run. `on_step` and `on_epoch` as for `fit`; while `on_epoch` runs, and at the end, the network holds
    averaged weights.
    """
    import torch

    if settings.stage_epochs == 0:
        return
    trained = torch.nn.ModuleList([upper, network.visual.head, network.text.proj])
    start, scale = _copied(trained), float(network.logit_scale.detach())
    averages = []
    for run in range(settings.stage_runs):
        trained.load_state_dict(start)
        with torch.no_grad():
            network.logit_scale.fill_(scale)
        trainer = _StageTrainer(network, trained, examples, settings, run)
        checkpoint = folder / f"stages-{run}.pt"
        for epoch in range(trainer.resume(checkpoint), settings.stage_epochs):
            trainer.run_epoch(epoch, on_step)
            trainer.save(checkpoint, epoch + 1)
            if on_epoch is not None:
                with trainer.averaged():
                    on_epoch(trainer.name, epoch + 1)
        averages.append(trainer.average.module.state_dict())
    trained.load_state_dict(_mean(averages))
    if on_epoch is not None and len(averages) > 1:
        on_epoch(f"{PHASE}, runs averaged", len(averages))


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _mean(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of several states of one module; counters are taken from the first."""
    import torch

    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }


PHASE = "image tower and heads"


class _StageTrainer:
    """Optimizer, running average and memory of one run."""

    def __init__(
        self, network: Any, trained: torch.nn.ModuleList, examples: StageExamples, settings: MiniSettings, run: int
    ) -> None:
        import torch
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self.network, self.trained, self.upper = network, trained, trained[0]
        self.examples, self.settings = examples, settings
        self.name = PHASE if settings.stage_runs == 1 else f"{PHASE}, run {run + 1}"
        self._seed = settings.seed + 2000 + 100 * run
        network.requires_grad_(False)
        self.trained.requires_grad_(True)
        network.logit_scale.requires_grad_(True)
        matrices = [each for each in self.trained.parameters() if each.ndim > 1]
        vectors = [each for each in self.trained.parameters() if each.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": [*vectors, network.logit_scale], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.stage_rate, betas=(0.9, 0.98))
        decayed = get_ema_multi_avg_fn(settings.average)  # type: ignore[no-untyped-call]
        self.average = AveragedModel(self.trained, multi_avg_fn=decayed)
        self.pooled = torch.from_numpy(examples.views.pooled[:, list(examples.rows)])
        with torch.no_grad():
            network.eval()
            self.memory = self._embed(self._standard(self.pooled[0].float()))

    def resume(self, checkpoint: Path) -> int:
        """Take up a checkpoint; returns the epochs that are done."""
        import torch

        if not checkpoint.exists():
            return 0
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self.trained.load_state_dict(state["trained"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.memory = state["memory"]
        with torch.no_grad():
            self.network.logit_scale.copy_(state["logit_scale"])
        return int(state["epoch"])

    def save(self, checkpoint: Path, epoch: int) -> None:
        """Write what a run needs to go on."""
        import torch

        state = {
            "epoch": epoch,
            "trained": self.trained.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "memory": self.memory,
            "logit_scale": self.network.logit_scale.detach(),
        }
        part = checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(checkpoint)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with the averaged weights, for a while."""
        current = _copied(self.trained)
        self.trained.load_state_dict(self.average.module.state_dict())
        yield
        self.trained.load_state_dict(current)

    def run_epoch(self, epoch: int, on_step: Callable[[str, int, int, float], None] | None) -> None:
        """Show each photograph once, in a view drawn for it."""
        import torch

        seed = self._seed + epoch
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.network.eval()
        self.network.visual.head.train()
        self.network.visual.head.mlp.drop1.p = self.settings.dropout
        order = torch.randperm(len(self.examples.rows), generator=generator)
        batches = torch.split(order, self.settings.stage_batch)
        steps = self.settings.stage_epochs * len(batches)
        for position, chosen in enumerate(batches):
            step = epoch * len(batches) + position
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.stage_rate * schedule(step, steps)
            loss = self._step(chosen, generator)
            if on_step is not None:
                on_step(self.name, step + 1, steps, loss)
        self.network.eval()

    def _step(self, chosen: torch.Tensor, generator: torch.Generator) -> float:
        import torch

        features, moved = self._features(chosen, generator)
        contrast, vectors = self._contrast(features, chosen, generator)
        loss = contrast + self.settings.stay * moved
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        every = [each for group in self.optimizer.param_groups for each in group["params"]]
        torch.nn.utils.clip_grad_norm_(every, 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.trained)
        self.memory[chosen] = vectors.detach()
        return float(contrast.detach())

    def _features(self, chosen: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised features (n, width) of photographs, and how far they moved from where they were."""
        import torch
        from torch.nn import functional

        views = torch.randint(len(self.pooled), (len(chosen),), generator=generator)
        maps = maps_of(self.examples.views, views.tolist(), [self.examples.rows[each] for each in chosen.tolist()])
        features = self._standard(torch.cat([self.upper(part) for part in torch.split(maps, CHUNK)]))
        return features, functional.mse_loss(features, self._standard(self.pooled[views, chosen].float()))

    def _contrast(
        self, features: torch.Tensor, chosen: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of both directions, and the photographs' vectors (n, dimension)."""
        import torch
        from torch.nn import functional

        examples, count = self.examples, len(chosen)
        classes = draw_classes(examples.class_texts, self.settings.class_pairs, generator)
        drawn = [examples.class_texts[each] for each in classes]
        if examples.class_photographs is not None:
            features = torch.cat([features, examples.class_photographs.draw(drawn, generator)])
        captions = [examples.captions_of[each] for each in chosen.tolist()]
        owner = torch.repeat_interleave(torch.arange(count), torch.tensor([len(each) for each in captions]))
        beside = self._other_captions(chosen, generator)
        at = len(examples.texts) - len(examples.class_texts)
        rows = [*(row for each in captions for row in each), *beside, *(at + each for each in classes)]
        own, of_class = slice(0, len(owner)), slice(len(rows) - len(classes), len(rows))

        scale = self.network.logit_scale.clamp(max=LARGEST_SCALE).exp()
        vectors = self._embed(features)
        texts = scale * functional.normalize(self.network.text.proj(examples.texts[rows]))
        unseen = torch.ones(len(self.memory), dtype=torch.bool)
        unseen[chosen] = False
        logits = torch.cat([vectors, self.memory[unseen]]) @ texts.T
        shares = examples.class_shares
        pseudo = torch.zeros(len(classes), shares.shape[1], dtype=shares.dtype)
        may = may_show(torch.cat([shares[chosen], pseudo, shares[unseen]]), drawn)
        logits = torch.cat([logits[:, : of_class.start], logits[:, of_class].masked_fill(may, -math.inf)], dim=1)

        of_captions = photographs_to_texts(logits[:count], owner) + functional.cross_entropy(logits[:, own].T, owner)
        if not classes:
            return of_captions / 2, vectors
        of_pseudo = functional.cross_entropy(logits[count : len(vectors)], torch.arange(of_class.start, of_class.stop))
        of_pseudo = of_pseudo + functional.cross_entropy(
            logits[:, of_class].T, torch.arange(count, count + len(classes))
        )
        share = self.settings.class_pairs / (self.settings.class_pairs + self.settings.batch)
        return ((1 - share) * of_captions + share * of_pseudo) / 2, vectors[:count]

    def _other_captions(self, chosen: torch.Tensor, generator: torch.Generator) -> list[int]:
        """Captions of photographs that are not in the batch."""
        import torch

        taken = set(chosen.tolist())
        others: list[int] = []
        for each in torch.randperm(len(self.examples.captions_of), generator=generator).tolist():
            if len(others) >= self.settings.texts_beside:
                break
            if each not in taken:
                others += self.examples.captions_of[each]
        return others

    def _standard(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.examples.mean) / self.examples.deviation

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.normalize(self.network.visual.head(features))
