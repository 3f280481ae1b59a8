"""Simulated ratings by a known rule, photographs of one colour, and an encoder of colours and texts about them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import xxhash
from PIL import Image

from service.types import Float32Array, Float64Array
from tests.service.sample_artifacts import unit


@dataclass(eq=False)
class ColourReader:
    """A stand-in for `service.encoder.encoder.Encoder`: texts are “red green blue number”, photographs one colour.

    `sign` −1 makes cosines fall with the ratings. `texts` and `photographs` record what was encoded.
    """

    name: str = "mini"
    fingerprint: str = "colours in words"
    dimension: int = 8
    photograph_side: int = 16
    noise: float = 0.25
    sign: float = 1.0
    texts: list[str] = field(default_factory=list)
    photographs: int = 0

    def encode_photographs(self, images: Sequence[Image.Image]) -> Float32Array:
        self.photographs += len(images)
        colours = [np.asarray(image, np.float64).mean(axis=(0, 1)) for image in images]
        return self._vectors(np.stack(colours), 0.0)

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        self.texts += texts
        vectors = self._vectors(np.stack([colour_of(text) for text in texts]), 0.5)
        noise = [generator_of(text).normal(scale=self.noise, size=self.dimension) for text in texts]
        return unit((self.sign * vectors + np.stack(noise)).astype(np.float32))

    def _vectors(self, colours: Float64Array, modality: float) -> Float32Array:
        red, green, blue = (colours / 127.5 - 1).T
        rest = [np.full_like(red, 0.7), red * green / 2, green * blue / 2, red * blue / 2, np.full_like(red, modality)]
        return unit(np.stack([red, green, blue, *rest], axis=1).astype(np.float32))


def generator_of(text: str) -> np.random.Generator:
    """A random generator seeded by a text."""
    return np.random.default_rng(xxhash.xxh3_64_intdigest(text.encode()))


def colour_of(text: str) -> Float64Array:
    """The colour (3,), 0 to 255, that a text names; a random one for other texts."""
    words = text.split()
    if len(words) == 4 and all(word.isdecimal() for word in words):
        return np.array([float(word) for word in words[:3]])
    return generator_of(text).uniform(0, 255, 3)


def true_fit(text: str, colour: Float64Array) -> float:
    """The rule of the ratings: how well a text fits a photograph of a colour, 0 to 1."""
    named, shown = colour_of(text) / 127.5 - 1, colour / 127.5 - 1
    cosine = named @ shown / (np.linalg.norm(named) * np.linalg.norm(shown) + 1e-9)
    return float(1 / (1 + np.exp(-(5 * cosine - 2))))


def write_data(
    folder: Path,
    *,
    rated: int = 40,
    grades: int = 300,
    votes: int = 600,
    unrated: int = 0,
    owned: bool = True,
    seed: int = 0,
    chance_of_yes: float | None = None,
) -> Path:
    """A folder of data with some `grades` and `votes` on pairs of `rated` photographs and as many texts.

    `unrated` photographs have captions only. With `owned` a text was written for the photograph with its number, else
    for none. `chance_of_yes` replaces the rule.
    """
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    colours = random.integers(0, 256, (rated + unrated, 3))
    captions, texts = ["image\tcaption_id\tsplit\tcaption"], []
    for number, colour in enumerate(colours):
        Image.new("RGB", (16, 16), tuple(int(each) for each in colour)).save(folder / "images" / f"{number}.png")
        for version in range(1 if number < rated else 3):
            shifted = np.clip(colour + random.integers(-40, 41, 3), 0, 255)
            text = " ".join(str(each) for each in (*shifted, number * 10 + version))
            texts += [text] * (number < rated)
            name = f"{number}.png" if owned or number >= rated else ""
            captions.append(f"{name}\t{number}#{version}\ttest\t{text}")
    for name, cells, count in (("expert", "expert1\texpert2\texpert3", grades), ("crowd", "yes\tno", votes)):
        rows = [f"image\tcaption_id\t{cells}"]
        for pair in random.choice(rated * rated, count, replace=False).tolist():
            text, photograph = divmod(pair, rated)
            chance = chance_of_yes
            if chance is None:
                chance = true_fit(texts[text], colours[photograph].astype(np.float64))
            yes = int(random.binomial(3, chance**1.5))
            rating = (1 + random.binomial(3, chance, 3)).tolist() if name == "expert" else [yes, 3 - yes]
            rows.append("\t".join([f"{photograph}.png", f"{text}#0", *map(str, rating)]))
        if count:
            (folder / f"{name}_ratings.tsv").write_text("\n".join(rows) + "\n")
    (folder / "captions.tsv").write_text("\n".join(captions) + "\n")
    return folder


def quiet(stage: str, done: int, total: int) -> None:
    """Progress that is not shown, but checked."""
    assert 0 <= done <= total


def make_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make banks of a few centroids and intervals from five resamples, for seconds instead of minutes."""
    import eval.answerable
    import eval.scoring
    import training.match_evaluation

    monkeypatch.setattr("training.match_data.BANK_SIZES", (24, 12))
    monkeypatch.setattr("training.match_data.FEWEST_CAPTIONS", 60)
    for module, name in (
        (eval.scoring, "scoring_figures"),
        (eval.answerable, "answerability"),
        (training.match_evaluation, "scoring_figures"),
        (training.match_evaluation, "paired_difference"),
    ):
        monkeypatch.setattr(module, name, functools.partial(getattr(module, name), resamples=5))
