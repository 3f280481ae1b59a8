"""HDR and wide colours, described by code points, are converted to sRGB; compared with a slow, obvious computation."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.photos.colour import in_srgb
from service.photos.decode import open_photograph
from service.photos.hdr import code_points_of, to_srgb

PQ_2020, HLG_2020, PQ_P3, SRGB_P3 = (9, 16), (9, 18), (12, 16), (12, 13)


def light_of_pq(code: float) -> float:
    """SMPTE ST 2084, in candelas a square metre."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = code ** (1 / m2)
    return float(10000 * (max(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def pq_of_light(light: float) -> float:
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (light / 10000) ** m1
    return float(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def compressed(light: float) -> float:
    """ITU-R BT.2390: from a master of 1,000 to a display of 203 candelas a square metre, black 0."""
    e1 = min(1, pq_of_light(light) / pq_of_light(1000))
    most = pq_of_light(203) / pq_of_light(1000)
    ks = 1.5 * most - 0.5
    if e1 >= ks:
        t = (e1 - ks) / (1 - ks)
        e1 = (2 * t**3 - 3 * t**2 + 1) * ks + (t**3 - 2 * t**2 + t) * (1 - ks) + (-2 * t**3 + 3 * t**2) * most
    return light_of_pq(e1 * pq_of_light(1000))


def srgb_of(linear: float) -> float:
    linear = min(1, max(0, linear))
    return linear * 12.92 if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


# Linear light in BT.2020 and in Display P3 to linear sRGB: the inverse matrices of published primaries, rounded.
MATRICES = {
    9: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    12: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}


def reference(code: tuple[float, float, float], points: tuple[int, int]) -> list[float]:
    """One colour, by scalar formulas."""
    primaries, transfer = points
    if transfer == 16:
        light = [light_of_pq(value) for value in code]
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = [value**2 / 3 if value <= 0.5 else (math.exp((value - c) / a) + b) / 12 for value in code]
        luminance = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2]
        light = [1000 * luminance**0.2 * value if luminance else 0.0 for value in scene]
    brightest = max(light)
    factor = compressed(brightest) / brightest / 203 if brightest else 0.0
    linear = [value * factor for value in light]
    return [srgb_of(sum(w * value for w, value in zip(row, linear, strict=True))) for row in MATRICES[primaries]]


@pytest.mark.parametrize("points", [PQ_2020, HLG_2020, PQ_P3])
def test_hdr_is_converted_as_the_standards_say(points: tuple[int, int]) -> None:
    codes = np.random.default_rng(0).random((300, 3)) * 0.8
    expected = np.array([reference(tuple(code), points) for code in codes])
    assert np.abs(to_srgb(codes, points) - expected).max() < 0.004


def test_known_points_of_pq_come_out_where_they_should() -> None:
    grey = np.array([[pq_of_light(light)] * 3 for light in (0, 1, 50, 203, 1000, 10000)])
    found = to_srgb(grey, PQ_2020)[:, 0]
    assert found[0] == 0
    assert found[1] == pytest.approx(srgb_of(1 / 203), abs=1e-3)
    assert found[2] == pytest.approx(srgb_of(50 / 203), abs=1e-3), "below the knee nothing changes"
    assert 0.8 < found[3] < 0.95
    assert found[4] == pytest.approx(1, abs=1e-3)
    assert found[5] == pytest.approx(1, abs=1e-3)
    assert (np.diff(to_srgb(np.linspace(0, 1, 500)[:, None].repeat(3, 1), PQ_2020)[:, 1]) >= -1e-9).all()


def test_greys_stay_grey() -> None:
    grey = np.linspace(0, 1, 50)[:, None].repeat(3, axis=1)
    for points in (PQ_2020, HLG_2020, PQ_P3, SRGB_P3):
        assert np.ptp(to_srgb(grey, points), axis=1).max() < 2e-3


@pytest.mark.parametrize("points", [PQ_2020, HLG_2020, PQ_P3, SRGB_P3])
def test_images_are_converted_like_single_colours(points: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 200, (40, 50, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.info["cicp"] = points
    expected = to_srgb(pixels.reshape(-1, 3) / 255.0, points).reshape(pixels.shape) * 255
    apart = np.abs(np.asarray(in_srgb(image)) - expected)
    assert apart.mean() < 1.5
    assert np.quantile(apart, 0.99) < 8


@pytest.mark.parametrize("points", [(1, 13), (1, 1), (2, 2), (12345, 777)])
def test_srgb_and_unknown_code_points_change_nothing(points: tuple[int, int]) -> None:
    image = Image.effect_noise((40, 30), 90).convert("RGB")
    image.info["cicp"] = points
    assert np.array_equal(np.asarray(in_srgb(image.copy())), np.asarray(image))


def avif_with(points: tuple[int, int], image: Image.Image) -> bytes:
    """An AVIF whose code points are replaced; its pixels stay as they are."""
    out = io.BytesIO()
    image.save(out, "AVIF", quality=100, subsampling="4:4:4")
    content = bytearray(out.getvalue())
    struct.pack_into(">HH", content, content.index(b"colrnclx") + 8, *points)
    return bytes(content)


@pytest.mark.parametrize("points", [PQ_2020, HLG_2020, SRGB_P3])
def test_an_avif_is_converted_by_its_code_points(points: tuple[int, int]) -> None:
    content = avif_with(points, Image.new("RGB", (64, 48), (130, 110, 90)))
    with Image.open(io.BytesIO(content)) as stored:
        code = np.asarray(stored)[20, 20]
    expected = to_srgb(code[None] / 255.0, points)[0] * 255
    assert np.abs(np.asarray(open_photograph(content).image)[20, 20] - expected).max() < 2


def test_a_heif_is_converted_by_its_code_points() -> None:
    open_photograph(avif_with((1, 13), Image.new("RGB", (64, 48))))  # registers HEIF with Pillow, for writing too
    out = io.BytesIO()
    code = (130, 110, 90)
    settings = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range_flag": 1}
    Image.new("RGB", (64, 48), code).save(out, "HEIF", quality=95, chroma="444", **settings)
    expected = to_srgb(np.array([code]) / 255.0, PQ_2020)[0] * 255
    assert np.abs(np.asarray(open_photograph(out.getvalue()).image)[20, 20] - expected).max() < 8


def test_damaged_boxes_have_no_code_points() -> None:
    content = avif_with(PQ_2020, Image.new("RGB", (64, 48)))
    random = np.random.default_rng(3)
    with Image.open(io.BytesIO(content)) as opened:
        assert code_points_of(opened, content) == PQ_2020
        for _ in range(300):
            broken = bytearray(content[: int(random.integers(1, len(content)))])
            for position in random.integers(0, len(broken), 5):
                broken[position] = int(random.integers(0, 256))
            code_points_of(opened, bytes(broken))
        for endless in (b"\0\0\0\0meta\0\0\0\0" * 1000, b"\0\0\0\x08free" * 1000, b"\0\0\0\1meta" + bytes(1000)):
            assert code_points_of(opened, endless) is None


def test_the_hdr_photograph_of_the_collection_has_the_colours_of_its_standard(shared_data: Path) -> None:
    file = shared_data / "formats" / "heif" / "10bit-hdr.avif"
    with Image.open(file) as stored:
        coded = np.asarray(stored.convert("RGB").reduce(64)).reshape(-1, 3) / 255.0
    found = np.asarray(open_photograph(file).image.reduce(64)).reshape(-1, 3)
    expected = to_srgb(coded, PQ_P3) * 255
    assert np.abs(found - expected).mean() < 4
    assert 90 < found.mean() < 150, "PQ shown as it is coded looks grey, and is about as bright"
    assert found.std() > 1.4 * (coded * 255).std()
