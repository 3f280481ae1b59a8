"""One file of an index run: read once, decoded in bounded memory."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import service.indexing.decoder
from service.encoder.encoder import Encoder
from service.indexing.decoder import (
    Decoder,
    EncodingTask,
    Failure,
    File,
    MemoryBudget,
    PreparedPhotograph,
    side_to_decode,
)
from service.photos.decode import open_photograph
from service.photos.thumbnails import PREVIEW_SIDE, THUMBNAIL_SIDE
from service.store.catalog import Catalog
from service.store.records import FileInfo
from tests.service.colours import ColourEncoder, paint


def eventually(holds: Callable[[], object]) -> bool:
    """Wait until a condition holds; False after ten seconds."""
    end = time.monotonic() + 10
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


class Request:
    """A thread that reserves memory, once it is granted keeps it until `release`, and then gives it back."""

    def __init__(self, budget: MemoryBudget, amount: int) -> None:
        self._budget = budget
        self._amount = amount
        self._granted = threading.Event()
        self._release = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._budget.reserve(self._amount):
            self._granted.set()
            self._release.wait()

    def is_granted(self) -> bool:
        return self._granted.wait(10)

    def is_queued(self, place: int = 1) -> bool:
        """Whether it comes to wait at this place of the queue instead of being granted."""

        def decided() -> bool:
            with self._budget._changed:
                return self._granted.is_set() or len(self._budget._waiting) == place

        return eventually(decided) and not self._granted.is_set()

    def release(self) -> None:
        self._release.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_a_request_over_the_limit_waits_until_it_fits() -> None:
    budget = MemoryBudget(100)
    first, second = Request(budget, 40), Request(budget, 60)
    assert first.is_granted()
    assert second.is_granted()
    third = Request(budget, 40)
    assert third.is_queued()
    first.release()
    assert third.is_granted()
    second.release()
    third.release()


def test_a_request_larger_than_the_limit_is_granted_alone() -> None:
    budget = MemoryBudget(100)
    small = Request(budget, 40)
    assert small.is_granted()
    large = Request(budget, 250)
    assert large.is_queued()
    small.release()
    assert large.is_granted()
    other = Request(budget, 10)
    assert other.is_queued()
    large.release()
    assert other.is_granted()
    other.release()


def test_small_requests_do_not_overtake_a_large_one() -> None:
    budget = MemoryBudget(10)
    first = Request(budget, 6)
    assert first.is_granted()
    large = Request(budget, 10)
    assert large.is_queued()
    small = Request(budget, 1)
    assert small.is_queued(place=2)
    first.release()
    assert large.is_granted()
    assert small.is_queued()
    large.release()
    assert small.is_granted()
    small.release()


def test_many_requests_are_all_granted() -> None:
    budget = MemoryBudget(100)

    def reserve(amount: int) -> None:
        with budget.reserve(amount):
            pass

    threads = [
        threading.Thread(target=reserve, args=(amount,), daemon=True) for amount in [40, 250, 10, 90, 250, 30] * 5
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_memory_is_given_back_after_an_error() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ValueError, match="broken"), budget.reserve(10):
        raise ValueError("broken")
    other = Request(budget, 10)
    assert other.is_granted()
    other.release()


# -- a file -------------------------------------------------------------------------------------------


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


def file_of(catalog: Catalog, path: Path) -> File:
    root, folder = catalog.add_root(path.parent.resolve())
    return File(root, FileInfo.of(root.id, folder, path.name, path.stat()), None)


def test_a_file_is_opened_only_once(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(catalog, paint(tmp_path / "photographs" / "a.jpg", "red", (900, 600)))
    opened: list[Path] = []
    real = io.open

    def counted(path: object, *args: object, **options: object) -> object:
        opened.append(Path(str(path)))
        return real(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", counted)
    outcome = Decoder(catalog, [EncodingTask.main(ColourEncoder())]).decode(file)
    assert isinstance(outcome, PreparedPhotograph)
    assert [path.name for path in opened if path.parent == file.path.parent] == ["a.jpg"]


@pytest.mark.parametrize(("size", "side", "expected"), [
    # An eighth of the size is taken where it is enough for the model.
    ((4032, 3024), 260, (504, 378)), ((4000, 3000), 224, (500, 375)), ((6000, 4000), 224, (750, 500)),
    ((4000, 3000), 100, (500, 375)), ((9600, 9600), 224, (1200, 1200)),
    # Otherwise there is enough for the preview too.
    ((4000, 3000), 260, (1000, 750)), ((2400, 1600), 260, (1200, 800)), ((1041, 1600), 260, (521, 800)),
    ((1200, 800), 64, (1200, 800)), ((754, 754), 260, (754, 754)), ((224, 224), 260, (224, 224)),
])  # fmt: skip
def test_photographs_are_decoded_no_larger_than_model_and_preview_need(
    catalog: Catalog, tmp_path: Path, size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    sizes: list[tuple[int, int]] = []

    class SizeRecorder(ColourEncoder):
        def prepare(self, image: Image.Image) -> object:  # type: ignore[override]
            sizes.append(image.size)
            return super().prepare(image)

    file = file_of(catalog, paint(tmp_path / "photographs" / "a.jpg", "red", size))
    outcome = Decoder(catalog, [EncodingTask.main(SizeRecorder(photograph_side=side))]).decode(file)
    assert isinstance(outcome, PreparedPhotograph)
    assert (outcome.facts.width, outcome.facts.height) == size
    assert sizes == [expected]
    assert min(expected) >= min(*size, 1.45 * side)


@pytest.mark.e2e
def test_an_eighth_of_twelve_megapixels_keeps_the_vectors(shared_data: Path) -> None:
    """The cosine between vectors at the scale of an index run and at full scale is 0.995 or more."""
    encoder = Encoder.load("mini", device="cpu")
    names = ("alps", "cat", "dunes", "golden-gate", "japanese-shop", "squirrel", "train", "whale-museum")
    inputs = []
    for name in names:
        picture = open_photograph(shared_data / "formats" / "photos" / f"{name}.jpg").image
        out = io.BytesIO()
        picture.resize((4032, 3024), Image.Resampling.LANCZOS).save(out, "JPEG", quality=92)
        eighth = open_photograph(out.getvalue(), shorter_side=side_to_decode(encoder.photograph_side)).image
        assert eighth.size == (504, 378)
        inputs += [encoder.prepare(eighth), encoder.prepare(open_photograph(out.getvalue()).image)]
    vectors, _ = encoder.encode_with_features(inputs)
    cosines = (vectors[::2] * vectors[1::2]).sum(axis=1)
    assert cosines.min() >= 0.995


def test_a_photograph_gets_a_thumbnail_and_a_preview(catalog: Catalog, tmp_path: Path) -> None:
    decoder = Decoder(catalog, [EncodingTask.main(ColourEncoder())])
    for name, size, expected in (("large", (2400, 1600), PREVIEW_SIDE), ("small", (500, 300), 500)):
        outcome = decoder.decode(file_of(catalog, paint(tmp_path / "photographs" / f"{name}.jpg", "red", size)))
        assert isinstance(outcome, PreparedPhotograph)
        assert outcome.preview is not None
        with Image.open(io.BytesIO(outcome.thumbnail)) as small, Image.open(io.BytesIO(outcome.preview)) as large:
            assert (small.width, large.width) == (THUMBNAIL_SIDE, expected)
    outcome = decoder.decode(file_of(catalog, paint(tmp_path / "photographs" / "tiny.jpg", "red", (384, 200))))
    assert isinstance(outcome, PreparedPhotograph)
    assert outcome.preview is None


def test_the_limit_on_pixels_can_be_set(catalog: Catalog, tmp_path: Path) -> None:
    file = file_of(catalog, paint(tmp_path / "photographs" / "a.png", "red", (1200, 900)))
    tasks = [EncodingTask.main(ColourEncoder())]
    outcome = Decoder(catalog, tasks, max_megapixels=1).decode(file)
    assert isinstance(outcome, Failure)
    assert outcome.reason == (
        "it has too many pixels (1200 x 900; at most 1 million are decoded, see --max-megapixels)"
    )
    assert isinstance(Decoder(catalog, tasks, max_megapixels=2).decode(file), PreparedPhotograph)


def test_a_truncated_photograph_is_indexed_with_its_damage(catalog: Catalog, tmp_path: Path) -> None:
    path = paint(tmp_path / "photographs" / "a.jpg", "red", (900, 600))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    outcome = Decoder(catalog, [EncodingTask.main(ColourEncoder())]).decode(file_of(catalog, path))
    assert isinstance(outcome, PreparedPhotograph)
    assert [flaw.path for flaw in outcome.flaws] == [str(path)]
    assert "the file is truncated" in outcome.flaws[0].sentence
    assert not outcome.flaws[0].is_minor


def test_a_broken_file_is_a_failure_and_gives_its_memory_back(catalog: Catalog, tmp_path: Path) -> None:
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
def test_photographs_over_the_memory_limit_are_decoded_one_at_a_time(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Each keeps its memory until another thread waits for it, or is given it too."""
    size, count = (700, 600), 6
    files = [
        file_of(catalog, paint(tmp_path / "photographs" / f"{number}.png", (40 * number, 0, 0), size))
        for number in range(count)
    ]
    monkeypatch.setattr(service.indexing.decoder, "_BYTES_DECODED", 1_000_000)
    decoder = Decoder(catalog, [EncodingTask.main(ColourEncoder())])
    started, decoding, most = 0, 0, 0
    guard = threading.Lock()
    real = service.indexing.decoder.open_photograph

    def watched(content: bytes, *, before_decoding: Callable[[int], None], **settings: object) -> object:
        nonlocal decoding

        def reserve(amount: int) -> None:
            nonlocal started, decoding, most
            assert amount >= 4 * size[0] * size[1]
            before_decoding(amount)
            with guard:
                started += 1
                decoding += 1
                most = max(most, decoding)
                last = started == count
            assert last or eventually(lambda: decoding > 1 or decoder._decoding._waiting)

        photograph = real(content, before_decoding=reserve, **settings)  # type: ignore[arg-type]
        with guard:
            decoding -= 1
        return photograph

    monkeypatch.setattr(service.indexing.decoder, "open_photograph", watched)
    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(pool.map(decoder.decode, files))
    assert all(isinstance(outcome, PreparedPhotograph) for outcome in outcomes), outcomes
    assert most == 1
