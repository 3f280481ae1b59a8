"""`smysl classify` and `smysl kinds`: what they print and write, and which errors they report."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from service.store.metadata import Metadata
from service.store.records import Details, FileInfo, FileUpdate
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary
from tests.service.kind_folders import COLOURS, make_kind_folders, paint_speckled
from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


@pytest.fixture(scope="session")
def shared_sorted_library(tmp_path_factory: pytest.TempPathFactory, tiny: Encoder) -> SampleLibrary:
    """A library of photographs sorted by kind; tests must not change it."""
    folder = tmp_path_factory.mktemp("sorted").resolve()
    sample = SampleLibrary(folder / "library", make_kind_folders(folder / "photographs"), tiny.name)
    with sample.open() as library:
        for _ in library.index([sample.photographs], encoder=tiny):
            pass
    return sample


@pytest.fixture
def sorted_library(tmp_path: Path, shared_sorted_library: SampleLibrary) -> SampleLibrary:
    """A copy of the library that a test may change; the photographs are shared."""
    shutil.copytree(shared_sorted_library.folder, tmp_path / "library")
    return SampleLibrary(tmp_path / "library", shared_sorted_library.photographs, shared_sorted_library.model)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Photographs that are in no library."""
    return make_kind_folders(tmp_path / "new", each=2, first_seed=60)


def test_prints_kind_confidence_and_file(sorted_library: SampleLibrary, new: Path, smysl: Run) -> None:
    done = smysl("classify", new / "fern", new / "poppy" / "1.png", "--library", sorted_library.folder)
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[2] for line in lines] == [str(new / name) for name in ("fern/0.png", "fern/1.png", "poppy/1.png")]
    assert [line[0] for line in lines] == ["fern", "fern", "poppy"]
    assert all(0.0 < float(line[1]) <= 1.0 for line in lines)


def test_a_kind_below_the_threshold_is_unknown(sorted_library: SampleLibrary, new: Path, smysl: Run) -> None:
    done = smysl("classify", new / "fern", "--min-confidence", 1, "--library", sorted_library.folder)
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["unknown", "unknown"]


def test_json_has_as_many_neighbours_as_are_asked_for(sorted_library: SampleLibrary, new: Path, smysl: Run) -> None:
    done = smysl("classify", new / "fern", "--json", "-k", 2, "--library", sorted_library.folder)
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [len(answer["neighbours"]) for answer in answers] == [2, 2]


def test_prints_a_line_of_json_for_each_photograph(sorted_library: SampleLibrary, new: Path, smysl: Run) -> None:
    (new / "broken.jpg").write_bytes(b"x")
    done = smysl("classify", new, "--json", "--library", sorted_library.folder)
    assert done.code == 0
    broken, first, *rest = [json.loads(line) for line in done.out.splitlines()]
    assert len(rest) == 5
    assert broken["error"]["kind"] == "photograph"
    assert (first["kind"], first["in_library"], len(first["neighbours"])) == ("fern", False, 10)
    assert set(first["neighbours"][0]) >= {"id", "uri", "kind", "similarity", "links"}


def test_writes_a_table_and_lists_bad_files(
    sorted_library: SampleLibrary, new: Path, smysl: Run, tmp_path: Path
) -> None:
    (new / "broken.jpg").write_bytes(b"x")
    (new / "notes.txt").write_bytes(b"x")
    out = tmp_path / "out.csv"
    done = smysl("classify", new, new / "fern", "--csv", out, "--library", sorted_library.folder)
    assert done.code == 0
    assert done.out == f"{out} has 6 rows; unknown: 0, failed: 1.\n"
    assert f"cannot classify {new / 'broken.jpg'}: it is not a photograph" in done.err
    assert "skipped files that are not photographs: 1" in done.err
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["file"], row["kind"]) for row in rows] == [
        (str(file), file.parent.name) for file in sorted(new.rglob("*.png"))
    ]
    assert Path(rows[0]["recommended_1"]).parent == sorted_library.photographs / "fern"
    assert [row["files"] for row in rows] == [""] * 6
    again = smysl("classify", new, "--csv", out, "--library", sorted_library.folder / "none")
    assert "already exists" in error_of(again, 2)
    assert smysl("classify", new, "--csv", out, "--force", "--library", sorted_library.folder).code == 0


