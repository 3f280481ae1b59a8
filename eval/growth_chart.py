"""Cost against library size as one SVG file with logarithmic axes.

The file brings its own white background, so that it is legible on a light or a dark page; it fetches nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.bench_report import BenchReport
from eval.render import page

LEFT, TOP, WIDTH, HEIGHT = 64, 44, 420, 300
_NAMES, _FOOT = 196, 52
_LINE_HEIGHT = 15
"""Pixels between the names of two lines."""
_COLOURS = ("#1557c0", "#b3500b", "#2a7a34", "#8a2be2", "#a8123e", "#5c5c59")
_FACTORS = {"s": 1_000.0, "ms": 1.0, "MB": 1.0, "bytes": 1.0}
"""A figure's unit to its panel's unit: seconds are drawn in milliseconds."""


@dataclass(frozen=True)
class Panel:
    """A diagram: its title, the unit of its axis, and the figures in it by their names in the report."""

    title: str
    unit: str
    names: Sequence[str]


PANELS = (
    Panel(
        "Time",
        "ms",
        (
            "start of the service",
            "adding 1,000",
            "removing 1,000",
            "p50 of GET /search",
            "p50 of the text tower",
            "search that leaves 1 %",
        ),
    ),
    Panel("Memory of the service", "MB", ("peak memory", "memory in no file", "memory, shared pages shared")),
    Panel(
        "Disk, a photograph",
        "bytes",
        ("thumbnails, a photograph", "catalog beside thumbnails, a photograph", "index, a photograph"),
    ),
)
Points = list[tuple[float, float]]


def curves(report: BenchReport) -> dict[str, Points]:
    """(photographs, median in ms, MB or bytes) of each figure that the report has by size; zeros are left out."""
    found: dict[str, Points] = {}
    for figure in report.figures:
        size, _, name = figure.name.partition(": ")
        if name and size.replace(",", "").isdigit() and figure.unit in _FACTORS and figure.median > 0:
            found.setdefault(name, []).append((float(size.replace(",", "")), figure.median * _FACTORS[figure.unit]))
    return found


def growth_svg(report: BenchReport) -> str:
    """The SVG of a report of `smysl bench library`, one panel below the other."""
    found = curves(report)
    panels = [(panel, {name: found[name] for name in panel.names if name in found}) for panel in PANELS]
    return page(
        "growth_chart.svg",
        panels=[_panel(panel, lines) for panel, lines in panels if lines],
        left=LEFT,
        top=TOP,
        plot_width=WIDTH,
        plot_height=HEIGHT,
        width=LEFT + WIDTH + _NAMES,
        height=TOP + HEIGHT + _FOOT,
    )


def _panel(panel: Panel, lines: dict[str, Points]) -> dict[str, object]:
    """Title, unit, grid lines and curves of a panel, in pixels."""
    across = _LogScale.around([size for points in lines.values() for size, _ in points], LEFT, LEFT + WIDTH)
    up = _LogScale.around([cost for points in lines.values() for _, cost in points], TOP + HEIGHT, TOP)
    placed = [
        _Curve(name.removesuffix(", a photograph"), colour, [(across(size), up(cost)) for size, cost in sorted(points)])
        for (name, points), colour in zip(lines.items(), _COLOURS, strict=False)
    ]
    by_height = sorted(placed, key=lambda curve: (curve.points[-1][1], curve.name))
    return {
        "title": panel.title,
        "unit": panel.unit,
        "columns": [(f"{10**power:,}", across(10.0**power)) for power in across.powers],
        "rows": [(_power_text(power), up(10.0**power)) for power in up.powers],
        "curves": placed,
        "names": zip(_spread([curve.points[-1][1] + 4 for curve in by_height]), by_height, strict=True),
    }


def _spread(heights: Sequence[float]) -> list[float]:
    """Ascending heights of names, pushed apart where two would overlap."""
    spread: list[float] = []
    lowest = TOP + HEIGHT + 4 - _LINE_HEIGHT * (len(heights) - 1)
    for number, height in enumerate(heights):
        free = spread[-1] + _LINE_HEIGHT if spread else -math.inf
        spread.append(min(max(height, free), lowest + _LINE_HEIGHT * number))
    return spread


@dataclass(frozen=True)
class _Curve:
    """A figure's points in pixels, by ascending size."""

    name: str
    colour: str
    points: Points


@dataclass(frozen=True)
class _LogScale:
    """A logarithmic axis of whole powers of ten, from one pixel to another."""

    powers: range
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> _LogScale:
        least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(range(least, max(most, least + 1) + 1), start, end)

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.powers[0]) / (self.powers[-1] - self.powers[0])
        return self.start + share * (self.end - self.start)


def _power_text(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"
