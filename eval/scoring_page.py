"""The figures of a match as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from data.ratings import RatedPairs
from eval.answerable import Answerability
from eval.charts import Line, density_chart, line_chart
from eval.render import decimal, interval_text, page, thumbnail_uri
from eval.scoring import ScoringReport, crowd_reliability, expert_reliability
from service.types import Float64Array

FIGURES = {
    "expert_tau_c": ("Order, experts", "Kendall's τ_c × 100 with single grades, own captions left out", 1),
    "crowd_tau_b": ("Order, crowd", "Kendall's τ_b × 100 with the share of yes, own captions left out", 1),
    "rmse": ("Distance", "root mean square, match to mean grade on [0, 1]", 3),
    "mae": ("Distance, mean", "mean absolute, match to mean grade on [0, 1]", 3),
    "ece": ("Calibration, experts", "expected calibration error, 15 bins of equal mass", 3),
    "crowd_brier": ("Brier score, crowd", "probability of a yes against single votes", 3),
    "crowd_brier_base": ("Brier score, no model", "the same with the mean share predicted for every pair", 3),
    "crowd_ece": ("Calibration, crowd", "expected calibration error, 15 bins of equal mass of votes", 3),
}
"""Name, meaning and decimals of each figure."""
EXAMPLES = 12
CURVE = np.linspace(0.0, 1.0, 201)
"""False positive rates at which an ROC curve is drawn; the computed one has thousands of points."""


def scoring_page(
    model: str,
    pairs: RatedPairs,
    match: Float64Array,
    report: ScoringReport,
    *,
    agreement: Float64Array | None = None,
    candidates: Sequence[Mapping[str, object]] = (),
    chosen: str | None = None,
    answerable: Sequence[Answerability] = (),
    examples: int = EXAMPLES,
) -> str:
    """A whole HTML document: figures, charts, candidate heads, the test of the cut, and the worst examples.

    Args:
        model: name of the encoder.
        pairs: the rated pairs that `report` was computed on.
        match: the match of each pair (n,).
        report: the figures.
        agreement: the probability of a yes for each pair (n,); None takes the match for it.
        candidates: rows of a table with the same columns each: the name first, then numbers, words, or (low, high)
            intervals.
        chosen: name of the candidate that is highlighted.
        answerable: the test of the cut for one or more gallery sizes; the ROC curve is that of the first.
        examples: expert pairs shown with a thumbnail, half of them rated too low and half too high.

    Raises:
        PhotographError: the photograph of an example cannot be read.
    """
    columns = list(candidates[0]) if candidates else []
    return page(
        "scoring.html",
        title=f"The match of {model} against people's ratings",
        report=report,
        figures=[
            (name, meaning, decimal(report.figures[key], digits), interval_text(report.intervals.get(key), digits))
            for key, (name, meaning, digits) in FIGURES.items()
            if key in report.figures
        ],
        charts=_charts(pairs, match, match if agreement is None else agreement, report),
        columns=[column.replace("_", " ") for column in columns],
        candidates=[
            (str(row[columns[0]]), [_cell(column, row.get(column)) for column in columns[1:]]) for row in candidates
        ],
        chosen=chosen,
        answerable=answerable,
        roc_chart=_roc_chart(answerable[0]) if answerable else "",
        examples=_examples(pairs, match, examples),
    )


def _charts(
    pairs: RatedPairs, match: Float64Array, agreement: Float64Array, report: ScoringReport
) -> list[tuple[Markup, str]]:
    """Charts with their captions."""
    charts = []
    if report.expert_pairs:
        bins = expert_reliability(pairs, match)
        chart = line_chart(
            "Reliability: mean grade of the experts against the match",
            "match",
            "mean grade on [0, 1]",
            [Line("experts", bins.predicted, bins.observed, dots=True)],
        )
        charts.append(
            (chart, "Reliability, experts. On the diagonal predictions equal grades; each point holds as many pairs.")
        )
    if report.crowd_pairs:
        bins = crowd_reliability(pairs, agreement)
        chart = line_chart(
            "Reliability: share of yes in the crowd against its probability",
            "probability of a yes",
            "share of yes",
            [Line("crowd", bins.predicted, bins.observed, second=True, dots=True)],
        )
        charts.append((chart, "Reliability, crowd. Each point holds as many votes."))
    if report.expert_pairs:
        rows = pairs.expert
        chart = density_chart(
            "Matches by mean grade of the experts", "mean grade", "match", pairs.grade[rows], match[rows]
        )
        charts.append(
            (chart, "Match by mean grade. Each column is shaded by its share of matches; ticks: median and quartiles.")
        )
    return charts


def _roc_chart(test: Answerability) -> Markup:
    match, cosine = (np.interp(CURVE, *tops.curve()[:2]) for tops in (test.match, test.cosine))
    return line_chart(
        f"ROC curve: area {test.auroc:.3f} for the match, {test.cosine_auroc:.3f} for raw cosine",
        "unanswerable galleries that pass",
        "answerable galleries that pass",
        [Line("match", CURVE, match), Line("raw cosine", CURVE, cosine, second=True)],
        mark=(test.unanswerable_pass, test.answerable_pass),
    )


def _examples(pairs: RatedPairs, match: Float64Array, count: int) -> dict[str, list[dict[str, object]]]:
    """The expert pairs whose match is farthest below and farthest above the mean grade, by the heading over them.

    A match may err more on one side; both are shown.
    """
    graded = np.flatnonzero(pairs.expert)
    error = match[graded] - pairs.grade[graded]
    half = (count + 1) // 2
    low = [row for row in graded[np.argsort(error, kind="stable")][:half] if match[row] < pairs.grade[row]]
    high = [row for row in graded[np.argsort(-error, kind="stable")][: count - half] if match[row] >= pairs.grade[row]]
    groups = {"Too low": low, "Too high": high}
    return {heading: [_example(pairs, row, match[row]) for row in rows] for heading, rows in groups.items() if rows}


def _example(pairs: RatedPairs, row: int, match: float) -> dict[str, object]:
    photograph = pairs.photographs[pairs.photograph[row]]
    return {
        "image": thumbnail_uri(photograph.path),
        "name": photograph.name,
        "text": pairs.texts[pairs.text[row]],
        "match": match,
        "grades": " ".join(f"{grade:g}" for grade in pairs.grades[row] if np.isfinite(grade)),
        "own": pairs.own[row],
    }


def _cell(column: str, value: object) -> str:
    digits = 1 if "tau" in column else 3
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    if isinstance(value, float | np.floating):
        return decimal(float(value), digits)
    if isinstance(value, tuple | list) and len(value) == 2:
        return interval_text((float(value[0]), float(value[1])), digits)
    return str(value)
