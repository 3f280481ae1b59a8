"""Pixels of every mode and colour space as eight bits of red, green and blue in sRGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_PAPER = (255, 255, 255)
"""What shows through where a photograph is transparent."""

_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of more than eight bits, which Pillow would clip."""

_STRIP = 1 << 22
"""Pixels of a large picture that are converted at once, so that it is never in memory twice."""

_SAME = 2
"""Levels, of 255, that a profile may move a colour by and is still sRGB's own."""


def in_srgb(image: Image.Image, factor: int = 1) -> Image.Image:
    """A loaded image as RGB in sRGB: transparency laid on white, its colour profile applied, nothing in `info`.

    With a `factor` of 2 or more it comes that many times smaller on each side, rounded up, each pixel the mean of a
    square; little memory is needed then beside the image's own. The image given may be what is returned.
    """
    from PIL import Image

    top = _brightest(image) if image.mode == "F" else 65535.0
    if factor == 1:
        whole = _converted(image, top)
        whole.info = {}
        return whole
    small = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for box in _strips(image, factor):
        small.paste(_converted(image.crop(box), top).reduce(factor), (0, box[1] // factor))
    return small


def _strips(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """Boxes over the whole width, one below the other, whose heights `factor` divides."""
    height = factor * max(1, _STRIP // (image.width * factor))
    for upper in range(0, image.height, height):
        yield 0, upper, image.width, min(image.height, upper + height)


def _brightest(image: Image.Image) -> float:
    """The greatest value of floating point grey."""
    import numpy as np

    return max(1e-12, *(float(np.fmax.reduce(np.asarray(image.crop(box)), axis=None)) for box in _strips(image)))


def _converted(image: Image.Image, top: float) -> Image.Image:
    """Pixel for pixel as RGB in sRGB; `top` is what comes to 255 where values have more than eight bits."""
    from PIL import Image

    profile = image.info.get("icc_profile")
    if image.mode in _DEEP:
        image = _eight_bits(image, top)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.new("RGB", layered.size, _PAPER)
        image.paste(layered, mask=layered.getchannel("A"))
    elif image.mode not in ("RGB", "L", "CMYK", "LAB"):
        image = image.convert("RGB")
    image.info["icc_profile"] = profile
    if (transform := _transform_of(image)) is not None:
        from PIL import ImageCms

        # A profile that does not fit its pixels is ignored, as browsers do.
        try:
            converted = ImageCms.applyTransform(image, transform)
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        image = converted or image
    return image if image.mode == "RGB" else image.convert("RGB")


def _transform_of(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """What turns an image's colours into sRGB by its profile; None where there is nothing to do or nothing fits."""
    profile = image.info.get("icc_profile")
    return _transform(profile, image.mode) if profile else None


# A camera writes the same profile into all its files, and making a transform takes milliseconds.
@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colours to sRGB; None for a profile that is broken or is sRGB itself."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode in ("RGB", "L") and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours all over a mode's space stay what they are."""
    import numpy as np
    from PIL import Image, ImageCms

    levels = np.arange(0, 256, 15).astype(np.uint8)
    mixed = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    before = Image.fromarray(levels[None] if mode == "L" else mixed)
    after = ImageCms.applyTransform(before, transform)
    if after is None:
        return False
    moved = np.abs(np.asarray(after, np.int16) - np.asarray(before.convert("RGB"), np.int16))
    return bool(moved.max() <= _SAME)


def _eight_bits(image: Image.Image, top: float) -> Image.Image:
    """Grey of more than eight bits, or floating point, with `top` scaled to 255."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image).astype(np.float32)) * (255.0 / top)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
