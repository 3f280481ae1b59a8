"""The graphs of the built-in model, which come with the program and take next to nothing beside its weights.

A file beside the weights holds the two graphs without their constants, and says for each constant where it is: a
tensor of the weights, a convolution with the normalisation behind it folded in, or, where it is small, its bytes.
`training/mini/graphs.py` writes it. So the model needs neither torch nor a conversion, and its weights lie on the
disk once.
"""

from __future__ import annotations

import base64
import json
import lzma
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.encoder.runtimes.model_spec import ModelFacts
from service.encoder.runtimes.openvino_towers import OpenVinoTowers, openvino
from service.store.array_files import checksum_of
from service.types import AnyArray, Float32Array, UInt8Array

GRAPHS = "graphs.json.xz"
WEIGHTS = "open_clip_model.safetensors"
VERSION = 1
_MOST_BYTES = 32_000_000
_ALIGNMENT = 64


@dataclass(frozen=True)
class Shipped:
    """The graphs of a model whose folder has `GRAPHS`, bound to the weights that they were written for."""

    folder: Path
    facts: ModelFacts
    graphs: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Shipped | None:
        """What is in a model's folder; None where there is nothing, or graphs of other weights."""
        try:
            with lzma.open(folder / GRAPHS) as stream:
                written = json.loads(stream.read(_MOST_BYTES))
            if written["version"] != VERSION or written["weights"] != checksum_of(folder / WEIGHTS):
                return None
            return cls(folder, ModelFacts.of(written["model"]), written["graphs"])
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError):
            return None

    def towers(self, precision: str, compiled: Path | None = None) -> OpenVinoTowers:
        """The towers in `precision`, bf16 or fp32; their constants are read when a tower is first used.

        Compiled graphs are kept in the folder `compiled`.
        """
        return OpenVinoTowers(partial(self.graph, "photographs"), partial(self.graph, "texts"), precision, compiled)

    def graph(self, tower: str) -> Any:
        """One tower ("photographs" or "texts") as a graph of OpenVINO."""
        written = self.graphs[tower]
        constants = filled(written["constants"], Weights(self.folder / WEIGHTS))
        return openvino().Core().read_model(written["xml"].encode(), openvino().Tensor(constants))


class Weights:
    """Tensors of a safetensors file, and what is made of them."""

    def __init__(self, file: Path) -> None:
        from safetensors import safe_open

        self._open = safe_open(file, framework="numpy")

    def tensor(self, name: str) -> AnyArray:
        """A tensor as it is stored."""
        stored: AnyArray = self._open.get_tensor(name)  # type: ignore[no-untyped-call]
        return stored

    def folded(self, convolution: str, norm: str, epsilon: float) -> tuple[Float32Array, Float32Array]:
        """Weight and bias of a convolution with the batch normalisation behind it folded in, in float32."""
        scale, shift, mean, variance = (
            self.tensor(f"{norm}.{name}").astype(np.float32)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + np.float32(epsilon))
        weight = self.tensor(f"{convolution}.weight").astype(np.float32)
        return weight * factor[:, None, None, None], shift - mean * factor

    def constant(self, source: dict[str, Any]) -> bytes | AnyArray:
        """The bytes of a constant, from what a graph says of it."""
        if "bytes" in source:
            return base64.b64decode(source["bytes"])
        if "tensor" in source:
            found = self.tensor(source["tensor"])
        else:
            weight, bias = self.folded(source["convolution"], source["norm"], source["epsilon"])
            found = weight if source["part"] == "weight" else bias
        return np.ascontiguousarray(found, np.dtype(source["dtype"]))


def filled(constants: list[dict[str, Any]], weights: Weights) -> UInt8Array:
    """All constants of a graph in one block, each at its offset."""
    block = np.zeros(max(each["offset"] + each["size"] for each in constants), np.uint8)
    for each in constants:
        content = weights.constant(each)
        raw = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content.reshape(-1).view(np.uint8)
        if len(raw) != each["size"]:
            raise ValueError(f"a constant has {len(raw)} bytes and not {each['size']}")
        block[each["offset"] : each["offset"] + each["size"]] = raw
    return block


def aligned(offset: int) -> int:
    """The next offset at which a constant may begin."""
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
