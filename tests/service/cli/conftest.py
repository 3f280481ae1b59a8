"""Fixtures of the commands' tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

TEXTS = [f"{colour} {thing}" for thing in ("cat", "dog", "flower", "car", "tree", "house") for colour in "abcde"]
PHOTOGRAPHS = 30


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory, tiny: Encoder) -> Path:
    """A folder of data whose experts grade as the tiny model sees it: as high as the cosine is."""
    folder = tmp_path_factory.mktemp("rated")
    (folder / "images").mkdir()
    for number in range(PHOTOGRAPHS):
        save_picture(folder / "images" / f"{number}.png", number)
    photographs = [Image.open(folder / "images" / f"{number}.png").convert("RGB") for number in range(PHOTOGRAPHS)]
    cosine = tiny.encode_texts(TEXTS) @ tiny.encode_photographs(photographs).T
    grade = 1 + np.floor(cosine.argsort(axis=None).argsort().reshape(cosine.shape) * 4 / cosine.size).astype(int)
    captions, ratings = ["image\tcaption_id\tsplit\tcaption"], ["image\tcaption_id\texpert1\texpert2\texpert3"]
    captions += [f"{number}.png\t{number}\ttest\t{text}" for number, text in enumerate(TEXTS)]
    for pair in np.random.default_rng(0).choice(cosine.size, 400, replace=False).tolist():
        text, photograph = divmod(pair, PHOTOGRAPHS)
        ratings.append(f"{photograph}.png\t{text}\t{grade[text, photograph]}\t\t")
    (folder / "captions.tsv").write_text("\n".join(captions) + "\n")
    (folder / "expert_ratings.tsv").write_text("\n".join(ratings) + "\n")
    return folder
