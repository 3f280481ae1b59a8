"""Charts as inline SVG: no script, nothing fetched, colours from the page that holds them.

The page defines the colours `--first`, `--second`, `--muted` and `--line`; both axes of every chart go from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from eval.render import fragment
from service.types import Float64Array

LEFT, TOP, SIDE = 52, 12, 300
WIDTH, HEIGHT = LEFT + SIDE + 16, TOP + SIDE + 46
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
GRADES = 10
"""Columns of a density chart: the means of three grades from 1 to 4 lie a ninth of the scale apart."""
ROWS = 40
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Line:
    """A line through points (n,) with its name in the key; `dots` draws each point, `second` takes the other colour."""

    name: str
    across: Float64Array
    up: Float64Array
    second: bool = False
    dots: bool = False

    @property
    def points(self) -> list[tuple[str, str]]:
        """Pixel coordinates of each point, as SVG has them."""
        return [(_x(across), _y(up)) for across, up in zip(self.across, self.up, strict=True)]


def line_chart(
    label: str, across: str, up: str, lines: Sequence[Line], *, mark: tuple[float, float] | None = None
) -> Markup:
    """Lines over the diagonal, with a key; `label` is for screen readers, the point `mark` is ringed."""
    ticks = [(f"{tick:g}", _x(tick)) for tick in TICKS]
    ring = None if mark is None else (_x(mark[0]), _y(mark[1]))
    return fragment("line_chart.svg", lines=lines, mark=ring, **_axes(label, across, up, ticks))


def density_chart(label: str, across: str, up: str, grade: Float64Array, match: Float64Array) -> Markup:
    """Matches (n,) by grade (n,), both in [0, 1]: each column shaded by its share of matches, with quartiles.

    A column is shaded relative to its own fullest cell; most pairs are wrong, and the other columns would be
    invisible beside them. The wide tick is the median, the narrow ones are the quartiles.
    """
    column = np.rint(grade * (GRADES - 1)).astype(np.int64)
    width = SIDE / GRADES
    cells, quartiles = [], []
    for number in np.unique(column):
        matches = np.clip(match[column == number], 0.0, 1.0)
        counts = np.histogram(matches, bins=ROWS, range=(0.0, 1.0))[0]
        left = LEFT + number * width
        for row in np.flatnonzero(counts):
            shade = 0.08 + 0.82 * counts[row] / counts.max()
            cells.append((f"{left + 1:.1f}", _y((row + 1) / ROWS), f"{shade:.2f}"))
        for quarter, value in zip(QUARTERS, np.quantile(matches, QUARTERS), strict=True):
            inset = 2.0 if quarter == 0.5 else width / 4
            quartiles.append((f"{left + inset:.1f}", _y(float(value)), f"{width - 2 * inset:.1f}"))
    # A grade's tick is in the middle of its column.
    ticks = [(f"{1 + 3 * tick:g}", _x((0.5 + (GRADES - 1) * tick) / GRADES)) for tick in (0, 1 / 3, 2 / 3, 1)]
    size = (f"{width - 2:.1f}", f"{SIDE / ROWS:.2f}")
    return fragment("density_chart.svg", cells=cells, size=size, quartiles=quartiles, **_axes(label, across, up, ticks))


def _axes(label: str, across: str, up: str, ticks: Sequence[tuple[str, str]]) -> dict[str, object]:
    """What `axes.svg` needs; `ticks` are the names and pixels of those across."""
    return {
        "label": label,
        "across": across,
        "up": up,
        "ticks_across": ticks,
        "ticks_up": [(f"{tick:g}", _y(tick)) for tick in TICKS],
        "left": LEFT,
        "top": TOP,
        "side": SIDE,
        "width": WIDTH,
        "height": HEIGHT,
    }


def _x(value: float) -> str:
    return f"{LEFT + SIDE * min(max(value, 0.0), 1.0):.1f}"


def _y(value: float) -> str:
    return f"{TOP + SIDE * (1 - min(max(value, 0.0), 1.0)):.1f}"
