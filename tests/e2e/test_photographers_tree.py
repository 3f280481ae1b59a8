"""A photographer's folder, indexed by the real command: every file is a photograph of the library or named with the
reason, thumbnails are upright and of the right colour, and what the files say is known.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.config import Settings
from service.library import Library
from service.photos.places import place_named
from tests.conftest import SMYSL, Finished
from tests.e2e.photographers_tree import Shot, Tree, make_tree


@dataclass(frozen=True)
class Indexed:
    """The tree, what the index run printed, and the library's folder."""

    tree: Tree
    run: Finished
    library: Path

    def open(self) -> Library:
        return Library.open(self.library, Settings(library=self.library))


def run(*arguments: object) -> Finished:
    """The command `smysl` as a process of its own."""
    done = subprocess.run([*SMYSL, *map(str, arguments)], capture_output=True, text=True, check=False)
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Indexed:
    folder = tmp_path_factory.mktemp("photographer").resolve()
    tree = make_tree(folder / "Фото")
    library = folder / "library"
    model = f"local-dir:{tiny_folder.resolve()}"
    return Indexed(tree, run("index", tree.root, "--library", library, "--model", model), library)


def halves(jpeg: bytes) -> tuple[list[float], list[float]]:
    """The mean colours of the left and right half, without the middle."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float32)
    third = pixels.shape[1] // 3
    return pixels[:, :third].mean(axis=(0, 1)).tolist(), pixels[:, -third:].mean(axis=(0, 1)).tolist()


def test_every_file_is_indexed_or_named_with_the_reason(indexed: Indexed) -> None:
    assert indexed.run.code == 0
    with indexed.open() as library:
        photographs = {record.relative for record in library.catalog.records(range(1, 100)).values()}
    assert photographs == set(indexed.tree.shots)
    listed = run("skipped", "--json", "--library", indexed.library)
    named = {Path(row["path"]): row["reason"] for row in json.loads(listed.out)}
    assert named == {indexed.tree.root / path: reason for path, reason in indexed.tree.left_out.items()}
    assert all(row["sentence"] for row in json.loads(listed.out))


def test_a_second_run_reads_nothing(indexed: Indexed) -> None:
    again = run("index", indexed.tree.root, "--library", indexed.library)
    assert f"0 added, {len(indexed.tree.shots)} unchanged, 0 removed, 2 failed" in again.out


def test_thumbnails_are_upright_and_of_the_right_colour(indexed: Indexed) -> None:
    with indexed.open() as library:
        for record in library.catalog.records(range(1, 100)).values():
            shot = indexed.tree.shots[record.relative]
            assert (record.width, record.height) == shot.size, record.relative
            for jpeg in (library.catalog.thumbnail(record.id), library.catalog.preview(record.id)):
                size = Image.open(io.BytesIO(jpeg)).size
                assert (size[0] > size[1]) == (shot.size[0] > shot.size[1]), record.relative
                for half, colour in zip(halves(jpeg), shot.colours, strict=True):
                    assert half == pytest.approx(colour, abs=8), record.relative


def test_what_the_files_say_is_known(indexed: Indexed) -> None:
    with indexed.open() as library:
        records = library.catalog.records(range(1, 100))
        details = library.catalog.details(list(records))
    for identity, record in records.items():
        shot, known = indexed.tree.shots[record.relative], details[identity]
        metadata = known.metadata
        if shot.taken_at is not None:
            assert str(metadata.taken_at) == shot.taken_at.replace("T", " "), record.relative
        assert metadata.camera == shot.camera, record.relative
        assert metadata.keywords == shot.keywords, record.relative
        assert metadata.stars == shot.stars, record.relative
        assert {"photograph", *(each.role for each in known.companions)} == set(shot.roles), record.relative


def test_a_place_is_looked_up_without_a_network(indexed: Indexed) -> None:
    with indexed.open() as library:
        records = library.catalog.records(range(1, 100))
        details = library.catalog.details(list(records))
    for identity, record in records.items():
        town_id = details[identity].town_id
        place = None if town_id is None else place_named(town_id)
        town = None if place is None else place.town
        assert (None if town is None else town.en) == indexed.tree.shots[record.relative].town, record.relative


def test_a_file_that_is_cut_off_is_indexed_with_a_warning_that_names_it(indexed: Indexed) -> None:
    assert f"indexed {indexed.tree.root / 'odd/cut off.jpg'}, but" in indexed.run.err.replace("\n", " ")
    with indexed.open() as library:
        warnings = {record.relative: record.warning for record in library.catalog.records(range(1, 100)).values()}
    assert warnings.pop("odd/cut off.jpg") is not None
    assert set(warnings.values()) == {None}


def test_pairs_are_one_photograph_with_their_files(tmp_path: Path, shared_data: Path, tiny_folder: Path) -> None:
    tree = make_tree(tmp_path.resolve() / "photographs", shared_data / "formats")
    library = tmp_path / "library"
    model = f"local-dir:{tiny_folder.resolve()}"
    assert run("index", tree.root, "--library", library, "--model", model).code == 0
    with Library.open(library, Settings(library=library)) as opened:
        records = opened.catalog.records(opened.photographs_at(tree.root / "pairs"))
        details = opened.catalog.details(list(records))
    files = {record.name: [each.role for each in details[record.id].companions] for record in records.values()}
    assert files == {"colorchart.jpg": ["raw"], "IMG_7943.HEIC": ["motion"]}
    live = next(details[record.id] for record in records.values() if record.name == "IMG_7943.HEIC")
    assert live.metadata.motion == pytest.approx(1.9, abs=0.2)
    assert live.metadata.camera == "Apple iPhone 13 Pro"


FILTERS: list[tuple[list[str], Callable[[str, Shot], bool]]] = [
    (["--from", "2019", "--to", "2019"], lambda path, shot: (shot.taken_at or "").startswith("2019")),
    (["--to", "2018-01-05"], lambda path, shot: "2000" < (shot.taken_at or "9999") < "2018-01-06"),
    (["--month", "7"], lambda path, shot: (shot.taken_at or "")[5:7] == "07"),
    (["--camera", "canon"], lambda path, shot: "Canon" in (shot.camera or "")),
    (["--keyword", "анна"], lambda path, shot: "Анна" in shot.keywords),
    (["--min-stars", "3"], lambda path, shot: (shot.stars or 0) >= 3),
    (["--place", "Paris"], lambda path, shot: shot.town == "Paris"),
    (["--place", "Париж"], lambda path, shot: shot.town == "Paris"),
    (["--place", "France"], lambda path, shot: shot.town == "Paris"),
    (["--near", "48.85,2.35,10"], lambda path, shot: shot.town == "Paris"),
    (["--no-place"], lambda path, shot: shot.town is None),
    (["--folder", "2019/Свадьба 💍"], lambda path, shot: path.startswith("2019/")),
    (["--orientation", "portrait"], lambda path, shot: shot.size[0] < shot.size[1]),
    (["--format", "gif"], lambda path, shot: path.endswith(".gif")),
    (["--camera", "canon", "--min-stars", "5"], lambda path, shot: False),
]


@pytest.mark.parametrize(("options", "fits"), FILTERS, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_filters_leave_what_a_look_at_every_photograph_leaves(
    indexed: Indexed, options: list[str], fits: Callable[[str, Shot], bool], smysl: Callable[..., Finished]
) -> None:
    listed = smysl("search", *options, "-k", "100", "--library", indexed.library)
    found = {str(Path(line.split("\t")[-1]).relative_to(indexed.tree.root)) for line in listed.out.splitlines()}
    assert found == {path for path, shot in indexed.tree.shots.items() if fits(path, shot)}
