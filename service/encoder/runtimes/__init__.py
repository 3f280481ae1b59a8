"""What computes a model's towers: torch on any device, OpenVINO on a processor.

`on_torch.py` and `on_openvino.py` run towers; `convert.py` makes OpenVINO's graphs out of torch's networks and checks
them, `kept.py` keeps them in the user's cache, `shipped.py` has those of the built-in model. Importing this package
imports none of the two.
"""

from __future__ import annotations

from typing import Protocol

from service.types import Float32Array, Int64Array, UInt8Array


class Towers(Protocol):
    """The two towers of a model on one device. Safe to use from several threads."""

    @property
    def runtime(self) -> str:
        """ "torch" or "openvino"."""

    @property
    def device(self) -> str:
        """Where it computes: cpu, cuda or mps, perhaps with a number."""

    @property
    def precision(self) -> str:
        """Of the photograph tower: fp32, bf16, fp16 or int8."""

    @property
    def text_precision(self) -> str:
        """Of the text tower."""

    @property
    def batch_size(self) -> int:
        """Photographs at once with which the photograph tower is quick and fits into memory."""

    def texts(self, tokens: Int64Array) -> Float32Array:
        """Outputs (n, dimension) of tokens (n, length), of any length."""

    def photographs(self, batch: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """Outputs (n, dimension) of prepared photographs (n, height, width, 3), and pooled features (n, width).

        Features are None where the tower has none of its own; neither is normalised.
        """
