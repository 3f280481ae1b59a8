"""Torch's networks as graphs of OpenVINO, checked against what torch computes.

A processor with bf16 computes twice as fast in it, and most towers keep their vectors. One with many normalised
convolutions loses what it loses in its first layers, where few channels carry all there is: `mini`'s least cosine
with fp32 on 96 photographs is 0.9953 in bf16, and 0.9993 once its first six convolutions compute in fp32, for a
fifth of the gain. So as many of the first layers as it takes stay in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from service.encoder.preprocess import Preparation
from service.encoder.runtimes.openvino_towers import compiled, openvino
from service.encoder.runtimes.probes import TEXTS, drawn_photographs
from service.encoder.tokenizer import Tokenize
from service.types import AnyArray, Float32Array, Int64Array, UInt8Array

LEAST_COSINE = 0.999
"""With torch in fp32, of each of the vectors that are compared."""
PHOTOGRAPHS, TEXTS_GRAPH = "photographs.xml", "texts.xml"

_MARGIN = 0.0003
"""Above the least cosine, where layers are chosen: other photographs than the drawn ones may lose more."""
_FIRST_LAYERS = (0, 4, 6, 8, 12, 16, 24)
"""How many of the first layers stay in fp32, in the order in which that is tried."""
_WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
_BATCH = 8


class ConversionError(Exception):
    """A network that cannot be used as a graph, and why, in half a sentence."""


@dataclass(frozen=True)
class Converted:
    """What came of a conversion: least cosines with torch, and how many first layers compute in fp32."""

    photographs_cosine: float
    texts_cosine: float
    precise_layers: int


def convert(
    network: Any,
    preparation: Preparation,
    tokenize: Tokenize,
    folder: Path,
    precision: str,
    tell: Callable[[str], None] = lambda stage: None,
    photographs: UInt8Array | None = None,
) -> Converted:
    """Write the graphs of an open_clip network (on the CPU, in float32) to `folder`, for `precision` bf16 or fp32.

    `tell` is told what is being done; `photographs` (n, height, width, 3), prepared, are checked instead of drawn ones.
    Raises `ConversionError` where a tower does not convert or does not keep its
    vectors, and OSError where the folder does not take the files.
    """
    from service.encoder.torch_precision import fold_batch_norms

    network = network.eval().requires_grad_(False)
    pixels = drawn_photographs(preparation.size) if photographs is None else photographs
    with _understood("the photograph tower"):
        tell("the photograph tower")
        visual = _Photographs.of(fold_batch_norms(network.visual, preparation.size), preparation)
        graph = graph_of(visual, pixels[:2])
        graph.reshape([-1, *preparation.size, 3])
        _write(graph, folder / PHOTOGRAPHS)
    with _understood("the text tower"):
        tell("the text tower")
        texts = _texts_module(network)
        tokens = [tokenize([text]) for text in TEXTS]
        _write(graph_of(texts, tokenize(TEXTS[:2])), folder / TEXTS_GRAPH)
    with _understood("the check"):
        tell(f"the check on {len(pixels)} photographs and {len(TEXTS)} texts")
        wanted = np.concatenate([np.asarray(texts(_tensor(each))) for each in tokens])
        texts_cosine = _cosine(wanted, _texts_of(folder, precision, tokens))
        if not texts_cosine >= LEAST_COSINE:
            raise ConversionError(f"its texts would move (least cosine {texts_cosine:.4f})")
        seen = np.concatenate([np.asarray(visual(_tensor(each))[0]) for each in _batches(pixels)])
        layers, photographs_cosine = _keep_first_layers(
            folder, precision, pixels, seen, LEAST_COSINE + (_MARGIN if photographs is None else 0.0)
        )
    return Converted(photographs_cosine, texts_cosine, layers)


def graph_of(module: Any, example: AnyArray) -> Any:
    """A torch module of one input as a graph of OpenVINO, whatever the length of the input's first two axes."""
    import torch

    openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    fast = torch.backends.mha.get_fastpath_enabled()
    # The quick path of torch's attention is one operation that no converter knows.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with _quiet():
            decoder = TorchScriptPythonDecoder(module.eval(), example_input=(torch.from_numpy(example),))
            front = FrontEndManager().load_by_framework("pytorch")
            graph = front.convert(front.load(decoder))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return graph


