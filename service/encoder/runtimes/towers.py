"""The protocol of a CLIP's two towers on one device, whatever computes them."""

from __future__ import annotations

from typing import Protocol

from service.types import Float32Array, Int64Array, UInt8Array


class Towers(Protocol):
    """The image tower and the text tower of a model on one device. Safe to use from several threads."""

    @property
    def runtime(self) -> str:
        """ "torch" or "openvino"."""

    @property
    def device(self) -> str:
        """cpu, cuda or mps, perhaps with a number (cuda:1)."""

    @property
    def precision(self) -> str:
        """Precision of the image tower: fp32, bf16, fp16 or int8."""

    @property
    def text_precision(self) -> str:
        """Precision of the text tower."""

    @property
    def batch_size(self) -> int:
        """Photographs per batch that the image tower computes fast and that fit into memory."""

    def encode_tokens(self, tokens: Int64Array) -> Float32Array:
        """Text embeddings (n, dimension), not normalised, of tokens (n, length) of any length."""

    def encode_pixels(self, pixels: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """Image embeddings (n, dimension) and pooled features (n, width) of pixels (n, height, width, 3).

        Neither is normalised. Features are None where the tower has none besides its embedding.
        """
