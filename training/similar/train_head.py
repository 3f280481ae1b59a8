"""`smysl train similar`: read, encode, compare, choose, calibrate, write."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.kinds import content_hash, copies, read_kinds
from service.errors import DataError, UsageError
from service.heads.projection import FACTS, Head, Projection
from service.kinds.vote_calibration import LEAST_PHOTOGRAPHS, VoteCalibration
from service.photos.decode import is_photograph_name
from service.types import Int64Array, OnStage
from training.similar import calibration
from training.similar.blend import Blend, choose
from training.similar.choice import (
    COSINE,
    Candidate,
    CandidateOutcome,
    Fitted,
    Source,
    best,
    best_of_each,
    candidates,
    compare,
    harmless,
)
from training.similar.looks import Look, named
from training.similar.sources import VIEWS, Frozen, Unfrozen, encode_views
from training.similar.splits import folds, left_out
from training.similar.tower import TowerSettings

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


TOWER = "tower"
"""Folder inside --out that a trained tower is written to, as a model of its own."""
_INSIDE = ".training"


@dataclass(frozen=True, eq=False)
class Trained:
    """The head that was written, what it was chosen from, and what a person should know beside it."""

    head: Head
    tables: dict[str, list[CandidateOutcome]]
    blend: Blend
    notices: tuple[str, ...]
    seconds: float

    def rows(self) -> list[list[str]]:
        """The table of candidates: a heading and a row for each, what was chosen marked with a star."""
        return _table(self.tables, self.blend)

    def summary(self) -> dict[str, str]:
        """What was chosen and what it came to, as names and values for a person."""
        figures = self.head.figures
        low, high = figures["folds_map10_interval"]
        rows = {
            "chosen": self.head.candidate,
            "fitted on": self.head.trained_on,
            "MAP@10 out of fold": f"{figures['folds_map10']:.1f} (95 % interval {low:.1f} to {high:.1f}); "
            f"raw cosine {figures['cosine_folds_map10']:.1f}",
        }
        if figures["unseen_kinds_map10"] is not None:
            rows["of kinds never seen"] = (
                f"{figures['unseen_kinds_map10']:.1f}; raw cosine {figures['cosine_unseen_kinds_map10']:.1f}"
            )
        if len(self.tables) > 1:
            rows["best of one model alone"] = f"{figures['best_single_folds_map10']:.1f}"
            rows["weights"] = "\n".join(f"{weight:.2f}  {model}" for model, weight in self.blend.weights.items())
        vote = figures["vote"]
        rows["vote of the nearest"] = f"right for {vote['accuracy']:.1%}, calibration error {vote['ece']:.3f}"
        if vote["unknown_auroc"] is not None:
            rows["unknown kinds"] = f"AUROC {vote['unknown_auroc']:.3f} by confidence, each kind left out in turn"
        rows["seconds"] = f"{self.seconds:.0f}"
        return rows


@dataclass(frozen=True, eq=False)
class _Photographs:
    files: list[Path]
    kinds: Int64Array
    names: tuple[str, ...]


def check_out(out: Path, *, force: bool) -> None:
    """Raise UsageError for a folder that a head cannot be written to, before anything is encoded."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the head with --out.")
    if (out / FACTS).exists() and not force:
        raise UsageError(f"There is a head in {out} already; name another folder, or replace it with --force.")


def train_similar(
    data: Path,
    encoders: Sequence[Encoder],
    out: Path,
    cache: Path,
    on_progress: OnStage,
    *,
    unfreeze: int = 0,
    seed: int = 0,
    force: bool = False,
) -> Trained:
    """Fit a head on the photographs of `data` (those under `train/` where it has one), and write it to `out`.

    With `unfreeze` the last stages of the first encoder's photograph tower are trained too, and the model that has
    it is written to `out`/tower. A run that was stopped goes on where it was. Raises DataError for a folder from
    which nothing can be learned, UsageError for `out` and for a tower that cannot be trained in part.
    """
    check_out(out, force=force)
    start = time.monotonic()
    photographs, notices = _read(data)
    if not encoders:
        raise UsageError("Name at least one model.")
    photographs, frozen = _encoded(photographs, encoders, cache, on_progress, notices)
    kinds = photographs.kinds
    _check_enough(kinds)
    splits = [*folds(kinds, seed), *left_out(kinds, photographs.names, seed)]
    sources: list[Source] = list(frozen)
    inside = out / _INSIDE
    if unfreeze:
        inside.mkdir(parents=True, exist_ok=True)
        sources.append(_unfrozen(encoders[0], photographs, inside, unfreeze, seed, on_progress))
    tables = {source.model: compare(source, kinds, splits, seed, on_progress) for source in sources}
    blend = choose(sources, tables, kinds, splits, seed)
    parts = [
        part
        for source in sources
        if blend.weights[source.model] > 0
        for part in _parts(source, blend, photographs, out, cache, seed, on_progress)
    ]
    on_progress("calibrating", 0, 1)
    vectors_of = partial(blend.vectors.of, weights=blend.weights)
    vote = calibration.vote(splits, kinds, vectors_of)
    head = Head(
        parts=tuple(parts),
        same_kind=calibration.same_kind(splits, kinds, vectors_of),
        vote=vote.vote,
        kinds=tuple(photographs.names[kind] for kind in np.unique(kinds)),
        candidate="; ".join(_chosen(source.model, blend) for source in sources if blend.weights[source.model] > 0),
        trained_on=f"{len(kinds):,} photographs of {len(np.unique(kinds)):,} kinds",
        figures=_figures(tables, blend, vote, seed, time.monotonic() - start),
    ).save(out)
    shutil.rmtree(inside, ignore_errors=True)
    return Trained(head, tables, blend, tuple(notices), time.monotonic() - start)


