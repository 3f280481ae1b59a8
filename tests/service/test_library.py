"""`Library` with a fake encoder: open, index, search, score, change of model, status."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import service.encoder.library_encoders
import service.indexing.watch
import service.match.scorer
from service.config import Settings
from service.errors import (
    BusyError,
    ForbiddenError,
    LibraryError,
    MismatchError,
    ModelError,
    NotFoundError,
    PhotographError,
    SmyslError,
    UsageError,
)
from service.indexing.indexer import Advanced, Finished, Scanned, Summary
from service.indexing.options import IndexOptions
from service.indexing.watch_events import Notice, Ran, Watching, WatchOptions
from service.library import Library
from service.match.scorer import find_artifact
from service.search.query import Query
from service.store.filters import Filters
from service.store.lock import write_lock
from service.store.paths import resolve_folder
from tests.service.colours import NAMES, ColourEncoder, count_vectors, paint
from tests.service.sample_artifacts import make_artifact


class Models:
    """Fake models that can be loaded, by name; `loaded` names those that were."""

    def __init__(self) -> None:
        self.known = {"mini": ColourEncoder()}
        self.loaded: list[str] = []

    def load(self, name: str, settings: Settings, on_progress: object = None, say: object = None) -> ColourEncoder:
        self.loaded.append(name)
        return self.known[name]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models()
    monkeypatch.setattr(service.encoder.library_encoders, "load_encoder", models.load)
    # Without this they would get the match of the built-in model, whose name they have.
    monkeypatch.setattr(
        service.match.scorer, "find_artifact", lambda encoder, library, model: find_artifact(encoder, library)
    )
    return models


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "photographs"
    for name in ("red", "green", "blue", "yellow"):
        paint(folder / f"{name}.png", name)
    return folder


@pytest.fixture
def library(tmp_path: Path, models: Models) -> Iterator[Library]:
    with opened(tmp_path / "library") as library:
        yield library


def opened(folder: Path, model: str | None = "mini") -> Library:
    return Library.open(folder, Settings(library=folder, model=model, batch_size=2), create=True)


def index(library: Library, *folders: Path, **options: Any) -> Summary:
    (summary,) = [
        event.summary for event in library.index(folders, IndexOptions(**options)) if isinstance(event, Finished)
    ]
    return summary


def found(library: Library, text: str, k: int = 5) -> list[str]:
    return [hit.photograph.name for hit in library.search(Query(text=text, k=k)).hits]


# -- open ----------------------------------------------------------------------------------------------


def test_opening_a_folder_without_a_library_is_an_error_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"There is no library in .* yet. Make one with `smysl index DIR`"):
        Library.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_library_cannot_be_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(LibraryError, match="cannot be made"):
        Library.open(tmp_path / "file", create=True)
    with pytest.raises(LibraryError, match="cannot be made"):
        Library.open(tmp_path / "file" / "below", create=True)


def test_an_empty_library_says_how_to_fill_it(library: Library) -> None:
    with pytest.raises(LibraryError, match=r"is empty. Fill it with `smysl index DIR`"):
        library.search(Query(text="red"))
    with pytest.raises(UsageError, match="Name at least one folder"):
        index(library)
    assert library.status().photographs == 0


# -- index and search ----------------------------------------------------------------------------------


def test_a_text_finds_photographs_in_the_order_of_similarity(library: Library, photographs: Path) -> None:
    assert index(library, photographs).added == 4
    result = library.search(Query(text="red", k=3))
    assert [hit.photograph.name for hit in result.hits] == ["red.png", "yellow.png", "green.png"]
    assert result.hits[0].similarity == pytest.approx(1, abs=1e-3)
    assert (result.model, result.photographs, result.answerable) == ("mini", 4, True)
    assert found(library, "blue")[0] == "blue.png"


def test_a_photograph_of_the_library_is_not_a_hit_of_its_own_search(library: Library, photographs: Path) -> None:
    index(library, photographs)
    (identity,) = [hit.photograph.id for hit in library.search(Query(text="yellow", k=1)).hits]
    for k in (1, 2, 3, 4, 200):
        hits = library.search(Query(photo_id=identity, k=k)).hits
        assert len(hits) == min(k, 3)
        assert identity not in [hit.photograph.id for hit in hits]
    with pytest.raises(NotFoundError, match="no photograph 99"):
        library.search(Query(photo_id=99))


def test_an_uploaded_photograph_finds_similar_ones(library: Library, photographs: Path) -> None:
    index(library, photographs)
    hits = library.search(Query(image=Image.new("RGB", (90, 40), (0, 250, 10)), keep_borders=True)).hits
    assert hits[0].photograph.name == "green.png"


def test_searches_follow_an_index_run_at_once(library: Library, photographs: Path) -> None:
    index(library, photographs)
    assert "cyan.png" not in found(library, "cyan")
    paint(photographs / "cyan.png", "cyan")
    (photographs / "red.png").unlink()
    index(library, prune=True, confirm=1)
    assert found(library, "cyan")[0] == "cyan.png"
    assert "red.png" not in found(library, "red")


def test_a_reader_sees_what_a_writer_of_another_process_commits(library: Library, photographs: Path) -> None:
    index(library, photographs)
    with opened(library.folder, None) as reader:
        assert len(found(reader, "white", 200)) == 4
        for number in range(4):
            paint(photographs / f"white {number}.png", (255, 255, 250 - number))
        run = library.index([photographs])
        next(event for event in run if isinstance(event, Advanced))
        assert len(found(reader, "white", 200)) == 6, "one batch of two is committed"
        list(run)
        assert len(found(reader, "white", 200)) == 8


def test_a_second_writer_is_refused_and_the_first_one_named(library: Library, photographs: Path) -> None:
    run = library.index([photographs])
    next(run)
    with pytest.raises(BusyError, match=f"process {os.getpid()} .*smysl index"):
        index(library, photographs)
    writer = library.status().writer
    assert writer is not None
    assert writer.pid == os.getpid()
    run.close()  # type: ignore[attr-defined]
    assert library.status().writer is None
    assert index(library, photographs).added == 4


def test_nested_folders_in_one_run_become_one_root(library: Library, photographs: Path) -> None:
    paint(photographs / "deep" / "a.png", "white")
    assert index(library, photographs / "deep", photographs, photographs).added == 5
    assert [root.path for root in library.status().roots] == [photographs]


def test_a_link_to_a_folder_is_the_same_root(library: Library, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photographs)
    index(library, photographs)
    assert index(library, tmp_path / "link").unchanged == 4
    assert library.status().photographs == 4


def test_missing_folders_files_and_link_loops_are_refused_as_folders(tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NotFoundError, match=r"There is no folder .*gone"):
        resolve_folder(tmp_path / "gone")
    with pytest.raises(NotFoundError, match=r"There is no folder .*loop"):
        resolve_folder(tmp_path / "loop")
    with pytest.raises(UsageError, match="is a file"):
        resolve_folder(tmp_path / "file.jpg")
    with pytest.raises(NotFoundError):
        resolve_folder(Path("x" * 5000))


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system refuses such names")
    with pytest.raises(UsageError, match="caf\ufffd is not valid UTF-8"):
        resolve_folder(folder)


def test_a_missing_root_is_reported_and_its_photographs_are_not_pruned(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    other = paint(tmp_path.resolve() / "other" / "a.png", "white").parent
    index(library, photographs, other)
    shutil.rmtree(photographs)
    summary = index(library, prune=True)
    assert [failure.path for failure in summary.failed] == [str(photographs)]
    assert (summary.removed, library.status().photographs) == (0, 5)


# -- score ---------------------------------------------------------------------------------------------


def test_a_score_equals_the_match_of_the_search(library: Library, photographs: Path) -> None:
    index(library, photographs)
    hit = library.search(Query(text="red")).hits[0]
    for photograph in (hit.photograph.id, hit.photograph.path, hit.photograph.path.read_bytes()):
        scored = library.score(photograph, "red")
        assert scored.match == pytest.approx(hit.match, abs=2e-3)
        assert scored.similarity == pytest.approx(hit.similarity, abs=2e-3)
    with pytest.raises(UsageError, match="empty"):
        library.score(hit.photograph.id, "  ")
    with pytest.raises(PhotographError):
        library.score(b"no photograph", "red")
    with pytest.raises(NotFoundError):
        library.score(99, "red")


# -- a match fitted for the library --------------------------------------------------------------------


def test_an_open_library_sees_its_match_added_changed_and_removed(library: Library, photographs: Path) -> None:
    index(library, photographs)

    def calibration_and_cut() -> tuple[str, float]:
        result = library.search(Query(text="red"))
        return result.calibration, result.min_match

    assert calibration_and_cut() == ("background", 0.0)
    for cut in (0.25, 0.5):
        make_artifact(min_match=cut).save(library.folder)
        assert calibration_and_cut() == ("ratings", cut)
    (library.folder / "match.json").unlink()
    assert calibration_and_cut() == ("background", 0.0)


def test_the_match_of_the_library_has_priority_over_that_of_the_model(
    library: Library, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(library, photographs)
    model = tmp_path / "model"
    make_artifact(min_match=0.1).save(model)
    monkeypatch.setattr(
        service.match.scorer, "find_artifact", lambda encoder, library, _: find_artifact(encoder, library, model)
    )
    assert library.search(Query(text="red")).min_match == 0.1
    make_artifact(min_match=0.2).save(library.folder)
    assert library.search(Query(text="red")).min_match == 0.2
    with opened(library.folder, None) as again:
        assert again.search(Query(text="red")).min_match == 0.2


def test_a_match_of_another_model_is_refused_until_it_is_removed(library: Library, photographs: Path) -> None:
    index(library, photographs)
    make_artifact("another").save(library.folder)
    for _ in range(2):
        with pytest.raises(MismatchError, match=r"match\.json belongs to the model with the fingerprint another"):
            library.search(Query(text="red"))
    (library.folder / "match.json").unlink()
    assert library.search(Query(text="red")).hits


# -- another model -------------------------------------------------------------------------------------

OTHER = "ViT-B-32-SigLIP2-256/webli"
"""A name that `parse_name` accepts; the encoder is a fake."""


@pytest.fixture
def changing(library: Library, photographs: Path, models: Models) -> Library:
    """A library of `mini`, and a second model with more dimensions to change to."""
    models.known[OTHER] = ColourEncoder(OTHER, "others", dimension=6)
    index(library, photographs)
    return library


def test_the_library_remembers_its_model_and_refuses_another(changing: Library) -> None:
    with opened(changing.folder, None) as again:
        assert found(again, "red")[0] == "red.png"
    with opened(changing.folder, OTHER) as another, pytest.raises(MismatchError) as refusal:
        another.search(Query(text="red"))
    assert f"was made with the model mini, not with {OTHER}" in refusal.value.message
    assert "smysl index" in refusal.value.message


def test_a_match_of_the_library_is_used_only_with_its_model(changing: Library) -> None:
    own = changing.status().fingerprint
    assert own is not None
    make_artifact(own, min_match=0.3).save(changing.folder)
    for model, cut, calibration in ((OTHER, 0.0, "background"), ("mini", 0.3, "ratings")):
        with opened(changing.folder, model) as again:
            list(again.index())
            found = again.search(Query(text="red"))
        assert (found.min_match, found.calibration) == (cut, calibration)


def test_a_missing_model_is_an_error_that_names_it(changing: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object, **options: object) -> ColourEncoder:
        raise NotFoundError("The model's folder /models/mine does not exist.")

    with opened(changing.folder, None) as library, monkeypatch.context() as patched:
        patched.setattr(service.encoder.library_encoders, "load_encoder", gone)
        with pytest.raises(ModelError, match=r"made with the model mini, which is gone: The model's folder"):
            library.search(Query(text="red"))


def test_searches_use_the_old_vectors_until_the_new_ones_are_complete(changing: Library) -> None:
    with opened(changing.folder, None) as reader, opened(changing.folder, OTHER) as writer:
        before = found(reader, "red")
        for event in writer.index():
            if not isinstance(event, Finished):
                assert found(reader, "red") == before
                assert reader.search(Query(text="red")).model == "mini"
        result = reader.search(Query(text="red"))
        assert result.model == OTHER
        assert [hit.photograph.name for hit in result.hits] == before
        assert count_vectors(writer.catalog) == {"others": 4}


def test_an_interrupted_change_of_model_keeps_the_old_one_and_can_be_resumed(changing: Library, models: Models) -> None:
    with opened(changing.folder, OTHER) as writer:
        run = writer.index()
        next(event for event in run if isinstance(event, Advanced))
        run.close()  # type: ignore[attr-defined]
    with opened(changing.folder, None) as reader:
        assert found(reader, "red")[0] == "red.png"
        assert reader.status().model == "mini"
        done = count_vectors(reader.catalog)["others"]
        assert done in (2, 4), "the batch that the tower was at is kept too"
        assert count_vectors(reader.catalog)["colours"] == 4
    with opened(changing.folder, OTHER) as writer:
        summary = index(writer)
        assert (summary.changed, summary.unchanged) == (4 - done, done)
        assert writer.status().model == OTHER
    assert models.known[OTHER].encoded == 4


def test_a_change_of_model_is_not_complete_while_a_root_is_missing(
    changing: Library, photographs: Path, tmp_path: Path
) -> None:
    other = paint(tmp_path.resolve() / "other" / "white.png", "white").parent
    index(changing, other)
    other.rename(tmp_path / "unplugged")
    with opened(changing.folder, OTHER) as writer:
        index(writer)
        assert writer.status().model == "mini"
        (tmp_path / "unplugged").rename(other)
        index(writer)
        assert writer.status().model == OTHER
        assert count_vectors(writer.catalog) == {"others": 5}


def test_a_change_of_model_is_not_complete_while_a_folder_cannot_be_read(
    changing: Library, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = paint(photographs.resolve() / "closed" / "white.png", "white").parent
    index(changing, photographs)
    scandir = os.scandir

    def refuse(folder: Path) -> Any:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    with opened(changing.folder, OTHER) as writer, monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        index(writer)
        assert writer.status().model == "mini"
    with opened(changing.folder, None) as reader:
        assert found(reader, "white")[0] == "white.png"


def test_indexing_a_new_folder_with_another_model_encodes_the_whole_library_again(
    changing: Library, tmp_path: Path
) -> None:
    other = paint(tmp_path.resolve() / "other" / "white.png", "white").parent
    with opened(changing.folder, OTHER) as writer:
        summary = index(writer, other)
        assert (summary.added, summary.changed) == (1, 4)
        assert count_vectors(writer.catalog) == {"others": 5}
        assert found(writer, "white")[0] == "white.png"


def test_a_photograph_missing_during_the_change_of_model_comes_back_under_its_id(
    changing: Library, photographs: Path, tmp_path: Path
) -> None:
    (identity,) = [hit.photograph.id for hit in changing.search(Query(text="red", k=1)).hits]
    (photographs / "red.png").rename(tmp_path / "away.png")
    with opened(changing.folder, OTHER) as writer:
        assert index(writer).missing == 1
        assert "red.png" not in found(writer, "red")
        (tmp_path / "away.png").rename(photographs / "back.png")
        index(writer)
        hit = writer.search(Query(text="red")).hits[0]
        assert (hit.photograph.id, hit.photograph.name) == (identity, "back.png")


def test_other_weights_under_the_same_name_are_refused_until_an_index_run(changing: Library, models: Models) -> None:
    models.known["mini"] = ColourEncoder("mini", "newer colours")
    with opened(changing.folder, None) as library:
        with pytest.raises(MismatchError) as refusal:
            library.search(Query(text="red"))
        assert "another version of the model mini" in refusal.value.message
        assert f"smysl index --library {changing.folder}" in refusal.value.message
        assert index(library).changed == 4
        assert found(library, "red")[0] == "red.png"


def test_a_query_vector_of_one_model_is_never_compared_with_vectors_of_another(
    changing: Library, models: Models
) -> None:
    """The model changes while a text is being encoded; neither that query nor the next mixes vectors."""
    old = models.known["mini"]
    real = old.encode_texts

    def slow(texts: list[str]) -> np.ndarray:
        vectors = real(texts)
        old.encode_texts = real  # type: ignore[method-assign]
        with opened(changing.folder, OTHER) as writer:
            index(writer)
        other = threading.Thread(target=found, args=(reader, "green"))
        other.start()
        other.join()
        return vectors

    with opened(changing.folder, None) as reader:
        old.encode_texts = slow  # type: ignore[method-assign]
        assert found(reader, "red")[0] == "red.png"
        again = reader.search(Query(text="red"))
        assert (again.model, again.hits[0].photograph.name) == (OTHER, "red.png")
    assert models.known[OTHER].texts.count("red") == 1


def test_a_query_is_encoded_by_the_model_of_the_snapshot_that_it_searches(
    changing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model changes after the snapshot was taken and before the query is encoded."""
    with opened(changing.folder, None) as reader:
        real = reader._main.latest.get

        def get_then_change() -> tuple[object, ...]:
            taken = real()
            with opened(changing.folder, OTHER) as writer:
                index(writer)
            return taken

        monkeypatch.setattr(reader._main.latest, "get", get_then_change)
        assert found(reader, "red")[0] == "red.png"


