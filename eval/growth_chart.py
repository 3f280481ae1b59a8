"""Cost against size as one SVG: logarithmic axes, a ground of its own, nothing fetched.

It stands in a page on any ground, light or dark, so that it brings its own, and its text is legible on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from eval.bench_report import BenchReport

LEFT, TOP, WIDTH, HEIGHT = 64, 44, 420, 300
_NAMES, _FOOT = 196, 52
_APART = 15
"""Pixels between the names of two lines."""
_COLOURS = ("#1557c0", "#b3500b", "#2a7a34", "#8a2be2", "#a8123e", "#5c5c59")
_UNIT = {"s": 1_000.0, "ms": 1.0, "MB": 1.0, "bytes": 1.0}
"""What a panel shows seconds in is milliseconds."""


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
    """Photographs and median, in ms, MB or bytes, of each figure that the report has by size; zeros are left out."""
    found: dict[str, Points] = {}
    for figure in report.figures:
        size, _, name = figure.name.partition(": ")
        if name and size.replace(",", "").isdigit() and figure.unit in _UNIT and figure.median > 0:
            found.setdefault(name, []).append((float(size.replace(",", "")), figure.median * _UNIT[figure.unit]))
    return found


def picture(report: BenchReport) -> str:
    """The SVG of a report of `smysl bench library`, one panel below the other."""
    drawn = curves(report)
    panels = [(panel, {name: drawn[name] for name in panel.names if name in drawn}) for panel in PANELS]
    panels = [(panel, lines) for panel, lines in panels if lines]
    tall, wide = TOP + HEIGHT + _FOOT, LEFT + WIDTH + _NAMES
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall * len(panels)}" width="{wide}" '
        f'height="{tall * len(panels)}" role="img" font-family="sans-serif" font-size="12">',
        "<title>How cost grows with the number of photographs</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for number, (panel, lines) in enumerate(panels):
        parts.append(f'<g transform="translate(0 {number * tall})">{_panel(panel, lines)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, lines: dict[str, Points]) -> str:
    sizes = [size for points in lines.values() for size, _ in points]
    costs = [cost for points in lines.values() for _, cost in points]
    across = _Scale.around(sizes, LEFT, LEFT + WIDTH)
    up = _Scale.around(costs, TOP + HEIGHT, TOP)
    parts = [f'<text x="{LEFT}" y="24" fill="#1c1c1b" font-size="15" font-weight="600">{escape(panel.title)}</text>']
    for power in across.powers:
        x = across(10.0**power)
        parts.append(f'<path d="M{x:.1f} {TOP}V{TOP + HEIGHT}" stroke="#dededb"/>')
        parts.append(_text(x, TOP + HEIGHT + 18, f"{10**power:,}", "middle"))
    for power in up.powers:
        y = up(10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{LEFT + WIDTH}" stroke="#dededb"/>')
        parts.append(_text(LEFT - 8, y + 4, _power(power), "end"))
    parts.append(_text(LEFT + WIDTH / 2, TOP + HEIGHT + 38, "photographs", "middle"))
    parts.append(_text(LEFT - 8, TOP - 10, panel.unit, "end"))
    ends = []
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        placed = [(across(size), up(cost)) for size, cost in sorted(points)]
        parts.append(_line(placed, colour))
        ends.append((placed[-1][1], name, colour))
    return "".join(parts + _names(ends))


def _line(placed: Points, colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _names(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """The names beside the ends of their lines, pushed apart where they would lie on one another."""
    parts = []
    lowest = TOP + HEIGHT + 4 - _APART * (len(ends) - 1)
    above = -math.inf
    for place, (y, name, colour) in enumerate(sorted(ends)):
        at = min(max(y + 4, above + _APART), lowest + _APART * place)
        above = at
        parts.append(_text(LEFT + WIDTH + 10, at, name.removesuffix(", a photograph"), "start", colour))
    return parts


@dataclass(frozen=True)
class _Scale:
    """A logarithmic axis of whole powers of ten, from one pixel to another."""

    powers: range
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> _Scale:
        least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(range(least, max(most, least + 1) + 1), start, end)

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.powers[0]) / (self.powers[-1] - self.powers[0])
        return self.start + share * (self.end - self.start)


def _power(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#4a4a47") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'
