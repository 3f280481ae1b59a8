"""Copies with borders have their photograph at the stated position, and the figures count what they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from eval.letterbox_accuracy import evaluate
from eval.letterboxed import BORDERS, add_border, iou
from service.errors import UsageError
from service.photos.crop import Box, crop
from tests.service.colours import ColourEncoder
from tests.service.pictures import picture, save_picture

TEXT = "two dogs play in the snow near a red house"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photographs with captions."""
    rows = ["image\tcaption_id\tsplit\tcaption"]
    (tmp_path / "images").mkdir()
    for seed in range(6):
        save_picture(tmp_path / "images" / f"{seed}.png", seed, (224, 224))
        rows.append(f"{seed}.png\t{seed}.png#0\ttest\t{TEXT}")
    (tmp_path / "captions.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("kind", BORDERS)
def test_a_copy_has_its_photograph_at_the_stated_position(kind: str) -> None:
    original = picture(3, (224, 224))
    for seed in range(3):
        copy = add_border(original, kind, TEXT, seed)
        part = crop(copy.image, copy.box)
        assert part.size[0] * part.size[1] < 0.95 * copy.image.size[0] * copy.image.size[1]
        difference = np.asarray(part, np.int16) - np.asarray(original.resize(part.size), np.int16)
        assert np.abs(difference).mean() < 5
        assert copy.image.tobytes() == add_border(original, kind, TEXT, seed).image.tobytes()


def test_intersection_over_union() -> None:
    assert iou(Box(0, 0, 1, 1), Box(0, 0, 0.5, 0.5)) == pytest.approx(0.25)
    assert iou(Box(0, 0, 0.5, 1), Box(0.25, 0, 0.5, 1)) == pytest.approx(1 / 3)
    assert iou(Box(0, 0, 0.2, 0.2), Box(0.5, 0.5, 0.2, 0.2)) == 0


def test_copies_find_their_original_better_without_borders(folder: Path) -> None:
    done: list[tuple[int, int]] = []
    report = evaluate(ColourEncoder(), folder, copies=6, on_progress=lambda *counts: done.append(counts))  # type: ignore[arg-type]
    assert (report.photographs, report.copies, report.bare, report.cut) == (6, 6, 6, [])
    assert report.figures["r1"] > report.figures["r1_kept"]
    assert report.figures["cosine"] > report.figures["cosine_kept"]
    assert report.figures["boxes"] > 80
    assert sum(kind["copies"] for kind in report.kinds.values()) == 6
    assert done[-1] == (12, 12)
    low, high = report.intervals["cosine"]
    assert low <= report.figures["cosine"] <= high


def test_wrong_crops_are_listed_and_other_files_skipped(folder: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    save_picture(others / "bare.png", 7, (300, 200))
    ImageOps.expand(picture(8, (300, 200)), 30, "black").save(others / "framed.png")
    Image.new("RGB", (60, 60)).save(others / "black.png")
    (others / "letter.jpg").write_text("Dear photographer,")
    report = evaluate(ColourEncoder(), folder, copies=1, also=[others])  # type: ignore[arg-type]
    assert report.cut == [str(others / "black.png"), str(others / "framed.png")]
    assert report.bare == 9


@pytest.mark.parametrize("copies", [0, 7])
def test_a_number_of_copies_out_of_range_is_refused(folder: Path, copies: int) -> None:
    with pytest.raises(UsageError, match="must be from 1 to 6"):
        evaluate(ColourEncoder(), folder, copies=copies)  # type: ignore[arg-type]
