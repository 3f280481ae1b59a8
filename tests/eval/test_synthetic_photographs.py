"""Synthetic photographs."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from eval.synthetic_photographs import SMALL, draw_photographs


def test_they_are_jpegs_of_their_size_and_all_different(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    draw_photographs(tmp_path, 40, SMALL, on_progress=lambda done, total: seen.append((done, total)))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 40
    assert len({file.read_bytes() for file in files}) == 40
    with Image.open(files[-1]) as opened:
        assert (opened.size, opened.format, opened.mode) == (SMALL, "JPEG", "RGB")
    # Real photographs of this size take some ten kilobytes.
    assert 5_000 < sum(file.stat().st_size for file in files) / 40 < 20_000
    assert seen[-1] == (40, 40)


def test_the_seed_decides_the_photographs(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_photographs(tmp_path / name, 2, (64, 48), seed=seed)
    first, same, other = ((tmp_path / name / "00001.jpg").read_bytes() for name in "abc")
    assert first == same != other
