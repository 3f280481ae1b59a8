"""Downloads the public Flickr8k data set into the layout that `data/captions.py` reads.

M. Hodosh, P. Young, J. Hockenmaier, *Framing Image Description as a Ranking Task*, JAIR 47 (2013). The original
address at the University of Illinois is gone; the two archives are kept as a release of github.com/jbrownlee/Datasets,
without a checksum. The MD5s below are those that other projects check the same addresses against (the R package
mlverse/torchvision, and CMake builds); no stronger one was found. The CRC of every unpacked file and the row counts of
the finished tables are checked too.

The archives contain `Flickr8k.token.txt` (five captions per photograph), three lists of photographs
(`Flickr_8k.trainImages.txt`, `.devImages.txt`, `.testImages.txt`), `ExpertAnnotations.txt`,
`CrowdFlowerAnnotations.txt`, and a folder of photographs. Left out of the finished folder are:

- photographs in none of the three lists, with their captions (91, by the usual descriptions);
- captions of a name without a photograph (`2258277193_586949ec62.jpg.1`, five);
- the crowd's share of yes, which follows from its counts; the lemmatised captions.

The list `dev` becomes the split `validation`. Photographs are kept byte for byte.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from data.archive import Archive, open_archive
from data.captions import read_captions, read_crowd_ratings, read_expert_ratings
from data.download import RemoteFile, download
from service.errors import BusyError, DataError, UsageError
from service.store.atomic import put_in_place, replacing, write_text
from service.store.rating_tables import CAPTIONS, COLUMNS, CROWD_RATINGS, EXPERT_RATINGS, IMAGES, write_table
from service.types import OnProgress

SOURCE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
"""The address of the folder with both archives."""

TERMS = """\
Flickr8k: 8,000 photographs, five captions each, and people's judgements of how well a caption fits a photograph.

- The photographs belong to their authors on Flickr. Having them here gives no right to publish them.
- Captions and judgements are for research, not for commercial use.
- If you publish results, cite: M. Hodosh, P. Young, J. Hockenmaier, "Framing Image Description as a Ranking Task:
  Data, Models and Evaluation Metrics", Journal of Artificial Intelligence Research 47 (2013), 853-899.
"""

TERMS_FILE = "TERMS.txt"

WORK = ".download"
"""Folder inside the finished one for archives and unfinished tables; removed at the end."""

LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "validation": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
"""The list of each split's photographs in the archive of texts."""

CAPTIONS_EACH = 5

_TOKENS = "Flickr8k.token.txt"
_EXPERTS = "ExpertAnnotations.txt"
_CROWD = "CrowdFlowerAnnotations.txt"

_MEGABYTE = 1_000_000
_TABLES = (EXPERT_RATINGS, CROWD_RATINGS, CAPTIONS)
"""In the order in which they are moved into place: once the captions are there, everything is."""


class OpenProgress(Protocol):
    """Opens a progress display for one stage of the work, counted in steps or in bytes."""

    def __call__(self, stage: str, /, *, of_bytes: bool) -> AbstractContextManager[OnProgress]:
        """The display of `stage`."""


@dataclass(frozen=True)
class Zip:
    """An archive: file name, MD5, and the most bytes that it and each of its members may have."""

    name: str
    md5: str
    most_bytes: int
    most_member_bytes: int


@dataclass(frozen=True)
class Edition:
    """What the complete data set consists of.

    Attributes:
        texts: the archive of captions, lists and judgements.
        photographs: the archive of photographs.
        splits: how many photographs each split has.
        experts: how many rows of expert judgements there are.
        crowd: how many rows of crowd judgements there are.
    """

    texts: Zip
    photographs: Zip
    splits: Mapping[str, int]
    experts: int
    crowd: int

    @property
    def captions(self) -> int:
        """How many captions there are."""
        return CAPTIONS_EACH * sum(self.splits.values())


PUBLISHED = Edition(
    texts=Zip("Flickr8k_text.zip", "bf6c1abcb8e4a833b7f922104de18627", 20 * _MEGABYTE, 20 * _MEGABYTE),
    photographs=Zip("Flickr8k_Dataset.zip", "f18a1e2920de5bd84dae7cf08ec78978", 2_000 * _MEGABYTE, 20 * _MEGABYTE),
    splits={"train": 6_000, "validation": 1_000, "test": 1_000},
    experts=5_822,
    crowd=47_830,
)


