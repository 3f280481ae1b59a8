"""How long one machine takes to load a model, encode a query or a photograph with it, and compute matches.

Queries are timed one at a time, as a search encodes them. Photographs are timed in batches, as indexing encodes them,
from tensors in memory: decoding depends on the files and is left out; resizing, which indexing does beside encoding, is
a figure of its own. First calls are slower (memory is allocated, kernels are selected per text length), so everything
runs once before it counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from eval.bench_report import BenchReport, Figure, check_repeats, machine_facts, versions_of
from eval.timing import ProgressCounter
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
"""From one word to a descriptive sentence, in the order in which they are encoded."""

BATCH = 16
WARM_BATCHES = 2
CANDIDATES = 200
"""The fewest photographs that a search computes matches for where hits are ordered by match."""
JSON_FIGURES = {
    "text_ms_median": "query",
    "text_ms_p95": "95 % of queries within",
    "photograph_ms": "photograph",
    "preparation_ms": "resizing",
    "loading_s": "loading",
    "disk_mb": "size",
    "match_ms": "match",
}
"""Keys of the medians at the top level of `--json`, and the figures that they are of."""


def medians_by_name(report: BenchReport) -> dict[str, Any]:
    """Medians, to two decimals, and settings by name: the top level of `--json`."""
    medians = {figure.name: round(figure.median, 2) for figure in report.figures}
    named: dict[str, Any] = {name: medians.get(figure) for name, figure in JSON_FIGURES.items()}
    return named | report.settings


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
    """Measure the encoder that `load` returns.

    Repeated figures: "query", milliseconds per single query, median of `queries`; their 95th percentile; "photograph",
    milliseconds per photograph in batches of `BATCH`, without decoding and resizing, median; "resizing", milliseconds
    to resize and normalise a photograph of twice the model's input side, median; "match", milliseconds for the matches
    of one query with `CANDIDATES` photographs, median, where there is a scorer. Measured once: "loading", seconds to
    load the encoder, with the import of its libraries, and "size", megabytes (1,000,000 bytes) of the model's files.

    Args:
        load: makes the encoder; download the model before, or the download counts as loading.
        disk_bytes: size of the model's files.
        scorer_of: returns the encoder's scorer, to be timed too.
        queries: single texts per repeat; they cycle through `QUERIES`.
        batches: batches of photographs per repeat.
        repeats: how often everything but loading is measured.
        on_progress: called with the steps done and their number.
        clock: seconds since any moment.

    Raises:
        UsageError: `repeats` is less than 1.
    """
    check_repeats(repeats)
    machine = machine_facts()
    started = clock()
    encoder = load()
    loading_s = clock() - started
    scorer = None if scorer_of is None else scorer_of(encoder)
    figures = _EncodeBench(encoder, scorer, queries, batches, repeats, on_progress, clock).figures()
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
        f"Queries are encoded one at a time, photographs in batches of {BATCH} without decoding and resizing; matches "
        f"are of one query with {CANDIDATES} photographs. First calls are not counted."
    ]
    return BenchReport(
        "encode", figures, settings, notes, machine, versions_of("torch", "openvino", "open_clip_torch", "numpy")
    )


class _EncodeBench:
    """Runs an encoder, once to warm up and then for every repeat."""

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
        self._queries = [QUERIES[turn % len(QUERIES)] for turn in range(queries)]
        self._batches = batches
        warm = len(QUERIES) + BATCH + WARM_BATCHES
        self._steps = ProgressCounter(on_progress, warm + repeats * (queries + BATCH + batches))

    def figures(self) -> list[Figure]:
        """The repeated figures, after a warm-up that is not counted."""
        self._text_times(QUERIES)
        self._resizing_times()
        prepared = [self._encoder.prepare(image) for image in self._images]
        self._batch_times(prepared, WARM_BATCHES)
        text, preparation, photograph, match = [], [], [], []
        for _ in range(self._repeats):
            text.append(self._text_times(self._queries))
            preparation.append(_median(self._resizing_times()))
            photograph.append(_median(self._batch_times(prepared, self._batches)) / BATCH)
            if self._scorer is not None:
                match.append(_match_ms(self._scorer, self._encoder, self._clock))
        figures = [
            Figure("query", "ms", tuple(map(_median, text))),
            Figure("95 % of queries within", "ms", tuple(float(np.percentile(each, 95)) for each in text)),
            Figure("photograph", "ms", tuple(photograph)),
            Figure("resizing", "ms", tuple(preparation)),
        ]
        return figures + ([Figure("match", "ms", tuple(match))] if match else [])

    def _text_times(self, texts: Iterable[str]) -> list[float]:
        return _times(((self._encoder.encode_texts, [text]) for text in texts), self._clock, self._steps)

    def _resizing_times(self) -> list[float]:
        return _times(((self._encoder.prepare, image) for image in self._images), self._clock, self._steps)

    def _batch_times(self, prepared: list[Any], batches: int) -> list[float]:
        calls = ((self._encoder.encode_prepared, prepared) for _ in range(batches))
        return _times(calls, self._clock, self._steps)


def _threads() -> int:
    """Threads that torch computes with, or the usable cores where torch was not imported."""
    if "torch" not in sys.modules:
        return usable_cores()
    import torch

    return torch.get_num_threads()


def _median(values: list[float]) -> float:
    return float(np.median(values))


def _match_ms(scorer: Scorer, encoder: Encoder, clock: Callable[[], float]) -> float:
    """Median milliseconds for the matches of a text with random unit vectors; the second of two rounds."""
    candidates = np.random.default_rng(0).normal(size=(CANDIDATES, encoder.dimension)).astype(np.float32)
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    queries = encoder.encode_texts(QUERIES)
    steps = ProgressCounter(None, 2 * len(queries))
    times = [
        _times(((lambda each: scorer.match(each, candidates, "text"), query) for query in queries), clock, steps)
        for _ in range(2)
    ]
    return float(np.median(times[1]))


def _times(
    calls: Iterable[tuple[Callable[[Any], object], Any]], clock: Callable[[], float], steps: ProgressCounter
) -> list[float]:
    """Milliseconds of each call."""
    times = []
    for call, argument in calls:
        started = clock()
        call(argument)
        times.append(1000 * (clock() - started))
        steps.add()
    return times


def _noise(side: int) -> list[Image.Image]:
    """A batch of 4 : 3 images of noise whose shorter side is `side`; resizing costs the same whatever they show."""
    random = np.random.default_rng(0)
    shape = (side, side * 4 // 3, 3)
    return [Image.fromarray(random.integers(0, 256, shape, np.uint8)) for _ in range(BATCH)]