def test_the_table_has_metadata_of_the_library_or_else_of_the_file(
    sorted_library: SampleLibrary, new: Path, smysl: Run, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 600D"
    unknown = save_picture(new / "unknown.jpg", 31, exif=exif.tobytes())
    known = min((sorted_library.photographs / "fern").iterdir())
    with sorted_library.open() as library:
        record = library.photograph_at(known)
        file = FileInfo(1, record.folder, record.name, record.size, record.modified_ns)
        details = Details(Metadata(title="A fern"))
        library.catalog.update_files([FileUpdate(record.id, file, record.content_hash, None, details)])
    out = tmp_path / "out.csv"
    assert smysl("classify", known, unknown, "--csv", out, "--library", sorted_library.folder).code == 0
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["title"], row["camera"], row["files"]) for row in rows] == [
        ("A fern", "", known.name), ("", "Canon EOS 600D", ""),
    ]  # fmt: skip


def test_exits_with_1_if_every_photograph_is_bad(sorted_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"x")
    out = tmp_path / "out.csv"
    done = smysl("classify", tmp_path / "broken.jpg", "--csv", out, "--library", sorted_library.folder)
    assert (done.code, done.out) == (1, "")
    assert "cannot classify" in done.err
    assert not out.exists()


def test_reports_wrong_arguments(sorted_library: SampleLibrary, new: Path, smysl: Run, tmp_path: Path) -> None:
    there = ("--library", sorted_library.folder)
    assert "no file or folder" in error_of(smysl("classify", new / "none.png", *there), 2)
    (tmp_path / "empty").mkdir()
    assert "There are no photographs there" in error_of(smysl("classify", tmp_path / "empty", *there), 2)
    assert "no head none" in error_of(smysl("classify", new, "--head", "none", *there), 2)
    assert "--min-confidence is 2" in error_of(smysl("classify", new, "--min-confidence", 2, *there), 2)
    assert "-k is 0" in error_of(smysl("classify", new, "--limit", 0, *there), 2)
    assert "--force goes with --csv" in error_of(smysl("classify", new, "--force", *there), 2)
    assert "There is no library" in error_of(smysl("classify", new, "--library", tmp_path / "none"), 1)


def test_lists_kinds_with_their_number_of_photographs(sorted_library: SampleLibrary, smysl: Run) -> None:
    there = ("--library", sorted_library.folder)
    done = smysl("kinds", *there)
    assert (done.code, done.out) == (0, "6\tfern\n6\tgentian\n6\tpoppy\n")
    assert "3 kinds (from folders); photographs without one: 0 of 18." in done.err
    facts = json.loads(smysl("kinds", "--json", *there).out)
    assert facts == {
        "source": "folders",
        "kinds": {"fern": 6, "gentian": 6, "poppy": 6},
        "without_kind": 0,
        "photographs": 18,
    }


def test_kinds_come_from_a_table_and_from_folders_again(
    sorted_library: SampleLibrary, smysl: Run, tmp_path: Path, new: Path
) -> None:
    there = ("--library", sorted_library.folder)
    files = sorted(sorted_library.photographs.rglob("*.png"))
    rows = [f"{file}\t{'green' if file.parent.name == 'fern' else 'other'}" for file in files[:-1]]
    table = tmp_path / "kinds.tsv"
    table.write_text("\n".join(["image\tkind", *rows, f"{tmp_path / 'x.png'}\tred"]), encoding="utf-8")
    done = smysl("kinds", "--from", table, *there)
    assert (done.code, done.out) == (0, "6\tgreen\n11\tother\n")
    assert "left out: 1 row: " in done.err
    assert "3 kinds" not in done.err
    assert smysl("classify", new / "fern" / "0.png", *there).out.startswith("green\t")
    table.write_text("image\tkind\nx.png\t\n", encoding="utf-8")
    assert "row 2, column kind: The kind is empty" in error_of(smysl("kinds", "--from", table, *there), 1)
    assert smysl("kinds", *there).out == "6\tgreen\n11\tother\n"
    assert "No photograph" in error_of(smysl("kinds", "--from", "keywords", *there), 1)
    assert smysl("kinds", "--from", "folders", *there).out == "6\tfern\n6\tgentian\n6\tpoppy\n"


def test_lists_kinds_with_only_one_photograph(sorted_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    files = sorted(sorted_library.photographs.rglob("*.png"))
    table = tmp_path / "kinds.tsv"
    rows = [f"{file}\t{'lone' if number == 0 else file.parent.name}" for number, file in enumerate(files)]
    table.write_text("\n".join(["image\tkind", *rows]), encoding="utf-8")
    done = smysl("kinds", "--from", table, "--library", sorted_library.folder)
    assert "Kinds with only one photograph, for which accuracy cannot be measured: lone." in done.err
    file = paint_speckled(tmp_path / "one.png", COLOURS["gentian"], 4)
    assert smysl("classify", file, "--library", sorted_library.folder).out.startswith("gentian\t")