def refit(
    head: Head, data: Path, encoder: Encoder, cache: Path, on_progress: OnStage
) -> Callable[[Sequence[str]], Head] | None:
    """What fits a head anew on the photographs of some kinds alone, for measuring it on kinds that it never saw.

    None where that takes more than a second: the head has a tower of its own, or looks through several encoders. The
    calibration stays as it is.
    """
    wanted = head.figures.get("candidates", {}).get(encoder.name)
    if set(head.encoders) != {encoder.fingerprint} or wanted is None:
        return None
    photographs, notices = _read(data)
    photographs, [source] = _encoded(photographs, [encoder], cache, on_progress, notices)
    views, width = source.features.shape[1:]
    candidate = next((each for each in candidates(views, width) if _titled(each) == wanted), None)
    if candidate is None:
        return None

    def fit(kinds: Sequence[str]) -> Head:
        rows = np.isin(photographs.kinds, [photographs.names.index(kind) for kind in kinds])
        look = candidate.fit(Fitted(source.features[rows], photographs.kinds[rows], int(head.figures["seed"])))
        assert isinstance(look, Look)  # noqa: S101 - a head was made of it
        return replace(head, parts=named(look.parts, encoder.name, encoder.fingerprint), kinds=tuple(kinds))

    return fit


def _read(data: Path) -> tuple[_Photographs, list[str]]:
    """What is fitted on: never a photograph under `test/`, and none twice."""
    folder = read_kinds(data, is_photograph_name)
    rows = np.flatnonzero(~folder.test)
    twice = copies([folder.files[row] for row in rows])
    tested = {content_hash(folder.files[row]) for row in np.flatnonzero(folder.test)} - {None}
    hashes = [content_hash(folder.files[row]) if tested else None for row in rows]
    kept = [row for place, row in enumerate(rows) if place not in twice and hashes[place] not in tested]
    notices = []
    if twice:
        notices.append(f"{len(twice):,} photographs are copies of others and were left out.")
    both = len(rows) - len(kept) - len(twice)
    if both > 0:
        notices.append(f"{both:,} photographs are also under test/ and were left out, or the test would know them.")
    return _Photographs([folder.files[row] for row in kept], folder.kind[kept], folder.names), notices


def _check_enough(kinds: Int64Array) -> None:
    """Raise DataError where a head could be fitted, but nobody could say what its similarities are worth."""
    found = int((np.bincount(kinds)[kinds] > 1).sum())
    if 0 < found < LEAST_PHOTOGRAPHS:
        raise DataError(
            f"Only {found} photographs are of a kind that another one has, and a head takes at least "
            f"{LEAST_PHOTOGRAPHS}. Add photographs to the kinds."
        )


def _encoded(
    photographs: _Photographs, encoders: Sequence[Encoder], cache: Path, on_progress: OnStage, notices: list[str]
) -> tuple[_Photographs, list[Frozen]]:
    """Features by each encoder; photographs that cannot be read are left out everywhere."""
    found = [encode_views(photographs.files, encoder, VIEWS, cache, on_progress) for encoder in encoders]
    rows = found[0][0]
    if len(rows) < len(photographs.files):
        notices.append(f"{len(photographs.files) - len(rows):,} photographs cannot be read and were left out.")
    kinds = photographs.kinds[rows]
    lone = int((np.bincount(kinds) == 1).sum())
    if lone:
        notices.append(f"{lone:,} kinds have one photograph: it is fitted on, but nothing can be found for it.")
    files = [photographs.files[row] for row in rows]
    sources = [
        Frozen(encoder.name, encoder.fingerprint, features)
        for encoder, (_, features) in zip(encoders, found, strict=True)
    ]
    return _Photographs(files, kinds, photographs.names), sources


