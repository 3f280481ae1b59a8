"""The name of a camera from the maker and the model that it writes into its photographs."""

from __future__ import annotations

import re
from functools import lru_cache

_LEGAL = re.compile(
    r"[\s,]+(?:corporation|corp\.?|company|co\.?,? ?ltd\.?|co\.|ltd\.?|inc\.?|gmbh|ag|imaging|optical|electric|camera"
    r"|computer|electronics|techwin|photo film)(?=[\s,.]|$)",
    re.IGNORECASE,
)
_MAKERS = {
    "asahi": "Pentax",
    "eastman kodak": "Kodak",
    "fuji": "Fujifilm",
    "hewlett-packard": "HP",
    "lge": "LG",
    "seiko epson": "Epson",
}
_BRANDS = frozenset(
    {
        *("canon", "nikon", "sony", "pentax", "olympus", "fujifilm", "panasonic", "leica", "ricoh", "kodak", "casio"),
        *("nokia", "samsung", "huawei", "honor", "xiaomi", "redmi", "realme", "oneplus", "minolta", "sigma", "epson"),
    }
)
"""Words with which a model begins that names its brand itself, such as "PENTAX Optio 330" made by Asahi Optical."""
_KEPT_AS_WRITTEN = frozenset({"HTC", "ZTE", "TCL", "DJI", "LG", "HP", "HMD", "BQ", "RED", "AEE", "JVC", "GE", "BBK"})


@lru_cache(maxsize=1024)
def camera_name(make: str, model: str) -> str | None:
    """Maker and model without repetition, such as "Nikon D5000" for "NIKON CORPORATION" and "NIKON D5000"."""
    brand = _brand(make)
    if not model:
        return brand or None
    first, _, rest = model.partition(" ")
    if first.casefold() in _BRANDS:
        return f"{_cased(first)} {rest}".strip()
    if not brand or model.casefold().startswith(brand.casefold()):
        return model
    return f"{brand} {model}"


def _brand(make: str) -> str:
    while (shorter := _LEGAL.sub("", make).strip(" ,.")) != make:
        make = shorter
    return _MAKERS.get(make.casefold(), _cased(make))


def _cased(brand: str) -> str:
    """A brand with a capital first letter only, if it is written all in capitals or all in small letters."""
    words = brand.split(" ")
    plain = [
        word if word in _KEPT_AS_WRITTEN or not (word.isupper() or word.islower()) else word.capitalize()
        for word in words
    ]
    return " ".join(plain)
