"""Downloading Flickr8k from a server on localhost: complete, cut off, changed, damaged, hostile, refused."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from data import download, flickr8k
from data.captions import read_captions, read_crowd_ratings, read_expert_ratings
from data.flickr8k import PUBLISHED, SOURCE, TERMS, Zip, fetch_flickr8k, why_incomplete
from service.errors import BusyError, DataError, UsageError
from service.types import OnProgress
from tests.conftest import Finished
from tests.data.archives import (
    LISTED,
    LISTED_NAMES,
    UNLISTED,
    WITHOUT_PHOTOGRAPH,
    Mirror,
    md5,
    photograph,
    photographs,
    texts,
    zipped,
)

SMALL, LARGE = "Flickr8k_text.zip", "Flickr8k_Dataset.zip"
NAMES = sorted(LISTED_NAMES)
TABLES = ("captions.tsv", "expert_ratings.tsv", "crowd_ratings.tsv")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror({SMALL: zipped(texts()), LARGE: zipped(photographs())}) as running:
        yield running


def fetch(mirror: Mirror, out: Path, **changes: Any) -> list[str]:
    return fetch_flickr8k(out, mirror.address, edition=mirror.edition(**changes))


def assert_whole(mirror: Mirror, out: Path) -> None:
    assert why_incomplete(out, mirror.edition()) == ""
    assert sorted(path.name for path in out.iterdir()) == sorted(["images", "TERMS.txt", *TABLES])
    assert {path.name: path.read_bytes() for path in (out / "images").iterdir()} == {
        name: photograph(name) for name in NAMES
    }


def assert_no_tables(out: Path) -> None:
    assert not [name for name in TABLES if (out / name).exists()]


def test_a_download_ends_in_the_layout_that_is_read(mirror: Mirror, tmp_path: Path) -> None:
    out = tmp_path / "new" / "flickr8k"
    left_out = fetch(mirror, out)
    assert_whole(mirror, out)
    read = {found.name: found for found in read_captions(out)}
    assert {split: [name for name in read if read[name].split == split] for split in LISTED} == LISTED
    assert [caption.caption_id for caption in read["4_d.jpg"].captions] == [f"4_d.jpg#{number}" for number in range(5)]
    assert read["4_d.jpg"].captions[3].text == 'The sign of 4_d.jpg says " 3 " .'
    assert [(row.image, row.caption_id, row.scores) for row in read_expert_ratings(out)] == [
        ("5_e.jpg", "6_f.jpg#2", (1, 1, 2)),
        ("6_f.jpg", "6_f.jpg#2", (4, 4, 3)),
    ]
    assert [(row.image, row.caption_id, row.yes, row.no) for row in read_crowd_ratings(out)] == [
        ("5_e.jpg", "5_e.jpg#2", 3, 0),
        ("5_e.jpg", "6_f.jpg#2", 1, 3),
    ]
    assert left_out == [
        f"Left out: 5 captions of {WITHOUT_PHOTOGRAPH}, because there is no photograph with this name.",
        "Left out: 1 photographs with 5 captions, because they are in none of the lists of train, validation, test.",
    ]
    assert not (out / "images" / UNLISTED).exists()
    assert (out / "TERMS.txt").read_text(encoding="utf-8").startswith(TERMS)


def test_the_real_tables_are_reproduced_byte_for_byte(shared_data: Path, tmp_path: Path) -> None:
    """The published judgements, put back into the form of the archive, give the same tables again."""
    real = shared_data / "flickr8k"
    read = read_captions(real)
    lists = {split: [found.name for found in read if found.split == split] for split in ("train", "test")}
    lists["validation"] = ["1_dev.jpg"]
    captions = [(caption.caption_id, caption.text) for found in read for caption in found.captions]
    captions += [(f"1_dev.jpg#{number}", "A dog .") for number in range(5)]
    experts, crowd = read_expert_ratings(real), read_crowd_ratings(real)
    files = {flickr8k.LISTS[split]: "\n".join(names) for split, names in lists.items()}
    files["Flickr8k.token.txt"] = "\n".join(f"{about}\t{text}" for about, text in captions)
    files["ExpertAnnotations.txt"] = "\n".join(
        "\t".join([row.image, row.caption_id, *map(str, row.scores)]) for row in experts
    )
    files["CrowdFlowerAnnotations.txt"] = "\n".join(
        f"{row.image}\t{row.caption_id}\t{row.share}\t{row.yes}\t{row.no}" for row in crowd
    )
    names = [found.name for found in read] + ["1_dev.jpg"]
    served = {
        SMALL: zipped({name: content.encode() for name, content in files.items()}),
        LARGE: zipped({name: b"photograph" for name in names}),
    }
    with Mirror(served) as mirror:
        texts_zip = Zip(SMALL, md5(served[SMALL]), PUBLISHED.texts.most_bytes, PUBLISHED.texts.most_member_bytes)
        splits = {**PUBLISHED.splits, "validation": 1}
        expected = {"splits": splits, "experts": PUBLISHED.experts, "crowd": PUBLISHED.crowd}
        assert fetch(mirror, tmp_path, texts=texts_zip, **expected) == []
    for table in ("expert_ratings.tsv", "crowd_ratings.tsv"):
        assert (tmp_path / table).read_bytes() == (real / table).read_bytes()
    made = (tmp_path / "captions.tsv").read_bytes().splitlines(keepends=True)
    assert b"".join(made[:-5]) == (real / "captions.tsv").read_bytes()


def test_a_cut_connection_is_resumed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = 2
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    whole = len(mirror.files[LARGE])
    assert mirror.ranges_of(LARGE) == ["", f"bytes={whole // 2}-", f"bytes={whole // 2 + (whole - whole // 2) // 2}-"]


def test_the_next_run_resumes(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.cuts = 1
    monkeypatch.setattr(download, "TRIES", 1)
    with pytest.raises(DataError, match=rf"{LARGE} was cut off 1 times, the last time after [\d,]+ bytes; run the"):
        fetch(mirror, tmp_path)
    assert_no_tables(tmp_path)
    assert (tmp_path / ".download" / f"{LARGE}.part").stat().st_size == len(mirror.files[LARGE]) // 2
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert mirror.ranges_of(LARGE) == ["", f"bytes={len(mirror.files[LARGE]) // 2}-"]
    assert mirror.ranges_of(SMALL) == [""]


def test_without_ranges_the_download_starts_over(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    mirror.cuts = 1
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert len(mirror.ranges_of(LARGE)) == 2


@pytest.mark.parametrize(
    ("honours_if_range", "etags", "longer"), [(True, True, 0), (False, True, 0), (False, False, 9), (True, False, 9)]
)
def test_a_changed_file_starts_over(
    mirror: Mirror,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    honours_if_range: bool,
    etags: bool,
    longer: int,
) -> None:
    """The change shows by If-Range, by the ETag alone, or by the length only."""
    new = mirror.files[LARGE]
    mirror.files[LARGE] = b"x" * (len(new) + longer)
    mirror.cuts, mirror.honours_if_range, mirror.etags = 1, honours_if_range, etags
    with monkeypatch.context() as once:
        once.setattr(download, "TRIES", 1)
        with pytest.raises(DataError, match="was cut off"):
            fetch(mirror, tmp_path)
    mirror.files[LARGE] = new
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)


def test_with_a_broken_note_the_download_starts_over(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.cuts = 1
    with monkeypatch.context() as once:
        once.setattr(download, "TRIES", 1)
        with pytest.raises(DataError, match="was cut off"):
            fetch(mirror, tmp_path)
    (tmp_path / ".download" / f"{LARGE}.part.json").write_text('{"etag": ')
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert mirror.ranges_of(LARGE) == ["", ""]


def test_second_run_does_nothing(mirror: Mirror, tmp_path: Path) -> None:
    fetch(mirror, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    requests = len(mirror.requests)
    assert fetch(mirror, tmp_path) == []
    assert len(mirror.requests) == requests
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_archives_left_by_an_interrupted_run_are_removed_by_the_next(mirror: Mirror, tmp_path: Path) -> None:
    fetch(mirror, tmp_path)
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download" / LARGE).write_bytes(mirror.files[LARGE])
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert len(mirror.requests) == 2


def test_interrupted_unpacking_resumes(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        if (done, total) == (3, 6):
            raise KeyboardInterrupt

    class StopAfterThree:
        def __enter__(self) -> OnProgress:
            return stop

        def __exit__(self, *exception: object) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        fetch_flickr8k(
            tmp_path,
            mirror.address,
            edition=mirror.edition(),
            open_progress=lambda stage, *, of_bytes: StopAfterThree(),
        )
    assert_no_tables(tmp_path)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == NAMES[:3]
    (tmp_path / "images" / NAMES[0]).write_bytes(bytes(len(photograph(NAMES[0]))))
    (tmp_path / "images" / NAMES[2]).write_bytes(b"half")
    before = (tmp_path / "images" / NAMES[1]).stat().st_mtime_ns
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert (tmp_path / "images" / NAMES[1]).stat().st_mtime_ns == before
    assert len(mirror.requests) == 2


def test_an_archive_with_another_checksum_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    edition = mirror.edition()
    mirror.files[LARGE] = mirror.files[LARGE][:-1] + b"x"
    with pytest.raises(DataError, match=rf"{LARGE} is not the published file \(its MD5 is {md5(mirror.files[LARGE])}"):
        fetch_flickr8k(tmp_path, mirror.address, edition=edition)
    assert_no_tables(tmp_path)
    assert not (tmp_path / "images").exists()
    assert not list((tmp_path / ".download").glob(f"{LARGE}*"))


def test_a_damaged_member_is_detected_by_its_crc(mirror: Mirror, tmp_path: Path) -> None:
    content = bytearray(mirror.files[LARGE])
    content[200_000] ^= 1
    mirror.files[LARGE] = bytes(content)
    with pytest.raises(DataError, match=rf"{LARGE} is damaged \(.+\); run the command again"):
        fetch(mirror, tmp_path)
    assert_no_tables(tmp_path)
    assert not list((tmp_path / "images").glob(".*"))


def test_a_file_that_is_not_a_zip_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[SMALL] = b"<html>not found</html>"
    with pytest.raises(DataError, match=rf"{SMALL} is damaged \(File is not a zip file\)"):
        fetch(mirror, tmp_path)


@pytest.mark.parametrize("name", ["../escaped.jpg", "/escaped.jpg", "a\\..\\..\\escaped.jpg", "C:\\escaped.jpg"])
def test_a_member_that_leaves_the_folder_is_refused(mirror: Mirror, tmp_path: Path, name: str) -> None:
    mirror.files[LARGE] = zipped({**photographs(), name: b"escaped"})
    out = tmp_path / "deep" / "flickr8k"
    with pytest.raises(DataError, match="which leaves its folder; nothing is unpacked"):
        fetch(mirror, out)
    assert_no_tables(out)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not (out / "images").exists()


def test_a_listed_name_that_is_a_path_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[SMALL] = zipped({**texts(), "Flickr_8k.devImages.txt": b"../4_d.jpg"})
    with pytest.raises(
        DataError, match=r"devImages\.txt of .* lists '\.\./4_d\.jpg', which is not the name of a photograph"
    ):
        fetch(mirror, tmp_path)


def test_a_member_or_an_archive_beyond_its_size_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    large = Zip(LARGE, md5(mirror.files[LARGE]), 10_000_000, 100_000)
    with pytest.raises(DataError, match=r"1_a\.jpg in .* would have 128,002 bytes, more than the 100,000 it"):
        fetch(mirror, tmp_path / "member", photographs=large)
    with pytest.raises(DataError, match=r"bytes or more and should have 100,000 at most, so it is another file"):
        fetch(mirror, tmp_path / "archive", photographs=Zip(LARGE, large.md5, 100_000, 1_000_000))
    assert mirror.requests[-1] == (LARGE, "")
    assert not list((tmp_path / "archive" / ".download").glob(f"{LARGE}*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"splits": {"train": 4, "validation": 1, "test": 2}},
            "trainImages.txt of .* has 3 photographs of its own inst",
        ),
        ({"experts": 3}, "ExpertAnnotations.txt of .* has 2 rows instead of 3; it is not the published file"),
        ({"crowd": 1}, "CrowdFlowerAnnotations.txt of .* has 2 rows instead of 1; it is not the published file"),
    ],
)
def test_wrong_counts_are_found_before_the_large_archive(
    mirror: Mirror, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fetch(mirror, tmp_path, **changes)
    assert_no_tables(tmp_path)
    assert mirror.ranges_of(LARGE) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("Flickr8k.token.txt", b"1_a.jpg#0\tA dog .\n", "has 1 captions of 1_a.jpg instead of 5"),
        ("Flickr8k.token.txt", b"1_a.jpg#0\n", "has the line '1_a.jpg#0' instead of 2 cells"),
        ("Flickr8k.token.txt", b"1_a.jpg#0\t\xff\n", "is not UTF-8"),
        ("ExpertAnnotations.txt", b"5_e.jpg\t6_f.jpg#2\t1\t1\t5\n" * 2, "'5' is not a whole number from 1 to 4"),
        (
            "ExpertAnnotations.txt",
            b"1_a.jpg\t6_f.jpg#2\t1\t1\t1\n5_e.jpg\t6_f.jpg#2\t1\t1\t1",
            "not about the split test",
        ),
        (
            "CrowdFlowerAnnotations.txt",
            b"5_e.jpg\t1_a.jpg#2\t1\t3\t0\n6_f.jpg\t5_e.jpg#2\t1\t3\t0",
            "not about the split",
        ),
    ],
)
def test_changed_texts_are_refused(mirror: Mirror, tmp_path: Path, file: str, content: bytes, message: str) -> None:
    mirror.files[SMALL] = zipped({**texts(), file: content})
    with pytest.raises(DataError, match=message):
        fetch(mirror, tmp_path)
    assert_no_tables(tmp_path)


@pytest.mark.parametrize("kind", ["photograph", "list"])
def test_a_missing_member_is_named(mirror: Mirror, tmp_path: Path, kind: str) -> None:
    if kind == "list":
        mirror.files[SMALL] = zipped({name: content for name, content in texts().items() if "dev" not in name})
    else:
        mirror.files[LARGE] = zipped({name: content for name, content in photographs().items() if "4_d" not in name})
    with pytest.raises(DataError, match=r"does not contain (4_d\.jpg|Flickr_8k\.devImages\.txt)"):
        fetch(mirror, tmp_path)
    assert_no_tables(tmp_path)


def test_a_missing_archive_and_a_missing_server_are_reported(mirror: Mirror, tmp_path: Path) -> None:
    edition = mirror.edition()
    del mirror.files[LARGE]
    with pytest.raises(DataError, match=rf"{LARGE} cannot be downloaded \(the server answered 404 Not Found\)"):
        fetch_flickr8k(tmp_path, mirror.address, edition=edition)
    mirror.__exit__()
    with pytest.raises(DataError, match=rf"{LARGE} cannot be reached \(.+\); check the network"):
        fetch_flickr8k(tmp_path, mirror.address, edition=edition)
    mirror.__enter__()
    assert_no_tables(tmp_path)


def test_a_full_disk_is_reported_and_received_bytes_are_kept(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: real._replace(free=100_000))
        with pytest.raises(DataError, match=r"needs [\d,]+ more bytes and .* has 100,000 left; make room"):
            fetch(mirror, tmp_path)

    def refuse(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", refuse)
        with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); make room"):
            fetch(mirror, tmp_path)
    fetch(mirror, tmp_path)
    assert_whole(mirror, tmp_path)
    assert mirror.ranges_of(SMALL) == [""]


def test_other_data_in_the_folder_is_not_touched(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "captions.tsv").write_text("mine")
    with pytest.raises(
        UsageError, match=r"holds data other than the whole Flickr8k \(.+ no column image.*\); name another"
    ):
        fetch(mirror, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["captions.tsv"]
    assert not mirror.requests


def test_two_runs_in_one_folder_do_not_mix(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / ".download").mkdir()
    with FileLock(tmp_path / ".download" / "lock"), pytest.raises(BusyError, match="wait until it is done"):
        fetch(mirror, tmp_path)
    assert not mirror.requests


@pytest.mark.parametrize("source", ["ftp://host/data", "file:///data", "/data", "http://"])
def test_other_addresses_than_http_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(UsageError, match="must be an address that begins with http"):
        fetch_flickr8k(tmp_path / "out", source)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(mirror, tmp_path / "file")


@pytest.fixture
def command(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, smysl: Callable[..., Finished]) -> Callable[..., Finished]:
    """`smysl data flickr8k`, with the mirror's edition as the published one."""
    edition = mirror.edition()
    monkeypatch.setattr(flickr8k, "PUBLISHED", edition)
    monkeypatch.setattr(
        flickr8k.fetch_flickr8k, "__kwdefaults__", {**fetch_flickr8k.__kwdefaults__, "edition": edition}
    )
    monkeypatch.setattr(flickr8k.why_incomplete, "__defaults__", (edition,))
    return lambda *arguments: smysl("data", "flickr8k", "--from", mirror.address, *arguments)


