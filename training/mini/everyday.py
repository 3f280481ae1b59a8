"""A second check: short everyday queries over photographs that are nothing like Flickr8k.

Retrieval on Flickr8k uses sentences about people and dogs. These queries are what people type: "a cat", "red ship",
"receipt". The photographs are the samples in scikit-image and scikit-learn and, where that folder exists, `formats/`
beside the training data, with its `queries.tsv`.

    python -m training.mini.everyday --model mini --formats DIR

prints the figures of any model, and the rank of the right photograph for each query: by cosine or, with `--match`, in
the order of a search.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import DataError, SmyslError

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer

SAMPLE_QUERIES = (
    ("a cup of coffee", "coffee.png"),
    ("a cat", "cat.png"),
    ("a motorcycle in a garage", "motorcycle.png"),
    ("a chinese temple", "chinese-temple.jpg"),
    ("a red flower", "flower.jpg"),
    ("a brick wall", "brick-wall.png"),
    ("an astronaut", "astronaut.png"),
    ("a woman in a space suit", "astronaut.png"),
    ("bricks", "brick-wall.png"),
    ("a man with a camera", "cameraman.png"),
    ("a photographer", "cameraman.png"),
    ("kitten", "cat.png"),
    ("a pagoda", "chinese-temple.jpg"),
    ("an old building among trees", "chinese-temple.jpg"),
    ("a clock", "clock-blurred.png"),
    ("espresso", "coffee.png"),
    ("a spoon on a saucer", "coffee.png"),
    ("coins", "coins.png"),
    ("old money", "coins.png"),
    ("a dahlia", "flower.jpg"),
    ("a blossom in a garden", "flower.jpg"),
    ("galaxies", "galaxies.jpg"),
    ("stars in the night sky", "galaxies.jpg"),
    ("grass", "grass.png"),
    ("a lawn", "grass.png"),
    ("gravel", "gravel.png"),
    ("pebbles", "gravel.png"),
    ("handwriting", "handwriting.png"),
    ("a handwritten note", "handwriting.png"),
    ("the moon", "moon.png"),
    ("craters", "moon.png"),
    ("motorbike", "motorcycle.png"),
    ("a page of text", "page-of-text.png"),
    ("a printed page of a book", "page-of-text.png"),
    ("the retina of an eye", "retina.jpg"),
    ("a rocket", "rocket.jpg"),
    ("a rocket launch", "rocket.jpg"),
    ("cells under a microscope", "tissue.png"),
)


@dataclass(frozen=True)
class EverydayReport:
    """Rank of the right photograph, from 1, for each query of one collection."""

    name: str
    photographs: int
    ranks: dict[str, int]

    def recall(self, depth: int) -> float:
        """Percent of queries that find their photograph among the first `depth`."""
        return 100 * float(np.mean([rank <= depth for rank in self.ranks.values()]))

    def as_json(self) -> dict[str, Any]:
        """Figures, and the rank for each query."""
        return {
            "photographs": self.photographs,
            "queries": len(self.ranks),
            "r1": round(self.recall(1), 1),
            "r5": round(self.recall(5), 1),
            "places": self.ranks,
        }


def sample_check(encoder: Encoder, scorer: Scorer | None = None) -> EverydayReport:
    """Search the sample photographs of the installed packages, by cosine or by the matches of `scorer`."""
    from data.samples import sample_photographs

    return _check("samples", encoder, SAMPLE_QUERIES, {each.name: each.source for each in sample_photographs()}, scorer)


def formats_check(encoder: Encoder, folder: Path, scorer: Scorer | None = None) -> EverydayReport:
    """Search `photos/` of a folder with the queries of its `queries.tsv` (columns `query`, `image`)."""
    file = folder / "queries.tsv"
    if not file.is_file():
        raise DataError(f"{file} is missing: the folder needs photos/ and queries.tsv.")
    with file.open(encoding="utf-8", newline="") as stream:
        queries = [(row["query"], row["image"]) for row in csv.DictReader(stream, delimiter="\t")]
    photographs = {f"photos/{path.name}": path for path in sorted((folder / "photos").glob("*.jpg"))}
    return _check("formats", encoder, queries, photographs, scorer)


def _check(
    name: str,
    encoder: Encoder,
    queries: tuple[tuple[str, str], ...] | list[tuple[str, str]],
    photographs: dict[str, Path],
    scorer: Scorer | None,
) -> EverydayReport:
    from service.photos.decode import open_photograph

    vectors = encoder.encode_photographs([open_photograph(path).image for path in photographs.values()])
    texts = encoder.encode_texts([query for query, _ in queries])
    all_scores = texts @ vectors.T if scorer is None else [scorer.match(text, vectors, "text") for text in texts]
    rows = {key: row for row, key in enumerate(photographs)}
    ranks = {
        query: int((scores >= scores[rows[image]]).sum())
        for (query, image), scores in zip(queries, all_scores, strict=True)
    }
    return EverydayReport(name, len(photographs), ranks)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    from service.encoder.encoder import Encoder
    from service.match.scorer import load_scorer

    parser = argparse.ArgumentParser(
        prog="python -m training.mini.everyday", description="Short everyday queries over photographs of many kinds."
    )
    parser.add_argument("--model", default="mini", help="mini, ARCH/PRETRAINED, hf-hub:ORG/NAME or local-dir:PATH")
    parser.add_argument("--formats", type=Path, help="folder with photos/ and queries.tsv")
    parser.add_argument("--match", action="store_true", help="order by match, as a search does, not by cosine")
    options = parser.parse_args(arguments)
    try:
        encoder = Encoder.load(options.model)
        scorer = load_scorer(encoder) if options.match else None
        reports = [sample_check(encoder, scorer)]
        if options.formats is not None:
            reports.append(formats_check(encoder, options.formats, scorer))
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    figures = {report.name: report.as_json() for report in reports}
    sys.stdout.write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
