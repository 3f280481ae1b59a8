"""Heads in a library: searching, adding, removing, following the catalog, several encoders, neighbours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import service.encoder.library_encoders
import service.heads.registry
from service.config import Settings
from service.errors import (
    BusyError,
    LibraryError,
    MismatchError,
    ModelError,
    NotFoundError,
    UsageError,
)
from service.indexing.indexer import Advanced, Finished, Summary
from service.indexing.options import IndexOptions
from service.library import Library
from service.search.query import Query
from service.store.lock import write_lock
from tests.service.colours import ColourEncoder, count_vectors, paint
from tests.service.sample_heads import make_head, make_projection

OTHER = "ViT-B-32-SigLIP2-256/webli"
"""A name that `parse_name` accepts; the encoder is a fake."""
COLOURS = {"red": (250, 5, 5), "rose": (240, 60, 60), "blue": (5, 5, 250), "violet": (120, 5, 250)}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, ColourEncoder]:
    """The models that can be loaded, by name."""
    known = {
        "mini": ColourEncoder(own_features=True),
        OTHER: ColourEncoder(OTHER, "others", dimension=6, own_features=True),
    }

    def load(name: str, settings: Settings, on_progress: object = None, say: object = None) -> ColourEncoder:
        if name not in known:
            raise NotFoundError(f"There is no model {name}.")
        return known[name]

    monkeypatch.setattr(service.encoder.library_encoders, "load_encoder", load)
    monkeypatch.setattr("service.match.scorer.find_artifact", lambda *_: None)
    return known


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "photographs"
    for name, colour in COLOURS.items():
        paint(folder / f"{name}.png", colour)
    return folder


@pytest.fixture
def library(tmp_path: Path, photographs: Path, models: dict[str, ColourEncoder]) -> Iterator[Library]:
    with opened(tmp_path / "library") as library:
        index(library, photographs)
        yield library


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A head that keeps the red and the blue feature only."""
    folder = tmp_path / "plain"
    make_head(make_projection(columns=(0, 2))).save(folder)
    return folder


def opened(folder: Path, model: str | None = None) -> Library:
    return Library.open(folder, Settings(library=folder, model=model or "mini", batch_size=2), create=True)


def index(library: Library, *folders: Path, also: tuple[str, ...] = (), **options: Any) -> Summary:
    encoder = library.encoder_to_index()
    events = library.index(
        folders, IndexOptions(**options), encoder=encoder, additional=library.additional_to_index(encoder, also)
    )
    (summary,) = [event.summary for event in events if isinstance(event, Finished)]
    return summary


def picture(*colour: int) -> Image.Image:
    """A photograph of one colour in changing light, since an even one would be all border."""
    light = np.random.default_rng(0).uniform(0.5, 1.0, (40, 60, 1))
    return Image.fromarray((np.array(colour) * light).astype(np.uint8))


def found(library: Library, head: str | None, *colour: int, k: int = 5) -> list[str]:
    return [hit.photograph.path.stem for hit in library.search(Query(image=picture(*colour), k=k, head=head)).hits]


def ids(library: Library) -> dict[str, int]:
    return {record.path.stem: record.id for record in library.catalog.records(range(1, 100)).values()}


def drop_features(library: Library, fingerprint: str = "colours.features") -> None:
    """Leave a library as one from before features were kept."""
    with library.catalog.transaction() as connection:
        connection.execute("DELETE FROM vector WHERE fingerprint = ?", (fingerprint,))
        connection.execute("DELETE FROM setting WHERE key = 'features'")


# -- searching -----------------------------------------------------------------------------------------


def test_a_search_with_a_head_orders_by_its_similarity_and_matches_by_same_kind(library: Library, plain: Path) -> None:
    library.add_head("flowers", plain)
    result = library.search(Query(image=picture(250, 250, 5), head="flowers"))
    assert [hit.photograph.path.stem for hit in result.hits][:2] == ["red", "rose"]
    assert (result.head, result.calibration, result.model, result.notice) == ("flowers", "head", "mini", None)
    assert result.hits[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert result.hits[0].match == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3)
    assert (result.min_match, result.photographs) == (0.0, 4)