def test_vectors_of_texts_are_cached(library: Library, photographs: Path, models: Models) -> None:
    index(library, photographs)
    for text in ("red", "blue", "red", "red"):
        found(library, text)
    assert models.known["mini"].texts == ["red", "blue"]


# -- watch ---------------------------------------------------------------------------------------------


class Watched:
    """A watch of a library over the real disk that waits for nothing to be quiet, and what happens in it."""

    def __init__(self, library: Library, *folders: Path, **options: Any) -> None:
        self.events = library.watch(folders, WatchOptions(**options))

    def run(self) -> tuple[Scanned, Summary]:
        """What the next index run finds and does."""
        scanned = Scanned(0, 0)
        for event in self.events:
            if isinstance(event, Scanned):
                scanned = event
            elif isinstance(event, Ran):
                return scanned, event.summary
        raise AssertionError("the watch has ended")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.watch, "QUIET_S", 0.1)
    monkeypatch.setattr(service.indexing.watch, "TICK_S", 0.02)


@pytest.mark.usefixtures("at_once")
def test_a_watch_indexes_the_folders_that_change_and_loads_the_model_once(
    library: Library, photographs: Path, models: Models
) -> None:
    watched = Watched(library, photographs)
    with closing(watched.events):
        _, first = watched.run()
        assert first.added == 4
        (identity,) = [hit.photograph.id for hit in library.search(Query(text="red", k=1)).hits]
        (photographs / "2020").mkdir()
        (photographs / "red.png").rename(photographs / "2020" / "rose.png")
        scanned, moved = watched.run()
        assert (scanned.to_read, moved.moved, moved.added, moved.missing) == (1, 1, 0, 0)
        paint(photographs / "2020" / "white.png", "white")
        scanned, added = watched.run()
        assert scanned == Scanned(to_read=1, unchanged=1), "the folder above it is not looked through"
        assert added.added == 1
        hit = library.search(Query(text="red", k=1)).hits[0]
        assert (hit.photograph.id, hit.photograph.relative) == (identity, "2020/rose.png")
    assert models.loaded == ["mini"]
    assert models.known["mini"].encoded == 5
    assert library.status().writer is None


