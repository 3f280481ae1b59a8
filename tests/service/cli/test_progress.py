"""Progress: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from rich.console import Console

from service.cli import progress
from service.cli.progress import count, describe, download, follow_index, stages, steps
from service.encoder.models import DownloadProgress
from service.indexing.decoder import Failure
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, which tests turn by hand."""
    now = [0.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(progress, "time", Clock)
    yield now


def pipe() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=40), out


def test_in_a_pipe_a_plain_line_every_few_seconds(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Encoding") as shown:
        for second in range(0, 21):
            clock[0] = second
            shown(second * 100, 2000)
    assert out.getvalue().splitlines() == [
        "Encoding: 500 of 2,000, 100.0/s, 15 s left",
        "Encoding: 1,000 of 2,000, 100.0/s, 10 s left",
        "Encoding: 1,500 of 2,000, 100.0/s, 5 s left",
        "Encoding: 2,000 of 2,000, 100.0/s",
    ]


def test_bytes_of_an_earlier_run_make_nothing_faster(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Downloading", of_bytes=True) as shown:
        for second in range(0, 6):
            clock[0] = second
            shown(500_000_000 + second * 10_000_000, 1_000_000_000)
    assert out.getvalue() == "Downloading: 550 of 1,000 MB, 10.0 MB/s, 45 s left\n"


def test_what_is_quick_says_nothing_in_a_pipe(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Scoring") as shown:
        shown(0, 0)
        clock[0] = 4.9
        shown(3, 3)
    assert out.getvalue() == ""


def test_before_the_first_step_there_is_no_time_left_to_tell(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Indexing") as shown:
        clock[0] = 6
        shown(0, 10)
    assert out.getvalue() == "Indexing: 0 of 10, 0.0/s\n"


def test_on_a_terminal_there_is_a_bar_and_it_is_put_away_after_a_fault() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with pytest.raises(ValueError, match="stop"), steps(console, "Encoding") as shown:
        shown(5, 10)
        raise ValueError("stop")
    assert "Encoding" in out.getvalue()
    assert "50%" in out.getvalue()
    assert "5/10" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


def test_an_index_run_in_a_pipe_names_each_failure_without_colours_or_control_characters(clock: list[float]) -> None:
    console, out = pipe()
    long = "/photographs/" + "a very long name " * 10 + "[bold]я.jpg"
    failure = Failure(long, "the file is empty")
    summary = Summary(added=2, failed=[failure])

    def events() -> Iterator[Event]:
        yield Scanned(3, 0)
        clock[0] = 5
        yield failure
        yield Advanced(3, 3)
        yield Finished(summary)

    assert follow_index(console, events()) is summary
    assert out.getvalue().splitlines() == [f"  cannot index {long}: the file is empty", "Indexing: 3 of 3, 0.6/s"]
    assert all(character.isprintable() or character == "\n" for character in out.getvalue())


def test_work_in_several_parts_names_each_and_times_it_by_itself(clock: list[float]) -> None:
    console, out = pipe()
    with stages(console) as tell:
        tell("rated texts", 10, 100)
        clock[0] = 5
        tell("rated texts", 50, 100)
        clock[0] = 8
        tell("folds", 0, 25)
        clock[0] = 13
        tell("folds", 5, 25)
    assert out.getvalue().splitlines() == [
        "Rated texts: 50 of 100, 10.0/s, 5 s left",
        "Folds: 5 of 25, 1.0/s, 20 s left",
    ]


def test_parts_of_work_have_a_bar_each_and_the_last_is_put_away_after_a_fault() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with pytest.raises(ValueError, match="stop"), stages(console) as tell:
        tell("rated texts", 3, 4)
        tell("folds", 1, 25)
        raise ValueError("stop")
    assert "Rated texts" in out.getvalue() and "3/4" in out.getvalue()
    assert "Folds" in out.getvalue() and "1/25" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 2


def test_parts_that_never_began_say_nothing() -> None:
    console, out = pipe()
    with stages(console):
        pass
    assert out.getvalue() == ""


def test_a_download_says_nothing_before_it_starts(clock: list[float]) -> None:
    console, out = pipe()
    with download(console) as tell:
        clock[0] = 60
        assert out.getvalue() == ""
        tell(DownloadProgress("start", "tiny", "", 0, 1_542_000_000))
        clock[0] = 65
        tell(DownloadProgress("download", "tiny", "weights", 50_000_000, 1_542_000_000))
    assert out.getvalue() == "Downloading tiny: 50 of 1,542 MB, 10.0 MB/s, 149 s left\n"


def test_a_download_on_a_terminal_is_told_in_bytes() -> None:
    out = io.StringIO()
    with download(Console(file=out, force_terminal=True, width=120)) as tell:
        tell(DownloadProgress("start", "tiny", "", 0, 1_542_000_000))
        tell(DownloadProgress("download", "tiny", "weights", 771_000_000, 1_542_000_000))
    assert "0.8/1.5 GB" in out.getvalue()
    assert "50%" in out.getvalue()


def test_a_summary_says_what_happened_and_nothing_else() -> None:
    summary = Summary(added=1200, unchanged=3, removed=1, failed=[Failure("a", "b")], seconds=2.04)
    assert describe(summary) == "1,200 added, 3 unchanged, 1 removed, 1 failed, in 2.0 s"
    summary = Summary(changed=1, moved=2, missing=3, skipped=Counter({"symbolic links": 4}))
    assert describe(summary).splitlines() == [
        "0 added, 1 changed, 2 moved, 0 unchanged, 0 removed, 0 failed, in 0.0 s",
        "3 photographs are not where they were; --prune takes them out of the library",
        "skipped symbolic links: 4",
    ]
    assert [count(0), count(1), count(20_000)] == ["0 photographs", "1 photograph", "20,000 photographs"]
