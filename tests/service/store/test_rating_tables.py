"""Writing the tables of a folder of captions and ratings: they read back unchanged, and are replaced all or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.captions import read_crowd_ratings, read_expert_ratings, read_texts
from service.errors import DataError
from service.store.rating_tables import TABLES, CrowdRating, ExpertRating, tables_in, write_tables

TEXTS = {"text-1": 'a sign says "stop"', "text-2": "две собаки", "text-3": "a cat"}
EXPERTS = [ExpertRating("1-a b.jpg", "text-1", (4,)), ExpertRating("2-'\"ё.jpg", "text-2", (1, 2, 3))]
CROWD = [CrowdRating("1-a b.jpg", "text-3", 0, 2)]


def test_tables_read_back_as_written(tmp_path: Path) -> None:
    write_tables(tmp_path, TEXTS, EXPERTS, CROWD, split="rated")
    assert read_texts(tmp_path) == TEXTS
    assert read_expert_ratings(tmp_path) == EXPERTS
    assert read_crowd_ratings(tmp_path) == CROWD
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(TABLES) == sorted(tables_in(tmp_path))


def test_tables_without_rows_have_their_headers(tmp_path: Path) -> None:
    write_tables(tmp_path, TEXTS, EXPERTS, [], split="rated")
    assert read_crowd_ratings(tmp_path) == []


def test_a_failed_write_leaves_the_old_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path, TEXTS, EXPERTS, CROWD, split="rated")
    before = {name: (tmp_path / name).read_bytes() for name in TABLES}
    real_open = Path.open

    def open_on_a_full_disk(self: Path, *arguments: object, **options: object) -> object:
        if "crowd" in self.name:
            raise OSError(28, "No space left on device")
        return real_open(self, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_on_a_full_disk)
        with pytest.raises(DataError, match=r"cannot be written to .* \(No space left on device\)"):
            write_tables(tmp_path, {}, [], [], split="rated")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_more_judges_than_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 3 judgements, not 4"):
        write_tables(tmp_path, TEXTS, [ExpertRating("a", "text-1", (1, 2, 3, 4))], [], split="rated")
    assert not list(tmp_path.iterdir())