def test_the_command_shows_the_terms_and_downloads_once(
    mirror: Mirror, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    out = tmp_path / "flickr8k"
    done = command("--out", out, "--accept-terms")
    assert done.code == 0, done.err
    assert done.err.startswith(TERMS)
    assert WITHOUT_PHOTOGRAPH in done.err
    assert "6 (train 3, validation 1, test 2)" in done.out
    assert "2 by experts, 2 by a crowd" in done.out
    assert_whole(mirror, out)
    requests = len(mirror.requests)
    again = command("--out", out)
    assert (again.code, again.out, again.err) == (
        0,
        done.out,
        f"Flickr8k is already in {out}; nothing was downloaded.\n",
    )
    assert len(mirror.requests) == requests


def test_in_a_pipe_the_terms_are_accepted_by_a_flag_only(
    mirror: Mirror, tmp_path: Path, command: Callable[..., Finished]
) -> None:
    done = command("--out", tmp_path / "flickr8k")
    assert done.code == 2
    assert done.err.startswith(TERMS)
    assert "smysl: The terms above must be accepted before the download: add --accept-terms." in done.err
    assert not mirror.requests
    assert not (tmp_path / "flickr8k").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2), ("", 130)])
def test_on_a_terminal_the_terms_are_accepted_by_answering(
    mirror: Mirror,
    tmp_path: Path,
    command: Callable[..., Finished],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    import io

    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    done = command("--out", tmp_path / "flickr8k")
    assert done.code == code, done.err
    assert "Do you accept these terms?" in done.err
    assert bool(mirror.requests) is (code == 0)


def test_the_published_edition_has_the_counts_of_the_papers() -> None:
    assert PUBLISHED.splits == {"train": 6_000, "validation": 1_000, "test": 1_000}
    assert (PUBLISHED.experts, PUBLISHED.crowd, PUBLISHED.captions) == (5_822, 47_830, 40_000)
    assert SOURCE.startswith("https://")
