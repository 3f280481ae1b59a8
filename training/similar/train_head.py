"""`smysl train similar`: encode labelled photographs, compare candidates, choose, calibrate, write a head."""

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
from service.heads.projection import HEAD_JSON, Head, Projection
from service.kinds.vote_calibration import MIN_PHOTOGRAPHS, VoteCalibration
from service.photos.formats import is_photograph_name
from service.types import Int64Array, OnStage
from training.similar import head_calibration
from training.similar.candidates import (
    COSINE,
    CandidateOutcome,
    FeatureSource,
    FitData,
    best,
    best_of_each,
    candidates,
    compare,
    harmless,
)
from training.similar.ensemble import Ensemble, choose_ensemble
from training.similar.feature_sources import VIEWS, FrozenEncoder, TunedEncoder, encode_views
from training.similar.projections import LinearSimilarity, bound_to
from training.similar.splits import folds, left_out
from training.similar.tower_training import TowerSettings

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


TOWER = "tower"
"""Folder inside --out for a trained tower, which is a model of its own."""
_WORK = ".training"
"""Folder inside --out that an unfinished run resumes from."""


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """The head that was written, the candidates it was chosen from, and notices for the person."""

    head: Head
    tables: dict[str, list[CandidateOutcome]]
    ensemble: Ensemble
    notices: tuple[str, ...]
    seconds: float

    def rows(self) -> list[list[str]]:
        """The table of candidates, with a header row; a star marks the chosen one."""
        return _table(self.tables, self.ensemble)

    def summary(self) -> dict[str, str]:
        """The choice and its figures, as names and values for a person."""
        figures = self.head.figures
        low, high = figures["folds_map10_interval"]
        rows = {
            "chosen": self.head.candidate,
            "fitted on": self.head.trained_on,
            "MAP@10 out of fold": f"{figures['folds_map10']:.1f} (95 % interval {low:.1f} to {high:.1f}); "
            f"raw cosine {figures['cosine_folds_map10']:.1f}",
        }
        if figures["unseen_kinds_map10"] is not None:
            rows["MAP@10, unseen kinds"] = (
                f"{figures['unseen_kinds_map10']:.1f}; raw cosine {figures['cosine_unseen_kinds_map10']:.1f}"
            )
        if len(self.tables) > 1:
            rows["best single model"] = f"{figures['best_single_folds_map10']:.1f}"
            rows["weights"] = "\n".join(f"{weight:.2f}  {model}" for model, weight in self.ensemble.weights.items())
        vote = figures["vote"]
        rows["kind by vote"] = f"right for {vote['accuracy']:.1%}, calibration error {vote['ece']:.3f}"
        if vote["unknown_auroc"] is not None:
            rows["unknown kinds"] = f"AUROC {vote['unknown_auroc']:.3f} by confidence, each kind left out in turn"
        rows["seconds"] = f"{self.seconds:.0f}"
        return rows


@dataclass(frozen=True, eq=False)
class _LabelledPhotographs:
    """Photographs (n) with their kinds (n,), as indices into `names`."""

    files: list[Path]
    kinds: Int64Array
    names: tuple[str, ...]


