"""Exports the ratings of a library as a folder of data that `data.captions` reads.

The folder is complete and can be moved: `images/` holds a copy of each rated photograph, named `ID-NAME` after its id
and file. The caption_id of a text is made from the text, so that it is the same in every export. The texts were
written for no photograph, so the cell `image` beside them in `captions.tsv` is empty. Grades of different raters stand
in one row, as its experts; yes and no are counted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from service.errors import ForbiddenError, LibraryError, NotFoundError, PhotographError, UsageError
from service.photos.decode import read_file
from service.store.atomic import write_bytes
from service.store.catalog import Catalog
from service.store.paths import file_of
from service.store.rating_tables import IMAGES, MAX_JUDGES, CrowdRating, ExpertRating, tables_in, write_tables
from service.store.ratings import Ratings
from service.store.records import Rating, Record
from service.types import OnProgress

SPLIT = "rated"
_LONGEST_NAME = 120
"""Bytes of a longer file name that are used, from its end."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Attributes:
        folder: where.
        photographs: how many were copied.
        texts: how many different texts.
        expert_rows: rows of grades.
        crowd_rows: rows of yes and no.
        left_out: a sentence for each photograph that could not be copied; its ratings are not in the tables.
        older_grades: grades beyond the newest three of a pair, for which the table has no column.
    """

    folder: Path
    photographs: int
    texts: int
    expert_rows: int
    crowd_rows: int
    left_out: list[str]
    older_grades: int


def export_ratings(catalog: Catalog, folder: Path, *, force: bool = False, on_progress: OnProgress) -> Export:
    """Write the ratings of a library into a folder of data.

    The tables are written last, so that an export that was stopped leaves none.

    Args:
        catalog: the library's catalog.
        folder: made where it is missing.
        force: replace tables that the folder holds.
        on_progress: called with the number of photographs copied, and of all.

    Raises:
        UsageError: the folder holds such tables, or lies among the library's photographs.
        LibraryError: there is nothing to export, or the folder cannot be written to.
    """
    ratings = Ratings(catalog).select()
    if not ratings:
        raise LibraryError(
            f"The library {catalog.file.parent} has no ratings yet. Give some with "
            '`smysl rate PHOTO "a red flower" --yes`.'
        )
    _check_folder(catalog, folder, force)
    records = catalog.records(sorted({rating.photograph_id for rating in ratings}))
    names: dict[int, str] = {}
    left_out = []
    try:
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        for done, record in enumerate(records.values(), start=1):
            try:
                content = read_file(file_of(record))
            except (NotFoundError, ForbiddenError) as error:
                left_out.append(error.message)
            except PhotographError as error:
                left_out.append(f"The file of photograph {record.id}, {record.relative}, is left out: {error.message}.")
            else:
                names[record.id] = _copy(content, folder / IMAGES, record)
            on_progress(done, len(records))
    except OSError as error:
        raise LibraryError(
            f"The ratings cannot be exported to {folder} ({error.strerror or error}). Name another folder."
        ) from None
    return _write(folder, [rating for rating in ratings if rating.photograph_id in names], names, left_out)


def _check_folder(catalog: Catalog, folder: Path, force: bool) -> None:
    if any(folder.resolve().is_relative_to(root.path) for root in catalog.roots()):
        raise UsageError(
            f"{folder} lies among the library's photographs, so the copies would be indexed too; name another folder."
        )
    if (existing := tables_in(folder)) and not force:
        raise UsageError(
            f"{folder} holds {', '.join(existing)} already; name another folder, or have them replaced with --force."
        )


def _write(folder: Path, ratings: list[Rating], names: dict[int, str], left_out: list[str]) -> Export:
    if not ratings:
        raise LibraryError(f"None of the rated photographs can be read, so nothing was exported. {left_out[0]}")
    ids = {text: _caption_id(text) for text in dict.fromkeys(rating.text for rating in ratings)}
    pairs: defaultdict[tuple[str, str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        pairs[rating.scale, names[rating.photograph_id], ids[rating.text]].append(rating)
    experts, crowd, older = [], [], 0
    for (scale, image, caption_id), rated in pairs.items():
        if scale == "expert":
            newest = sorted(rated, key=lambda rating: rating.time)[-MAX_JUDGES:]
            older += len(rated) - len(newest)
            experts.append(ExpertRating(image, caption_id, tuple(rating.value for rating in newest)))
        else:
            yes = sum(rating.value for rating in rated)
            crowd.append(CrowdRating(image, caption_id, yes, len(rated) - yes))
    write_tables(folder, {caption_id: text for text, caption_id in ids.items()}, experts, crowd, split=SPLIT)
    return Export(folder, len(names), len(ids), len(experts), len(crowd), left_out, older)


def _caption_id(text: str) -> str:
    import xxhash

    return f"text-{xxhash.xxh3_64_hexdigest(text.encode())}"


def _copy(content: bytes, images: Path, record: Record) -> str:
    """Writes a copy of a photograph unless it exists already; returns its name."""
    end = record.name.encode()[-_LONGEST_NAME:].decode(errors="ignore")
    name = f"{record.id}-{''.join(letter if letter.isprintable() else '_' for letter in end)}"
    target = images / name
    if target.is_file() and target.read_bytes() == content:
        return name
    write_bytes(target, content)
    return name