@pytest.mark.usefixtures("at_once")
def test_a_watch_prunes_what_is_gone_only_if_that_is_wished(library: Library, photographs: Path) -> None:
    for number in range(20):
        paint(photographs / "many" / f"{number}.png", "red").write_bytes(
            (photographs / "red.png").read_bytes() + bytes([number])
        )
    watched = Watched(library, photographs, prune=True)
    watched.run()
    (photographs / "many" / "3.png").unlink()
    assert watched.run()[1].missing == 1, "one of twenty of the folder, as part of all of it"
    assert watched.run()[1].removed == 1
    for number in range(4, 10):
        (photographs / "many" / f"{number}.png").unlink()
    assert watched.run()[1].missing == 6
    _, refused = watched.run()
    assert (refused.removed, refused.missing) == (0, 6)
    assert [(loss.folder, loss.gone) for loss in refused.losses] == [(photographs, 6)]
    watched.events.close()
    assert library.status().photographs == 23


@pytest.mark.usefixtures("at_once")
def test_a_watch_follows_the_model_of_its_library(changing: Library, photographs: Path, models: Models) -> None:
    with opened(changing.folder, None) as follower:
        watched = Watched(follower)
        watched.run()
        with opened(changing.folder, OTHER) as writer:
            index(writer)
        paint(photographs / "white.png", "white")
        assert watched.run()[1].added == 1
        watched.events.close()
        assert count_vectors(follower.catalog) == {"others": 5}
        assert follower.status().model == OTHER


