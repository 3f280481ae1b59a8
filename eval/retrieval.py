"""Retrieval on captioned photographs: how well texts find their photographs, and photographs their texts (recall@K).

`t2i_rK` is the share, in percent, of captions whose photograph is among the first K of all photographs of the split.
`i2t_rK` is the share of photographs with at least one of their own captions among the first K of all captions of the
split. Ties count against the model: whatever scores as much as the right answer ranks before it, so that an encoder
that scores everything alike finds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.captions import CaptionedPhotograph, read_captions
from eval.bootstrap import RESAMPLES, Interval, interval
from eval.timing import ProgressCounter
from service.errors import PhotographError
from service.types import Float32Array, Int64Array, OnProgress

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder.encoder import Encoder


DEPTHS = (1, 5, 10)
CHUNK = 1024
"""Queries compared at once: 1,024 × 35,000 similarities take 140 MB."""
PHOTOGRAPH_BATCH = 16
TEXT_BATCH = 128


@dataclass(frozen=True)
class RetrievalReport:
    """Figures of one model on one split; `intervals` are bootstrap 95 % intervals over photographs."""

    figures: dict[str, float]
    intervals: dict[str, Interval]
    photos: int
    captions: int
    seconds: float
    model: str
    fingerprint: str
    split: str

    def as_json(self) -> dict[str, Any]:
        """The six figures first and flat, then the data and model, for `--json` and for tables."""
        return {
            **{name: round(value, 2) for name, value in self.figures.items()},
            "intervals": {name: [round(end, 2) for end in ends] for name, ends in self.intervals.items()},
            "photos": self.photos,
            "captions": self.captions,
            "seconds": round(self.seconds, 1),
            "model": self.model,
            "fingerprint": self.fingerprint,
            "split": self.split,
        }


def ranks(
    text_vectors: Float32Array, photo_vectors: Float32Array, photo_of_text: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """Rank of the right answer, 0 for the first, of each text and of each photograph.

    `text_vectors` (n, d) and `photo_vectors` (m, d) are unit vectors, `photo_of_text` (n,) is the row of each text's
    photograph. Returns int64 (n,), the rank of each text's photograph, and int64 (m,), the number of other photographs'
    captions that rank before a photograph's own best caption. Raises ValueError where a photograph has no text.
    """
    if len(np.unique(photo_of_text)) != len(photo_vectors):
        raise ValueError("each photograph needs at least one text, and each text a photograph")
    of_texts = np.empty(len(text_vectors), dtype=np.int64)
    for first in range(0, len(text_vectors), CHUNK):
        rows = slice(first, first + CHUNK)
        similarity = text_vectors[rows] @ photo_vectors.T
        own = np.take_along_axis(similarity, photo_of_text[rows, None], axis=1)
        of_texts[rows] = (similarity >= own).sum(axis=1) - 1
    of_photographs = np.empty(len(photo_vectors), dtype=np.int64)
    for first in range(0, len(photo_vectors), CHUNK):
        rows = slice(first, first + CHUNK)
        similarity = photo_vectors[rows] @ text_vectors.T
        is_own = photo_of_text[None, :] == np.arange(first, first + len(similarity))[:, None]
        best = np.where(is_own, similarity, -np.inf).max(axis=1, keepdims=True)
        of_photographs[rows] = ((similarity >= best) & ~is_own).sum(axis=1)
    return of_texts, of_photographs


def recalls(text_vectors: Float32Array, photo_vectors: Float32Array, photo_of_text: Int64Array) -> dict[str, float]:
    """`t2i_r1`, `t2i_r5`, `t2i_r10`, `i2t_r1`, `i2t_r5`, `i2t_r10` in percent; arguments as for `ranks`."""
    of_texts, of_photographs = ranks(text_vectors, photo_vectors, photo_of_text)
    return _figures(of_texts, of_photographs)


def bootstrap_intervals(
    of_texts: Int64Array, of_photographs: Int64Array, photo_of_text: Int64Array, *, seed: int = 0
) -> dict[str, Interval]:
    """95 % percentile intervals of the six figures; photographs are resampled with all their captions.

    Only the queries are resampled; the gallery stays the same.
    """
    generator = np.random.default_rng(seed)
    count = len(of_photographs)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    texts_of = np.bincount(photo_of_text, minlength=count)
    intervals = {}
    for depth in DEPTHS:
        hits = np.bincount(photo_of_text, weights=of_texts < depth, minlength=count)
        intervals[f"t2i_r{depth}"] = interval(100 * (drawn @ hits / (drawn @ texts_of)))
    for depth in DEPTHS:
        intervals[f"i2t_r{depth}"] = interval(100 * (drawn @ (of_photographs < depth) / count))
    return intervals


def evaluate(encoder: Encoder, folder: Path, split: str, on_progress: OnProgress | None = None) -> RetrievalReport:
    """Measure an encoder on one split of a folder with `images/` and `captions.tsv`.

    `on_progress` is called with the photographs and captions done and their number. Raises DataError for faulty data
    and PhotographError, with the file, for a photograph that cannot be read.
    """
    started = time.monotonic()
    photographs = read_captions(folder, split)
    texts = [caption.text for photograph in photographs for caption in photograph.captions]
    photo_of_text = np.repeat(np.arange(len(photographs)), [len(each.captions) for each in photographs])
    progress = ProgressCounter(on_progress, len(photographs) + len(texts))
    photo_vectors = encode_photographs(encoder, photographs, progress.add)
    text_rows = []
    for first in range(0, len(texts), TEXT_BATCH):
        text_rows.append(encoder.encode_texts(texts[first : first + TEXT_BATCH]))
        progress.add(len(text_rows[-1]))
    of_texts, of_photographs = ranks(np.concatenate(text_rows), photo_vectors, photo_of_text)
    return RetrievalReport(
        figures=_figures(of_texts, of_photographs),
        intervals=bootstrap_intervals(of_texts, of_photographs, photo_of_text),
        photos=len(photographs),
        captions=len(texts),
        seconds=time.monotonic() - started,
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        split=split,
    )


def encode_photographs(
    encoder: Encoder, photographs: list[CaptionedPhotograph], on_done: Callable[[int], None]
) -> Float32Array:
    """Vectors float32 (m, d) of photographs, decoded as the service decodes them, a batch at a time.

    Raises PhotographError, with the file, for one that cannot be read.
    """
    rows = []
    for first in range(0, len(photographs), PHOTOGRAPH_BATCH):
        batch = photographs[first : first + PHOTOGRAPH_BATCH]
        rows.append(encoder.encode_photographs([_opened(each) for each in batch]))
        on_done(len(batch))
    return np.concatenate(rows)


def _opened(photograph: CaptionedPhotograph) -> Image.Image:
    from service.photos.decode import open_photograph

    try:
        return open_photograph(photograph.path).image
    except PhotographError as error:
        raise PhotographError(f"{photograph.path} cannot be used as a photograph: {error.message}.") from None


def _figures(of_texts: Int64Array, of_photographs: Int64Array) -> dict[str, float]:
    figures = {f"t2i_r{depth}": 100 * float(np.mean(of_texts < depth)) for depth in DEPTHS}
    return figures | {f"i2t_r{depth}": 100 * float(np.mean(of_photographs < depth)) for depth in DEPTHS}
