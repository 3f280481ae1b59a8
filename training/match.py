"""The match of an encoder: a monotone map from cosine to [0, 1] fitted on people's ratings.

    python -m training.match --model mini --data DIR --out service/models/mini

**A text and a photograph.** The crowd of Flickr8k was asked whether a caption describes a photograph; the
map is the logistic function of the cosine that best predicts a single vote. Rows that pair a photograph with
its own caption stay in: they are votes like the others, and they hold two in five of the unanimous yes, which
is what the upper end of the map has to learn from.

**Two photographs.** Their cosines live on another scale, so they get a map of their own, from the same
votes: where people say that a caption of photograph B describes photograph A, the two show the same scene as
far as words tell. A photograph's own caption would pair it with itself at a cosine of 1, which teaches
nothing; a random crop stands in for the second photograph there.

Figures are out of fold: neither the photograph nor the caption of a rated pair is in the rows that its map
was fitted on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data.captions import CROWD_RATINGS, CaptionedPhotograph, CrowdRating, read_captions, read_crowd_ratings
from service.errors import DataError, ModelError, SmyslError

if TYPE_CHECKING:
    from PIL import Image

    from service.encoder import Encoder

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FOLDS = 5
BINS = 15
MATCH = "match.json"
SPLIT = "test"
"""All rated photographs and captions are of this split; encoders are trained on the others."""


@dataclass(frozen=True)
class RatedPairs:
    """Rated pairs as arrays (n,): the cosine, the votes, and which photograph and caption each row is of."""

    similarity: Numbers
    yes: Numbers
    no: Numbers
    photograph: Integers
    caption: Integers

    @property
    def share(self) -> Numbers:
        """Share of yes, 0 to 1."""
        return self.yes / (self.yes + self.no)


@dataclass(frozen=True)
class LogisticMap:
    """match = 1 / (1 + exp(−(slope · cosine + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, similarity: Numbers) -> Numbers:
        """Matches for cosines of any shape."""
        matches: Numbers = 1.0 / (1.0 + np.exp(-(self.slope * similarity + self.intercept)))
        return matches


def fit_logistic(similarity: Numbers, yes: Numbers, no: Numbers) -> LogisticMap:
    """The logistic map that makes the votes most likely.

    Raises ModelError where a larger cosine does not go with more yes: such a map could not order hits.
    """
    from sklearn.linear_model import LogisticRegression

    column = np.concatenate([similarity, similarity])[:, None]
    votes = np.concatenate([np.ones_like(yes), np.zeros_like(no)])
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(column, votes, sample_weight=np.concatenate([yes, no]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if not slope > 0:
        raise ModelError("The encoder's cosines do not rise with the ratings, so no match can be fitted on them.")
    return LogisticMap(slope, intercept)


def out_of_fold(pairs: RatedPairs, seed: int = 0) -> Numbers:
    """Matches (n,) by maps that saw neither the photograph nor the caption of their row."""
    generator = np.random.default_rng(seed)
    photograph_fold = _folds(pairs.photograph, generator)
    caption_fold = _folds(pairs.caption, generator)
    matches = np.empty(len(pairs.similarity))
    for first in range(FOLDS):
        for second in range(FOLDS):
            fitted = (photograph_fold != first) & (caption_fold != second)
            judged = (photograph_fold == first) & (caption_fold == second)
            map_of_fold = fit_logistic(pairs.similarity[fitted], pairs.yes[fitted], pairs.no[fitted])
            matches[judged] = map_of_fold(pairs.similarity[judged])
    return matches


def figures_of(pairs: RatedPairs, matches: Numbers) -> dict[str, float]:
    """Brier score and expected calibration error over votes, and Kendall's τ_b with the share of yes.

    `brier_base` is what the mean share alone would score; `ece` has 15 bins of equal width.
    """
    from scipy.stats import kendalltau

    votes = pairs.yes + pairs.no
    base = pairs.yes.sum() / votes.sum()
    bins = np.minimum((matches * BINS).astype(int), BINS - 1)
    held = np.bincount(bins, votes, BINS)
    gaps = np.abs(np.bincount(bins, votes * matches, BINS) - np.bincount(bins, pairs.yes, BINS))
    return {
        "brier": round(_brier(pairs, matches), 4),
        "brier_base": round(_brier(pairs, np.full(len(matches), base)), 4),
        "ece": round(float(gaps.sum() / held.sum()), 4),
        "tau_b": round(100 * float(kendalltau(pairs.similarity, pairs.share).statistic), 1),
        "pairs": len(matches),
        "share_of_yes": round(float(base), 4),
    }


def write_match(encoder: Encoder, data: Path, folder: Path) -> dict[str, Any]:
    """Fit both maps for an encoder on the crowd ratings of a folder of data and write `match.json`.

    Returns what was written. Raises DataError for a fault of the data, ModelError where no map can be fitted.
    """
    photographs = read_captions(data, SPLIT)
    ratings = read_crowd_ratings(data)
    texts, between = rated_pairs(encoder, photographs, ratings, data / CROWD_RATINGS)
    text_map = fit_logistic(texts.similarity, texts.yes, texts.no)
    photograph_map = fit_logistic(between.similarity, between.yes, between.no)
    match = {
        "version": 1,
        "kind": "logistic",
        "slope": text_map.slope,
        "intercept": text_map.intercept,
        "photograph": {"slope": photograph_map.slope, "intercept": photograph_map.intercept},
        "fingerprint": encoder.fingerprint,
        "trained_on": f"crowd ratings of Flickr8k: {len(ratings)} pairs of {len(photographs)} photographs",
        "figures": {
            "text": figures_of(texts, out_of_fold(texts)),
            "photograph": figures_of(between, out_of_fold(between)),
        },
    }
    (folder / MATCH).write_text(json.dumps(match, indent=1) + "\n", encoding="utf-8")
    return match


def rated_pairs(
    encoder: Encoder, photographs: Sequence[CaptionedPhotograph], ratings: Sequence[CrowdRating], file: Path
) -> tuple[RatedPairs, RatedPairs]:
    """Text–photograph and photograph–photograph pairs of the ratings, with the encoder's cosines.

    `file` is where the ratings came from, for the DataError of a row that names an unknown photograph or
    caption.
    """
    from eval.retrieval import encode_photographs

    row_of = {each.name: row for row, each in enumerate(photographs)}
    captions = {
        caption.caption_id: (caption.text, row_of[each.name]) for each in photographs for caption in each.captions
    }
    for row, rating in enumerate(ratings, start=2):
        if rating.image not in row_of or rating.caption_id not in captions:
            column = "caption_id" if rating.image in row_of else "image"
            raise DataError(f"{file}, row {row}, column {column}: it is not of the split {SPLIT!r} of the captions.")
    rated = sorted({rating.caption_id for rating in ratings})
    caption_row = {caption_id: row for row, caption_id in enumerate(rated)}
    photo = np.array([row_of[rating.image] for rating in ratings])
    caption = np.array([caption_row[rating.caption_id] for rating in ratings])
    owner = np.array([captions[rating.caption_id][1] for rating in ratings])
    yes = np.array([float(rating.yes) for rating in ratings])
    no = np.array([float(rating.no) for rating in ratings])

    vectors = encode_photographs(encoder, list(photographs), lambda _: None)
    texts = encoder.encode_texts([captions[caption_id][0] for caption_id in rated])
    others = vectors[owner].copy()
    own = photo == owner
    others[own] = _crops(encoder, [photographs[row] for row in photo[own]])
    return (
        RatedPairs(_cosines(vectors[photo], texts[caption]), yes, no, photo, caption),
        RatedPairs(_cosines(vectors[photo], others), yes, no, photo, caption),
    )


def _crops(encoder: Encoder, photographs: Sequence[CaptionedPhotograph]) -> npt.NDArray[np.float32]:
    """Vectors of one view of each photograph: a random crop, mirrored or not, a little lighter or darker."""
    from eval.retrieval import PHOTOGRAPH_BATCH
    from service.photos import open_photograph
    from training.mini.views import view_of

    def crop(position: int) -> Image.Image:
        image = open_photograph(photographs[position].path).image
        return view_of(image, encoder.photograph_side, np.random.default_rng((0, position)))

    rows = []
    for first in range(0, len(photographs), PHOTOGRAPH_BATCH):
        last = min(first + PHOTOGRAPH_BATCH, len(photographs))
        rows.append(encoder.encode_photographs([crop(position) for position in range(first, last)]))
    return np.concatenate(rows)


def _cosines(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> Numbers:
    cosines: Numbers = np.einsum("nd,nd->n", left, right).astype(np.float64)
    return cosines


def _folds(groups: Integers, generator: np.random.Generator) -> Integers:
    """A fold for each row, the same for all rows of a group."""
    fold_of: Integers = generator.permutation(int(groups.max()) + 1) % FOLDS
    return fold_of[groups]


def _brier(pairs: RatedPairs, matches: Numbers) -> float:
    errors = pairs.yes * (1 - matches) ** 2 + pairs.no * matches**2
    return float(errors.sum() / (pairs.yes + pairs.no).sum())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.match", description="Fit a model's match on ratings.")
    parser.add_argument("--model", required=True, help='"mini", "ARCH/PRETRAINED", "hf-hub:ORG/NAME", "local-dir:PATH"')
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, captions.tsv and ratings")
    parser.add_argument("--out", type=Path, required=True, help=f"folder to write {MATCH} into")
    asked = parser.parse_args(arguments)
    try:
        from service.encoder import Encoder

        match = write_match(Encoder.load(asked.model), asked.data, asked.out)
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(match, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
