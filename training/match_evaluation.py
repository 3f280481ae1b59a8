"""Measures a match: figures out of fold, a table of candidates, answerability, and the ranking of hits.

All rated pairs of Flickr8k are in one split, so none are held out for good. What is measured is the procedure
(`training.match_fit`), by cross-validation in 25 folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bootstrap import Interval
from eval.scoring import Difference, ScoringReport, paired_difference, scoring_figures
from service.errors import DataError
from service.types import Float32Array, Int64Array, OnStage

if TYPE_CHECKING:
    from eval.answerable import Answerability
    from service.encoder.encoder import Encoder
    from training.match_data import MatchData
    from training.match_fit import OutOfFoldMatches


GALLERIES = (20, 50, 100, 500)
"""Gallery sizes on which answerability is measured; the default `min_match` is chosen on the first."""
SHIPPED = "the match as written"
AGAINST_COSINE = ("expert_tau_c", "crowd_tau_b")


@dataclass(frozen=True)
class MatchReport:
    """The figures of `smysl eval scoring`; `order` are recalls of a text's own photograph, by match and by cosine."""

    model: str
    fingerprint: str
    data: MatchData
    matches: OutOfFoldMatches
    scoring: ScoringReport
    differences: Mapping[str, Difference]
    candidates: Sequence[Mapping[str, object]]
    answerable: Sequence[Answerability]
    order: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """For `--json`: the scoring figures first, at the top level."""
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
            self.data.pairs,
            self.matches.match,
            self.scoring,
            agreement=self.matches.agreement,
            candidates=self.candidates,
            chosen=SHIPPED,
            answerable=self.answerable,
        )


def measure_match(encoder: Encoder, data: Path, cache: Path, on_stage: OnStage, *, compare: bool = True) -> MatchReport:
    """Fit the match of an encoder on the ratings of a folder of data and measure it out of fold.

    `compare` adds the candidates that it was chosen from, which takes minutes.

    Raises:
        DataError: the data has a fault, or too few ratings.
        ModelError: the encoder's cosines do not rise with the ratings.
    """
    from data.ratings import read_rated_pairs
    from training.match_candidates import FIGURES
    from training.match_candidates import compare as compare_candidates
    from training.match_data import read_match_data
    from training.match_fit import check_enough, out_of_fold

    pairs = read_rated_pairs(data)
    check_enough(pairs)
    match_data = read_match_data(encoder, data, pairs, cache, on_stage)
    matches = out_of_fold(match_data, on_stage)
    scoring = scoring_figures(pairs, matches.match, matches.agreement, on_progress=partial(on_stage, "intervals"))
    cosine = match_data.cosine
    differences = {
        name: paired_difference(pairs, matches.match, cosine, name)
        for name in AGAINST_COSINE
        if name in scoring.figures
    }
    similarity = match_data.texts @ match_data.photographs.T
    sizes = [each for each in GALLERIES if each <= len(pairs.photographs) // 2]
    answerable = [each for size in sizes if (each := _answerability(match_data, matches, size, on_stage))]
    candidates: list[dict[str, object]] = [
        {"candidate": SHIPPED, **{name: scoring.figures[name] for name in FIGURES if name in scoring.figures}}
    ]
    if compare:
        candidates = [*compare_candidates(match_data, on_stage=on_stage), *candidates]
    return MatchReport(
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        data=match_data,
        matches=matches,
        scoring=scoring,
        differences=differences,
        candidates=candidates,
        answerable=answerable,
        order=_order(pairs.text_owner, matches.all_pairs, similarity),
    )


def _answerability(data: MatchData, matches: OutOfFoldMatches, size: int, on_stage: OnStage) -> Answerability | None:
    """Answerability on galleries of one size; None where too few rated texts have a right photograph."""
    from training.match_fit import measure_answerability

    try:
        return measure_answerability(data, matches, size, on_stage)
    except DataError:
        return None


def candidate_rows(candidates: Sequence[Mapping[str, object]]) -> list[list[str]]:
    """The table of candidates as text, with a header row; the columns are those of the first candidate."""
    names = list(candidates[0])
    return [names, *([_format(each.get(name, "")) for name in names] for each in candidates)]


def _format(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 1 else f"{value:.3f}"
    return str(value)


def _order(owner: Int64Array, match: Float32Array, cosine: Float32Array) -> dict[str, float]:
    """R@1, R@5 and R@10 in percent of texts' own photographs among all rated ones, by match and by cosine.

    Empty where no text was written for a photograph.
    """
    texts = np.flatnonzero(owner >= 0)
    figures: dict[str, float] = {}
    if not len(texts):
        return figures
    for name, scores in (("match", match), ("cosine", cosine)):
        own = scores[texts, owner[texts]]
        rank = (scores[texts] >= own[:, None]).sum(axis=1) - 1
        figures |= {f"{name}_r{depth}": round(100 * float(np.mean(rank < depth)), 2) for depth in (1, 5, 10)}
    return figures


def interval_text(ends: Interval, decimals: int) -> str:
    """An interval in words."""
    return f"{ends[0]:.{decimals}f} to {ends[1]:.{decimals}f}"
