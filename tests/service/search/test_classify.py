"""Classification by k-NN vote: who votes, recommendations, unknown kinds, bad photographs, the cached calibration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.config import Settings
from service.errors import LibraryError, NotFoundError, TooLargeError, UsageError
from service.indexing.options import IndexOptions
from service.kinds.vote_cache import FILE
from service.library import Library
from service.match.scorer import find_artifact
from service.search.classify import Classified, Unclassified, Upload
from tests.service.colours import ColourEncoder
from tests.service.kind_folders import COLOURS, TEAL, make_kind_folders, paint_speckled
from tests.service.sample_heads import make_head, make_projection


@pytest.fixture
def sorted_photographs(tmp_path: Path) -> Path:
    return make_kind_folders(tmp_path.resolve() / "sorted")


@pytest.fixture
def library(tmp_path: Path, sorted_photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    encoder = ColourEncoder()
    monkeypatch.setattr("service.encoder.library_encoders.load_encoder", lambda *arguments, **options: encoder)
    # Without this the encoder would get the match of the built-in model, whose name it has.
    monkeypatch.setattr(
        "service.match.scorer.find_artifact", lambda encoder, library, model: find_artifact(encoder, library)
    )
    with opened(tmp_path / "library") as library:
        index(library, sorted_photographs)
        yield library


def opened(folder: Path) -> Library:
    return Library.open(folder, Settings(library=folder, model="mini", batch_size=4), create=True)


def index(library: Library, *folders: Path, **options: Any) -> None:
    for _ in library.index(folders, IndexOptions(**options)):
        pass


def classified(library: Library, *photographs: Path | Upload, **options: object) -> list[Classified]:
    answers = list(library.classify(photographs, **options))  # type: ignore[arg-type]
    assert all(isinstance(each, Classified) for each in answers), answers
    return [each for each in answers if isinstance(each, Classified)]


def kind_counts(answer: Classified) -> dict[str, int]:
    kinds = [each.kind for each in answer.neighbours]
    return {kind: kinds.count(kind) for kind in kinds}


def test_new_photographs_get_the_kind_of_their_neighbours(library: Library, tmp_path: Path) -> None:
    new = make_kind_folders(tmp_path / "new", each=3, first_seed=50)
    files = sorted(new.rglob("*.png"))
    answers = classified(library, *files)
    assert [each.file for each in answers] == [str(file) for file in files]
    assert [each.kind for each in answers] == [file.parent.name for file in files]
    assert all(each.known and each.confidence > 0.8 and not each.in_library for each in answers)
    first = answers[0]
    assert len(first.neighbours) == len(first.recommended) == 10
    similarities = [each.similarity for each in first.neighbours]
    assert similarities == sorted(similarities, reverse=True)
    assert kind_counts(first)[first.kind] == 6
    assert [each.kind for each in first.recommended[:6]] == [first.kind] * 6
    assert {each.photograph.path.parent.name for each in first.recommended[:6]} == {first.kind}


def test_a_photograph_of_the_library_and_its_copies_do_not_vote_on_it(
    library: Library, sorted_photographs: Path
) -> None:
    own = sorted_photographs / "fern" / "0.png"
    shutil.copyfile(own, sorted_photographs / "gentian" / "copy.png")
    index(library)
    (answer,) = classified(library, own, k=200)
    assert answer.in_library
    assert answer.kind == "fern"
    assert {own, sorted_photographs / "gentian" / "copy.png"}.isdisjoint(
        each.photograph.path for each in answer.neighbours
    )
    assert len(answer.neighbours) == 17


def test_min_confidence_decides_what_is_unknown_and_what_is_recommended(library: Library, tmp_path: Path) -> None:
    between = paint_speckled(tmp_path / "between.png", (90, 60, 140), 7)
    (sure,) = classified(library, between, min_confidence=0.0)
    (unsure,) = classified(library, between, min_confidence=1.0)
    assert (sure.known, unsure.known) == (True, False)
    assert sure.kind == unsure.kind
    assert unsure.recommended == unsure.neighbours
    assert [each.kind == sure.kind for each in sure.recommended] == sorted(
        (each.kind == sure.kind for each in sure.recommended), reverse=True
    )


def test_a_photograph_of_an_unknown_kind_gets_less_confidence(library: Library, tmp_path: Path) -> None:
    like, unlike = classified(
        library,
        paint_speckled(tmp_path / "like.png", COLOURS["fern"], 77),
        paint_speckled(tmp_path / "unlike.png", TEAL, 78),
    )
    assert unlike.confidence < like.confidence


def test_a_bad_photograph_gets_an_error_and_does_not_stop_the_others(library: Library, tmp_path: Path) -> None:
    def too_large() -> bytes:
        raise TooLargeError("the file is larger than 1 MB; send a smaller one")

    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photograph")
    Image.new("RGB", (60, 60), "white").save(tmp_path / "blank.png")
    good = paint_speckled(tmp_path / "good.png", COLOURS["poppy"], 5)
    answers = list(
        library.classify(
            [
                tmp_path / "broken.jpg",
                good,
                tmp_path / "none.png",
                tmp_path / "blank.png",
                Upload("large.jpg", too_large),
                Upload("good again.png", good.read_bytes),
            ]
        )
    )
    assert [each.file.rpartition("/")[2] for each in answers] == [
        "broken.jpg", "good.png", "none.png", "blank.png", "large.jpg", "good again.png"
    ]  # fmt: skip
    assert [getattr(each, "kind", None) for each in answers] == [None, "poppy", None, None, None, "poppy"]
    faults = [each for each in answers if isinstance(each, Unclassified)]
    assert [each.error for each in faults] == ["photograph", "photograph", "usage", "too_large"]
    assert faults[1].reason == "the file does not exist"
    assert "all border" in faults[2].reason


def test_borders_are_cropped_unless_kept(library: Library, tmp_path: Path) -> None:
    framed = Image.new("RGB", (200, 160), "black")
    framed.paste(Image.open(paint_speckled(tmp_path / "in.png", COLOURS["poppy"], 9, (140, 100))), (30, 30))
    framed.save(tmp_path / "framed.png")
    (cropped,) = classified(library, tmp_path / "framed.png")
    (kept,) = classified(library, tmp_path / "framed.png", keep_borders=True)
    assert cropped.neighbours[0].similarity > 0.98
    assert cropped.neighbours[0].similarity > kept.neighbours[0].similarity


def test_photographs_are_taken_only_as_needed(library: Library, tmp_path: Path) -> None:
    file = paint_speckled(tmp_path / "one.png", COLOURS["fern"], 3)
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield file

    answers = library.classify(endless())
    assert [next(answers).file for _ in range(3)] == [str(file)] * 3
    assert taken <= 3 * 4
    answers.close()  # type: ignore[attr-defined]


def test_many_nearer_photographs_without_a_kind_do_not_vote(library: Library, tmp_path: Path) -> None:
    loose = tmp_path.resolve() / "loose"
    for number in range(260):
        paint_speckled(loose / f"{number}.png", COLOURS["fern"], 5000 + number, (20, 16))
    index(library, loose)
    (answer,) = classified(library, paint_speckled(tmp_path / "new.png", COLOURS["fern"], 3))
    assert answer.kind == "fern"
    assert len(answer.neighbours) == 10
    assert kind_counts(answer)["fern"] == 6


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 201}, "k is 201"),
        ({"min_confidence": 1.5}, r"The least confidence is 1\.5"),
        ({"min_confidence": float("nan")}, "The least confidence is nan"),
    ],
)
def test_wrong_options_are_refused_before_a_photograph_is_read(
    library: Library, options: dict[str, object], message: str
) -> None:
    def never() -> Iterator[Path]:
        raise AssertionError("a photograph was read")
        yield Path()

    with pytest.raises(UsageError, match=message):
        library.classify(never(), **options)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no head none"):
        library.classify(never(), head="none")


def test_a_library_without_kinds_is_an_error_that_says_how_to_get_some(library: Library, tmp_path: Path) -> None:
    flat = tmp_path.resolve() / "flat"
    paint_speckled(flat / "1.png", TEAL, 1)
    index(library, flat)
    library.catalog.remove(library.kinds.ids().tolist())
    with pytest.raises(LibraryError, match=r"No photograph of the library has a kind\. Sort them into folders"):
        library.classify([])


def test_a_library_with_only_one_kind_is_an_error(library: Library) -> None:
    library.kinds.use("table", {1: "fern", 2: "fern"})
    with pytest.raises(LibraryError, match="are of the same one, fern"):
        library.classify([])


# -- the cached calibration ----------------------------------------------------------------------------


def cached(library: Library) -> dict[str, object]:
    facts: dict[str, object] = json.loads((library.folder / FILE).read_text(encoding="utf-8"))
    return facts


def test_the_vote_is_calibrated_once_and_cached_in_the_library(library: Library, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    vote = library.vote(on_progress=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (18, 18)
    facts = cached(library)
    assert facts["vote"] == vote.facts()
    assert facts["kinds"] == {"fern": 6, "gentian": 6, "poppy": 6}
    progress.clear()
    with opened(library.folder) as again:
        assert again.vote(on_progress=lambda done, total: progress.append((done, total))) == vote
    assert progress == []


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"version": 1}'])
def test_a_cached_calibration_that_cannot_be_read_is_replaced(library: Library, broken: str) -> None:
    vote = library.vote()
    (library.folder / FILE).write_text(broken, encoding="utf-8")
    with opened(library.folder) as again:
        assert again.vote() == vote
    assert cached(library)["vote"] == vote.facts()


def test_the_vote_is_calibrated_again_only_after_large_changes(library: Library, sorted_photographs: Path) -> None:
    library.vote()
    generation = cached(library)["generation"]
    paint_speckled(sorted_photographs / "fern" / "more 1.png", COLOURS["fern"], 90)
    index(library)
    library.vote()
    assert cached(library)["generation"] == generation
    for number in range(3):
        paint_speckled(sorted_photographs / "teal" / f"{number}.png", TEAL, 91 + number)
    index(library)
    library.vote()
    assert cached(library)["generation"] == library.catalog.generation()
    assert cached(library)["kinds"] == {"fern": 7, "gentian": 6, "poppy": 6, "teal": 3}


def test_the_vote_is_calibrated_again_when_kinds_are_read(library: Library, sorted_photographs: Path) -> None:
    library.vote()
    rows = [
        f"{file.relative_to(sorted_photographs)}\t{file.parent.name[0]}" for file in sorted_photographs.rglob("*.png")
    ]
    (sorted_photographs / "kinds.tsv").write_text("\n".join(["image\tkind", *rows]), encoding="utf-8")
    assert library.read_kinds(str(sorted_photographs / "kinds.tsv")) == []
    library.vote()
    assert cached(library)["kinds"] == {"f": 6, "g": 6, "p": 6}
    assert cached(library)["source"] == "table"
    library.read_kinds("folders")
    library.vote()
    assert cached(library)["source"] == "folders"


def test_failing_to_read_kinds_keeps_the_present_ones(library: Library, tmp_path: Path) -> None:
    before = library.kinds.counts()
    (tmp_path / "kinds.tsv").write_text("image\tkind\nnone.png\trose\n", encoding="utf-8")
    with pytest.raises(LibraryError, match="names no photograph"):
        library.read_kinds(str(tmp_path / "kinds.tsv"))
    with pytest.raises(LibraryError, match="No photograph"):
        library.read_kinds("keywords")
    assert (library.kinds.source, library.kinds.counts()) == ("folders", before)


def test_classification_works_where_the_calibration_cannot_be_written(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (library.folder / FILE).mkdir()
    (answer,) = classified(library, paint_speckled(tmp_path / "new.png", COLOURS["fern"], 3))
    assert answer.kind == "fern"
    assert not any((library.folder / FILE).iterdir())


# -- heads ---------------------------------------------------------------------------------------------


def test_a_head_votes_with_its_own_calibration(library: Library, tmp_path: Path) -> None:
    head = make_head(make_projection(width=4))
    head.save(tmp_path / "head")
    library.add_head("colours", tmp_path / "head")
    new = paint_speckled(tmp_path / "new.png", COLOURS["gentian"], 3)
    (answer,) = classified(library, new, head="colours")
    assert answer.kind == "gentian"
    assert library.vote("colours") == head.vote
    assert not (library.folder / FILE).exists()
