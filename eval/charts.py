"""Diagrams as inline SVG: no script, nothing fetched, colours from the page that they stand in.

The page gives `--first`, `--second`, `--muted` and `--line`; both axes of every diagram go from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from service.types import Float64Array

LEFT, TOP, SIDE = 52, 12, 300
WIDTH, HEIGHT = LEFT + SIDE + 16, TOP + SIDE + 46
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
GRADES = 10
"""Columns of a density: the means of three grades from 1 to 4 lie a ninth of the scale apart."""
ROWS = 40
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Line:
    """Points (n,) of one line with its name; `dots` draws each point, `second` takes the other colour."""

    name: str
    across: Float64Array
    up: Float64Array
    second: bool = False
    dots: bool = False


def diagram(says: str, across: str, up: str, lines: Sequence[Line], *, mark: tuple[float, float] | None = None) -> str:
    """Lines over the diagonal, with a key; `says` is read out instead, `mark` is ringed."""
    parts = [_path([0.0, 1.0], [0.0, 1.0], "diagonal")]
    for line in lines:
        kind = "second" if line.second else "first"
        parts.append(_path(line.across, line.up, f"line {kind}"))
        if line.dots:
            parts += [
                f'<circle class="dot {kind}" cx="{_x(right)}" cy="{_y(high)}" r="3.5"/>'
                for right, high in zip(line.across, line.up, strict=True)
            ]
    if mark is not None:
        parts.append(f'<circle class="mark" cx="{_x(mark[0])}" cy="{_y(mark[1])}" r="7"/>')
    return _frame(says, across, up, "".join(parts)) + _key(lines)


def density(says: str, across: str, up: str, grade: Float64Array, match: Float64Array) -> str:
    """Matches (n,) by grade (n,), both in [0, 1]: each column shaded by its share of matches, with quartiles.

    A column is shaded relative to its own fullest cell, since most pairs are wrong and the others would not
    show beside them. The wide tick is the median, the narrow ones are the quartiles.
    """
    column = np.rint(grade * (GRADES - 1)).astype(np.int64)
    width = SIDE / GRADES
    parts = []
    for place in np.unique(column):
        held = np.clip(match[column == place], 0.0, 1.0)
        cells = np.histogram(held, bins=ROWS, range=(0.0, 1.0))[0]
        left = LEFT + place * width
        for row in np.flatnonzero(cells):
            shade = cells[row] / cells.max()
            parts.append(
                f'<rect class="cell" x="{left + 1:.1f}" y="{_y((row + 1) / ROWS)}" width="{width - 2:.1f}" '
                f'height="{SIDE / ROWS:.2f}" fill-opacity="{0.08 + 0.82 * shade:.2f}"/>'
            )
        for quarter, value in zip(QUARTERS, np.quantile(held, QUARTERS), strict=True):
            inset = 2.0 if quarter == 0.5 else width / 4
            parts.append(f'<path class="quartile" d="M{left + inset:.1f} {_y(float(value))}h{width - 2 * inset:.1f}"/>')
    return _frame(says, across, up, "".join(parts), [(f"{1 + 3 * tick:g}", tick) for tick in (0, 1 / 3, 2 / 3, 1)], 0.9)


def _frame(
    says: str, across: str, up: str, body: str, ticks: Sequence[tuple[str, float]] | None = None, span: float = 1.0
) -> str:
    """Axes with ticks around `body`; `span` is how much of the width lies between the outermost ticks across."""
    below = [(f"{tick:g}", tick) for tick in TICKS] if ticks is None else ticks
    start = LEFT + SIDE * (1 - span) / 2
    parts = [f'<rect class="plot" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>']
    for tick in TICKS:
        parts.append(f'<path class="grid" d="M{LEFT} {_y(tick)}h{SIDE}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{_y(tick)}" dy="4" text-anchor="end">{tick:g}</text>')
    for name, tick in below:
        parts.append(
            f'<text x="{start + SIDE * span * tick:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{name}</text>'
        )
    middle, centre = LEFT + SIDE / 2, TOP + SIDE / 2
    parts.append(f'<text x="{middle}" y="{TOP + SIDE + 38}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(says)}">{"".join(parts)}{body}</svg>'


def _key(lines: Sequence[Line]) -> str:
    names = "".join(f'<li class="{"second" if line.second else "first"}">{escape(line.name)}</li>' for line in lines)
    return f'<ul class="key">{names}</ul>'


def _path(across: Sequence[float] | Float64Array, up: Sequence[float] | Float64Array, kind: str) -> str:
    points = " ".join(f"{_x(float(right))},{_y(float(high))}" for right, high in zip(across, up, strict=True))
    return f'<polyline class="{kind}" points="{points}"/>'


def _x(value: float) -> str:
    return f"{LEFT + SIDE * min(max(value, 0.0), 1.0):.1f}"


def _y(value: float) -> str:
    return f"{TOP + SIDE * (1 - min(max(value, 0.0), 1.0)):.1f}"