@dataclass
class Texts:
    """The content of the archive of texts.

    Attributes:
        splits: the split of each photograph.
        captions: rows of captions.tsv.
        experts: rows of expert_ratings.tsv.
        crowd: rows of crowd_ratings.tsv.
        unlisted: how many captions each name has that is in no list.
    """

    splits: dict[str, str]
    captions: list[Sequence[str]] = field(default_factory=list)
    experts: list[Sequence[str]] = field(default_factory=list)
    crowd: list[Sequence[str]] = field(default_factory=list)
    unlisted: Counter[str] = field(default_factory=Counter)


def why_incomplete(out: Path, edition: Edition = PUBLISHED) -> str:
    """Why a folder is not the complete data set, as a sentence; "" where it is complete."""
    try:
        found = Counter(photograph.split for photograph in read_captions(out))
        rows = {EXPERT_RATINGS: len(read_expert_ratings(out)), CROWD_RATINGS: len(read_crowd_ratings(out))}
    except DataError as error:
        return error.message
    for split, expected in edition.splits.items():
        if found[split] != expected:
            return f"{out / CAPTIONS} has {found[split]:,} photographs of split {split} instead of {expected:,}."
    for table, expected in ((EXPERT_RATINGS, edition.experts), (CROWD_RATINGS, edition.crowd)):
        if rows[table] != expected:
            return f"{out / table} has {rows[table]:,} rows instead of {expected:,}."
    return ""


