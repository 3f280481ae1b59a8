"""How well photographs find their kind, as one HTML file: figures, each kind, confusions, the worst searches."""

from __future__ import annotations

from functools import cache, partial

from eval.render import decimal, interval_text, page, thumbnail_uri
from eval.similar import SimilarReport

FIGURES = {
    "map10": ("MAP@10", "mean of AP@10, with the normaliser min(10, number of its kind)"),
    "r1": ("First is right", "share of photographs whose most similar one is of their kind"),
    "vote_accuracy": ("Vote is right", "share of photographs whose kind wins the vote of the most similar ones"),
}
"""Name and meaning of each figure; all are in percent."""
MAX_KINDS = 30
"""Kinds in a table at most: thirty columns are still legible."""
MAX_NAMED = 50
"""Excluded photographs that are named at most."""
_SIDE = 160
"""Pixels of a thumbnail: two hundred of them stay below two megabytes."""


def similar_page(report: SimilarReport) -> str:
    """A whole HTML document: figures, MAP@10 of each kind, the confusions of the vote, and the worst searches.

    Of more than `MAX_KINDS` kinds, those with the lowest MAP@10 and the pairs most often confused are shown. Raises
    PhotographError where a photograph that is shown cannot be read any more.
    """
    shown = sorted(report.by_kind, key=lambda each: (each.map10, each.kind))[:MAX_KINDS]
    kinds = sorted({each.kind for each in report.by_kind} | {voted for _, voted in report.confusions})
    return page(
        "similar.html",
        title=f"Photographs of a kind, found by {subject(report)}",
        report=report,
        figures=[
            (name, meaning, f"{decimal(report.figures[key], 1)} %", interval_text(report.intervals[key], 1))
            for key, (name, meaning) in FIGURES.items()
        ],
        kinds=shown,
        kinds_not_shown=len(report.by_kind) - len(shown),
        matrix=_matrix(report, kinds) if len(kinds) <= MAX_KINDS else {},
        confused=report.confused[:MAX_KINDS],
        confused_not_shown=max(0, len(report.confused) - MAX_KINDS),
        # The same photograph may be found by several searches.
        thumbnail=cache(partial(thumbnail_uri, side=_SIDE)),
        most_named=MAX_NAMED,
    )


def subject(report: SimilarReport) -> str:
    """What was measured, in words."""
    models = " and ".join(report.models)
    return f"the head “{report.head}” on {models}" if report.head else models


def _matrix(report: SimilarReport, kinds: list[str]) -> dict[str, list[dict[str, object]]]:
    """For each kind the votes for every kind: `count`, `tint` 0 to 1, and whether the vote is `right`."""
    matrix = {}
    for kind in kinds:
        counts = [report.confusions.get((kind, voted), 0) for voted in kinds]
        total = max(sum(counts), 1)
        # Square roots, since a few wrong votes among many right ones would be invisible.
        matrix[kind] = [
            {"count": count, "tint": (count / total) ** 0.5, "right": voted == kind}
            for voted, count in zip(kinds, counts, strict=True)
        ]
    return matrix
