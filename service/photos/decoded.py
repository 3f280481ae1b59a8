"""What a decoder is asked for and returns, and the limits and errors that are the same for every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import PhotographError

if TYPE_CHECKING:
    from PIL import Image

MIN_SIDE = 16
"""Pixels; a smaller image is an icon, not a photograph."""

MAX_PIXELS = 179_000_000
"""Pixels that are decoded of one photograph, against decompression bombs; about 16,000 x 11,000."""

MAX_STORED_PIXELS = 2_000_000_000
"""Pixels of an image in full size, even if it can be decoded at a reduced scale."""

MAX_ASPECT_RATIO = 100
"""Longer side over shorter side; scaled to a model's input by its shorter side, a longer strip would be huge."""


@dataclass(frozen=True, slots=True)
class DecodedPhotograph:
    """A decoded photograph.

    `image` is RGB in sRGB, upright, and may be smaller than stored; `width` and `height` are the stored size in
    pixels, upright; `format` is Pillow's name of the file format, such as "JPEG", "JXL", or a RAW file's extension in
    capitals. `warning` says what is missing from a damaged file that could be decoded in part.
    """

    image: Image.Image
    width: int
    height: int
    format: str
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """What a caller needs of a photograph, and what it allows.

    `shorter_side` are pixels needed on the shorter side, None for all of them; `longer_side` are pixels wanted on the
    longer side as well, where they cost little. `before_decoding` is called once with about how many bytes decoding
    will take; it may block.
    """

    shorter_side: int | None = None
    longer_side: int | None = None
    max_pixels: int = MAX_PIXELS
    before_decoding: Callable[[int], None] | None = None

    def check_pixels(self, pixels: int, width: int, height: int) -> None:
        """Raise `PhotographError` if decoding `pixels` of an image of this size is too much."""
        if pixels > self.max_pixels:
            raise PhotographError(
                f"it has too many pixels ({width} x {height}; at most {self.max_pixels // 1_000_000:,} million are "
                "decoded, see --max-megapixels)"
            )

    def reserve(self, amount: int) -> None:
        """Say how many bytes decoding will take."""
        if self.before_decoding is not None:
            self.before_decoding(amount)

    def factor(self, width: int, height: int) -> int:
        """The whole number by which an image of this size can be reduced."""
        factor = self.needed_factor(width, height)
        return max(1, min(factor, max(width, height) // self.longer_side)) if self.longer_side else factor

    def needed_factor(self, width: int, height: int) -> int:
        """The same, with no regard for the longer side."""
        return max(1, min(width, height) // self.shorter_side) if self.shorter_side else 1

    def least_factor(self, width: int, height: int) -> int:
        """The whole number by which an image of this size must be reduced to have no more than `max_pixels`."""
        factor = 1
        while -(-width // factor) * -(-height // factor) > self.max_pixels:
            factor += 1
        return factor


def check_size(width: int, height: int) -> None:
    """Raise `PhotographError` if no photograph has this size in pixels."""
    if width * height > MAX_STORED_PIXELS:
        limit = MAX_STORED_PIXELS // 1_000_000
        raise PhotographError(f"it has too many pixels ({width} x {height}; at most {limit:,} million can be)")
    if min(width, height) < MIN_SIDE:
        raise PhotographError(f"it is too small to be a photograph ({width} x {height} pixels)")
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise PhotographError(f"one side is more than a hundred times the other ({width} x {height} pixels)")


@contextmanager
def photograph_errors() -> Iterator[None]:
    """Turns whatever a decoder raises inside into a `PhotographError` with the reason."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except PhotographError:
        raise
    except UnidentifiedImageError:
        raise PhotographError("it is not a photograph in a format that smysl reads") from None
    except Image.DecompressionBombError:
        raise PhotographError("it has too many pixels") from None
    # Decoders raise all kinds of errors on broken files (struct.error, SyntaxError, IndexError, ...), and one bad file
    # must not stop a run over many.
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.strerror:
            raise PhotographError(f"the file cannot be read ({error.strerror})") from None
        raise PhotographError(f"the file is damaged ({error})" if str(error) else "the file is damaged") from None
