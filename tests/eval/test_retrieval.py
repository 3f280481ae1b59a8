"""Retrieval figures against the slow, obvious way to compute them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from eval import retrieval
from eval.retrieval import bootstrap_intervals, evaluate, ranks, recalls
from service.types import Float32Array


def naive_recalls(texts: Any, photographs: Any, owner: Any) -> dict[str, float]:
    """Sort every row of the full matrix; only for similarities without ties."""
    similarity = texts @ photographs.T
    figures = {}
    for depth in (1, 5, 10):
        found = [owner[row] in np.argsort(-similarity[row])[:depth] for row in range(len(texts))]
        figures[f"t2i_r{depth}"] = 100 * float(np.mean(found))
        found = [
            any(owner[text] == photo for text in np.argsort(-similarity[:, photo])[:depth])
            for photo in range(len(photographs))
        ]
        figures[f"i2t_r{depth}"] = 100 * float(np.mean(found))
    return figures


def some_vectors(photographs: int = 60, each: int = 3) -> tuple[Any, Any, Any]:
    generator = np.random.default_rng(3)
    owner = np.repeat(np.arange(photographs), each)
    generator.shuffle(owner)
    photo_vectors = generator.normal(size=(photographs, 16))
    text_vectors = photo_vectors[owner] + 1.5 * generator.normal(size=(len(owner), 16))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (text_vectors, photo_vectors)]
    return unit[0].astype(np.float32), unit[1].astype(np.float32), owner


@pytest.mark.parametrize("chunk", [7, 1024])
def test_equals_the_naive_full_matrix(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(retrieval, "CHUNK", chunk)
    vectors = some_vectors()
    found = recalls(*vectors)
    assert found == pytest.approx(naive_recalls(*vectors))
    assert 0 < found["t2i_r1"] < 100


def test_an_encoder_that_scores_everything_alike_finds_nothing() -> None:
    same = np.full((40, 4), 0.5, dtype=np.float32)
    assert set(recalls(same, same[:20], np.repeat(np.arange(20), 2)).values()) == {0.0}


def test_a_tie_counts_against_the_model() -> None:
    photographs = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    texts = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    of_texts, of_photographs = ranks(texts, photographs, np.arange(3))
    assert of_texts.tolist() == [1, 1, 0]
    assert of_photographs.tolist() == [1, 1, 0]


def test_a_photograph_without_a_text_is_refused() -> None:
    texts, photographs, _ = some_vectors(4, 1)
    with pytest.raises(ValueError, match="each photograph needs"):
        ranks(texts, photographs, np.array([0, 1, 2, 2]))


def test_intervals_contain_the_figure_and_shrink_with_more_photographs() -> None:
    widths = []
    for photographs in (50, 800):
        vectors = some_vectors(photographs)
        of_texts, of_photographs = ranks(*vectors)
        low, high = bootstrap_intervals(of_texts, of_photographs, vectors[2])["t2i_r10"]
        assert low <= recalls(*vectors)["t2i_r10"] <= high
        widths.append(high - low)
    assert widths[1] < widths[0]


class ColourEncoder:
    """Encodes four colours, by name and as images."""

    name, fingerprint = "colours", "f00d"
    colours = ("red", "green", "blue", "white")

    def encode_texts(self, texts: Sequence[str]) -> Float32Array:
        found = [next(place for place, colour in enumerate(self.colours) if colour in text) for text in texts]
        return np.eye(4, dtype=np.float32)[found]

    def encode_photographs(self, images: Sequence[Image.Image]) -> Float32Array:
        shades = np.array([np.asarray(image.resize((1, 1)), dtype=np.float32)[0, 0] for image in images]) / 255
        white = shades.min(axis=1, keepdims=True)
        vectors = np.concatenate([shades - white, white], axis=1)
        unit: Float32Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def test_evaluates_an_encoder_on_a_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = ["image\tcaption_id\tsplit\tcaption"]
    for colour in ColourEncoder.colours:
        Image.new("RGB", (32, 32), colour).save(tmp_path / "images" / f"{colour}.png")
        lines += [f"{colour}.png\t{colour}#{turn}\ttest\tsomething {colour}" for turn in range(2)]
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    seen: list[tuple[int, int]] = []
    report = evaluate(cast(Any, ColourEncoder()), tmp_path, "test", lambda done, total: seen.append((done, total)))
    assert set(report.figures.values()) == {100.0}
    assert (report.photos, report.captions, report.split, report.model) == (4, 8, "test", "colours")
    assert seen[-1] == (12, 12)
    printed = report.as_json()
    assert list(printed)[:6] == ["t2i_r1", "t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10"]
    assert printed["fingerprint"] == "f00d"
