"""A coarse map of the world's countries, drawn from the outlines of Natural Earth."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from data.places.sources import Sources
from service.types import UInt8Array

CELLS_OF_A_DEGREE = 5
_BY_NAME = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}


def draw_land(sources: Sources, codes: list[str]) -> UInt8Array:
    """The countries' numbers in `codes`, from 1, and 0 for the sea: shape (900, 1800), north up, from 180° west."""
    topology = sources.outlines
    arcs = _arcs(topology)
    numbers = {str(sources.countries[code]["isonumeric"]): number for number, code in enumerate(codes, start=1)}
    land = np.zeros((180 * CELLS_OF_A_DEGREE, 360 * CELLS_OF_A_DEGREE), dtype=np.uint8)
    for shape in topology["objects"]["countries"]["geometries"]:
        code = _BY_NAME.get(shape["properties"]["name"])
        number = codes.index(code) + 1 if code else numbers.get(str(int(shape.get("id", 0))), 0)
        polygons = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        land[_inside(polygons, arcs, land.shape) & (land == 0)] = number
    return land


def _inside(polygons: list[Any], arcs: list[Any], shape: tuple[int, ...]) -> Any:
    image = Image.new("1", (shape[1], shape[0]))
    draw = ImageDraw.Draw(image)
    for outline, *holes in polygons:
        draw.polygon(_ring(outline, arcs), fill=1)
        for hole in holes:
            draw.polygon(_ring(hole, arcs), fill=0)
    return np.asarray(image)


def _ring(numbers: list[int], arcs: list[Any]) -> list[tuple[float, float]]:
    """The pixels of a ring of arcs; a negative number is an arc in the other direction."""
    points = np.concatenate([arcs[number] if number >= 0 else arcs[~number][::-1] for number in numbers])
    pixels = (points * (1, -1) + (180, 90)) * CELLS_OF_A_DEGREE - 0.5
    return [(float(x), float(y)) for x, y in pixels]


def _arcs(topology: dict[str, Any]) -> list[Any]:
    """Arcs in degrees, from TopoJSON's whole numbers, each the difference to the point before."""
    scale, shift = topology["transform"]["scale"], topology["transform"]["translate"]
    return [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in topology["arcs"]]
