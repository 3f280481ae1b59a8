"""Writes OpenVINO graphs of `mini` into a file beside its weights.

    python -m training.mini.graphs service/encoder/models/mini DATA

checks them on captioned photographs of DATA, of the split train.

OpenVINO's own files repeat all weights. Here each constant is replaced by a reference to a tensor of the weights, as it
is or with a batch normalisation folded in; only constants that are in none (shapes, axes, numbers) are written out.
"""

from __future__ import annotations

import base64
import itertools
import json
import lzma
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from data.captions import read_captions
from service.encoder.open_clip_model import load_network
from service.encoder.runtimes.bundled import GRAPHS, VERSION, WEIGHTS, Weights, aligned
from service.encoder.runtimes.convert import IMAGE_GRAPH, TEXT_GRAPH, ConversionResult, convert
from service.encoder.runtimes.model_spec import ModelSpec
from service.encoder.tokenizer import trimming_tokenizer
from service.photos.decode import open_photograph
from service.store.array_files import checksum_of
from service.store.atomic import write_bytes
from service.types import Float32Array

_SMALL = 4096
"""Largest constant in bytes that is written out."""
_DTYPES = {"f16": "<f2", "f32": "<f4"}


def write_graphs(folder: Path, photographs: Sequence[Path]) -> ConversionResult:
    """Write `GRAPHS` into the folder of a model; the result says how well they reproduce vectors of `photographs`.

    Raises `ConversionError` where they do not, and ValueError where a large constant is in no tensor.
    """
    network, tokenizer, config = load_network(f"local-dir:{folder}")
    with tempfile.TemporaryDirectory() as work:
        spec = ModelSpec.of_network(network, tokenizer, config, Path(work))
        trimming = trimming_tokenizer(tokenizer, spec.trimming)
        prepared = np.stack([spec.preprocessing(open_photograph(file).image) for file in photographs])
        sources = _Sources(network, Weights(folder / WEIGHTS))
        converted = convert(network, spec.preprocessing, trimming, Path(work), "bf16", photographs=prepared)
        content = {
            "version": VERSION,
            "weights": checksum_of(folder / WEIGHTS),
            "model": spec.as_json(),
            "graphs": {
                name: _without_constants(Path(work) / file, sources)
                for name, file in (("photographs", IMAGE_GRAPH), ("texts", TEXT_GRAPH))
            },
        }
    encoded = json.dumps(content, separators=(",", ":")).encode()
    write_bytes(folder / GRAPHS, lzma.compress(encoded, preset=9 | lzma.PRESET_EXTREME))
    return converted


class _Sources:
    """Finds the tensors that are constants of a network's graphs."""

    def __init__(self, network: Any, weights: Weights) -> None:
        self._weights = weights
        self._found: dict[bytes, dict[str, Any]] = {}
        self._folded: list[tuple[dict[str, Any], Float32Array]] = []
        for name in network.state_dict():
            for dtype in _DTYPES.values():
                content = np.ascontiguousarray(weights.tensor(name), dtype).tobytes()
                self._found.setdefault(content, {"tensor": name, "dtype": dtype})
        for source in _batch_normalised(network.visual, "visual"):
            weight, bias = weights.folded(source["convolution"], source["norm"], source["epsilon"])
            self._folded += [(source | {"part": "weight"}, weight), (source | {"part": "bias"}, bias)]

    def of(self, content: bytes, kind: str) -> dict[str, Any]:
        """A reference to the tensor with this content, or the content; `kind` is its OpenVINO type."""
        if content in self._found:
            return self._found[content]
        if kind in _DTYPES:
            values = np.frombuffer(content, _DTYPES[kind]).astype(np.float32)
            for source, folded in self._folded:
                if folded.size == values.size and np.allclose(folded.reshape(-1), values, rtol=2e-3, atol=1e-6):
                    return source | {"dtype": _DTYPES[kind]}
        if len(content) > _SMALL:
            raise ValueError(f"a constant of {len(content)} bytes is in none of the tensors")
        return {"bytes": base64.b64encode(content).decode()}


def _batch_normalised(module: Any, path: str) -> Iterator[dict[str, Any]]:
    """Convolutions directly followed by a batch normalisation, which `torch_inference` folds into them."""
    import torch

    children = list(module.named_children())
    for (name, convolution), (norm_name, norm) in itertools.pairwise(children):
        if isinstance(convolution, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
            yield {"convolution": f"{path}.{name}", "norm": f"{path}.{norm_name}", "epsilon": norm.eps}
    for name, child in children:
        yield from _batch_normalised(child, f"{path}.{name}")


def _without_constants(file: Path, sources: _Sources) -> dict[str, Any]:
    """A graph's XML with new offsets, and the source of the constant at each offset."""
    root = ElementTree.fromstring(file.read_text(encoding="utf-8"))  # noqa: S314 - written by this program
    block = file.with_suffix(".bin").read_bytes()
    constants: list[dict[str, Any]] = []
    offset = 0
    for layer in root.iterfind("layers/layer[@type='Const']"):
        data = layer.find("data")
        assert data is not None  # noqa: S101 - every constant has data
        start, size = int(data.get("offset", 0)), int(data.get("size", 0))
        source = sources.of(block[start : start + size], data.get("element_type", ""))
        constants.append(source | {"offset": offset, "size": size})
        data.set("offset", str(offset))
        offset = aligned(offset + size)
    return {"xml": ElementTree.tostring(root, encoding="unicode"), "constants": constants}


if __name__ == "__main__":
    photographs = [each.path for each in read_captions(Path(sys.argv[2]), "train")[::20]]
    print(write_graphs(Path(sys.argv[1]), photographs))  # noqa: T201
