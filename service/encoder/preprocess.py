"""Preprocessing: resizes and crops a photograph to the image tower's input, as uint8 pixels.

Follows open_clip's `preprocess_cfg` without torch and gives the same pixels as open_clip's own transform. Subtracting
the mean and dividing by the standard deviation is left to the tower, where it costs nothing compared with the first
layer; as uint8 a photograph takes a quarter of the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from service.types import UInt8Array

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Preprocessing:
    """How photographs become the image tower's input.

    Attributes:
        size: height and width in pixels.
        mean: of red, green and blue, in [0, 1].
        std: standard deviation of red, green and blue.
        interpolation: "bicubic" or "bilinear".
        resize_mode: open_clip's: "squash" changes the aspect ratio, "shortest" crops the centre, "longest" pads with
            `fill_color`.
        fill_color: grey level of the padding, 0 to 255.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    fill_color: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Read the fields of open_clip's `PreprocessCfg`, or what `as_json` gave."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else size[-2:]
        return cls(
            size=(int(height), int(width)),
            mean=_three(config["mean"]),
            std=_three(config["std"]),
            interpolation=config.get("interpolation") or "bicubic",
            resize_mode=config.get("resize_mode") or "shortest",
            fill_color=int(config.get("fill_color") or 0),
        )

    def as_json(self) -> dict[str, Any]:
        """All fields; `from_config` reads them."""
        return asdict(self)

    @property
    def side(self) -> int:
        """The longer side of the tower's input in pixels; decode photographs to at least twice that."""
        return max(self.size)

    def __call__(self, image: Image.Image) -> UInt8Array:
        """Preprocess an upright RGB photograph to uint8 (height, width, 3)."""
        return np.asarray(self._resized(image).convert("RGB"))

    def _resized(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        resample = Image.Resampling.BILINEAR if self.interpolation == "bilinear" else Image.Resampling.BICUBIC
        height, width = self.size
        if self.resize_mode == "squash":
            return image.resize((width, height), resample)
        if self.resize_mode == "shortest" and height == width:
            return _center_crop(image.resize(_shortest(image.size, height), resample), height)
        return self._resized_by_open_clip(image)

    def _resized_by_open_clip(self, image: Image.Image) -> Image.Image:
        """The rare resize modes, with open_clip's own code."""
        from service.encoder.torchvision_compat import mend_torchvision

        mend_torchvision()
        from open_clip.transform import CenterCropOrPad, ResizeKeepRatio
        from torchvision.transforms import CenterCrop, InterpolationMode

        if self.resize_mode == "longest":
            mode = InterpolationMode.BILINEAR if self.interpolation == "bilinear" else InterpolationMode.BICUBIC
            resized = ResizeKeepRatio(self.size, interpolation=mode, longest=1)(image)
            padded: Image.Image = CenterCropOrPad(self.size, fill=self.fill_color)(resized)
            return padded
        cropped: Image.Image = CenterCrop(self.size)(ResizeKeepRatio(self.size)(image))
        return cropped


def _three(value: float | list[float] | tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (value,) * 3 if isinstance(value, int | float) else value
    return float(red), float(green), float(blue)


def _shortest(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height that make the shorter side `side`, rounded down as torchvision does."""
    width, height = size
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def _center_crop(image: Image.Image, side: int) -> Image.Image:
    left, top = round((image.width - side) / 2.0), round((image.height - side) / 2.0)
    return image.crop((left, top, left + side, top + side))