def check_out(out: Path, *, force: bool) -> None:
    """Raise UsageError for a folder that a head cannot be written to, before anything is encoded."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder for the head with --out.")
    if (out / HEAD_JSON).exists() and not force:
        raise UsageError(f"There is a head in {out} already; name another folder, or replace it with --force.")


def train_similar(
    data: Path,
    encoders: Sequence[Encoder],
    out: Path,
    cache: Path,
    on_stage: OnStage,
    *,
    unfreeze: int = 0,
    seed: int = 0,
    force: bool = False,
) -> TrainedHead:
    """Fit a head on labelled photographs and write it to `out`; an interrupted run resumes.

    Args:
        data: folder of kinds; where it has `train/`, only the photographs there are used.
        encoders: the encoders whose features the head may use.
        out: folder for the head.
        cache: folder that keeps features between runs.
        on_stage: called with the progress of each stage.
        unfreeze: how many last stages of the first encoder's photograph tower are trained too, into `out`/tower.
        seed: of everything that is drawn.
        force: replace a head that is in `out`.

    Raises:
        DataError: nothing can be learned from the photographs.
        UsageError: `out` cannot be used, or the tower cannot be trained in part.
    """
    check_out(out, force=force)
    start = time.monotonic()
    photographs, notices = _read_photographs(data)
    if not encoders:
        raise UsageError("Name at least one model.")
    photographs, frozen = _encode(photographs, encoders, cache, on_stage, notices)
    kinds = photographs.kinds
    _check_enough(kinds)
    splits = [*folds(kinds, seed), *left_out(kinds, photographs.names, seed)]
    sources: list[FeatureSource] = list(frozen)
    work = out / _WORK
    if unfreeze:
        work.mkdir(parents=True, exist_ok=True)
        sources.append(_tuned_encoder(encoders[0], photographs, work, unfreeze, seed, on_stage))
    tables = {source.model: compare(source, kinds, splits, seed, on_stage) for source in sources}
    ensemble = choose_ensemble(sources, tables, kinds, splits, seed)
    used = [source for source in sources if ensemble.weights[source.model] > 0]
    parts = [part for source in used for part in _fit_parts(source, ensemble, photographs, out, cache, seed, on_stage)]
    on_stage("calibrating", 0, 1)
    vectors_of = partial(ensemble.vectors.of, weights=ensemble.weights)
    vote = head_calibration.vote(splits, kinds, vectors_of)
    head = Head(
        projections=tuple(parts),
        same_kind=head_calibration.same_kind(splits, kinds, vectors_of),
        vote=vote.vote,
        kinds=tuple(photographs.names[kind] for kind in np.unique(kinds)),
        candidate="; ".join(_chosen_candidate(source.model, ensemble) for source in used),
        trained_on=f"{len(kinds):,} photographs of {len(np.unique(kinds)):,} kinds",
        figures=_figures(tables, ensemble, vote, seed, time.monotonic() - start),
    ).save(out)
    shutil.rmtree(work, ignore_errors=True)
    return TrainedHead(head, tables, ensemble, tuple(notices), time.monotonic() - start)


def refit(
    head: Head, data: Path, encoder: Encoder, cache: Path, on_stage: OnStage
) -> Callable[[Sequence[str]], Head] | None:
    """A function that fits the head again on some kinds only, so that it can be measured on kinds it has not seen.

    None where that would take more than a second: the head has a trained tower, or several encoders. The calibration is
    kept.
    """
    title = head.figures.get("candidates", {}).get(encoder.name)
    if set(head.encoders) != {encoder.fingerprint} or title is None:
        return None
    photographs, notices = _read_photographs(data)
    photographs, [source] = _encode(photographs, [encoder], cache, on_stage, notices)
    views, width = source.features.shape[1:]
    candidate = next((each for each in candidates(views, width) if each.title == title), None)
    if candidate is None:
        return None

    def fit(kinds: Sequence[str]) -> Head:
        rows = np.isin(photographs.kinds, [photographs.names.index(kind) for kind in kinds])
        similarity = candidate.fit(FitData(source.features[rows], photographs.kinds[rows], int(head.figures["seed"])))
        assert isinstance(similarity, LinearSimilarity)  # noqa: S101 - a head holds no other
        parts = bound_to(similarity.parts, encoder.name, encoder.fingerprint)
        return replace(head, projections=parts, kinds=tuple(kinds))

    return fit


def _read_photographs(data: Path) -> tuple[_LabelledPhotographs, list[str]]:
    """The photographs to fit on, without copies and without any that is also under `test/`; notices of both."""
    folder = read_kinds(data, is_photograph_name)
    rows = np.flatnonzero(~folder.test)
    duplicates = copies([folder.files[row] for row in rows])
    test_hashes = {content_hash(folder.files[row]) for row in np.flatnonzero(folder.test)} - {None}
    hashes = [content_hash(folder.files[row]) if test_hashes else None for row in rows]
    kept = [row for index, row in enumerate(rows) if index not in duplicates and hashes[index] not in test_hashes]
    notices = []
    if duplicates:
        notices.append(f"{len(duplicates):,} photographs are copies of others and were left out.")
    in_test = len(rows) - len(kept) - len(duplicates)
    if in_test > 0:
        notices.append(
            f"{in_test:,} photographs are also under test/ and were left out, because testing on them proves nothing."
        )
    return _LabelledPhotographs([folder.files[row] for row in kept], folder.kind[kept], folder.names), notices


def _check_enough(kinds: Int64Array) -> None:
    """Raise DataError where a head could be fitted but not calibrated."""
    found = int((np.bincount(kinds)[kinds] > 1).sum())
    if 0 < found < MIN_PHOTOGRAPHS:
        raise DataError(
            f"Only {found} photographs share their kind with another, and a head takes at least {MIN_PHOTOGRAPHS}. "
            "Add photographs to the kinds."
        )


def _encode(
    photographs: _LabelledPhotographs, encoders: Sequence[Encoder], cache: Path, on_stage: OnStage, notices: list[str]
) -> tuple[_LabelledPhotographs, list[FrozenEncoder]]:
    """Features by each encoder; photographs that cannot be read are dropped, with a notice."""
    encoded = [encode_views(photographs.files, encoder, VIEWS, cache, on_stage) for encoder in encoders]
    rows = encoded[0][0]
    if len(rows) < len(photographs.files):
        notices.append(f"{len(photographs.files) - len(rows):,} photographs cannot be read and were left out.")
    kinds = photographs.kinds[rows]
    lone = int((np.bincount(kinds) == 1).sum())
    if lone:
        notices.append(f"{lone:,} kinds have one photograph: it is fitted on, but nothing can be found for it.")
    sources = [
        FrozenEncoder(encoder.name, encoder.fingerprint, features)
        for encoder, (_, features) in zip(encoders, encoded, strict=True)
    ]
    return _LabelledPhotographs([photographs.files[row] for row in rows], kinds, photographs.names), sources


def _tuned_encoder(
    encoder: Encoder, photographs: _LabelledPhotographs, folder: Path, stages: int, seed: int, on_stage: OnStage
) -> TunedEncoder:
    from service.encoder.open_clip_model import load_network

    key = [encoder.fingerprint, *(content_hash(file) for file in photographs.files), *photographs.kinds.tolist()]
    return TunedEncoder(
        encoder.name,
        load_network(encoder.name)[0],
        photographs.files,
        photographs.kinds,
        key,
        folder,
        TowerSettings(stages=stages, seed=seed),
        on_stage,
    )


def _fit_parts(
    source: FeatureSource,
    ensemble: Ensemble,
    photographs: _LabelledPhotographs,
    out: Path,
    cache: Path,
    seed: int,
    on_stage: OnStage,
) -> tuple[Projection, ...]:
    """Fit the chosen candidate on all photographs; a trained tower is first trained on all of them."""
    if isinstance(source, TunedEncoder):
        encoder = _write_tower(source, out / TOWER, len(photographs.files))
        model, fingerprint = encoder.name, encoder.fingerprint
        features = encode_views(photographs.files, encoder, VIEWS, cache, on_stage)[1]
    elif isinstance(source, FrozenEncoder):
        model, fingerprint, features = source.model, source.fingerprint, source.features
    candidate = ensemble.best_of[source.model].candidate
    similarity = candidate.fit(FitData(features, photographs.kinds, seed))
    assert isinstance(similarity, LinearSimilarity)  # noqa: S101 - no other is chosen
    return bound_to(similarity.times(ensemble.weights[source.model]), model, fingerprint)


def _write_tower(source: TunedEncoder, folder: Path, photographs: int) -> Encoder:
    """Train the tower on all photographs, write it as a model, and load that."""
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


def _chosen_candidate(model: str, ensemble: Ensemble) -> str:
    weight = ensemble.weights[model]
    return f"{model}: {ensemble.best_of[model].candidate.title}" + (f" (weight {weight:.2f})" if weight < 1 else "")


def _figures(
    tables: dict[str, list[CandidateOutcome]], ensemble: Ensemble, vote: VoteCalibration, seed: int, seconds: float
) -> dict[str, Any]:
    raw = next(each for each in next(iter(tables.values())) if each.candidate.name == COSINE)
    return {
        "folds_map10": round(ensemble.map10, 2),
        "folds_map10_interval": [round(each, 2) for each in ensemble.map10_interval],
        "unseen_kinds_map10": None if ensemble.unseen is None else round(ensemble.unseen, 2),
        "cosine_folds_map10": round(raw.map10, 2),
        "cosine_unseen_kinds_map10": None if raw.unseen is None else round(raw.unseen, 2),
        "best_single_folds_map10": round(max(best(each).map10 for each in tables.values()), 2),
        "vote": {name: value if value is None else round(value, 4) for name, value in vote.figures().items()},
        "candidates": {model: outcome.candidate.title for model, outcome in ensemble.best_of.items()},
        "weights": ensemble.weights,
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def _table(tables: dict[str, list[CandidateOutcome]], ensemble: Ensemble) -> list[list[str]]:
    rows = [["candidate", "setting", "MAP@10", "95 % interval", "unseen kinds", "dimension", "seconds"]]
    for model, outcomes in tables.items():
        if len(tables) > 1:
            rows.append([model, "", "", "", "", "", ""])
        for each in best_of_each(outcomes):
            star = " *" if each is ensemble.best_of[model] else ""
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
