"""A match measured as it is fitted: figures out of fold, candidates side by side, the cut, the order of hits.

All rated pairs of Flickr8k are of one split, so nothing can be held out once and for all; what is measured is
the recipe (`training.match_fit`), 25 times on what it did not see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bootstrap import Interval
from eval.scoring import Difference, ScoringReport, paired_difference, scoring_figures
from service.errors import DataError
from service.types import Float32Array, Int64Array, OnProgress, OnStage

if TYPE_CHECKING:
    from eval.answerable import Answerability
    from service.encoder.encoder import Encoder
    from training.match_data import MatchData
    from training.match_fit import OutOfFoldMatches


GALLERIES = (20, 50, 100, 500)
"""Photographs in the galleries of the test of the cut; the default cut is chosen on the first."""
SHIPPED = "the match as it is written"
AGAINST_COSINE = ("expert_tau_c", "crowd_tau_b")


@dataclass(frozen=True)
class MatchReport:
    """All that `smysl eval scoring` says; `order` holds recalls of a text's own photograph by match and by cosine."""

    model: str
    fingerprint: str
    material: MatchData
    judged: OutOfFoldMatches
    scoring: ScoringReport
    differences: Mapping[str, Difference]
    candidates: Sequence[Mapping[str, object]]
    answerable: Sequence[Answerability]
    order: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """For `--json`: the figures first and flat."""
        return {
            **self.scoring.as_json(),
            "against_cosine": {
                name: {"value": round(each.value, 2), "interval": [round(end, 2) for end in each.interval]}
                for name, each in self.differences.items()
            },
            "order": dict(self.order),
            "answerable": [each.as_json() for each in self.answerable],
            "candidates": [dict(each) for each in self.candidates],
            "model": self.model,
            "fingerprint": self.fingerprint,
        }

    def page(self) -> str:
        """The report as an HTML document."""
        from eval.scoring_page import scoring_page

        return scoring_page(
            self.model,
            self.material.pairs,
            self.judged.match,
            self.scoring,
            agreement=self.judged.agreement,
            candidates=self.candidates,
            chosen=SHIPPED,
            answerable=self.answerable,
        )


def measure_match(encoder: Encoder, data: Path, cache: Path, on_stage: OnStage, *, compare: bool = True) -> MatchReport:
    """Fit and judge the match of an encoder on the ratings of a folder of data.

    `compare` adds the candidates that it was chosen from, which takes minutes. Raises DataError for a fault of
    the data and for too few ratings, ModelError where the encoder cannot tell what fits.
    """
    from data.ratings import read_rated_pairs
    from training.match_candidates import compare as compare_candidates
    from training.match_data import read_match_data
    from training.match_fit import check_enough, out_of_fold

    pairs = read_rated_pairs(data)
    check_enough(pairs)
    material = read_match_data(encoder, data, pairs, cache, on_stage)
    judged = out_of_fold(material, on_stage)
    scoring = scoring_figures(material.pairs, judged.match, judged.agreement, on_progress=_part(on_stage, "intervals"))
    cosine = material.cosine
    differences = {
        name: paired_difference(material.pairs, judged.match, cosine, name)
        for name in AGAINST_COSINE
        if name in scoring.figures
    }
    similarity = material.texts @ material.photographs.T
    sizes = [each for each in GALLERIES if each <= len(material.pairs.photographs) // 2]
    cuts = [each for size in sizes if (each := _cut(material, judged, size, on_stage))]
    candidates = [{"candidate": SHIPPED, **_cells(scoring)}]
    if compare:
        candidates = [*compare_candidates(material, on_stage=on_stage), *candidates]
    return MatchReport(
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        material=material,
        judged=judged,
        scoring=scoring,
        differences=differences,
        candidates=candidates,
        answerable=cuts,
        order=_order(material.pairs.text_owner, judged.everything, similarity),
    )


def _cut(material: MatchData, judged: OutOfFoldMatches, size: int, on_stage: OnStage) -> Answerability | None:
    """The test of the cut on galleries of one size; None where the ratings name no right photograph among enough."""
    from training.match_fit import judge_the_cut

    try:
        return judge_the_cut(material, judged, size, on_stage)
    except DataError:
        return None


def candidate_rows(candidates: Sequence[Mapping[str, object]]) -> list[list[str]]:
    """The table of candidates as text, its head first; all have the columns of the first."""
    names = list(candidates[0])
    return [names, *([_shown(each.get(name, "")) for name in names] for each in candidates)]


def _cells(scoring: ScoringReport) -> dict[str, object]:
    names = ("expert_tau_c", "crowd_tau_b", "rmse", "ece", "crowd_brier")
    return {name: scoring.figures[name] for name in names if name in scoring.figures}


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 1 else f"{value:.3f}"
    return str(value)


def _order(owner: Int64Array, match: Float32Array, cosine: Float32Array) -> dict[str, float]:
    """R@1, R@5 and R@10 in percent of texts' own photographs among all rated ones, by match and by cosine.

    Nothing where all texts were written for no photograph.
    """
    known = np.flatnonzero(owner >= 0)
    figures: dict[str, float] = {}
    if not len(known):
        return figures
    for name, scores in (("match", match), ("cosine", cosine)):
        own = scores[known, owner[known]]
        before = (scores[known] >= own[:, None]).sum(axis=1) - 1
        figures |= {f"{name}_r{depth}": round(100 * float(np.mean(before < depth)), 2) for depth in (1, 5, 10)}
    return figures


def _part(on_stage: OnStage, what: str) -> OnProgress:
    return lambda done, total: on_stage(what, done, total)


def interval_text(ends: Interval, decimals: int) -> str:
    """An interval as a person reads it."""
    return f"{ends[0]:.{decimals}f} to {ends[1]:.{decimals}f}"
