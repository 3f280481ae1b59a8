"""A JPEG without its metadata shows the same pixels and says nothing else."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from service.photos.jpeg_metadata import without_metadata

SECRET = b"Unter den Linden 1, Berlin"


def picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    channels = {"L": (), "RGB": (3,), "CMYK": (4,)}[mode]
    small = np.random.default_rng(seed).integers(0, 255, (20, 30, *channels), np.uint8)
    return Image.fromarray(small, mode=mode).resize((150, 100), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", **settings)
    return out.getvalue()


def with_segment(content: bytes, marker: int, payload: bytes) -> bytes:
    """With one more segment behind the start."""
    return content[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload + content[2:]


def same_pixels(one: bytes, other: bytes) -> bool:
    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        return first.mode == second.mode and np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("settings", [
    {}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}, {"quality": 100, "optimize": True},
    {"keep_rgb": True},
])  # fmt: skip
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_picture_stays_bit_for_bit(mode: str, settings: dict[str, object]) -> None:
    if mode != "RGB" and "keep_rgb" in settings:
        pytest.skip("only RGB can be kept")
    content = jpeg(picture(mode), **settings)
    bare = without_metadata(content)
    assert bare is not None
    assert same_pixels(bare, content)
    assert without_metadata(bare) == bare


def test_where_who_and_what_was_before_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)
    inner = jpeg(picture(seed=1).resize((16, 16)), comment=SECRET)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = jpeg(picture())
    content = jpeg(picture(), exif=exif, comment=SECRET, xmp=b"<x>" + SECRET + b"</x>", icc_profile=profile)
    content = with_segment(content, 0xED, b"Photoshop 3.0\0" + SECRET)
    content = with_segment(content, 0xE0, b"JFXX\0\x10" + inner)
    content = with_segment(content, 0xE2, b"MPF\0" + SECRET)
    content += b"\xff\xd8" + SECRET + inner
    assert content.count(SECRET) > 5
    bare = without_metadata(content)
    assert bare is not None
    assert SECRET not in bare
    assert b"Exif" not in bare
    assert bare == without_metadata(plain)
    with Image.open(io.BytesIO(bare)) as seen:
        assert not seen.getexif()
        assert set(seen.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}


def test_a_small_picture_in_the_jfif_marker_is_left_out() -> None:
    content = jpeg(picture())
    assert content[2:4] == b"\xff\xe0"
    small = b"\x07" * 12
    marker = b"JFIF\0\x01\x02\x00\x00\x01\x00\x01\x02\x02" + small
    bare = without_metadata(with_segment(content[:2] + content[20:], 0xE0, marker))
    assert bare is not None
    assert small not in bare
    assert same_pixels(bare, content)


def test_fill_bytes_between_segments_are_allowed() -> None:
    content = jpeg(picture())
    bare = without_metadata(content[:2] + b"\xff\xff\xff" + content[2:])
    assert bare == without_metadata(content)


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 10, 25, 200, -2, -3, -100])
def test_what_is_cut_off_is_not_sure(keep: int) -> None:
    assert without_metadata(jpeg(picture())[:keep]) is None


def test_other_files_and_rare_kinds_are_not_sure() -> None:
    assert without_metadata(b"GIF89a") is None
    content = jpeg(picture())
    arithmetic = content.replace(b"\xff\xc0", b"\xff\xc9")
    assert without_metadata(arithmetic) is None


def test_random_damage_raises_nothing() -> None:
    random = np.random.default_rng(2)
    original = jpeg(picture(), progressive=True, comment=SECRET)
    for _ in range(500):
        content = bytearray(original)
        for position in random.integers(0, len(content), 6):
            content[position] = int(random.integers(0, 256))
        bare = without_metadata(bytes(content))
        assert bare is None or (bare.startswith(b"\xff\xd8") and bare.endswith(b"\xff\xd9"))
