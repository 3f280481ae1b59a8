"""Convert images of any mode and colour space to sRGB with eight bits a channel."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from service.photos.hdr import is_hdr, table_to_srgb

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_BACKGROUND = (255, 255, 255)
"""Colour behind transparent pixels."""

_HIGH_DEPTH_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than eight bits, which it would clip when it converts them."""

_STRIP_PIXELS = 1 << 22
"""Pixels of a large image that are converted at once, so that it is never in memory twice."""

_SRGB_TOLERANCE = 2
"""A profile that changes no colour by more than this many levels, of 255, counts as sRGB."""


def in_srgb(image: Image.Image, factor: int = 1) -> Image.Image:
    """Convert a loaded image to RGB in sRGB: transparency laid on white, colour profile applied, `info` empty.

    The profile is `info["icc_profile"]`, or the code points `info["cicp"]` where there is none or they say HDR. With a
    `factor` of 2 or more, each side becomes that many times smaller, rounded up, and each pixel the mean of a
    square; this takes little memory besides the image's own. May change and return the image it was given.
    """
    white = _brightest(image) if image.mode == "F" else 65535.0
    if factor == 1:
        converted = _converted(_flattened(image, white))
        converted.info = {}
        return converted
    strips = (image.crop(box) for box in _strips(image, factor))
    return _joined(strips, image.size, factor, white)


def joined_in_srgb(
    bands: Iterable[Image.Image], size: tuple[int, int], factor: int, info: dict[str | tuple[int, int], Any]
) -> Image.Image:
    """Like `in_srgb`, of an image of this size that comes in bands of full width from top to bottom.

    The height of each band but the last is a multiple of `factor`; `info` describes the colours, as in `in_srgb`.
    """

    def described() -> Iterator[Image.Image]:
        for band in bands:
            band.info = info.copy()
            yield band

    return _joined(described(), size, factor, 65535.0)


def _joined(bands: Iterable[Image.Image], size: tuple[int, int], factor: int, white: float) -> Image.Image:
    """Reduce, convert and join bands of an image of this size; reduced first, fewer pixels are converted."""
    from PIL import Image

    whole = Image.new("RGB", (-(-size[0] // factor), -(-size[1] // factor)))
    row = 0
    for band in bands:
        flat = _flattened(band, white)
        whole.paste(_converted(flat.reduce(factor) if factor > 1 else flat), (0, row))
        row += -(-band.height // factor)
    return whole


def _strips(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of full width from top to bottom, with heights that are multiples of `factor` but for the last."""
    height = factor * max(1, _STRIP_PIXELS // (image.width * factor))
    for upper in range(0, image.height, height):
        yield 0, upper, image.width, min(image.height, upper + height)


def _brightest(image: Image.Image) -> float:
    """The greatest finite value of a floating-point grey image."""
    import numpy as np

    strips = (np.nan_to_num(np.asarray(image.crop(box)), posinf=0) for box in _strips(image))
    return max(1e-12, *(float(strip.max()) for strip in strips))


def _flattened(image: Image.Image, white: float) -> Image.Image:
    """The image in one of the modes that profiles describe, on a white ground, with what `info` says of its colours.

    `white` is the value that becomes 255 in modes of more than eight bits.
    """
    from PIL import Image

    colours = {key: image.info.get(key) for key in ("icc_profile", "cicp")}
    if image.mode in _HIGH_DEPTH_MODES:
        image = _eight_bits(image, white)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.new("RGB", layered.size, _BACKGROUND)
        image.paste(layered, mask=layered.getchannel("A"))
    elif image.mode not in (("RGB", "L", "CMYK", "LAB") if colours["icc_profile"] else ("RGB", "L")):
        image = image.convert("RGB")
    image.info.update(colours)
    return image


def _converted(image: Image.Image) -> Image.Image:
    """A flattened image as RGB in sRGB."""
    code_points = image.info.get("cicp")
    if code_points is not None and (is_hdr(code_points) or not image.info.get("icc_profile")):
        table = table_to_srgb(code_points)
        image = image if image.mode == "RGB" else image.convert("RGB")
        return image if table is None else image.filter(table)
    if (transform := _transform_of(image)) is not None:
        from PIL import ImageCms

        # A profile that does not fit the pixels is ignored, as in browsers.
        try:
            converted = ImageCms.applyTransform(image, transform)
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        image = converted or image
    return image if image.mode == "RGB" else image.convert("RGB")


def _transform_of(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """The transform from an image's colour profile to sRGB; None if it has none, is sRGB already, or does not fit."""
    profile = image.info.get("icc_profile")
    return _transform(profile, image.mode) if profile else None


# All files of a camera have the same profile, and making a transform takes milliseconds.
@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None for a profile that is broken or is sRGB itself."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode in ("RGB", "L") and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a grid of colours over the whole mode comes out unchanged."""
    import numpy as np
    from PIL import Image, ImageCms

    levels = np.arange(0, 256, 15).astype(np.uint8)
    mixed = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    before = Image.fromarray(levels[None] if mode == "L" else mixed)
    after = ImageCms.applyTransform(before, transform)
    if after is None:
        return False
    change = np.abs(np.asarray(after, np.int16) - np.asarray(before.convert("RGB"), np.int16))
    return bool(change.max() <= _SRGB_TOLERANCE)


def _eight_bits(image: Image.Image, white: float) -> Image.Image:
    """A grey image of more than eight bits with `white` scaled to 255."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=white, neginf=0) * (255.0 / white)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
