"""How well photographs find their kind, as one HTML file: figures, each kind, confusions, the worst."""

from __future__ import annotations

from html import escape
from pathlib import Path

from eval.html_page import document, interval_of, picture, table
from eval.report_style import KINDS_STYLE
from eval.similar import GalleryHit, GallerySearch, SimilarReport

FIGURES = {
    "map10": ("MAP@10", "mean of AP@10, with the normaliser min(10, number of its kind)"),
    "r1": ("First is right", "share of photographs whose most similar one is of their kind"),
    "vote_accuracy": ("Vote is right", "share of photographs whose kind wins the vote of the most similar ones"),
}
"""What each figure is called and what it says; all are in percent."""
MOST_KINDS = 30
"""Kinds that a table shows at most: thirty columns can still be read."""
MOST_NAMED = 50
"""Photographs left out that are named."""
_SIDE = 160
"""Pixels of a picture: two hundred of them stay below two megabytes."""


def similar_page(report: SimilarReport) -> str:
    """A whole HTML document: figures, MAP@10 of each kind, the confusions of the vote, and the worst with their ten.

    Of more than `MOST_KINDS` kinds, those with the lowest MAP@10 and the pairs most often confused are shown. Raises
    PhotographError where a photograph that is shown cannot be read any more.
    """
    title = f"Photographs of a kind, found by {subject(report)}"
    sections = [_figures(report), _kinds(report), _confusions(report), _worst(report), _left_out(report)]
    return document(title, f"<p class=lead>{escape(_lead(report))}</p>", sections, KINDS_STYLE)


def subject(report: SimilarReport) -> str:
    """What was measured, in words."""
    models = " and ".join(report.models)
    return f"the head “{report.head}” on {models}" if report.head else models


def _lead(report: SimilarReport) -> str:
    how = (
        f"{report.photos:,} photographs each searched all others (leave-one-out, {report.searched:,} photographs)"
        if report.leave_one_out
        else f"{report.photos:,} photographs of test/ searched the {report.searched:,} of train/"
    )
    likeness = "the head's similarity" if report.head else "the cosine of the tower's pooled features, as they are"
    return (
        f"{how}; {len(report.by_kind):,} kinds. Similarity is {likeness}. Intervals are bootstrap 95 % intervals over "
        "photographs."
    )


def _figures(report: SimilarReport) -> str:
    rows = [
        f"<tr><th scope=row>{name}<small>{says}</small></th><td>{report.figures[key]:.1f} %</td>"
        f"<td>{interval_of(report.intervals[key], 1)}</td></tr>"
        for key, (name, says) in FIGURES.items()
    ]
    head = "<tr><th scope=col>Figure</th><th scope=col>Value</th><th scope=col>95 % interval</th></tr>"
    return f"<section><h2>Figures</h2>{table('Figures', head, rows)}</section>"


def _kinds(report: SimilarReport) -> str:
    shown = sorted(report.by_kind, key=lambda each: (each.map10, each.kind))[:MOST_KINDS]
    rows = [
        f"<tr><th scope=row dir=auto>{escape(each.kind)}</th><td>{each.photos:,}</td><td>{each.map10:.1f} %</td>"
        f'<td class=bar><span style="width:{each.map10:.1f}%"></span></td></tr>'
        for each in shown
    ]
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Kind", "Photographs", "MAP@10"))
    rest = len(report.by_kind) - len(shown)
    said = f"<p>The {len(shown)} kinds with the lowest; {rest:,} more are not shown.</p>" if rest else ""
    return (
        f"<section><h2>Each kind</h2>{said}<div class=narrow>"
        f"{table('MAP@10 of each kind', f'<tr>{head}<td class=bar></td></tr>', rows)}</div></section>"
    )


def _confusions(report: SimilarReport) -> str:
    voted = {voted for _, voted in report.confusions}
    kinds = sorted({each.kind for each in report.by_kind} | voted)
    body = _matrix(report, kinds) if len(kinds) <= MOST_KINDS else _pairs(report)
    return f"<section><h2>What was taken for what</h2>{body}</section>"


