"""Towers that OpenVINO computes on a processor: two to four times as quick as torch on the same cores."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from service.compute.cores import compute_threads
from service.store.array_files import mapped_signed, write_signed
from service.types import AnyArray, Float32Array, Int64Array, UInt8Array

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""What OpenVINO calls precisions."""

_BATCH = 16
_TELLTALE = "openvino.tools.ovc"


def openvino() -> Any:
    """The package openvino, imported without the part of it that reports its import to a server.

    Raises ImportError where it is not installed.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    # OpenVINO sends a note over the network when this part is imported, and does without the part where it is missing.
    sys.modules.setdefault(_TELLTALE, None)  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if sys.modules.get(_TELLTALE) is None:
            sys.modules.pop(_TELLTALE, None)
    return openvino


@cache
def has_bf16() -> bool:
    """Whether this processor computes in bf16 by itself."""
    return "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def processor() -> str:
    """The processor's name and what it can do, as OpenVINO sees it, and how many threads are used of it."""
    core = openvino().Core()
    facts = (core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES"))
    return f"{' '.join(map(str, facts))} {compute_threads()}"


def fastest_precision() -> str:
    """The fastest precision of this processor that keeps the vectors of a graph made for it: bf16 or fp32."""
    return "bf16" if has_bf16() else "fp32"


class OpenVinoTowers:
    """Two graphs of OpenVINO, each read and compiled when it is first used. Safe to use from several threads.

    `read_photographs` and `read_texts` give a graph. The first takes bytes (n, height, width, 3) and gives outputs (n,
    dimension) and perhaps features (n, width); the second takes tokens (n, length) and gives outputs. Compiled graphs
    are kept in the folder `compiled`, where there is one. `precision` is the photograph tower's, and the text tower's
    too where `text_precision` is None.
    """

    runtime = "openvino"
    device = "cpu"
    batch_size = _BATCH

    def __init__(
        self,
        read_photographs: Callable[[], Any],
        read_texts: Callable[[], Any],
        precision: str,
        compiled: Path | None = None,
        text_precision: str | None = None,
    ) -> None:
        self.precision, self.text_precision = precision, text_precision or precision
        self.read_photographs, self.read_texts = read_photographs, read_texts
        self._photographs = _Compiled(read_photographs, precision, compiled and compiled / "photographs.blob")
        self._texts = _Compiled(read_texts, self.text_precision, compiled and compiled / "texts.blob")

    def texts(self, tokens: Int64Array) -> Float32Array:
        """As `Towers.texts`."""
        return self._texts(tokens)[0]

    def photographs(self, batch: UInt8Array) -> tuple[Float32Array, Float32Array | None]:
        """As `Towers.photographs`."""
        outputs = self._photographs(batch)
        return outputs[0], outputs[1] if len(outputs) > 1 else None


class _Compiled:
    """One graph; whoever asks takes turns."""

    def __init__(self, read: Callable[[], Any], precision: str, kept: Path | None) -> None:
        self._read = read
        self._precision = precision
        self._kept = kept
        self._turn = threading.Lock()
        self._request: Any = None

    def __call__(self, given: AnyArray) -> list[Float32Array]:
        with self._turn:
            if self._request is None:
                self._request = self._ready().create_infer_request()
            self._request.infer([np.ascontiguousarray(given)], share_inputs=True, share_outputs=True)
            # What the request holds is written over by the next one.
            return [np.array(each.data, np.float32) for each in self._request.output_tensors]

    def _ready(self) -> Any:
        """The graph compiled, from the file where it is kept; a file that is not whole is passed over and made anew."""
        if self._kept is None:
            return compiled(self._read(), self._precision)
        blob = mapped_signed(self._kept)
        if blob is not None:
            try:
                return openvino().Core().import_model(openvino().Tensor(blob), "CPU", _options(self._precision))
            # What another version or processor has written.
            except RuntimeError:
                self._kept.unlink(missing_ok=True)
        made = compiled(self._read(), self._precision)
        write_signed(self._kept, made.export_model().getvalue())
        return made


def compiled(model: Any, precision: str) -> Any:
    """A graph compiled for this processor, for one request at a time on all its threads."""
    return openvino().Core().compile_model(model, "CPU", _options(precision))


def _options(precision: str) -> dict[str, Any]:
    return {
        # What of an int8 graph is not quantised would take up most of the gain in fp32.
        "INFERENCE_PRECISION_HINT": HINTS[fastest_precision() if precision == "int8" else precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": compute_threads(),
        # Threads that decode, and other processes of the service, use the same cores.
        "ENABLE_CPU_PINNING": False,
    }
