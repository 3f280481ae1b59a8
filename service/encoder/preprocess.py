"""A photograph to the pixels that a tower looks at: resized and cropped as its model was trained, still bytes.

What a model's `preprocess_cfg` says in open_clip, without torch: the pixels are those that open_clip's own transform
makes. Bringing them to the tower's mean and deviation is left to the tower, where it costs nothing beside the first
layer, and a prepared photograph takes a quarter of the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from service.types import Float32Array, UInt8Array

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Preparation:
    """How photographs become a tower's input.

    `size` is height and width in pixels; `mean` and `std` are of red, green and blue in [0, 1]; `resize_mode` is
    open_clip's: "squash" changes the proportions, "shortest" crops the middle, "longest" fills up with `fill_color`.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    fill_color: int

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Preparation:
        """From the fields of open_clip's `PreprocessCfg`, or from `as_json`."""
        size = written["size"]
        height, width = (size, size) if isinstance(size, int) else size[-2:]
        return cls(
            size=(int(height), int(width)),
            mean=_three(written["mean"]),
            std=_three(written["std"]),
            interpolation=written.get("interpolation") or "bicubic",
            resize_mode=written.get("resize_mode") or "shortest",
            fill_color=int(written.get("fill_color") or 0),
        )

    def as_json(self) -> dict[str, Any]:
        """All fields, for `of`."""
        return asdict(self)

    @property
    def side(self) -> int:
        """Pixels of the longer side of what a tower looks at; a decoder should give twice as many."""
        return max(self.size)

    def __call__(self, image: Image.Image) -> UInt8Array:
        """An upright RGB photograph as uint8 (height, width, 3)."""
        return np.asarray(self._resized(image).convert("RGB"))

    def normalised(self, batch: UInt8Array) -> Float32Array:
        """Prepared photographs (n, height, width, 3) as a network reads them: float32 (n, 3, height, width)."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (batch.astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def _resized(self, image: Image.Image) -> Image.Image:
        from PIL import Image

        resample = Image.Resampling.BILINEAR if self.interpolation == "bilinear" else Image.Resampling.BICUBIC
        height, width = self.size
        if self.resize_mode == "squash":
            return image.resize((width, height), resample)
        if self.resize_mode == "shortest" and height == width:
            return _middle(image.resize(_shortest(image.size, height), resample), height)
        return self._resized_by_open_clip(image)

    def _resized_by_open_clip(self, image: Image.Image) -> Image.Image:
        """The rare ways of resizing, by the code that they come from."""
        from service.encoder.torchvision_compat import mend_torchvision

        mend_torchvision()
        from open_clip.transform import CenterCropOrPad, ResizeKeepRatio
        from torchvision.transforms import CenterCrop, InterpolationMode

        if self.resize_mode == "longest":
            mode = InterpolationMode.BILINEAR if self.interpolation == "bilinear" else InterpolationMode.BICUBIC
            kept = ResizeKeepRatio(self.size, interpolation=mode, longest=1)(image)
            filled: Image.Image = CenterCropOrPad(self.size, fill=self.fill_color)(kept)
            return filled
        cropped: Image.Image = CenterCrop(self.size)(ResizeKeepRatio(self.size)(image))
        return cropped


def _three(value: float | list[float] | tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = (value,) * 3 if isinstance(value, int | float) else value
    return float(red), float(green), float(blue)


def _shortest(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height with which the shorter side is `side`, rounded down as torchvision does."""
    width, height = size
    if width <= height:
        return side, int(side * height / width)
    return int(side * width / height), side


def _middle(image: Image.Image, side: int) -> Image.Image:
    left, top = round((image.width - side) / 2.0), round((image.height - side) / 2.0)
    return image.crop((left, top, left + side, top + side))
