"""How long one machine takes to encode: a query, a photograph, and loading the model before either; and to match.

A query is timed alone, as a person's search asks for it. Photographs are timed in batches as an index run
encodes them, from tensors that lie in memory: decoding depends on the files and is left out, and resizing,
which an index run does beside the encoding, is a figure of its own. What comes first is slower (memory is
fetched, kernels are chosen for each length of text), so everything runs before it is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from service.encoder import Encoder
    from service.scorer import Scorer

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


@dataclass(frozen=True)
class EncodingReport:
    """What encoding costs with one model on one machine; see `bench_encoding` for what is measured.

    Attributes:
        text_ms_median: milliseconds for one query, alone; the median of `queries` of them.
        text_ms_p95: the time that 95 % of them do not exceed.
        photograph_ms: milliseconds a photograph beyond decoding and resizing, in batches of `batch`; median.
        preparation_ms: milliseconds to resize and normalise a photograph of twice the model's side; median.
        loading_s: seconds from a name to an encoder, with the import of its libraries.
        match_ms: milliseconds for the matches of one query with `CANDIDATES` photographs; median, None where no
            scorer was given.
        disk_mb: megabytes (1,000,000 bytes) of the model's files.
        threads: how many torch computes with on a CPU.
    """

    text_ms_median: float
    text_ms_p95: float
    photograph_ms: float
    preparation_ms: float
    loading_s: float
    disk_mb: float
    queries: int
    batch: int
    batches: int
    threads: int
    device: str
    precision: str
    text_precision: str
    model: str
    fingerprint: str
    match_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields, times to a hundredth, for `--json` and for tables."""
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in vars(self).items()}


def bench_encoding(
    load: Callable[[], Encoder],
    disk_bytes: int,
    *,
    scorer_of: Callable[[Encoder], Scorer] | None = None,
    queries: int = 200,
    batches: int = 10,
    on_progress: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> EncodingReport:
    """Measure an encoder that `load` gives.

    Args:
        load: makes the encoder; a download belongs before, or it counts as loading.
        disk_bytes: size of the model's files.
        scorer_of: gives the encoder's scorer, to be timed too.
        queries: how many single texts are counted; they take turns among `QUERIES`.
        batches: how many batches of photographs are counted.
        on_progress: called with the steps done and their number in all.
        clock: seconds from any beginning.
    """
    started = clock()
    encoder = load()
    loading_s = clock() - started
    # Not before: importing it is part of loading.
    import torch

    images = _noise(2 * encoder.photograph_side)
    asked = [QUERIES[turn % len(QUERIES)] for turn in range(queries)]
    report = _Steps(on_progress, len(QUERIES) + queries + 2 * BATCH + WARM_BATCHES + batches)
    _times(((encoder.encode_texts, [text]) for text in QUERIES), clock, report)
    text_ms = _times(((encoder.encode_texts, [text]) for text in asked), clock, report)
    _times(((encoder.prepare, image) for image in images), clock, report)
    preparation_ms = _times(((encoder.prepare, image) for image in images), clock, report)
    prepared = [encoder.prepare(image) for image in images]
    _times(((encoder.encode_prepared, prepared) for _ in range(WARM_BATCHES)), clock, report)
    batch_ms = _times(((encoder.encode_prepared, prepared) for _ in range(batches)), clock, report)
    match_ms = None
    if scorer_of is not None:
        match_ms = _match_ms(scorer_of(encoder), encoder, clock)
    return EncodingReport(
        match_ms=match_ms,
        text_ms_median=float(np.median(text_ms)),
        text_ms_p95=float(np.percentile(text_ms, 95)),
        photograph_ms=float(np.median(batch_ms)) / BATCH,
        preparation_ms=float(np.median(preparation_ms)),
        loading_s=loading_s,
        disk_mb=disk_bytes / 1e6,
        queries=queries,
        batch=BATCH,
        batches=batches,
        threads=torch.get_num_threads(),
        device=encoder.device,
        precision=encoder.precision,
        text_precision=encoder.text_precision,
        model=encoder.name,
        fingerprint=encoder.fingerprint,
    )


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

    def __init__(self, callback: Callable[[int, int], None] | None, total: int) -> None:
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
