"""`smysl search` with filters: as options, and in the words of the text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary
from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

DATE_TAKEN, EXIF, MAKE, MODEL = 0x9003, 0x8769, 0x010F, 0x0110
PHOTOGRAPHS = {
    "2018/sea.jpg": ("2018:05:01 10:00:00", "Canon", "EOS 600D"),
    "2019/dog.jpg": ("2019:07:14 12:00:00", "Canon", "EOS 600D"),
    "2019/cat.jpg": ("2019:12:31 23:59:59", "NIKON", "D90"),
    "Trip to Baikal/ice.jpg": ("2023:07:02 08:00:00", "Apple", "iPhone 13"),
    "unknown.jpg": None,
}
OLD = 1_000_000_000
"""Seconds since 1970: September 2001, for the photograph of which the file's time alone is known."""


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory, tiny: Encoder) -> SampleLibrary:
    """A library of photographs with dates and cameras, one of them without either."""
    photographs = tmp_path_factory.mktemp("dated")
    for seed, (name, facts) in enumerate(PHOTOGRAPHS.items()):
        file = photographs / name
        file.parent.mkdir(exist_ok=True)
        save_picture(file, seed)
        os.utime(file, (OLD, OLD))
        if facts is not None:
            with Image.open(file) as image:
                exif = image.getexif()
                exif.get_ifd(EXIF)[DATE_TAKEN], exif[MAKE], exif[MODEL] = facts
                image.save(file, exif=exif)
    sample = SampleLibrary(tmp_path_factory.mktemp("library") / "library", photographs, tiny.name)
    with sample.open() as library:
        for _ in library.index([photographs], encoder=tiny):
            pass
    return sample


Found = Callable[..., tuple[list[str], str]]


@pytest.fixture
def found(dated: SampleLibrary, smysl: Run) -> Found:
    """Runs a search and returns the names of what it finds, in order, and what it says beside that."""

    def search(*arguments: object) -> tuple[list[str], str]:
        done = smysl("search", *arguments, "--library", dated.folder)
        assert done.code == 0, done.err
        # The first search with a model may say that the model is being prepared.
        said = [line for line in done.err.splitlines(keepends=True) if not line.startswith("Converting")]
        return [Path(line.split("\t")[-1]).stem for line in done.out.splitlines()], "".join(said)

    return search


QUOTE = "Quote the words to search for them as they are.\n"


def test_without_words_filters_browse_newest_first(found: Found) -> None:
    assert found("--from", "2019", "--to", "2019") == (["cat", "dog"], "")
    assert found("--from", "2019-07-15") == (["ice", "cat"], "")
    assert found("--month", 7, "--order", "date") == (["dog", "ice"], "")
    assert found("--month", 7, "--day", 14) == (["dog"], "")
    assert found("--camera", "canon") == (["dog", "sea"], "")
    assert found("--camera", "nikon", "--camera", "iphone") == (["ice", "cat"], "")
    assert found("--folder", "Trip to Baikal") == (["ice"], "")
    assert found("--order", "-date", "-k", 2) == (["ice", "cat"], "")
    assert found("--no-raw", "--orientation", "landscape", "--order", "date", "-n", 1) == (["unknown"], "")
    assert found("--no-place", "--format", "jpeg", "--order", "date", "-n", 1) == (["unknown"], "")


def test_a_text_is_searched_for_among_the_photographs_that_pass(found: Found) -> None:
    names, said = found("a", "red", "car", "--from", "2019", "--to", "2019")
    assert (sorted(names), said) == (["cat", "dog"], "")
    assert found("a red car", "--from", "2019", "--to", "2019", "--order", "date") == (["dog", "cat"], "")


def test_dates_and_pairs_in_the_text_are_filters_and_are_named(found: Found) -> None:
    assert found("july", "2023") == (["ice"], f"Taken in July 2023. {QUOTE}")
    names, said = found("a red car", "in", "2019")
    assert (sorted(names), said) == (["cat", "dog"], f"Taken in 2019. {QUOTE}")
    assert found("a red car 2019", "--camera", "canon") == (["dog"], f"Taken in 2019. {QUOTE}")
    assert found('folder:"Trip to Baikal"') == (["ice"], f"In the folder Trip to Baikal. {QUOTE}")


def test_words_are_searched_for_where_no_photograph_passes_them_as_filters(found: Found) -> None:
    names, said = found("a red car 2022")
    assert (len(names), said) == (5, "No photograph fits “2022”, so the words were searched as they are.\n")


def test_words_in_quotes_are_searched_for(found: Found) -> None:
    names, said = found('"a red car 2019"')
    assert (len(names), said) == (5, "")


def test_a_photograph_searches_among_those_that_pass(found: Found, dated: SampleLibrary) -> None:
    image = dated.photographs / "2019" / "dog.jpg"
    assert found("--image", image, "--from", "2019", "--to", "2019") == (["dog", "cat"], "")
    assert found("--image", image, "--camera", "nikon", "--order", "date") == (["cat"], "")


def test_a_search_without_hits_says_what_there_is_without_filters(found: Found) -> None:
    assert found("--from", "2020", "--to", "2022") == ([], "No photograph passes the filters.\n")
    names, said = found("a red car", "--min-match", 0, "--from", "2020", "--to", "2022")
    assert (names, said) == ([], "No photograph passes the filters; without them 5 would be shown.\n")
    names, said = found("a red car", "--min-match", 1, "--from", "2019", "--to", "2019")
    assert (names, said) == (
        [],
        "None of the photographs that pass the filters (2) is a good match, and without them there is no good match "
        "either.\n",
    )


def test_json_has_the_same_hits(dated: SampleLibrary, smysl: Run) -> None:
    done = smysl("search", "a red car 2019", "--json", "--library", dated.folder)
    assert sorted(hit["name"] for hit in json.loads(done.out)["hits"]) == ["cat.jpg", "dog.jpg"]
    assert [chip["label"] for chip in json.loads(done.out)["understood"]] == ["taken in 2019"]
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--month", "13"], "--month is 13; it must be from 1 to 12."),
        (["--from", "2020", "--to", "2019"], "--from 2020 is after --to 2019."),
        (["--from", "yesterday"], "--from is yesterday; it must be a year, a month or a day, such as 2019, 2019-07"),
        (["--month", "2", "--day", "30"], "--day is 30, and --month 2 is shorter."),
        (["--near", "1000,1000,5"], "--near is 1000,1000,5; it must be LAT,LON,KM"),
        (["--min-stars", "9"], "--min-stars is 9; it must be from 1 to 5."),
        (["--focal-length", "70-24"], "--focal-length is 70-24; it must be millimetres"),
        (["--orientation", "diagonal"], "--orientation is diagonal; it must be landscape, portrait or square."),
        (["--order", "size"], "--order is size; it must be match, date or -date."),
        (["--camera", ""], "Say what to look for"),
        (["a cat", "month:13"], "What follows the colon of month:13 must be from 1 to 12."),
        (["--from", "2019", "--min-match", "0"], "--min-match needs a text or a photograph to look for"),
        (["--order", "date", "--head", "flowers"], "--head needs a text or a photograph to look for"),
    ],
)
def test_filters_that_cannot_be_are_named_by_their_flags(
    dated: SampleLibrary, smysl: Run, arguments: list[str], message: str
) -> None:
    assert message in error_of(smysl("search", *arguments, "--library", dated.folder), 2)
