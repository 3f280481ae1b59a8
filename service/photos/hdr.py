"""Convert colours that are described by code points of ITU-T H.273 to sRGB: HDR (PQ, HLG), BT.2020, Display P3."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from service.photos.metadata.containers import boxes, find_box
from service.types import Float64Array

if TYPE_CHECKING:
    from PIL import Image, ImageFilter

CodePoints = tuple[int, ...]
"""Colour primaries and transfer characteristics by their numbers in ITU-T H.273; more may follow."""

_PQ, _HLG = 16, 18
_BT709, _BT2020, _DISPLAY_P3 = 1, 9, 12
_UNSPECIFIED = 2

_TO_SRGB = {
    _BT709: np.eye(3),
    _BT2020: np.array(
        [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
    ),
    _DISPLAY_P3: np.array([[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]]),
}
"""By primaries, the matrix from linear light to linear sRGB, both with white point D65."""

_SDR_WHITE = 203.0
_HDR_PEAK = 1000.0
"""Candelas a square metre of white in SDR (ITU-R BT.2408), and of the brightest light that is told apart in HDR."""

_GRID = 65
"""Points of the look-up table along each axis."""


def is_hdr(code_points: CodePoints | None) -> bool:
    """Whether colours are coded with one of the transfer functions of HDR."""
    return code_points is not None and code_points[1] in (_PQ, _HLG)


@lru_cache(maxsize=8)
def table_to_srgb(code_points: CodePoints) -> ImageFilter.Color3DLUT | None:
    """A look-up table from coded colours to sRGB; None if they are sRGB already or of an unknown kind."""
    from PIL import ImageFilter

    if not is_hdr(code_points) and code_points[0] not in (_BT2020, _DISPLAY_P3):
        return None
    axis = np.linspace(0, 1, _GRID)
    # Pillow's tables change red fastest.
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    colours = to_srgb(np.stack([red, green, blue], axis=-1).reshape(-1, 3), code_points)
    return ImageFilter.Color3DLUT(_GRID, colours.astype(np.float32).ravel().tolist())


def to_srgb(coded: Float64Array, code_points: CodePoints) -> Float64Array:
    """Coded colours (n, 3), 0 to 1, as sRGB from 0 to 1.

    HDR is brought into the range of SDR by the curve of ITU-R BT.2390, section 5.4: light up to half of SDR's white
    stays as it is, brighter light is compressed, with all three channels by the same factor. SDR with a transfer
    function other than sRGB's is taken for sRGB, as browsers do.
    """
    primaries, transfer = code_points[:2]
    if transfer == _PQ:
        light = _tone_mapped(_pq_to_light(coded))
    elif transfer == _HLG:
        light = _tone_mapped(_hlg_to_light(coded, primaries))
    else:
        light = srgb_to_light(coded)
    unspecified = _BT2020 if transfer in (_PQ, _HLG) else _BT709
    matrix = _TO_SRGB.get(unspecified if primaries == _UNSPECIFIED else primaries, _TO_SRGB[_BT709])
    return light_to_srgb(np.clip(light @ matrix.T, 0, 1))


def srgb_to_light(coded: Float64Array) -> Float64Array:
    """Linear light of values in sRGB (IEC 61966-2-1), both 0 to 1."""
    light: Float64Array = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light


def light_to_srgb(light: Float64Array) -> Float64Array:
    """The inverse of `srgb_to_light`."""
    coded: Float64Array = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return coded


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""Constants of PQ (SMPTE ST 2084)."""


def _pq_to_light(coded: Float64Array) -> Float64Array:
    """Candelas a square metre of values coded with PQ."""
    root = coded ** (1 / _M2)
    light: Float64Array = 10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return light


def _light_to_pq(light: Float64Array | float) -> Float64Array:
    root = (np.asarray(light) / 10_000) ** _M1
    coded: Float64Array = ((_C1 + _C2 * root) / (1 + _C3 * root)) ** _M2
    return coded


def _hlg_to_light(coded: Float64Array, primaries: int) -> Float64Array:
    """Candelas a square metre, on a display of `_HDR_PEAK`, of values coded with HLG (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    weights = {_BT709: (0.2126, 0.7152, 0.0722), _DISPLAY_P3: (0.2290, 0.6917, 0.0793)}
    luminance = scene @ np.array(weights.get(primaries, (0.2627, 0.6780, 0.0593)))
    light: Float64Array = _HDR_PEAK * np.maximum(luminance, 1e-9)[:, None] ** 0.2 * scene
    return light


def _tone_mapped(light: Float64Array) -> Float64Array:
    """Light (n, 3) of HDR as linear light of SDR, in which white is 1."""
    peak, white = _light_to_pq(_HDR_PEAK), _light_to_pq(_SDR_WHITE)
    most = float(white / peak)
    knee = 1.5 * most - 0.5
    brightest = np.maximum(light.max(axis=1), 1e-6)
    coded = np.minimum(_light_to_pq(brightest) / peak, 1)
    t = (coded - knee) / (1 - knee)
    compressed = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    mapped = _pq_to_light(np.where(coded < knee, coded, compressed) * peak)
    relative: Float64Array = light * (mapped / brightest / _SDR_WHITE)[:, None]
    return relative


def code_points_of(opened: Image.Image, content: bytes) -> CodePoints | None:
    """The code points in a HEIF or AVIF file, whose bytes are `content`; None if it has none."""
    if opened.format == "HEIF":
        profile: dict[str, Any] = opened.info.get("nclx_profile") or {}
        found = profile.get("color_primaries"), profile.get("transfer_characteristics")
        return None if None in found else tuple(int(each) for each in found if each is not None)
    if opened.format == "AVIF":
        meta = find_box(content, (b"meta",))
        # Its version and flags come before the boxes in it.
        shared = find_box(content, (b"iprp", b"ipco"), meta.start + 4, meta.end) if meta else None
        for box in boxes(content, shared.start, shared.end) if shared else ():
            if box.kind == b"colr" and content.startswith(b"nclx", box.start) and box.start + 8 <= box.end:
                return struct.unpack_from(">HH", content, box.start + 4)
    return None
