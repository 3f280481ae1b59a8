"""Converts open_clip networks to OpenVINO graphs, and checks their vectors against torch in fp32.

A CPU with bf16 is twice as fast in it, and most towers keep their vectors. A tower with many batch-normalised
convolutions loses accuracy in its first layers, where few channels carry everything: `mini`'s least cosine with fp32
on 96 photographs is 0.9953 in bf16, and 0.9993 once its first six convolutions compute in fp32, which costs a fifth
of the gain. So as many of the first layers as needed stay in fp32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from service.encoder.pooled_features import with_pooled_features
from service.encoder.preprocess import Preprocessing
from service.encoder.runtimes.openvino_towers import compile_graph, openvino
from service.encoder.runtimes.probes import TEXTS, synthetic_photographs
from service.encoder.runtimes.torch_inference import fold_batch_norms
from service.encoder.token_trimming import text_tower_of
from service.encoder.tokenizer import Tokenizer
from service.types import AnyArray, Float32Array, Int64Array, Say, UInt8Array

MIN_COSINE = 0.999
"""Least cosine with torch in fp32 that each compared vector must have."""
IMAGE_GRAPH, TEXT_GRAPH = "photographs.xml", "texts.xml"

_MARGIN = 0.0003
"""Added to the least cosine where layers are chosen on synthetic photographs: real ones may lose more."""
_FIRST_LAYERS = (0, 4, 6, 8, 12, 16, 24)
"""How many of the first layers stay in fp32, in the order tried."""
_WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
_BATCH = 8


class ConversionError(Exception):
    """A network cannot be used as a graph; the message says why, as half a sentence."""


@dataclass(frozen=True)
class ConversionResult:
    """Least cosines with torch, and how many of the first layers compute in fp32."""

    photographs_cosine: float
    texts_cosine: float
    precise_layers: int


def convert(
    network: Any,
    preprocessing: Preprocessing,
    tokenizer: Tokenizer,
    folder: Path,
    precision: str,
    say: Say = lambda sentence: None,
    photographs: UInt8Array | None = None,
) -> ConversionResult:
    """Write the graphs of an open_clip network (on the CPU, in float32) to `folder`, for `precision` bf16 or fp32.

    Args:
        network: the open_clip model; it is changed in place.
        preprocessing: of the image tower; its mean and deviation become part of the graph.
        tokenizer: of the text tower.
        folder: gets the files.
        precision: bf16 or fp32.
        say: called with each step.
        photographs: preprocessed (n, height, width, 3), to check on instead of synthetic ones.

    Raises:
        ConversionError: a tower cannot be converted or does not keep its vectors.
        OSError: the folder cannot be written to.
    """
    network = network.eval().requires_grad_(False)
    pixels = synthetic_photographs(preprocessing.size) if photographs is None else photographs
    with _conversion_errors("the image tower cannot be converted"):
        say("Converting: the image tower.")
        image_tower = _image_module(fold_batch_norms(network.visual, preprocessing.size), preprocessing)
        graph = graph_of(image_tower, pixels[:2])
        graph.reshape([-1, *preprocessing.size, 3])
        _write(graph, folder / IMAGE_GRAPH)
    with _conversion_errors("the text tower cannot be converted"):
        say("Converting: the text tower.")
        text_tower = _text_module(network)
        tokens = [tokenizer([text]) for text in TEXTS]
        _write(graph_of(text_tower, tokenizer(TEXTS[:2])), folder / TEXT_GRAPH)
    with _conversion_errors("the check failed"):
        say(f"Converting: the check on {len(pixels)} photographs and {len(TEXTS)} texts.")
        expected = np.concatenate([np.asarray(text_tower(_tensor(each))) for each in tokens])
        texts_cosine = _min_cosine(expected, _encode_tokens(folder, precision, tokens))
        if not texts_cosine >= MIN_COSINE:
            raise ConversionError(f"its text vectors would change (least cosine {texts_cosine:.4f})")
        expected = np.concatenate([np.asarray(image_tower(_tensor(each))[0]) for each in _batches(pixels)])
        layers, photographs_cosine = _keep_first_layers(
            folder, precision, pixels, expected, MIN_COSINE + (_MARGIN if photographs is None else 0.0)
        )
    return ConversionResult(photographs_cosine, texts_cosine, layers)


def graph_of(module: Any, example: AnyArray) -> Any:
    """Convert a torch module with one input to an OpenVINO graph whose first two input axes may have any length."""
    import torch

    openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    fast = torch.backends.mha.get_fastpath_enabled()
    # The fast path of torch's attention is a single operator that no converter knows.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _without_warnings():
            decoder = TorchScriptPythonDecoder(module.eval(), example_input=(torch.from_numpy(example),))
            front = FrontEndManager().load_by_framework("pytorch")
            graph = front.convert(front.load(decoder))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return graph


def with_precise_layers(xml: str, count: int) -> str:
    """Mark the layers of a graph up to the `count`-th one with weights to compute in fp32 at any precision."""
    root = ElementTree.fromstring(xml)  # noqa: S314 - written by this program
    weighted = 0
    for layer in root.iterfind("layers/layer"):
        weighted += layer.get("type") in _WEIGHTED
        if weighted > count:
            break
        if layer.get("type") not in ("Const", "Convert", "Parameter"):
            info = layer.find("rt_info")
            info = ElementTree.SubElement(layer, "rt_info") if info is None else info
            ElementTree.SubElement(info, "attribute", name="precise", version="0")
    return ElementTree.tostring(root, encoding="unicode")


def _keep_first_layers(
    folder: Path, precision: str, pixels: UInt8Array, expected: Float32Array, least: float
) -> tuple[int, float]:
    """Keep as many first layers of the image tower in fp32 as needed; returns how many, and the least cosine."""
    file = folder / IMAGE_GRAPH
    plain = file.read_text(encoding="utf-8")
    cosine = 0.0
    for layers in _FIRST_LAYERS if precision == "bf16" else (0,):
        if layers:
            file.write_text(with_precise_layers(plain, layers), encoding="utf-8")
        request = compile_graph(openvino().Core().read_model(file), precision).create_infer_request()
        cosine = _min_cosine(expected, np.concatenate([request.infer([each])[0].copy() for each in _batches(pixels)]))
        if cosine >= (least if precision == "bf16" else MIN_COSINE):
            return layers, cosine
    raise ConversionError(f"its image vectors would change (least cosine {cosine:.4f})")


def _image_module(visual: Any, preprocessing: Preprocessing) -> Any:
    """A torch module from pixels (n, height, width, 3), uint8, to embeddings and, where there are any, features."""
    import torch

    feature_tower = with_pooled_features(visual)
    mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(preprocessing.std).view(3, 1, 1)

    class ImageTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

        def forward(self, pixels: torch.Tensor) -> Any:
            images = (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
            return (visual(images),) if feature_tower is None else feature_tower(images)

    return ImageTower()


def _text_module(network: Any) -> Any:
    """A torch module from tokens (n, length) to embeddings."""
    import torch

    text_tower = text_tower_of(network)

    class TextTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return text_tower(tokens)

    return TextTower()


def _write(graph: Any, file: Path) -> None:
    openvino().save_model(graph, str(file), compress_to_fp16=True)


def _encode_tokens(folder: Path, precision: str, tokens: list[Int64Array]) -> Float32Array:
    request = compile_graph(openvino().Core().read_model(folder / TEXT_GRAPH), precision).create_infer_request()
    return np.concatenate([request.infer([each])[0].copy() for each in tokens])


def _batches(pixels: UInt8Array) -> Iterator[UInt8Array]:
    for start in range(0, len(pixels), _BATCH):
        yield pixels[start : start + _BATCH]


def _tensor(array: AnyArray) -> Any:
    import torch

    return torch.from_numpy(array)


def _min_cosine(one: Float32Array, other: Float32Array) -> float:
    """The least cosine of corresponding rows; nan where a vector has length 0."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


@contextmanager
def _conversion_errors(failure: str) -> Iterator[None]:
    """Turn whatever a converter raises into a `ConversionError`."""
    try:
        yield
    except (ConversionError, OSError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        reason = lines[0][:200] if lines else type(error).__name__
        raise ConversionError(f"{failure} ({reason})") from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