def test_a_photograph_of_the_library_is_searched_by_its_stored_features_and_left_out(
    library: Library, plain: Path, models: dict[str, ColourEncoder]
) -> None:
    library.add_head("flowers", plain)
    library.search(Query(text="red"))
    encoded = models["mini"].encoded
    hits = library.search(Query(photo_id=ids(library)["red"], head="flowers")).hits
    assert [hit.photograph.path.stem for hit in hits] == ["rose", "violet", "blue"]
    assert models["mini"].encoded == encoded, "nothing was encoded"
    with pytest.raises(NotFoundError, match="no photograph 99"):
        library.search(Query(photo_id=99, head="flowers"))
    with pytest.raises(NotFoundError, match="no photograph"):
        library.search(Query(photo_id=10**30, head="flowers"))


def test_a_text_or_an_unknown_head_is_refused(library: Library, plain: Path) -> None:
    library.add_head("flowers", plain)
    with pytest.raises(UsageError, match="cannot read texts"):
        Query(text="red", head="flowers")
    with pytest.raises(NotFoundError, match=r"has no head trees; it has flowers\."):
        library.search(Query(image=picture(150, 40, 60), head="trees"))


def test_adding_a_head_does_not_change_searches_without_one(library: Library, plain: Path) -> None:
    before = library.search(Query(image=picture(240, 60, 60)))
    library.add_head("flowers", plain)
    after = library.search(Query(image=picture(240, 60, 60)))
    assert (after.hits, after.calibration, after.head) == (before.hits, "background", None)


# -- add, list, remove ---------------------------------------------------------------------------------


def test_a_head_can_be_added_listed_and_removed(library: Library, plain: Path) -> None:
    assert library.heads() == []
    added = library.add_head("flowers", plain)
    assert library.heads() == [added]
    assert (added.name, added.candidate, added.kinds, added.models) == ("flowers", "by hand", 2, ("mini",))
    assert (added.map10, added.photographs, added.fault) == (91.5, 4, None)
    shutil.rmtree(plain)
    assert found(library, "flowers", 250, 0, 0)[0] == "red", "it is a copy"
    library.remove_head("flowers")
    assert library.heads() == []
    assert not list((library.folder / "heads").iterdir())
    for use in (lambda: library.remove_head("flowers"), lambda: found(library, "flowers", 150, 40, 60)):
        with pytest.raises(NotFoundError, match=r"has no head flowers; add one with `smysl head add NAME DIR`"):
            use()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-k", "_a", "a b", "a\n", "a\0", "x" * 41, "🌹", "/etc", "a:b"],
)
def test_an_invalid_name_is_refused_everywhere(library: Library, plain: Path, name: str) -> None:
    before = sorted(library.folder.rglob("*"))
    uses: list[Callable[[], object]] = [
        lambda: library.add_head(name, plain),
        lambda: library.remove_head(name),
        lambda: found(library, name, 150, 40, 60),
    ]
    for use in uses:
        with pytest.raises(UsageError, match="cannot be the name of a head"):
            use()
    assert sorted(library.folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["flowers", "Цветы-2024", "a", "7", "v1.0_final", "花", "x" * 40])
def test_names_in_every_script_are_accepted(library: Library, plain: Path, name: str) -> None:
    library.add_head(name, plain)
    assert [head.name for head in library.heads()] == [name]
    assert found(library, name, 250, 0, 0)[0] == "red"


def test_a_head_is_replaced_only_with_force(library: Library, plain: Path, tmp_path: Path) -> None:
    library.add_head("flowers", plain)
    make_head(make_projection(columns=(1,)), candidate="green").save(tmp_path / "green")
    with pytest.raises(UsageError, match=r"has a head flowers already.*--force"):
        library.add_head("flowers", tmp_path / "green")
    assert [head.candidate for head in library.heads()] == ["by hand"]
    assert len(found(library, "flowers", 9, 9, 250)) == 4
    library.add_head("flowers", tmp_path / "green", force=True)
    assert [head.candidate for head in library.heads()] == ["green"]
    assert found(library, "flowers", 9, 250, 9)[0] in COLOURS
    assert {file.name for file in (library.folder / "heads").iterdir()} == {"flowers"}


