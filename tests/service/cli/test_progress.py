"""Progress: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from rich.console import Console

from service.cli import progress
from service.cli.progress import count, describe, download, follow_index, stages, steps
from service.encoder.models import DownloadProgress
from service.indexing.decoder import Failure
from service.indexing.indexer import Advanced, Event, Finished, Scanned, Summary
from service.indexing.skipped import Reason, Skipped


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time in seconds, set by tests."""
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
    with steps(console, "Encoding") as on_progress:
        for second in range(0, 21):
            clock[0] = second
            on_progress(second * 100, 2000)
    assert out.getvalue().splitlines() == [
        "Encoding: 500 of 2,000, 100.0/s, 15 s left",
        "Encoding: 1,000 of 2,000, 100.0/s, 10 s left",
        "Encoding: 1,500 of 2,000, 100.0/s, 5 s left",
        "Encoding: 2,000 of 2,000, 100.0/s",
    ]


def test_bytes_of_an_earlier_run_do_not_count_towards_the_speed(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Downloading", of_bytes=True) as on_progress:
        for second in range(0, 6):
            clock[0] = second
            on_progress(500_000_000 + second * 10_000_000, 1_000_000_000)
    assert out.getvalue() == "Downloading: 550 of 1,000 MB, 10.0 MB/s, 45 s left\n"


def test_quick_work_prints_nothing_in_a_pipe(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Scoring") as on_progress:
        on_progress(0, 0)
        clock[0] = 4.9
        on_progress(3, 3)
    assert out.getvalue() == ""


def test_before_the_first_step_no_time_is_estimated(clock: list[float]) -> None:
    console, out = pipe()
    with steps(console, "Indexing") as on_progress:
        clock[0] = 6
        on_progress(0, 10)
    assert out.getvalue() == "Indexing: 0 of 10, 0.0/s\n"


def test_on_a_terminal_there_is_a_bar_that_ends_after_an_error() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with pytest.raises(ValueError, match="stop"), steps(console, "Encoding") as on_progress:
        on_progress(5, 10)
        raise ValueError("stop")
    assert "Encoding" in out.getvalue()
    assert "50%" in out.getvalue()
    assert "5/10" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize(
    ("width", "lines", "speed"), [(30, ["Downloading a/model"], False), (40, [], False), (60, [], True)]
)
def test_a_bar_on_a_narrow_terminal_leaves_out_the_speed_then_the_name(
    clock: list[float], width: int, lines: list[str], speed: bool
) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    what = lines[0] if lines else "Indexing"
    with steps(console, what) as on_progress:
        on_progress(9000, 60000)
    shown = out.getvalue().replace("\r", "\n").splitlines()
    assert [line for line in shown if line == what] == lines
    last = next(line for line in reversed(shown) if "9000" in line)
    assert " 15%  9000/60000 " in last
    assert ("/s" in last) == speed
    assert len(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)) <= width


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


def test_each_stage_is_named_and_timed_by_itself(clock: list[float]) -> None:
    console, out = pipe()
    with stages(console) as on_stage:
        on_stage("rated texts", 10, 100)
        clock[0] = 5
        on_stage("rated texts", 50, 100)
        clock[0] = 8
        on_stage("folds", 0, 25)
        clock[0] = 13
        on_stage("folds", 5, 25)
    assert out.getvalue().splitlines() == [
        "Rated texts: 50 of 100, 10.0/s, 5 s left",
        "Folds: 5 of 25, 1.0/s, 20 s left",
    ]


def test_each_stage_has_a_bar_and_the_last_ends_after_an_error() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with pytest.raises(ValueError, match="stop"), stages(console) as on_stage:
        on_stage("rated texts", 3, 4)
        on_stage("folds", 1, 25)
        raise ValueError("stop")
    assert "Rated texts" in out.getvalue() and "3/4" in out.getvalue()
    assert "Folds" in out.getvalue() and "1/25" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 2


def test_no_stage_prints_nothing() -> None:
    console, out = pipe()
    with stages(console):
        pass
    assert out.getvalue() == ""


def test_a_download_prints_nothing_before_it_starts(clock: list[float]) -> None:
    console, out = pipe()
    with download(console) as on_progress:
        clock[0] = 60
        assert out.getvalue() == ""
        on_progress(DownloadProgress("start", "tiny", "", 0, 1_542_000_000))
        clock[0] = 65
        on_progress(DownloadProgress("download", "tiny", "weights", 50_000_000, 1_542_000_000))
    assert out.getvalue() == "Downloading tiny: 50 of 1,542 MB, 10.0 MB/s, 149 s left\n"


def test_a_download_on_a_terminal_is_counted_in_bytes() -> None:
    out = io.StringIO()
    with download(Console(file=out, force_terminal=True, width=120)) as on_progress:
        on_progress(DownloadProgress("start", "tiny", "", 0, 1_542_000_000))
        on_progress(DownloadProgress("download", "tiny", "weights", 771_000_000, 1_542_000_000))
    assert "0.8/1.5 GB" in out.getvalue()
    assert "50%" in out.getvalue()


def test_a_summary_leaves_out_what_did_not_happen() -> None:
    summary = Summary(added=1200, unchanged=3, removed=1, failed=[Failure("a", "b")], seconds=2.04)
    assert describe(summary) == "1,200 added, 3 unchanged, 1 removed, 1 failed, in 2.0 s"
    summary = Summary(
        changed=1, moved=2, missing=3, skipped=[(f"/photographs/{n}", Skipped(str(n), Reason.LINK)) for n in range(4)]
    )
    assert describe(summary).splitlines() == [
        "0 added, 1 changed, 2 moved, 0 unchanged, 0 removed, 0 failed, in 0.0 s",
        "3 photographs are missing; --prune removes them from the library",
        "skipped symbolic links, which are not followed: 4",
    ]
    assert [count(0), count(1), count(20_000)] == ["0 photographs", "1 photograph", "20,000 photographs"]