@pytest.mark.usefixtures("at_once")
def test_a_watch_with_a_named_model_does_not_change_back_what_another_process_changed(
    changing: Library, photographs: Path
) -> None:
    watched = Watched(changing)
    watched.run()
    with opened(changing.folder, OTHER) as writer:
        index(writer)
    paint(photographs / "white.png", "white")
    with pytest.raises(MismatchError, match=f"was made with the model {OTHER}, not with mini"):
        watched.run()
    assert count_vectors(changing.catalog) == {"others": 4}


@pytest.mark.usefixtures("at_once")
def test_a_watch_waits_for_another_writer(library: Library, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.indexing.watch, "BUSY_S", 0.1)
    watched = Watched(library, photographs)
    with write_lock(library.folder, "smysl index"):
        notice = next(watched.events)
    assert isinstance(notice, Notice)
    assert re.fullmatch(
        rf"Waiting for process {os.getpid()} on .* \(smysl index, since .*\), which is writing to the library\.",
        notice.sentence,
    )
    assert watched.run()[1].added == 4
    watched.events.close()


def test_a_folder_that_is_away_can_be_watched_if_the_library_knows_it(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="There is no folder"):
        next(library.watch([tmp_path / "misspelt"]))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        next(library.watch([tmp_path / "file"]))
    index(library, photographs)
    photographs.rename(tmp_path / "away")
    with closing(library.watch([photographs])) as events:
        assert isinstance(next(events), Notice)
        assert next(events) == Watching((), (photographs,))


