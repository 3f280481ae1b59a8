"""How long one machine takes to encode: a query, a photograph, and loading the model before either; and to match.

A query is timed alone, as a person's search asks for it. Photographs are timed in batches as an index run
encodes them, from tensors that lie in memory: decoding depends on the files and is left out, and resizing,
which an index run does beside the encoding, is a figure of its own. What comes first is slower (memory is
fetched, kernels are chosen for each length of text), so everything runs before it is counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from service.compute.cores import usable_cores
from service.types import OnProgress

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer

QUERIES = (
    "sunflower",
    "dogs",
    "a red car",
    "beach at sunset",
    "birthday cake with candles",
    "a cup of coffee on a wooden table",
    "two dogs play in the snow",
    "children jump into a lake",
    "an old man with a hat reads a newspaper",
    "mountains under a cloudy sky",
    "a bicycle leans against a brick wall",
    "a red car at night",
    "people dancing at a wedding",
    "a plate of spaghetti with tomatoes and basil",
    "black cat asleep on a windowsill",
    "a surfer in a wetsuit rides a large wave close to the rocks",
    "a woman in a yellow coat waits for a train on an empty platform in the rain",
    "fireworks over a river, seen from a bridge",
    "three friends sit around a campfire in the forest and play the guitar while it gets dark",
    "a narrow street in an old town with flowers on the balconies, laundry between the houses and a parked scooter",
)
"""From one word to a sentence that describes, in the order in which they are asked."""

BATCH = 16
WARM_BATCHES = 2
CANDIDATES = 200
"""Photographs that a search scores, at least, where the match orders them."""


FLAT = {
    "text_ms_median": "query",
    "text_ms_p95": "95 % of queries within",
    "photograph_ms": "photograph",
    "preparation_ms": "resizing",
    "loading_s": "loading",
    "disk_mb": "size",
    "match_ms": "match",
}
"""The names under which `--json` has the medians at its top, and those of their figures."""


def medians_by_name(report: BenchReport) -> dict[str, Any]:
    """Medians, to a hundredth, and settings by name: what `--json` has at its top."""
    medians = {figure.name: round(figure.median, 2) for figure in report.figures}
    flat: dict[str, Any] = {name: medians.get(figure) for name, figure in FLAT.items()}
    return flat | report.settings


def bench_encoding(
    load: Callable[[], Encoder],
    disk_bytes: int,
    *,
    scorer_of: Callable[[Encoder], Scorer] | None = None,
    queries: int = 200,
    batches: int = 10,
    repeats: int = 3,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> BenchReport:
    """Measure an encoder that `load` gives.

    The figures: "query", milliseconds for one query, alone, the median of `queries`; the time that 95 % of them do
    not exceed; "photograph", milliseconds beyond decoding and resizing in batches of `BATCH`, median; "resizing",
    milliseconds to resize and normalise a photograph of twice the model's side, median; "match", milliseconds for
    the matches of one query with `CANDIDATES` photographs, median, where a scorer is given. Once and not repeated:
    "loading", seconds from a name to an encoder with the import of its libraries, and "size", megabytes
    (1,000,000 bytes) of the model's files.

    Args:
        load: makes the encoder; a download belongs before, or it counts as loading.
        disk_bytes: size of the model's files.
        scorer_of: gives the encoder's scorer, to be timed too.
        queries: how many single texts are counted in a repeat; they take turns among `QUERIES`.
        batches: how many batches of photographs are counted in a repeat.
        repeats: how often all but loading is measured.
        on_progress: called with the steps done and their number in all.
        clock: seconds from any beginning.

    Raises `UsageError` for no repeats.
    """
    check_repeats(repeats)
    machine = machine_facts()
    started = clock()
    encoder = load()
    loading_s = clock() - started
    scorer = None if scorer_of is None else scorer_of(encoder)
    measured = _Measured(encoder, scorer, queries, batches, repeats, on_progress, clock)
    figures = measured.figures()
    figures += [Figure("loading", "s", (loading_s,)), Figure("size", "MB", (disk_bytes / 1e6,))]
    settings = {
        "queries": queries,
        "batch": BATCH,
        "batches": batches,
        "candidates": CANDIDATES,
        "repeats": repeats,
        "threads": _threads(),
        "runtime": encoder.runtime,
        "device": encoder.device,
        "precision": encoder.precision,
        "text_precision": encoder.text_precision,
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
    }
    notes = [
        f"A query is encoded alone, photographs in batches of {BATCH} without decoding and resizing; matches are of "
        f"one query with {CANDIDATES} photographs. What runs first is not counted."
    ]
    return BenchReport(
        "encode", figures, settings, notes, machine, versions_of("torch", "openvino", "open_clip_torch", "numpy")
    )


class _Measured:
    """An encoder at work, once for getting warm and then for every repeat."""

    def __init__(
        self,
        encoder: Encoder,
        scorer: Scorer | None,
        queries: int,
        batches: int,
        repeats: int,
        on_progress: OnProgress | None,
        clock: Callable[[], float],
    ) -> None:
        self._encoder, self._scorer, self._clock, self._repeats = encoder, scorer, clock, repeats
        self._images = _noise(2 * encoder.photograph_side)
        self._asked = [QUERIES[turn % len(QUERIES)] for turn in range(queries)]
        self._batches = batches
        warm = len(QUERIES) + BATCH + WARM_BATCHES
        self._steps = _Steps(on_progress, warm + repeats * (queries + BATCH + batches))

    def figures(self) -> list[Figure]:
        """What repeats; everything runs before it is counted."""
        self._texts(QUERIES)
        self._preparing()
        prepared = [self._encoder.prepare(image) for image in self._images]
        self._photographs(prepared, WARM_BATCHES)
        text, preparation, photograph, match = [], [], [], []
        for _ in range(self._repeats):
            text.append(self._texts(self._asked))
            preparation.append(_median(self._preparing()))
            photograph.append(_median(self._photographs(prepared, self._batches)) / BATCH)
            if self._scorer is not None:
                match.append(_match_ms(self._scorer, self._encoder, self._clock))
        figures = [
            Figure("query", "ms", tuple(map(_median, text))),
            Figure("95 % of queries within", "ms", tuple(float(np.percentile(each, 95)) for each in text)),
            Figure("photograph", "ms", tuple(photograph)),
            Figure("resizing", "ms", tuple(preparation)),
        ]
        return figures + ([Figure("match", "ms", tuple(match))] if match else [])

    def _texts(self, texts: Iterable[str]) -> list[float]:
        return _times(((self._encoder.encode_texts, [text]) for text in texts), self._clock, self._steps)

    def _preparing(self) -> list[float]:
        return _times(((self._encoder.prepare, image) for image in self._images), self._clock, self._steps)

    def _photographs(self, prepared: list[Any], batches: int) -> list[float]:
        calls = ((self._encoder.encode_prepared, prepared) for _ in range(batches))
        return _times(calls, self._clock, self._steps)


def _threads() -> int:
    """How many torch computes with on a CPU, where it is at work at all."""
    if "torch" not in sys.modules:
        return usable_cores()
    import torch

    return torch.get_num_threads()


def _median(values: list[float]) -> float:
    return float(np.median(values))


def _match_ms(scorer: Scorer, encoder: Encoder, clock: Callable[[], float]) -> float:
    """Median milliseconds of the matches of texts with random unit vectors; each text is asked twice."""
    candidates = np.random.default_rng(0).normal(size=(CANDIDATES, encoder.dimension)).astype(np.float32)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    asked = encoder.encode_texts(QUERIES)
    steps = _Steps(None, 2 * len(asked))
    times = [
        _times(((lambda each: scorer.match(each, candidates, "text"), query) for query in asked), clock, steps)
        for _ in range(2)
    ]
    return float(np.median(times[1]))


class _Steps:
    """Counts what is done for a callback that wants (done, in all)."""

    def __init__(self, callback: OnProgress | None, total: int) -> None:
        self._callback, self._total, self._done = callback, total, 0

    def one_more(self) -> None:
        self._done += 1
        if self._callback is not None:
            self._callback(self._done, self._total)


def _times(
    calls: Iterable[tuple[Callable[[Any], object], Any]], clock: Callable[[], float], steps: _Steps
) -> list[float]:
    """Milliseconds of each call, one after the other."""
    times = []
    for call, argument in calls:
        started = clock()
        call(argument)
        times.append(1000 * (clock() - started))
        steps.one_more()
    return times


def _noise(side: int) -> list[Image.Image]:
    """One batch of pictures of 4 : 3 whose shorter side is `side`; resizing costs the same whatever they show."""
    random = np.random.default_rng(0)
    shape = (side, side * 4 // 3, 3)
    return [Image.fromarray(random.integers(0, 256, shape, np.uint8)) for _ in range(BATCH)]
