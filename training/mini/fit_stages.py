"""The third training phase: the image tower's upper stages and both heads, with a frozen text tower.

Because texts do not change, each photograph is compared with thousands of captions at once, all of its own being right
answers. In the other direction each caption is compared with every training photograph: those of the batch as they are
now, the others as they were when last encoded (cross-batch memory, Wang et al. 2020). Pseudo-photographs of classes are
added as in the phases before. A penalty keeps the upper stages close to their pretrained features, so that the tower
does not forget what Flickr8k does not show. The final weights are an average over the last steps of a run, and over
runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.store.atomic import replacing
from training.mini.fit import LARGEST_SCALE, schedule
from training.mini.imagenet_classes import ClassPhotographs, ClassText, draw_classes, may_show
from training.mini.settings import MiniSettings
from training.mini.views import Views, maps_of

if TYPE_CHECKING:
    import torch

CHUNK = 32
"""Photographs that the stages compute at once; larger chunks do not fit the processor's cache."""


@dataclass(frozen=True)
class StageExamples:
    """Training data of the stages.

    Attributes:
        views: of all photographs.
        rows: of the training photographs among them.
        captions_of: each training photograph's rows in `texts`.
        texts: (texts, width) float32, the text tower's pooled features, those of `class_texts` at the end.
        class_texts: texts of pseudo-photographs, or none.
        class_photographs: draws pseudo-photographs, or None.
        class_shares: (training photographs, classes), the classifier's probabilities of what they show.
        mean, deviation: (width,), standardise the features of photographs.
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
    """Mean cross-entropy of finding each of a photograph's captions among the texts of others.

    The first len(owner) columns of `logits` (n, texts) are captions; column j is one of photograph `owner[j]`. A
    photograph's other captions count as neither right nor wrong.
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

    `settings.stage_runs` runs start from the same weights and differ in their random draws; their running averages are
    averaged too (Wortsman et al. 2022, Model soups). Resumes from the checkpoints in `folder`, one for each run.
    `on_step` and `on_epoch` are as for `fit`; during `on_epoch`, and at the end, the network has averaged weights.
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
    """The mean of several states of one module; integers are taken from the first."""
    import torch

    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if first.is_floating_point() else first
        for name, first in states[0].items()
    }


PHASE = "image tower and heads"


class _StageTrainer:
    """Optimizer, running average and cross-batch memory of one run."""

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
        """Load a checkpoint, if there is one, and return the number of finished epochs."""
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
        """Write what the run needs to resume."""
        import torch

        state = {
            "epoch": epoch,
            "trained": self.trained.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "memory": self.memory,
            "logit_scale": self.network.logit_scale.detach(),
        }
        with replacing(checkpoint) as temporary:
            torch.save(state, temporary)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the network its averaged weights inside the block."""
        current = _copied(self.trained)
        self.trained.load_state_dict(self.average.module.state_dict())
        yield
        self.trained.load_state_dict(current)

    def run_epoch(self, epoch: int, on_step: Callable[[str, int, int, float], None] | None) -> None:
        """Train on each photograph once, in a random view."""
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
        """Standardised features (n, width) of photographs, and their mean squared change since before training."""
        import torch
        from torch.nn import functional

        views = torch.randint(len(self.pooled), (len(chosen),), generator=generator)
        maps = maps_of(self.examples.views, views.tolist(), [self.examples.rows[each] for each in chosen.tolist()])
        features = self._standard(torch.cat([self.upper(part) for part in torch.split(maps, CHUNK)]))
        return features, functional.mse_loss(features, self._standard(self.pooled[views, chosen].float()))

    def _contrast(
        self, features: torch.Tensor, chosen: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of both directions, and the photographs' unit vectors (n, dimension)."""
        import torch
        from torch.nn import functional

        examples, count = self.examples, len(chosen)
        classes = draw_classes(examples.class_texts, self.settings.class_pairs, generator)
        drawn = [examples.class_texts[each] for each in classes]
        if examples.class_photographs is not None:
            features = torch.cat([features, examples.class_photographs.draw(drawn, generator)])
        captions = [examples.captions_of[each] for each in chosen.tolist()]
        owner = torch.repeat_interleave(torch.arange(count), torch.tensor([len(each) for each in captions]))
        other_captions = self._other_captions(chosen, generator)
        at = len(examples.texts) - len(examples.class_texts)
        rows = [*(row for each in captions for row in each), *other_captions, *(at + each for each in classes)]
        own, of_class = slice(0, len(owner)), slice(len(rows) - len(classes), len(rows))

        scale = self.network.logit_scale.clamp(max=LARGEST_SCALE).exp()
        vectors = self._embed(features)
        texts = scale * functional.normalize(self.network.text.proj(examples.texts[rows]))
        others = torch.ones(len(self.memory), dtype=torch.bool)
        others[chosen] = False
        logits = torch.cat([vectors, self.memory[others]]) @ texts.T
        shares = examples.class_shares
        pseudo = torch.zeros(len(classes), shares.shape[1], dtype=shares.dtype)
        may = may_show(torch.cat([shares[chosen], pseudo, shares[others]]), drawn)
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
        """Rows of captions of random photographs outside the batch."""
        import torch

        taken = set(chosen.tolist())
        rows: list[int] = []
        for each in torch.randperm(len(self.examples.captions_of), generator=generator).tolist():
            if len(rows) >= self.settings.texts_beside:
                break
            if each not in taken:
                rows += self.examples.captions_of[each]
        return rows

    def _standard(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.examples.mean) / self.examples.deviation

    def _embed(self, features: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.normalize(self.network.visual.head(features))