def test_a_watch_can_be_stopped_from_another_thread(library: Library, photographs: Path) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(list, library.watch([photographs], stop=stop))
        while library.status().photographs < 4:
            assert not watching.done()
        stop.set()
        assert isinstance(watching.result(60)[-1], Ran | Watching)


# -- filters -------------------------------------------------------------------------------------------


def test_photographs_can_be_filtered_browsed_and_counted_without_a_model(
    library: Library, photographs: Path, models: Models
) -> None:
    """Without metadata the time of the file is the date of the photograph."""
    for day, name in enumerate(("red", "green", "blue", "yellow"), 1):
        os.utime(photographs / f"{name}.png", (0, 1_562_000_000 + 86_400 * day))
    (photographs / "summer").mkdir()
    (photographs / "blue.png").rename(photographs / "summer" / "blue.png")
    index(library, photographs)
    assert (library.folder / "attributes.columns").is_file(), "saved with the index"
    models.loaded.clear()
    with opened(library.folder) as reader:
        newest = reader.photographs(limit=3)
        assert [hit.photograph.name for hit in newest.hits] == ["yellow.png", "blue.png", "green.png"]
        oldest = reader.photographs(limit=3, cursor=newest.next_cursor)
        assert [hit.photograph.name for hit in oldest.hits] == ["red.png"]
        assert oldest.next_cursor is None
        summer = Filters(folder=("Summer",))
        assert [hit.photograph.name for hit in reader.photographs(summer).hits] == ["blue.png"]
        facets = reader.facets(summer)
        assert facets.photographs == 1
        assert [(each.value, each.count) for each in facets.counts["folder"]] == [("summer", 1)]
        assert [(each.value, each.count) for each in facets.counts["year"]] == [(2019, 1)]
        with pytest.raises(UsageError, match="number of values is 0; it must be from 1 to 1,000"):
            reader.facets(most=0)
    assert models.loaded == []