def test_a_missing_or_damaged_head_is_not_added(library: Library, plain: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no head in .*gone"):
        library.add_head("flowers", tmp_path / "gone")
    arrays = plain / "head.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    with pytest.raises(ModelError, match="cannot be read"):
        library.add_head("flowers", plain)
    assert library.heads() == []
    assert not (library.folder / "heads").exists()


def test_a_failed_copy_leaves_the_library_as_it_was(
    library: Library, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add_head("flowers", plain)
    make_head(candidate="new").save(tmp_path / "new")

    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if source.name == "head.json":
            raise OSError(28, "No space left on device")
        copy(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(LibraryError, match=r"cannot be written .*No space left"):
            library.add_head("flowers", tmp_path / "new", force=True)
        with pytest.raises(LibraryError, match="cannot be written"):
            library.add_head("other", tmp_path / "new")
    assert [head.candidate for head in library.heads()] == ["by hand"]
    assert {file.name for file in (library.folder / "heads").iterdir()} == {"flowers"}


def test_heads_are_neither_added_nor_removed_while_another_process_writes(library: Library, plain: Path) -> None:
    with write_lock(library.folder, "a test"), pytest.raises(BusyError):
        library.add_head("flowers", plain)
    library.add_head("flowers", plain)
    with write_lock(library.folder, "a test"):
        with pytest.raises(BusyError):
            library.remove_head("flowers")
        assert found(library, "flowers", 250, 0, 0)[0] == "red", "readers are not blocked"


def test_a_head_of_an_encoder_that_the_library_lacks_is_refused_with_the_remedy(
    library: Library, tmp_path: Path
) -> None:
    make_head(make_projection("elsewhere", model="ViT-L-14/openai")).save(tmp_path / "foreign")
    with pytest.raises(MismatchError, match=r"fitted on ViT-L-14/openai .*smysl index --model ViT-L-14/openai"):
        library.add_head("flowers", tmp_path / "foreign")
    assert library.heads() == []


def test_a_head_cannot_be_added_to_an_empty_library(tmp_path: Path, plain: Path, models: object) -> None:
    with opened(tmp_path / "new") as empty, pytest.raises(LibraryError, match="is empty"):
        empty.add_head("flowers", plain)


def test_a_head_for_features_of_another_width_is_refused_and_leaves_no_files(library: Library, tmp_path: Path) -> None:
    make_head(make_projection(width=7)).save(tmp_path / "wide")
    with pytest.raises(ModelError, match=r"is for 7 features of mini, which has 3"):
        library.add_head("flowers", tmp_path / "wide")
    assert library.heads() == []


def test_a_damaged_head_is_listed_with_its_fault_and_does_not_stop_indexing(library: Library, plain: Path) -> None:
    library.add_head("broken", plain)
    library.add_head("flowers", plain)
    (library.folder / "heads" / "broken" / "head.json").write_text("{")
    broken, whole = library.heads()
    assert broken.fault is not None
    assert "cannot be read" in broken.fault
    assert whole.fault is None
    with pytest.raises(ModelError, match="cannot be read"):
        found(library, "broken", 150, 40, 60)
    index(library)
    assert found(library, "flowers", 250, 0, 0)[0] == "red"


# -- following the catalog -----------------------------------------------------------------------------


def test_a_head_follows_new_changed_moved_and_pruned_photographs(
    library: Library, photographs: Path, plain: Path, models: dict[str, ColourEncoder]
) -> None:
    library.add_head("flowers", plain)
    paint(photographs / "scarlet.png", (255, 0, 0))
    paint(photographs / "rose.png", (0, 0, 200), (64, 64))
    (photographs / "violet.png").rename(photographs / "moved.png")
    (photographs / "red.png").unlink()
    index(library, prune=True, confirm=1)
    assert found(library, "flowers", 255, 0, 0)[0] == "scarlet"
    assert set(found(library, "flowers", 255, 0, 0)) == {"scarlet", "rose", "moved", "blue"}
    assert found(library, "flowers", 0, 0, 255)[:2] in (["rose", "blue"], ["blue", "rose"])


def test_an_open_library_sees_a_head_added_replaced_and_removed(library: Library, plain: Path, tmp_path: Path) -> None:
    make_head(make_projection(columns=(0, 2)), candidate="new", slope=2.0).save(tmp_path / "new")
    with opened(library.folder) as reader:
        with pytest.raises(NotFoundError):
            found(reader, "flowers", 250, 0, 0)
        library.add_head("flowers", plain)
        first = reader.search(Query(image=picture(250, 0, 0), head="flowers")).hits[0].match
        library.add_head("flowers", tmp_path / "new", force=True)
        second = reader.search(Query(image=picture(250, 0, 0), head="flowers")).hits[0].match
        assert (first, second) == (pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3), pytest.approx(0.731, abs=1e-3))
        library.remove_head("flowers")
        with pytest.raises(NotFoundError):
            found(reader, "flowers", 250, 0, 0)


def test_a_reader_finds_with_a_head_what_an_index_run_has_committed(
    library: Library, photographs: Path, plain: Path
) -> None:
    library.add_head("flowers", plain)
    with opened(library.folder) as reader:
        assert len(found(reader, "flowers", 140, 140, 140, k=200)) == 4
        for number in range(4):
            paint(photographs / f"white {number}.png", (255, 255, 250 - number))
        run = library.index([photographs])
        next(event for event in run if isinstance(event, Advanced))
        assert len(found(reader, "flowers", 140, 140, 140, k=200)) == 6
        list(run)


@pytest.mark.parametrize("damage", ["vectors-*.rows.npy", "vectors.json"])
def test_a_damaged_index_of_a_head_is_rebuilt_from_the_catalog(
    library: Library, plain: Path, models: dict[str, ColourEncoder], damage: str
) -> None:
    library.add_head("flowers", plain)
    before = found(library, "flowers", 200, 0, 90)
    (file,) = (library.folder / "heads" / "flowers").glob(damage)
    file.write_bytes(file.read_bytes()[:-7] + b"garbage")
    encoded = models["mini"].encoded
    with opened(library.folder) as again:
        assert found(again, "flowers", 200, 0, 90) == before
    assert models["mini"].encoded == encoded + 1, "only the query was encoded"


def test_the_index_of_a_head_is_saved_and_not_rebuilt(
    library: Library, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add_head("flowers", plain)
    index(library)

    def refuse(*_: object) -> None:
        raise AssertionError("the features were read from the catalog")

    with opened(library.folder) as again:
        monkeypatch.setattr(again.catalog, "changes", refuse)
        assert found(again, "flowers", 250, 0, 0)[0] == "red"


# -- libraries from before features were kept ----------------------------------------------------------


def test_a_library_without_features_gets_them_by_one_index_run_after_a_head_is_added(
    library: Library, plain: Path, models: dict[str, ColourEncoder]
) -> None:
    drop_features(library)
    assert index(library).unchanged == 4, "no head needs features yet"
    added = library.add_head("flowers", plain)
    assert added.photographs == 0
    result = library.search(Query(image=picture(250, 0, 0), head="flowers"))
    assert (result.hits, result.photographs) == ([], 0)
    assert result.notice is not None
    assert result.notice.startswith("4 of 4 photographs have no features of mini yet")
    with pytest.raises(LibraryError, match=r"has no features of mini yet.*`smysl index` makes them once"):
        library.search(Query(photo_id=ids(library)["red"], head="flowers"))
    assert index(library).changed == 4
    assert index(library).unchanged == 4
    assert library.search(Query(image=picture(250, 0, 0), head="flowers")).notice is None
    assert found(library, "flowers", 250, 0, 0)[0] == "red"
    assert found(library, None, 250, 0, 0)[0] == "red"


def test_photographs_with_features_are_found_before_the_others_have_them(
    library: Library, plain: Path, photographs: Path
) -> None:
    drop_features(library)
    paint(photographs / "scarlet.png", (255, 0, 0))
    index(library)
    library.add_head("flowers", plain)
    result = library.search(Query(image=picture(250, 0, 0), head="flowers"))
    assert [hit.photograph.path.stem for hit in result.hits] == ["scarlet"]
    assert result.notice is not None
    assert result.notice.startswith("4 of 5 photographs have no features")


# -- several encoders ----------------------------------------------------------------------------------


def both(folder: Path, weight: float = 0.25) -> Path:
    """A head with the red and blue features of the main encoder and the green one of the other."""
    make_head(
        make_projection(columns=(0, 2), weight=1 - weight),
        make_projection("others", columns=(1,), weight=weight, model=OTHER),
    ).save(folder)
    return folder


def test_an_additional_encoder_adds_only_features(library: Library, models: dict[str, ColourEncoder]) -> None:
    before = library.search(Query(text="red"))
    assert index(library, also=(OTHER,)).changed == 4
    assert count_vectors(library.catalog) == {"colours": 4, "colours.features": 4, "others.features": 4}
    assert library.status().additional_models == (OTHER,)
    assert library.status().model == "mini"
    assert [hit.photograph for hit in library.search(Query(text="red")).hits] == [hit.photograph for hit in before.hits]
    assert models["mini"].encoded == 4, "nothing new for the main encoder"


def test_an_index_run_without_names_keeps_the_additional_encoders(
    library: Library, photographs: Path, models: dict[str, ColourEncoder]
) -> None:
    index(library, also=(OTHER,))
    paint(photographs / "new.png", (9, 200, 9))
    for _ in library.index():
        pass
    assert count_vectors(library.catalog) == {"colours": 5, "colours.features": 5, "others.features": 5}
    index(library, also=(OTHER, OTHER, "mini"))
    assert library.status().additional_models == (OTHER,)


def test_a_head_of_two_encoders_sums_their_weighted_similarities(library: Library, tmp_path: Path) -> None:
    head = both(tmp_path / "both")
    with pytest.raises(MismatchError, match=f"fitted on {OTHER}"):
        library.add_head("flowers", head)
    index(library, also=(OTHER,))
    library.add_head("flowers", head)
    with opened(library.folder) as again:
        result = again.search(Query(image=picture(250, 5, 5), head="flowers"))
    assert result.model == f"mini + {OTHER}"
    # The green feature alone has the same direction in all photographs, so its cosine is 1; the rest is red and blue.
    last = result.hits[-1]
    assert last.photograph.path.stem == "blue"
    assert last.similarity == pytest.approx(0.25 + 0.75 * 2 * 6 * 251 / (6**2 + 251**2), abs=2e-2)


def test_an_encoder_can_be_forgotten_only_when_no_head_uses_it(library: Library, tmp_path: Path) -> None:
    index(library, also=(OTHER,))
    library.add_head("flowers", both(tmp_path / "both"))
    with pytest.raises(UsageError, match=r"head flowers .* needs .*; remove it first with `smysl head remove flowers`"):
        library.forget_model(OTHER)
    library.remove_head("flowers")
    library.forget_model(OTHER)
    assert library.status().additional_models == ()
    assert count_vectors(library.catalog) == {"colours": 4, "colours.features": 4}
    with pytest.raises(NotFoundError, match="no additional model"):
        library.forget_model(OTHER)
    with pytest.raises(UsageError, match="is the main model"):
        library.forget_model("mini")


def test_a_restored_head_finds_only_photographs_with_features_after_its_encoder_was_forgotten(
    library: Library, photographs: Path, tmp_path: Path
) -> None:
    index(library, also=(OTHER,))
    library.add_head("flowers", both(tmp_path / "both"))
    saved = library.folder / "heads" / "flowers"
    shutil.copytree(saved, tmp_path / "kept")
    library.remove_head("flowers")
    library.forget_model(OTHER)
    (photographs / "red.png").rename(tmp_path / "away.png")
    index(library, also=(OTHER,))
    shutil.copytree(tmp_path / "kept", saved)
    assert set(found(library, "flowers", 250, 5, 5)) == {"rose", "blue", "violet"}


def test_additional_encoders_are_kept_when_the_main_one_changes(
    library: Library, models: dict[str, ColourEncoder], tmp_path: Path
) -> None:
    third = "RN50/openai"
    models[third] = ColourEncoder(third, "third", own_features=True)
    index(library, also=(third,))
    with opened(library.folder, OTHER) as changed:
        index(changed)
        assert count_vectors(changed.catalog) == {"others": 4, "others.features": 4, "third.features": 4}
        assert changed.status().additional_models == (third,)
        index(changed, also=("mini",))
        library.add_head("flowers", both(tmp_path / "both"))
        assert found(changed, "flowers", 250, 5, 5)[0] == "red"


def test_the_main_and_an_additional_encoder_can_be_swapped(
    library: Library, models: dict[str, ColourEncoder], tmp_path: Path
) -> None:
    index(library, also=(OTHER,))
    library.add_head("flowers", both(tmp_path / "both"))
    with opened(library.folder, OTHER) as changed:
        index(changed, also=("mini",))
        assert count_vectors(changed.catalog) == {"others": 4, "others.features": 4, "colours.features": 4}
        assert (changed.status().model, changed.status().additional_models) == (OTHER, ("mini",))
        assert found(changed, "flowers", 250, 5, 5)[0] == "red"


def test_a_head_whose_encoder_was_dropped_is_refused_and_does_not_stop_searches_without_it(
    library: Library, plain: Path
) -> None:
    library.add_head("flowers", plain)
    with opened(library.folder, OTHER) as changed:
        index(changed)
        with pytest.raises(MismatchError, match="fitted on mini"):
            found(changed, "flowers", 250, 5, 5)
        (head,) = changed.heads()
        assert head.fault is not None
        assert "fitted on mini" in head.fault
        assert found(changed, None, 250, 5, 5)[0] == "red"


def test_an_additional_encoder_with_other_weights_is_refused_until_an_index_run(
    library: Library, models: dict[str, ColourEncoder], tmp_path: Path
) -> None:
    index(library, also=(OTHER,))
    library.add_head("flowers", both(tmp_path / "both"))
    models[OTHER] = ColourEncoder(OTHER, "newer", dimension=6, own_features=True)
    with opened(library.folder) as again:
        with pytest.raises(MismatchError, match=f"another version of the model {OTHER}"):
            found(again, "flowers", 250, 5, 5)
        assert index(again).changed == 4
        assert count_vectors(again.catalog) == {"colours": 4, "colours.features": 4, "newer.features": 4}
        with pytest.raises(MismatchError, match="fingerprint others"):
            found(again, "flowers", 250, 5, 5)


def test_a_missing_additional_encoder_is_named_with_the_remedy(
    library: Library, models: dict[str, ColourEncoder], photographs: Path
) -> None:
    index(library, also=(OTHER,))
    del models[OTHER]
    with opened(library.folder) as again:
        assert found(again, None, 250, 5, 5)[0] == "red", "a search without a head does not need it"
        with pytest.raises(ModelError, match=f"additional model {OTHER}, which is gone.*--forget {OTHER}"):
            index(again)
        again.forget_model(OTHER)
        assert index(again).unchanged == 4
        with pytest.raises(NotFoundError, match="There is no model RN50/openai"):
            index(again, also=("RN50/openai",))


# -- neighbours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [None, "flowers"])
def test_neighbours_are_the_hits_of_a_search(library: Library, plain: Path, head: str | None) -> None:
    library.add_head("flowers", plain)
    known = ids(library)
    photographs = [picture(250, 5, 5), known["red"], picture(9, 9, 250)]
    by_image, by_id, by_other = library.neighbours(photographs, 3, head=head)
    for neighbours, query in (
        (by_image, Query(image=photographs[0], k=3, head=head)),
        (by_id, Query(photo_id=known["red"], k=3, head=head)),
    ):
        hits = library.search(query).hits
        assert neighbours.ids.tolist() == [hit.photograph.id for hit in hits]
        assert neighbours.similarities == pytest.approx([hit.similarity for hit in hits], abs=1e-5)
    assert known["red"] not in by_id.ids
    assert by_other.ids[0] == known["blue"]


def test_excluded_neighbours_are_left_out(library: Library, plain: Path) -> None:
    library.add_head("flowers", plain)
    known = ids(library)
    (some,) = library.neighbours([picture(250, 5, 5)], 10, head="flowers", exclude={known["red"], 999})
    assert set(some.ids.tolist()) == {known[name] for name in ("rose", "blue", "violet")}
    (one,) = library.neighbours([known["blue"]], 1, head="flowers", exclude=[known["violet"], known["rose"]])
    assert one.ids.tolist() == [known["red"]]
    assert library.neighbours([], 3) == []
    with pytest.raises(UsageError, match="k is 0"):
        library.neighbours([known["blue"]], 0)
    with pytest.raises(NotFoundError):
        library.neighbours([99], 1)


def test_a_head_of_another_version_and_a_file_instead_of_a_folder_are_errors(
    library: Library, plain: Path, tmp_path: Path
) -> None:
    facts = json.loads((plain / "head.json").read_text(encoding="utf-8"))
    (plain / "head.json").write_text(json.dumps(facts | {"version": 99}), encoding="utf-8")
    with pytest.raises(ModelError, match="has version 99"):
        library.add_head("flowers", plain)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ModelError, match="There is no head in"):
        library.add_head("flowers", tmp_path / "file")