def _matrix(report: SimilarReport, kinds: list[str]) -> str:
    rows = []
    for kind in kinds:
        counts = [report.confusions.get((kind, voted), 0) for voted in kinds]
        total = max(sum(counts), 1)
        cells = "".join(_cell(count, total, own=voted == kind) for voted, count in zip(kinds, counts, strict=True))
        rows.append(f"<tr><th scope=row dir=auto>{escape(kind)}</th>{cells}</tr>")
    head = "".join(f"<th scope=col><span dir=auto>{escape(kind)}</span></th>" for kind in kinds)
    shape = "matrix many" if len(kinds) > 8 else "matrix narrow"
    return (
        "<p>A row is the kind of a photograph, a column the kind that won the vote, a cell how many photographs. "
        "Framed cells are right; the stronger its tint, the more of its row a cell holds.</p>"
        f'<div class="{shape}">{table("Kinds and the kinds voted", f"<tr><th scope=col>Kind</th>{head}</tr>", rows)}'
        "</div>"
    )


def _cell(count: int, total: int, *, own: bool) -> str:
    # A root, since a few wrong votes among many right ones would not show beside them.
    return f'<td{" class=own" if own else ""} style="--share:{(count / total) ** 0.5:.3f}">{count or "–"}</td>'


def _pairs(report: SimilarReport) -> str:
    confused = report.confused
    if not confused:
        return "<p>Every vote was right.</p>"
    rows = [
        f"<tr><th scope=row dir=auto>{escape(kind)}</th><td dir=auto>{escape(voted)}</td><td>{count:,}</td></tr>"
        for kind, voted, count in confused[:MOST_KINDS]
    ]
    head = "<tr><th scope=col>Kind</th><th scope=col>Taken for</th><th scope=col>Photographs</th></tr>"
    rest = len(confused) - len(rows)
    said = f"{rest:,} more pairs are not shown." if rest else "There are no others."
    return f"<p>The pairs that were confused most. {said}</p>{table('Confused kinds', head, rows)}"


def _worst(report: SimilarReport) -> str:
    if not report.worst:
        return ""
    pictures: dict[Path, str] = {}
    searches = "".join(_search(report, search, pictures) for search in report.worst)
    return (
        "<section><h2>The worst</h2><p>Photographs with the lowest AP@10, each with the ten that it found, the most "
        "similar first, and their similarity. ✓ is of its kind, ✗ of another.</p>"
        f"{searches}</section>"
    )


def _search(report: SimilarReport, search: GallerySearch, pictures: dict[Path, str]) -> str:
    found = "".join(_found(report, each, pictures) for each in search.found)
    vote = "the vote is right" if search.voted == search.kind else f"voted <b>{escape(search.voted)}</b>"
    name = escape(report.name_of(search.file))
    return (
        f'<article class=search><div class=query><img src="{_picture(search.file, pictures)}" alt="{name}">'
        f"<p><b dir=auto>{escape(search.kind)}</b></p>"
        f"<p class=facts>AP@10 <b>{search.precision:.1f} %</b> · {vote}</p><p class=facts>{name}</p></div>"
        f"<ol class=found>{found}</ol></article>"
    )


def _found(report: SimilarReport, found: GalleryHit, pictures: dict[Path, str]) -> str:
    mark, kind, says = ("✓", "right", "of its kind") if found.right else ("✗", "wrong", "of another kind")
    similarity = f"{found.similarity:.2f}".replace("-", "−")
    name = escape(f"{report.name_of(found.file)}, {says}")
    return (
        f'<li class={kind}><img src="{_picture(found.file, pictures)}" alt="{name}" title="{name}">'
        f"<p><span aria-hidden=true>{mark}</span> <span dir=auto>{escape(found.kind)}</span></p>"
        f"<p class=facts>{similarity}</p></li>"
    )


def _left_out(report: SimilarReport) -> str:
    if not report.left_out:
        return ""
    rows = [
        f"<tr><th scope=row>{escape(report.name_of(each.file))}</th><td class=words>{escape(each.reason)}</td></tr>"
        for each in report.left_out[:MOST_NAMED]
    ]
    rest = len(report.left_out) - len(rows)
    said = f"<p>{rest:,} more are not named.</p>" if rest else ""
    head = "<tr><th scope=col>Photograph</th><th scope=col class=words>Why</th></tr>"
    return f"<section><h2>Left out of the figures</h2>{table('Left out', head, rows)}{said}</section>"


def _picture(file: Path, pictures: dict[Path, str]) -> str:
    if file not in pictures:
        pictures[file] = picture(file, _SIDE)
    return pictures[file]
