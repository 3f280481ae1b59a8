"""The figures of a match as one HTML file (`eval.html_page`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from data.ratings import RatedPairs
from eval.answerable import Answerability
from eval.charts import Line, density, diagram
from eval.html_page import document, figure, interval_of, picture, table
from eval.scoring import ScoringReport, crowd_reliability, expert_reliability
from service.types import Float64Array

FIGURES = {
    "expert_tau_c": ("Order, experts", "Kendall's τ_c × 100 with single grades, own captions left out", 1),
    "crowd_tau_b": ("Order, crowd", "Kendall's τ_b × 100 with the share of yes, own captions left out", 1),
    "rmse": ("Distance", "root mean square, match to mean grade on [0, 1]", 3),
    "mae": ("Distance, mean", "mean absolute, match to mean grade on [0, 1]", 3),
    "ece": ("Calibration, experts", "expected calibration error, 15 bins of equal mass", 3),
    "crowd_brier": ("Brier score, crowd", "probability of a yes against single votes", 3),
    "crowd_brier_base": ("Brier score, no model", "the same of the mean share, said of every pair", 3),
    "crowd_ece": ("Calibration, crowd", "expected calibration error, 15 bins of equal mass of votes", 3),
}
"""What each figure is called, what it says, and its decimals."""
EXAMPLES = 12
CURVE = np.linspace(0.0, 1.0, 201)
"""Points across of a drawn ROC curve; the real one has thousands."""


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
    """A whole HTML document: figures, diagrams, candidate heads, the test of the cut, and the worst examples.

    `match` (n,) and `agreement` (n,) are what `report` was made of. `candidates` are the rows of a table, each
    with the same columns: the name first, then numbers, words, or (low, high) intervals; the row whose name is
    `chosen` is marked. `answerable` holds the test of the cut for one or more sizes of gallery; the first one
    is drawn. `examples` is how many of the worst misjudged expert pairs are shown with a thumbnail, half of them
    too low and half too high.

    Raises PhotographError where the photograph of an example cannot be read.
    """
    title = f"The match of {model} against people's ratings"
    sections = [
        _figures(report),
        _diagrams(pairs, match, match if agreement is None else agreement, report),
        _candidates(candidates, chosen) if candidates else "",
        _answerable(answerable) if answerable else "",
        _examples(pairs, match, examples),
    ]
    return document(title, _lead(report), sections)


def _lead(report: ScoringReport) -> str:
    rated = " and ".join(
        f"{count:,} pairs {how}"
        for count, how in ((report.expert_pairs, "graded by experts"), (report.crowd_pairs, "voted on by a crowd"))
        if count
    )
    return (
        f"<p class=lead>{rated}, {report.photographs:,} photographs, {report.texts:,} texts. Each pair was judged by a "
        "fit that saw neither its photograph nor its text. Intervals are bootstrap 95 % intervals over photographs "
        f"({report.resamples:,} draws).</p>"
    )


def _figures(report: ScoringReport) -> str:
    rows = []
    for key, (name, says, decimals) in FIGURES.items():
        if key not in report.figures:
            continue
        rows.append(
            f"<tr><th scope=row>{name}<small>{says}</small></th><td>{report.figures[key]:.{decimals}f}</td>"
            f"<td>{interval_of(report.intervals.get(key), decimals)}</td></tr>"
        )
    head = "<tr><th scope=col>Figure</th><th scope=col>Value</th><th scope=col>95 % interval</th></tr>"
    return f"<section><h2>Figures</h2>{table('Figures', head, rows)}</section>"


def _diagrams(pairs: RatedPairs, match: Float64Array, agreement: Float64Array, report: ScoringReport) -> str:
    shown = []
    if report.expert_pairs:
        bins = expert_reliability(pairs, match)
        shown.append(
            figure(
                diagram(
                    "Reliability: mean grade of the experts against the match",
                    "match",
                    "mean grade on [0, 1]",
                    [Line("experts", bins.said, bins.so, dots=True)],
                ),
                "Reliability, experts. On the diagonal, what is said is what is so; each point holds as many pairs.",
            )
        )
    if report.crowd_pairs:
        bins = crowd_reliability(pairs, agreement)
        shown.append(
            figure(
                diagram(
                    "Reliability: share of yes in the crowd against its probability",
                    "probability of a yes",
                    "share of yes",
                    [Line("crowd", bins.said, bins.so, second=True, dots=True)],
                ),
                "Reliability, crowd. Each point holds as many votes.",
            )
        )
    if report.expert_pairs:
        rows = pairs.expert
        shown.append(
            figure(
                density("Matches by mean grade of the experts", "mean grade", "match", pairs.grade[rows], match[rows]),
                "Match by mean grade. Each column is shaded by where its matches lie; ticks are median and quartiles.",
            )
        )
    return f"<section><h2>What was said and what was so</h2><div class=figures>{''.join(shown)}</div></section>"


def _candidates(candidates: Sequence[Mapping[str, object]], chosen: str | None) -> str:
    columns = list(candidates[0])
    head = "".join(f"<th scope=col>{escape(str(column).replace('_', ' '))}</th>" for column in columns)
    rows = []
    for candidate in candidates:
        name = str(candidate[columns[0]])
        cells = "".join(f"<td>{_cell(column, candidate.get(column))}</td>" for column in columns[1:])
        mark = " class=chosen" if name == chosen else ""
        rows.append(f"<tr{mark}><th scope=row>{escape(name)}</th>{cells}</tr>")
    said = f"<p>All on the same folds. The match is that of <strong>{escape(chosen)}</strong>.</p>" if chosen else ""
    return f"<section><h2>Candidate heads</h2>{said}{table('Candidate heads', f'<tr>{head}</tr>', rows)}</section>"


def _answerable(tests: Sequence[Answerability]) -> str:
    first = tests[0]
    match, cosine = (np.interp(CURVE, *tops.curve()[:2]) for tops in (first.match, first.cosine))
    drawn = diagram(
        f"ROC curve: area {first.auroc:.3f} for the match, {first.cosine_auroc:.3f} for raw cosine",
        "unanswerable galleries that pass",
        "answerable galleries that pass",
        [Line("match", CURVE, match), Line("raw cosine", CURVE, cosine, second=True)],
        mark=(first.unanswerable_pass, first.answerable_pass),
    )
    caption = (
        f"Galleries of {first.gallery:,}. The ring is the cut with the best balanced accuracy, "
        f"{first.min_match:.3f}: {first.answerable_pass:.0%} of the answerable and {first.unanswerable_pass:.0%} of "
        "the unanswerable galleries pass."
    )
    names = (
        "Gallery",
        "AUROC of the match",
        "of raw cosine",
        "Difference",
        "Best cut",
        "Answerable pass",
        "Others pass",
    )
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    rows = [
        f"<tr><th scope=row>{test.gallery:,}</th>"
        f"<td>{test.auroc:.3f}<small>{interval_of(test.auroc_interval, 3)}</small></td>"
        f"<td>{test.cosine_auroc:.3f}<small>{interval_of(test.cosine_auroc_interval, 3)}</small></td>"
        f"<td>{_signed(test.difference)}<small>{interval_of(test.difference_interval, 3)}</small></td>"
        f"<td>{test.min_match:.3f}</td><td>{test.answerable_pass:.0%}</td><td>{test.unanswerable_pass:.0%}</td></tr>"
        for test in tests
    ]
    return (
        "<section><h2>Is there an answer at all?</h2>"
        f"<p>{first.queries:,} texts, each asked of galleries with and without a right photograph, the rest of the "
        "gallery being the same. What detects the answer is the top match alone.</p>"
        f"<div class=beside>{figure(drawn, caption)}{table('The test of the cut', f'<tr>{head}</tr>', rows)}</div>"
        "</section>"
    )


def _examples(pairs: RatedPairs, match: Float64Array, count: int) -> str:
    """Pairs that were judged too low and too high: a match may err on one side more, and both are worth seeing."""
    graded = np.flatnonzero(pairs.expert)
    gap = match[graded] - pairs.grade[graded]
    half = (count + 1) // 2
    groups = []
    for words, rows in (
        ("Too low", graded[np.argsort(gap, kind="stable")][:half]),
        ("Too high", graded[np.argsort(-gap, kind="stable")][: count - half]),
    ):
        wrong = [row for row in rows if (match[row] < pairs.grade[row]) == (words == "Too low")]
        cards = "".join(_example(pairs, row, float(match[row])) for row in wrong)
        groups.append(f"<h3>{words}</h3><ul class=examples>{cards}</ul>" if wrong else "")
    if not any(groups):
        return ""
    return (
        "<section><h2>The worst</h2><p>Pairs whose match lies farthest from the mean grade: 1 does not describe the "
        f"photograph, 4 describes it.</p>{''.join(groups)}</section>"
    )


def _example(pairs: RatedPairs, row: int, match: float) -> str:
    photograph = pairs.photographs[pairs.photograph[row]]
    grades = " ".join(f"{grade:g}" for grade in pairs.grades[row] if np.isfinite(grade))
    own = " · its own caption" if pairs.own[row] else ""
    return (
        f'<li><img src="{picture(photograph.path)}" alt="{escape(photograph.name)}">'
        f'<p dir="auto">{escape(pairs.texts[pairs.text[row]])}</p>'
        f"<p class=facts>match <b>{match:.2f}</b> · <span>grades <b>{grades}</b></span>{own}</p></li>"
    )


def _cell(column: str, value: object) -> str:
    decimals = 1 if "tau" in column else 3
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.{decimals}f}".replace("-", "−")
    if isinstance(value, tuple | list) and len(value) == 2:
        return interval_of((float(value[0]), float(value[1])), decimals)
    return escape(str(value))


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