def with_precise_layers(written: str, count: int) -> str:
    """The XML of a graph whose layers up to the `count`-th with weights compute in fp32, whatever is asked for."""
    root = ElementTree.fromstring(written)  # noqa: S314 - written by this program
    weighted = 0
    for layer in root.iterfind("layers/layer"):
        weighted += layer.get("type") in _WEIGHTED
        if weighted > count:
            break
        if layer.get("type") not in ("Const", "Convert", "Parameter"):
            noted = layer.find("rt_info")
            noted = ElementTree.SubElement(layer, "rt_info") if noted is None else noted
            ElementTree.SubElement(noted, "attribute", name="precise", version="0")
    return ElementTree.tostring(root, encoding="unicode")


def _keep_first_layers(
    folder: Path, precision: str, pixels: UInt8Array, wanted: Float32Array, least: float
) -> tuple[int, float]:
    """Keep as many first layers of the photograph tower in fp32 as it takes; how many, and the least cosine."""
    file = folder / PHOTOGRAPHS
    plain = file.read_text(encoding="utf-8")
    cosine = 0.0
    for layers in _FIRST_LAYERS if precision == "bf16" else (0,):
        if layers:
            file.write_text(with_precise_layers(plain, layers), encoding="utf-8")
        request = compiled(openvino().Core().read_model(file), precision).create_infer_request()
        cosine = _cosine(wanted, np.concatenate([request.infer([each])[0].copy() for each in _batches(pixels)]))
        if cosine >= (least if precision == "bf16" else LEAST_COSINE):
            return layers, cosine
    raise ConversionError(f"its photographs would move (least cosine {cosine:.4f})")


class _Photographs:
    """Bytes to outputs and pooled features, as one torch module."""

    @staticmethod
    def of(visual: Any, preparation: Preparation) -> Any:
        import torch

        from service.encoder.pooled_features import pooling_of

        pooling = pooling_of(visual)
        mean = torch.tensor(preparation.mean).view(3, 1, 1)
        deviation = torch.tensor(preparation.std).view(3, 1, 1)

        class Photographs(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.visual = visual

            def forward(self, pixels: torch.Tensor) -> Any:
                images = (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / deviation
                return (visual(images),) if pooling is None else pooling(images)

        return Photographs()


def _texts_module(network: Any) -> Any:
    import torch

    from service.encoder.token_trimming import text_encoder_of

    encode = text_encoder_of(network)

    class Texts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return encode(tokens)

    return Texts()


def _write(graph: Any, file: Path) -> None:
    openvino().save_model(graph, str(file), compress_to_fp16=True)


def _texts_of(folder: Path, precision: str, tokens: list[Int64Array]) -> Float32Array:
    request = compiled(openvino().Core().read_model(folder / TEXTS_GRAPH), precision).create_infer_request()
    return np.concatenate([request.infer([each])[0].copy() for each in tokens])


def _batches(pixels: UInt8Array) -> Iterator[UInt8Array]:
    for start in range(0, len(pixels), _BATCH):
        yield pixels[start : start + _BATCH]


def _tensor(array: AnyArray) -> Any:
    import torch

    return torch.from_numpy(array)


def _cosine(one: Float32Array, other: Float32Array) -> float:
    """The least cosine of rows; nan where a vector has no length."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


@contextmanager
def _understood(what: str) -> Iterator[None]:
    try:
        yield
    except (ConversionError, OSError):
        raise
    # A converter raises whatever it stumbles over.
    except Exception as error:
        said = str(error).strip().splitlines()
        raise ConversionError(f"{what} does not convert ({said[0][:200] if said else type(error).__name__})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