def test_a_search_finds_k_photographs_of_those_that_filters_leave(library: Library, photographs: Path) -> None:
    paint(photographs / "summer" / "blue.png", "blue")
    paint(photographs / "summer" / "green.png", "green")
    index(library, photographs)
    summer = Filters(folder=("summer",))
    result = library.search(Query(text="red", k=2, filters=summer))
    assert sorted(hit.photograph.relative for hit in result.hits) == ["summer/blue.png", "summer/green.png"]
    assert (result.filtered, result.photographs) == (2, 6)
    shutil.rmtree(photographs / "summer")
    index(library, photographs, prune=True, confirm=2)
    assert library.search(Query(text="red", filters=summer)).hits == []


# -- status and files ----------------------------------------------------------------------------------


def test_status_loads_no_model(library: Library, photographs: Path, models: Models) -> None:
    index(library, photographs)
    models.loaded.clear()
    with opened(library.folder, None) as again:
        status = again.status()
    assert (status.photographs, status.model, status.fingerprint, status.writer) == (4, "mini", "colours", None)
    assert status.bytes > 1000
    assert models.loaded == []


def test_check_loads_the_model_and_searches(library: Library, photographs: Path, models: Models) -> None:
    with pytest.raises(LibraryError):
        library.check()
    index(library, photographs)
    target = library.check()
    assert (target.model, len(target.index), target.scorer.calibration("text")) == ("mini", 4, "background")


