"""One file of an index run: read once, recognised, decoded in bounded memory."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import service.indexing.decoder
from service.indexing.decoder import Decoder, EncodingTask, Failure, File, MemoryBudget, PreparedPhotograph
from service.indexing.indexer import Finished, update_catalog
from service.photos.decode import THUMBNAIL_SIDE
from service.store.catalog import Catalog
from tests.service.colours import ColourEncoder, paint


class Hold:
    """What is held of a room, now and at most; `alone` is what was held beside the largest."""

    def __init__(self, most: int) -> None:
        self.room = MemoryBudget(most)
        self.held = 0
        self.peak = 0
        self.guard = threading.Lock()

    @contextmanager
    def of(self, amount: int) -> Iterator[None]:
        with self.room.reserve(amount):
            with self.guard:
                self.held += amount
                self.peak = max(self.peak, self.held)
            time.sleep(0.002)
            yield
            with self.guard:
                self.held -= amount


def in_threads(hold: Hold, amounts: list[int]) -> None:
    def take(amount: int) -> None:
        with hold.of(amount):
            pass

    threads = [threading.Thread(target=take, args=(amount,)) for amount in amounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"


def test_no_more_is_given_out_than_there_is() -> None:
    hold = Hold(100)
    in_threads(hold, [30] * 20)
    assert 30 < hold.peak <= 100
    assert hold.held == 0


def test_what_is_larger_than_the_room_is_alone_in_it() -> None:
    hold = Hold(100)
    in_threads(hold, [40, 250, 10, 90, 250, 30])
    assert hold.peak == 250


def test_room_comes_back_after_an_error() -> None:
    room = MemoryBudget(10)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), room.reserve(10):
            raise ValueError("broken")


def test_who_came_first_is_served_first() -> None:
    """Small amounts would fit beside what is held, and still let the large one before them go first."""
    room, order = MemoryBudget(10), []
    with room.reserve(6):
        threads = []
        for amount in (10, 1, 1):
            threads.append(threading.Thread(target=lambda amount=amount: served(amount)))

            def served(amount: int) -> None:
                with room.reserve(amount):
                    order.append(amount)

            threads[-1].start()
            while len(room._waiting) < len(threads):
                time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert order == [10, 1, 1]


# -- a file -------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


def file_of(catalog: Catalog, path: Path) -> File:
    root, folder = catalog.add_root(path.parent.resolve())
    facts = path.stat()
    return File(root, folder, path.name, facts.st_size, facts.st_mtime_ns, None)


def test_a_file_is_opened_once_for_hash_pixels_and_thumbnail(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(catalog, paint(tmp_path / "photographs" / "a.jpg", "red", (900, 600)))
    opened: list[Path] = []
    real = io.open

    def counted(path: object, *given: object, **more: object) -> object:
        opened.append(Path(str(path)))
        return real(path, *given, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", counted)
    outcome = Decoder(catalog, [EncodingTask.main(ColourEncoder())]).decode(file)
    assert isinstance(outcome, PreparedPhotograph)
    assert [path.name for path in opened if path.parent == file.path.parent] == ["a.jpg"]


@pytest.mark.parametrize(("size", "side", "seen"), [
    ((4000, 3000), 260, (1000, 750)), ((4000, 3000), 224, (1000, 750)), ((4000, 3000), 100, (500, 375)),
    ((6000, 4000), 224, (750, 500)), ((1041, 1600), 260, (521, 800)), ((1039, 1600), 260, (1039, 1600)),
    ((224, 224), 260, (224, 224)), ((9600, 9600), 224, (600, 600)),
])  # fmt: skip
def test_a_tower_sees_at_least_twice_its_side(
    catalog: Catalog, tmp_path: Path, size: tuple[int, int], side: int, seen: tuple[int, int]
) -> None:
    """And a thumbnail at least its own."""
    looked_at: list[tuple[int, int]] = []

    class Looking(ColourEncoder):
        def prepare(self, image: Image.Image) -> object:  # type: ignore[override]
            looked_at.append(image.size)
            return super().prepare(image)

    file = file_of(catalog, paint(tmp_path / "photographs" / "a.jpg", "red", size))
    outcome = Decoder(catalog, [EncodingTask.main(Looking(photograph_side=side))]).decode(file)
    assert isinstance(outcome, PreparedPhotograph)
    assert (outcome.facts.width, outcome.facts.height) == size
    if side == 100:
        # The thumbnail needs more than the tower: 384 pixels, on the shorter side too.
        seen = (1000, 750)
    assert looked_at == [seen]
    assert min(seen) >= min(*size, max(2 * side, THUMBNAIL_SIDE))


def test_a_broken_file_is_a_failure_and_gives_its_room_back(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    broken = tmp_path / "photographs" / "a.jpg"
    broken.write_bytes(b"no photograph")
    decoder = Decoder(catalog, [EncodingTask.main(ColourEncoder())])
    decoder._reading = MemoryBudget(1)
    file = file_of(catalog, broken)
    for _ in range(3):
        outcome = decoder.decode(file)
        assert outcome == Failure(str(file.path), "it is not a photograph in a format that smysl reads")


# -- the memory of a run ------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 8])
def test_a_folder_of_large_photographs_is_decoded_one_after_the_other(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """The pixels alive at any time, counted where decoding begins and ends, fit into what was set aside."""
    folder = tmp_path / "photographs"
    for number in range(6):
        paint(folder / f"{number}.png", (40 * number, 0, 0), (700, 600))
        paint(folder / f"{number}.jpg", (0, 40 * number, 0), (90, 60))
    monkeypatch.setattr(service.indexing.decoder, "_BYTES_DECODED", 1_000_000)
    alive, peak, guard = 0, 0, threading.Lock()
    real = service.indexing.decoder.open_photograph

    def watched(content: bytes, **settings: object) -> object:
        nonlocal alive, peak
        width, height = Image.open(io.BytesIO(content)).size
        announce = settings.pop("before_decoding")

        def announced(amount: int) -> None:
            nonlocal alive, peak
            announce(amount)  # type: ignore[operator]
            assert amount >= 4 * width * height
            with guard:
                alive += amount
                peak = max(peak, alive)

        photograph = real(content, before_decoding=announced, **settings)  # type: ignore[arg-type]
        time.sleep(0.005)
        with guard:
            alive -= 4 * width * height
        return photograph

    monkeypatch.setattr(service.indexing.decoder, "open_photograph", watched)
    folders = [catalog.add_root(folder.resolve())]
    tasks = [EncodingTask.main(ColourEncoder())]
    events = update_catalog(catalog, tasks, folders, prune=False, batch_size=4, threads=threads)
    assert any(isinstance(event, Finished) for event in events)
    assert catalog.count() == 12
    large, small = 4 * 700 * 600, 4 * 90 * 60
    assert large <= peak < large + 2 * small
