"""The towers of a model computed by OpenVINO on a CPU: two to four times as fast as torch on the same cores."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from service.compute.cores import compute_threads
from service.store.array_files import map_checksummed, write_checksummed
from service.types import AnyArray, Float32Array, Int64Array, UInt8Array

_HINTS = {"fp32": "f32", "bf16": "bf16"}
"""Precision -> OpenVINO's name for it."""

_BATCH = 16
_TELEMETRY_MODULE = "openvino.tools.ovc"
"""Reports its own import over the network; OpenVINO does without it where it is missing."""


def openvino() -> Any:
    """Import the package openvino without its telemetry; raises ImportError where it is not installed."""
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    sys.modules.setdefault(_TELEMETRY_MODULE, None)  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if sys.modules.get(_TELEMETRY_MODULE) is None:
            sys.modules.pop(_TELEMETRY_MODULE, None)
    return openvino


@cache
def has_bf16() -> bool:
    """Whether this CPU computes natively in bf16."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def processor() -> str:
    """What a compiled graph depends on: the CPU's name and capabilities, and how many threads we use."""
    core = openvino().Core()
    properties = (core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES"))
    return f"{' '.join(map(str, properties))} {compute_threads()}"


def fastest_precision() -> str:
    """The fastest precision of this CPU in which a graph converted for it keeps its vectors: bf16 or fp32."""
    return "bf16" if has_bf16() else "fp32"


class OpenVinoTowers:
    """Two OpenVINO graphs, each read and compiled at its first use. Safe to use from several threads.

    Args:
        read_image_graph: reads the graph from pixels (n, height, width, 3), uint8, to embeddings (n, dimension) and
            perhaps pooled features (n, width).
        read_text_graph: reads the graph from tokens (n, length) to embeddings.
        precision: of the image tower.
        blob_folder: folder that caches compiled graphs; None for no cache.
        text_precision: of the text tower, by default `precision`.
    """

    runtime = "openvino"
    device = "cpu"
    batch_size = _BATCH

    def __init__(
        self,
        read_image_graph: Callable[[], Any],
        read_text_graph: Callable[[], Any],
        precision: str,
        blob_folder: Path | None = None,
        text_precision: str | None = None,
    ) -> None:
        self.precision, self.text_precision = precision, text_precision or precision
        self.read_image_graph, self.read_text_graph = read_image_graph, read_text_graph
        self._image = _CompiledGraph(read_image_graph, precision, blob_folder and blob_folder / "photographs.blob")
        self._text = _CompiledGraph(read_text_graph, self.text_precision, blob_folder and blob_folder / "texts.blob")

    def encode_tokens(self, tokens: Int64Array) -> Float32Array:
        """As `Towers.encode_tokens`."""
        return self._text(tokens)[0]

    def encode_pixels(self, pixels: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """As `Towers.encode_pixels`."""
        outputs = self._image(pixels)
        return outputs[0], outputs[1] if len(outputs) > 1 else None


class _CompiledGraph:
    """One graph, run by one thread at a time."""

    def __init__(self, read: Callable[[], Any], precision: str, cached: Path | None) -> None:
        self._read = read
        self._precision = precision
        self._cached = cached
        self._lock = threading.Lock()
        self._request: Any = None

    def __call__(self, inputs: AnyArray) -> list[Float32Array]:
        with self._lock:
            if self._request is None:
                self._request = self._compiled().create_infer_request()
            self._request.infer([np.ascontiguousarray(inputs)], share_inputs=True, share_outputs=True)
            # Copied, since the next run overwrites the request's outputs.
            return [np.array(each.data, np.float32) for each in self._request.output_tensors]

    def _compiled(self) -> Any:
        """The compiled graph, from the cached file where that is intact, else compiled now and cached."""
        if self._cached is None:
            return compile_graph(self._read(), self._precision)
        blob = map_checksummed(self._cached)
        if blob is not None:
            try:
                return openvino().Core().import_model(openvino().Tensor(blob), "CPU", _options(self._precision))
            # Written by another version or for another CPU.
            except RuntimeError:
                self._cached.unlink(missing_ok=True)
        graph = compile_graph(self._read(), self._precision)
        write_checksummed(self._cached, graph.export_model().getvalue())
        return graph


def compile_graph(graph: Any, precision: str) -> Any:
    """Compile a graph for this CPU, for one request at a time on all threads that we use."""
    return openvino().Core().compile_model(graph, "CPU", _options(precision))


def _options(precision: str) -> dict[str, Any]:
    return {
        # In fp32 the parts of an int8 graph that are not quantised would cost most of the gain.
        "INFERENCE_PRECISION_HINT": _HINTS[fastest_precision() if precision == "int8" else precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": compute_threads(),
        # Decoder threads and other processes of the service use the same cores.
        "ENABLE_CPU_PINNING": False,
    }