def test_a_file_outside_its_root_is_never_read(library: Library, photographs: Path, tmp_path: Path) -> None:
    index(library, photographs)
    ids = {hit.photograph.name: hit.photograph.id for hit in library.search(Query(text="red")).hits}
    assert library.file_of(ids["red.png"]) == photographs / "red.png"
    secret = tmp_path / "secret.png"
    shutil.copy(photographs / "red.png", secret)
    (photographs / "red.png").unlink()
    with pytest.raises(NotFoundError, match=r"red.png, is not there any more"):
        library.file_of(ids["red.png"])
    (photographs / "red.png").symlink_to(secret)
    with pytest.raises(ForbiddenError, match="leads out of its folder"):
        library.file_of(ids["red.png"])
    with pytest.raises(NotFoundError):
        library.file_of(12345)


def test_many_threads_can_search_while_one_indexes(library: Library, photographs: Path) -> None:
    index(library, photographs)
    failures: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                for name in NAMES:
                    hits = library.search(Query(text=name, k=200)).hits
                    assert len({hit.photograph.id for hit in hits}) == len(hits) >= 4
        except (AssertionError, SmyslError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        paint(photographs / f"{number}.png", (number * 20, 30, 60))
    index(library, photographs)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(found(library, "red", 200)) == 16


def test_searches_work_while_another_process_writes(library: Library, photographs: Path) -> None:
    index(library, photographs)
    with write_lock(library.folder, "another run"):
        assert found(library, "red")[0] == "red.png"
