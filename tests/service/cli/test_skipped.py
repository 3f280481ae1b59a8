"""`smysl skipped`: what the last index run left out, and why."""

from __future__ import annotations

import json

import pytest

from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary


@pytest.fixture
def leaving_out(sample_library: SampleLibrary, smysl: Run) -> SampleLibrary:
    (sample_library.photographs / "@eaDir").mkdir()
    (sample_library.photographs / "empty.jpg").touch()
    assert smysl("index", "--library", sample_library.folder).code == 0
    return sample_library


def test_what_is_left_out_is_listed_with_reasons(leaving_out: SampleLibrary, smysl: Run) -> None:
    folder, library = leaving_out.photographs, ("--library", leaving_out.folder)
    done = smysl("skipped", *library)
    assert done.out.splitlines() == [
        f"rubbish\t{folder}/@eaDir/",
        f"unreadable\t{folder}/empty.jpg\tthe file is empty",
    ]
    assert "1 unreadable: files and folders that cannot be read" in done.err.splitlines()
    (listed,) = json.loads(smysl("skipped", "--json", "--reason", "rubbish", *library).out)
    assert (listed["path"], listed["reason"]) == (f"{folder}/@eaDir/", "rubbish")
    none = smysl("skipped", "--reason", "video", *library)
    assert (none.code, none.out, none.err) == (0, "", "Nothing was left out.\n")


def test_a_reason_that_does_not_exist_is_refused(leaving_out: SampleLibrary, smysl: Run) -> None:
    for flags in ((), ("--json",)):
        refused = smysl("skipped", "--reason", "trash", *flags, "--library", leaving_out.folder)
        assert "--reason is trash; it must be one of rubbish, hidden, " in error_of(refused, 2)
