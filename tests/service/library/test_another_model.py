"""A library whose model changes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import service.encoder.library_encoders
from service.errors import MismatchError, ModelError, NotFoundError
from service.indexing.indexer import Advanced, Finished
from service.library import Library
from service.search.query import Query
from service.store.records import RootOptions
from tests.service.colours import ColourEncoder, count_vectors, paint
from tests.service.library.colour_library import OTHER, Models, found, index, opened
from tests.service.sample_artifacts import make_artifact


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


def test_what_is_left_out_of_a_new_folder_is_not_left_out_of_others_that_are_encoded_again(
    changing: Library, tmp_path: Path
) -> None:
    other = paint(tmp_path.resolve() / "other" / "white.png", "white").parent
    with opened(changing.folder, OTHER) as writer:
        summary = index(writer, other, exclude=("red.png",), min_bytes=1)
        assert (summary.added, summary.changed, summary.missing) == (1, 4, 0)
        assert [root.options for root in writer.catalog.roots()] == [
            RootOptions(),
            RootOptions(exclude=("red.png",), min_bytes=1),
        ]


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
