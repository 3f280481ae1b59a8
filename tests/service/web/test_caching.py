"""Which requests are answered with 304, and what a file is named by."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from starlette.requests import Request

from service.store.records import Record
from service.web.caching import BRIEFLY, FOR_GOOD, cache_control, file_headers, is_not_modified, version_of

CONTENT = bytes(range(16))
HEADERS = {"etag": '"abc"', "last-modified": "Fri, 14 Jul 2023 18:30:05 GMT"}


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "GET", "headers": raw})


def record(file: Path, *, read_with: int = 1) -> Record:
    status = file.stat()
    facts = (status.st_size, status.st_mtime_ns, 80, 60, "JPEG", CONTENT)
    return Record(7, file.parent, "", file.name, *facts, read_with=read_with)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"jpeg")
    return path


@pytest.mark.parametrize(
    "tags",
    [
        ['"abc"'],
        ['W/"abc"'],
        ['"other" , W/"abc"'],
        ["*"],
        ['"other"', '"abc"'],
        [',,, "abc",'],
    ],
)
def test_a_client_that_names_the_tag_has_the_content(tags: list[str]) -> None:
    assert is_not_modified(request(*(("if-none-match", tag) for tag in tags)), HEADERS)


@pytest.mark.parametrize("tags", ['"other"', "abc", '"abc', "\xff\xfe", "W/", '""', '"ab,c"', "x" * 9000, "**", "W/*x"])
def test_another_tag_or_nonsense_is_answered_with_the_content(tags: str) -> None:
    assert not is_not_modified(request(("if-none-match", tags)), HEADERS)


def test_a_tag_counts_more_than_a_date() -> None:
    since = ("if-modified-since", HEADERS["last-modified"])
    assert is_not_modified(request(since), HEADERS)
    assert not is_not_modified(request(since, ("if-none-match", '"other"')), HEADERS)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("Fri, 14 Jul 2023 18:30:05 GMT", True),
        ("Fri, 14 Jul 2023 18:30:06 GMT", True),
        ("Fri, 14 Jul 2023 18:30:04 GMT", False),
        ("Friday, 14-Jul-23 18:30:05 GMT", True),
        ("Fri, 14 Jul 2023 20:30:05 +0200", True),
        ("Fri, 14 Jul 2023 18:30:05", True),
        ("Fri, 32 Jul 2023 18:30:05 GMT", False),
        ("Fri, 14 Jul 99999 18:30:05 GMT", False),
        ("Mon, 01 Jan 0001 00:00:00 +2359", False),
        ("Fri, 31 Dec 9999 23:59:59 -2359", True),
        ("yesterday", False),
        ("", False),
        ("\xff", False),
    ],
)
def test_dates_are_compared_and_nonsense_is_ignored(since: str, expected: bool) -> None:
    assert is_not_modified(request(("if-modified-since", since)), HEADERS) is expected


def test_content_without_a_date_is_compared_by_its_tag_only() -> None:
    headers = {"etag": '"abc"'}
    assert not is_not_modified(request(("if-modified-since", HEADERS["last-modified"])), headers)


def test_a_file_as_indexed_is_named_by_its_hash(file: Path) -> None:
    known = record(file)
    assert file_headers(known, file.stat())["etag"] == f'"{CONTENT.hex()}"'
    assert file_headers(known, file.stat(), "-jpeg")["etag"] == f'"{CONTENT.hex()}-jpeg"'


def test_an_edited_file_is_named_by_its_size_and_time(file: Path) -> None:
    known = record(file)
    os.utime(file, ns=(0, known.modified_ns + 1))
    touched = file_headers(known, file.stat())["etag"]
    file.write_bytes(b"other")
    os.utime(file, ns=(0, known.modified_ns))
    grown = file_headers(known, file.stat())["etag"]
    assert len({touched, grown, f'"{CONTENT.hex()}"'}) == 3


@pytest.mark.parametrize("seconds", [-1e14, -1.5, 1e14, 2e18, 1689359405.7])
def test_every_time_of_a_file_system_is_a_date_in_the_past(file: Path, seconds: float) -> None:
    plain = file.stat()
    status = os.stat_result((*plain[:8], int(seconds), plain.st_ctime))
    headers = file_headers(record(file), status)
    shown = time.strptime(headers["last-modified"], "%a, %d %b %Y %H:%M:%S GMT")
    assert 1970 <= shown.tm_year <= time.gmtime().tm_year
    assert is_not_modified(request(("if-modified-since", headers["last-modified"])), headers)


def test_only_the_current_address_of_final_content_may_be_kept_for_good(file: Path) -> None:
    known = record(file)
    version = version_of(known)
    assert version.startswith(CONTENT.hex()[:16])
    assert cache_control(known, version) == FOR_GOOD
    assert cache_control(known, version, final=False) == BRIEFLY
    for other in (None, "", version_of(record(file, read_with=2)), version[:-1], CONTENT.hex()):
        assert cache_control(known, other) == BRIEFLY
