"""The OpenVINO graphs of the built-in model, which come with the program.

A small file beside the weights holds the two graphs without their constants and says where each constant comes from:
a tensor of the weights, a convolution with the batch norm after it folded in, or, where it is small, its bytes. So the
model needs neither torch nor a conversion, and its weights are on disk only once. `training/mini/graphs.py` writes
the file.
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

from service.encoder.runtimes.model_spec import ModelSpec
from service.encoder.runtimes.openvino_towers import OpenVinoTowers, openvino
from service.store.array_files import checksum_of
from service.types import AnyArray, Float32Array, UInt8Array

GRAPHS = "graphs.json.xz"
WEIGHTS = "open_clip_model.safetensors"
VERSION = 1
_MAX_JSON_BYTES = 32_000_000
_ALIGNMENT = 64


@dataclass(frozen=True)
class BundledModel:
    """A model whose folder has the file `GRAPHS`, written for the weights beside it."""

    folder: Path
    spec: ModelSpec
    graphs: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> BundledModel | None:
        """Read the graphs in a model's folder; None where there are none, or they belong to other weights."""
        try:
            with lzma.open(folder / GRAPHS) as stream:
                content = json.loads(stream.read(_MAX_JSON_BYTES))
            if content["version"] != VERSION or content["weights"] != checksum_of(folder / WEIGHTS):
                return None
            return cls(folder, ModelSpec.from_json(content["model"]), content["graphs"])
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError):
            return None

    def towers(self, precision: str, blob_folder: Path | None = None) -> OpenVinoTowers:
        """The towers in `precision`, bf16 or fp32; compiled graphs are cached in `blob_folder`."""
        return OpenVinoTowers(partial(self.graph, "photographs"), partial(self.graph, "texts"), precision, blob_folder)

    def graph(self, tower: str) -> Any:
        """The OpenVINO graph of one tower, "photographs" or "texts"."""
        graph = self.graphs[tower]
        constants = _constants_block(graph["constants"], Weights(self.folder / WEIGHTS))
        return openvino().Core().read_model(graph["xml"].encode(), openvino().Tensor(constants))


class Weights:
    """The tensors of a safetensors file, and the constants computed from them."""

    def __init__(self, file: Path) -> None:
        from safetensors import safe_open

        self._file = safe_open(file, framework="numpy")

    def tensor(self, name: str) -> AnyArray:
        """A tensor in its stored dtype."""
        tensor: AnyArray = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
        return tensor

    def folded(self, convolution: str, norm: str, epsilon: float) -> tuple[Float32Array, Float32Array]:
        """Weight and bias, float32, of a convolution with the batch norm after it folded in."""
        scale, shift, mean, variance = (
            self.tensor(f"{norm}.{name}").astype(np.float32)
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + np.float32(epsilon))
        weight = self.tensor(f"{convolution}.weight").astype(np.float32)
        return weight * factor[:, None, None, None], shift - mean * factor

    def constant(self, source: dict[str, Any]) -> bytes | AnyArray:
        """The value of a constant, by its entry in a graph's list of constants."""
        if "bytes" in source:
            return base64.b64decode(source["bytes"])
        if "tensor" in source:
            value = self.tensor(source["tensor"])
        else:
            weight, bias = self.folded(source["convolution"], source["norm"], source["epsilon"])
            value = weight if source["part"] == "weight" else bias
        return np.ascontiguousarray(value, np.dtype(source["dtype"]))


def _constants_block(constants: list[dict[str, Any]], weights: Weights) -> UInt8Array:
    """All constants of a graph in one block, each at its offset."""
    block = np.zeros(max(each["offset"] + each["size"] for each in constants), np.uint8)
    for each in constants:
        value = weights.constant(each)
        raw = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value.reshape(-1).view(np.uint8)
        if len(raw) != each["size"]:
            raise ValueError(f"a constant has {len(raw)} bytes instead of {each['size']}")
        block[each["offset"] : each["offset"] + each["size"]] = raw
    return block


def aligned(offset: int) -> int:
    """`offset` rounded up to the next one at which a constant may begin."""
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