def fetch_flickr8k(
    out: Path,
    source: str = SOURCE,
    *,
    edition: Edition = PUBLISHED,
    open_progress: OpenProgress = lambda stage, *, of_bytes: nullcontext(lambda done, total: None),
) -> list[str]:
    """Download the data set into a folder; resumes an unfinished run, and does nothing where it is complete.

    The caller shows the terms (`TERMS`). It needs 2 GB of disk space while it runs, of which 1.1 GB stay in use.

    Args:
        out: the folder, which is created if needed. Photographs are written one by one, the tables last.
        source: address of the folder with both archives, http or https.
        edition: what is expected; other than the published one only in tests.
        open_progress: shows progress.

    Returns:
        What was left out and why, a sentence each.

    Raises:
        UsageError: `source` is not an address, or the folder holds other data.
        BusyError: another process is downloading into the folder.
        DataError: an archive cannot be downloaded, is damaged or another one, or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    address = urlsplit(source)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise UsageError(f"--from is {source!r}; it must be an address that begins with http:// or https://.")
    work = out / WORK
    missing = why_incomplete(out, edition)
    if missing and not work.is_dir() and any((out / name).exists() for name in (IMAGES, *_TABLES)):
        raise UsageError(
            f"{out} holds data other than the whole Flickr8k ({missing.rstrip('.')}); name another folder."
        )
    with _storing(out):
        if not missing:
            if work.is_dir():
                shutil.rmtree(work)
            return []
        work.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(work / "lock", timeout=0):
                left_out = _fetch(out, source.rstrip("/"), edition, open_progress)
        except Timeout:
            raise BusyError(f"Another process is downloading data into {out}; wait until it is done.") from None
        shutil.rmtree(work)
    return left_out


def _fetch(out: Path, source: str, edition: Edition, open_progress: OpenProgress) -> list[str]:
    work = out / WORK

    def downloaded(archive: Zip) -> Path:
        file = RemoteFile(f"{source}/{archive.name}", archive.md5, archive.most_bytes)
        with open_progress(f"Downloading {archive.name}", of_bytes=True) as on_progress:
            download(file, work / archive.name, on_progress)
        return work / archive.name

    # The small archive comes first, so that its faults are known before the large one is downloaded.
    with open_archive(downloaded(edition.texts), edition.texts.most_member_bytes) as archive:
        texts = read_texts(archive, edition)
    for table, rows in ((CAPTIONS, texts.captions), (EXPERT_RATINGS, texts.experts), (CROWD_RATINGS, texts.crowd)):
        write_table(work / table, COLUMNS[table], rows)
    _check_ratings(work, texts, edition)
    with open_archive(downloaded(edition.photographs), edition.photographs.most_member_bytes) as archive:
        with open_progress("Unpacking photographs", of_bytes=False) as on_progress:
            _unpack(archive, sorted(texts.splits), out / IMAGES, on_progress)
        left_out = _left_out(texts, archive)
    write_text(out / TERMS_FILE, "\n".join([TERMS, *left_out, ""]))
    for table in _TABLES:
        put_in_place(work / table, out / table)
    return left_out


def read_texts(archive: Archive, edition: Edition) -> Texts:
    """Read captions, lists and judgements; DataError where they differ from the edition."""
    texts = Texts(_read_lists(archive, edition))
    each: Counter[str] = Counter()
    for caption_id, caption in _cells(archive, _TOKENS, 2):
        name = caption_id.rpartition("#")[0]
        if name in texts.splits:
            each[name] += 1
            texts.captions.append((name, caption_id, texts.splits[name], caption.strip()))
        else:
            texts.unlisted[name] += 1
    for name in texts.splits:
        _count(archive, _TOKENS, each[name], CAPTIONS_EACH, f"captions of {name}")
    texts.experts = list(_cells(archive, _EXPERTS, 5))
    texts.crowd = [(image, caption_id, yes, no) for image, caption_id, _, yes, no in _cells(archive, _CROWD, 5)]
    _count(archive, _EXPERTS, len(texts.experts), edition.experts, "rows")
    _count(archive, _CROWD, len(texts.crowd), edition.crowd, "rows")
    return texts


def _read_lists(archive: Archive, edition: Edition) -> dict[str, str]:
    """The split of each photograph."""
    splits: dict[str, str] = {}
    for split, expected in edition.splits.items():
        names = [line.strip() for line in _lines(archive, LISTS[split])]
        for name in names:
            # The photograph will be written to a file with this name.
            if not re.fullmatch(r"\w[\w-]*\.jpg", name, flags=re.ASCII):
                raise DataError(
                    f"{LISTS[split]} of {archive.path} lists {name!r}, which is not the name of a photograph."
                )
        _count(archive, LISTS[split], len(set(names) - splits.keys()), expected, "photographs of its own")
        splits |= dict.fromkeys(names, split)
    return splits


def _lines(archive: Archive, name: str) -> list[str]:
    """The lines of a file that are not blank."""
    try:
        # Not splitlines: it also breaks at characters that captions may contain.
        lines = archive.read(name).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} of {archive.path} is not UTF-8; it is not the published file.") from error
    return [line.rstrip("\r") for line in lines if line.strip()]


def _cells(archive: Archive, name: str, expected: int) -> Iterator[list[str]]:
    """The lines of a file as cells."""
    for line in _lines(archive, name):
        cells = line.split("\t")
        if len(cells) != expected or not all(cell.strip() for cell in cells):
            raise DataError(
                f"{name} of {archive.path} has the line {line[:80]!r} instead of {expected} cells that are not "
                "empty; it is not the published file."
            )
        yield cells


def _count(archive: Archive, file: str, found: int, expected: int, what: str) -> None:
    if found != expected:
        raise DataError(
            f"{file} of {archive.path} has {found:,} {what} instead of {expected:,}; it is not the published file."
        )


def _check_ratings(work: Path, texts: Texts, edition: Edition) -> None:
    """Check that each judgement is on its scale, and about a photograph and a caption of the split test."""
    captions = {row[1]: row[2] for row in texts.captions}
    if len(captions) != len(texts.captions):
        raise DataError(f"{edition.texts.name}: a caption's number is used twice; it is not the published file.")
    pairs = [(row.image, row.caption_id) for row in read_expert_ratings(work)]
    pairs += [(row.image, row.caption_id) for row in read_crowd_ratings(work)]
    for image, caption_id in pairs:
        if texts.splits.get(image) != "test" or captions.get(caption_id) != "test":
            raise DataError(
                f"{edition.texts.name}: a judgement of {image} and {caption_id} is not about the split test; "
                "it is not the published file."
            )


def _unpack(archive: Archive, names: Sequence[str], images: Path, on_progress: OnProgress) -> None:
    """Write the named photographs; those that are already there, with the right CRC, are skipped."""
    images.mkdir(exist_ok=True)
    for number, name in enumerate(names, start=1):
        target = images / name
        if not archive.is_unpacked(name, target):
            # No sync for each of 8,000 files: one that a power failure damages fails its CRC in the next run.
            with replacing(target, sync=False) as temporary:
                temporary.write_bytes(archive.read(name))
        on_progress(number, len(names))


def _left_out(texts: Texts, archive: Archive) -> list[str]:
    unlisted = [count for name, count in texts.unlisted.items() if name in archive]
    sentences = [
        f"Left out: {count} captions of {name}, because there is no photograph with this name."
        for name, count in texts.unlisted.items()
        if name not in archive
    ]
    if unlisted:
        sentences.append(
            f"Left out: {len(unlisted):,} photographs with {sum(unlisted):,} captions, because they are in none of the "
            f"lists of {', '.join(LISTS)}."
        )
    return sentences


@contextmanager
def _storing(out: Path) -> Iterator[None]:
    """Turn an OSError into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{out} cannot be written ({error.strerror}); make room or name another folder, and run the command again: "
            "it resumes."
        ) from error