def _unfrozen(
    encoder: Encoder, photographs: _Photographs, folder: Path, stages: int, seed: int, on_progress: OnStage
) -> Unfrozen:
    from service.encoder.open_clip_model import load_network

    key = [encoder.fingerprint, *(content_hash(file) for file in photographs.files), *photographs.kinds.tolist()]
    return Unfrozen(
        encoder.name,
        load_network(encoder.name)[0],
        photographs.files,
        photographs.kinds,
        key,
        folder,
        TowerSettings(stages=stages, seed=seed),
        on_progress,
    )


def _parts(
    source: Source, blend: Blend, photographs: _Photographs, out: Path, cache: Path, seed: int, on_progress: OnStage
) -> tuple[Projection, ...]:
    """The chosen candidate fitted on all photographs; a trained tower is trained on all of them first."""
    if isinstance(source, Unfrozen):
        encoder = _write_tower(source, out / TOWER, len(photographs.files))
        model, fingerprint = encoder.name, encoder.fingerprint
        features = encode_views(photographs.files, encoder, VIEWS, cache, on_progress)[1]
    elif isinstance(source, Frozen):
        model, fingerprint, features = source.model, source.fingerprint, source.features
    look = blend.best_of[source.model].candidate.fit(Fitted(features, photographs.kinds, seed))
    assert isinstance(look, Look)  # noqa: S101 - others are not chosen
    return named(look.times(blend.weights[source.model]), model, fingerprint)


def _write_tower(source: Unfrozen, folder: Path, photographs: int) -> Encoder:
    """The tower trained on all photographs, written as a model and loaded as any other."""
    from service.encoder.encoder import Encoder
    from service.encoder.models import parse_name
    from service.encoder.open_clip_model import load_network
    from training.model_folder import check_model, stored_halves, write_model

    base = source.base
    _, tokenizer, config = load_network(base)
    trained = source.trained(np.arange(photographs), "on all photographs")
    write_model(folder, trained, tokenizer, config, stored_halves(parse_name(base).folder))
    check_model(folder, tokenizer, ["a photograph"])
    return Encoder.load(f"local-dir:{folder.resolve()}")


def _chosen(model: str, blend: Blend) -> str:
    weight = blend.weights[model]
    return f"{model}: {title(blend.best_of[model])}" + (f" (weight {weight:.2f})" if weight < 1 else "")


def title(outcome: CandidateOutcome) -> str:
    """A candidate's name with its setting."""
    return _titled(outcome.candidate)


def _titled(candidate: Candidate) -> str:
    return f"{candidate.name}, {candidate.setting}" if candidate.setting else candidate.name


def _figures(
    tables: dict[str, list[CandidateOutcome]], blend: Blend, vote: VoteCalibration, seed: int, seconds: float
) -> dict[str, Any]:
    raw = next(each for each in next(iter(tables.values())) if each.candidate.name == COSINE)
    return {
        "folds_map10": round(blend.map10, 2),
        "folds_map10_interval": [round(each, 2) for each in blend.map10_interval],
        "unseen_kinds_map10": None if blend.unseen is None else round(blend.unseen, 2),
        "cosine_folds_map10": round(raw.map10, 2),
        "cosine_unseen_kinds_map10": None if raw.unseen is None else round(raw.unseen, 2),
        "best_single_folds_map10": round(max(best(each).map10 for each in tables.values()), 2),
        "vote": {name: value if value is None else round(value, 4) for name, value in vote.figures().items()},
        "candidates": {model: title(outcome) for model, outcome in blend.best_of.items()},
        "weights": blend.weights,
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def _table(tables: dict[str, list[CandidateOutcome]], blend: Blend) -> list[list[str]]:
    rows = [["candidate", "setting", "MAP@10", "95 % interval", "unseen kinds", "numbers", "seconds"]]
    for model, outcomes in tables.items():
        if len(tables) > 1:
            rows.append([model, "", "", "", "", "", ""])
        for each in best_of_each(outcomes):
            star = " *" if each is blend.best_of[model] else ""
            unseen = "" if each.unseen is None else f"{each.unseen:.1f}" + ("" if harmless(each, outcomes) else " †")
            low, high = each.map10_interval
            rows.append(
                [
                    each.candidate.name + star,
                    each.candidate.setting,
                    f"{each.map10:.1f}",
                    f"{low:.1f}–{high:.1f}",
                    unseen,
                    str(each.dimension),
                    f"{each.seconds:.1f}",
                ]
            )
    return rows
