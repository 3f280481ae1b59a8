"""Retrieval of kinds, against figures worked out by hand and against chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.similar import GalleryResults, eval_similar, figures_of, search_gallery
from service.encoder.encoder import Encoder
from service.errors import DataError, MismatchError
from service.heads.projection import Head, Projection
from service.kinds.knn_vote import KnnVote
from service.match.artifact import Logistic

VOTE = KnnVote(neighbours=3, temperature=0.1, of_share=1.0, of_similarity=0.0, intercept=0.0, min_confidence=0.0)


def line(similarities: list[float], kinds: list[int], own: int = 0, vote: KnnVote | None = None) -> GalleryResults:
    """One photograph of the kind `own` that has these similarities to a gallery of these kinds."""
    gallery = np.array(similarities, np.float32)[:, None]
    return search_gallery(np.ones((1, 1), np.float32), np.array([own]), gallery, np.array(kinds), vote=vote)


def test_precision_is_divided_by_fewer_than_ten_relevant() -> None:
    found = line([0.9, 0.8, 0.7, 0.6], [0, 1, 0, 0])
    assert found.precision[0] == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert found.rows.tolist() == [[0, 1, 2, 3]]
    assert found.right.tolist() == [[True, False, True, True]]


def test_precision_is_divided_by_at_most_ten() -> None:
    # Twelve relevant ones, five of them among the first ten, at every other rank.
    kinds = [0, 1] * 5 + [0] * 7
    found = line([1.0 - 0.01 * rank for rank in range(17)], kinds)
    assert found.precision[0] == pytest.approx((1 + 2 / 3 + 3 / 5 + 4 / 7 + 5 / 9) / 10)


def test_hits_after_the_tenth_do_not_count() -> None:
    found = line([1.0 - 0.01 * rank for rank in range(11)], [1] * 10 + [0])
    assert found.precision[0] == 0.0


def test_ten_right_hits_have_precision_one() -> None:
    assert line([1.0 - 0.01 * rank for rank in range(12)], [0] * 11 + [1]).precision[0] == pytest.approx(1.0)


def test_ties_rank_other_kinds_first() -> None:
    found = line([0.5] * 12, [0] * 6 + [1] * 6)
    assert found.right.tolist() == [[False] * 6 + [True] * 4]


def test_a_photograph_does_not_find_itself() -> None:
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    kinds = np.array([0, 0, 1, 1])
    found = search_gallery(vectors, kinds, vectors, kinds, exclude=np.arange(4))
    assert found.rows[:, 0].tolist() == [1, 0, 3, 2]
    assert found.rows.shape == (4, 3)
    assert found.precision.tolist() == [1.0] * 4


def test_the_vote_is_weighted_by_similarity() -> None:
    assert line([0.9, 0.4, 0.4], [0, 1, 1]).voted[0] == 0
    assert line([0.7, 0.4, 0.4], [0, 1, 1]).voted[0] == 1
    assert line([0.3, -0.9, -0.9], [0, 1, 1]).voted[0] == 0


def test_a_head_votes_in_its_own_way() -> None:
    similarities = [0.9, 0.5, 0.45, 0.44, 0.43, 0.42]
    assert line(similarities, [0, 1, 1, 1, 1, 1]).voted[0] == 1
    assert line(similarities, [0, 1, 1, 1, 1, 1], vote=VOTE).voted[0] == 0


def test_more_than_ten_neighbours_may_vote() -> None:
    many = KnnVote(15, 10.0, 1.0, 0.0, 0.0, 0.0)
    similarities, kinds = [1.0 - 0.01 * rank for rank in range(15)], [0] * 7 + [1] * 8
    found = line(similarities, kinds, vote=many)
    assert found.voted[0] == 1
    assert found.rows.shape == (1, 10)


def test_queries_without_relevant_photographs_are_refused() -> None:
    with pytest.raises(ValueError, match="another photograph of its kind"):
        line([0.5], [1])
    with pytest.raises(ValueError, match="another photograph of its kind"):
        search_gallery(
            np.ones((1, 1), np.float32), np.array([0]), np.ones((2, 1), np.float32), np.array([0, 1]), np.array([0])
        )


def test_random_vectors_score_as_chance() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(2000, 16)).astype(np.float32)
    kinds = generator.permutation(np.repeat(np.arange(5), 400))
    found = search_gallery(vectors[:1000], kinds[:1000], vectors[1000:], kinds[1000:])
    figures, intervals = figures_of(found, kinds[:1000])
    # Of ten ranks each right with p = 1/5: E[AP@10] = p/10 · Σ (1 + (i - 1) p) / i.
    expected = 100 * sum(0.2 * (1 + (rank - 1) * 0.2) / rank for rank in range(1, 11)) / 10
    assert intervals["map10"][0] < expected < intervals["map10"][1]
    assert figures["r1"] == pytest.approx(20, abs=5)
    assert figures["vote_accuracy"] == pytest.approx(20, abs=5)


def test_intervals_contain_their_figures() -> None:
    results = GalleryResults(
        precision=np.array([0.0, 0.5, 1.0, 1.0]),
        voted=np.array([1, 0, 0, 0]),
        rows=np.zeros((4, 1), np.int64),
        similarities=np.zeros((4, 1), np.float32),
        right=np.array([[False], [False], [True], [True]]),
    )
    figures, intervals = figures_of(results, np.zeros(4, np.int64))
    assert figures == {"map10": 62.5, "r1": 50.0, "vote_accuracy": 75.0}
    assert all(low < figures[name] < high for name, (low, high) in intervals.items())


def picture(file: Path, colour: tuple[int, int, int], number: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = Image.new("RGB", (64, 48), colour)
    made.putpixel((number, 0), (0, 0, 0))
    made.save(file)


RED, BLUE = (230, 20, 20), (20, 20, 230)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two kinds, one red and one blue, with two blue photographs among the red ones of `test/`."""
    root = tmp_path / "kinds"
    for number in range(4):
        picture(root / f"train/red/{number}.png", RED, number)
        picture(root / f"train/blue/{number}.png", BLUE, number)
    for number in range(4, 7):
        picture(root / f"test/red/{number}.png", RED, number)
        picture(root / f"test/blue/{number}.png", BLUE, number)
    picture(root / "test/red/wrong.png", BLUE, 7)
    return root


def head_of(encoder: Encoder) -> Head:
    width = encoder.encode_with_features([encoder.prepare(Image.new("RGB", (32, 32)))])[1].shape[1]
    part = Projection(encoder.name, encoder.fingerprint, 1.0, np.zeros(width, np.float32))
    return Head((part,), Logistic(1.0, 0.0), VOTE, ("blue", "red"), "cosine", "nothing")


def test_a_folder_is_measured(folder: Path, tiny: Encoder) -> None:
    stages: list[tuple[str, int, int]] = []
    report = eval_similar(folder, [tiny], on_stage=lambda *step: stages.append(step))
    assert (report.photos, report.searched, report.leave_one_out) == (7, 8, False)
    assert report.figures["r1"] == pytest.approx(100 * 6 / 7)
    assert {each.kind: each.photos for each in report.by_kind} == {"blue": 3, "red": 4}
    assert report.by_kind[0].map10 == pytest.approx(100.0)
    assert report.confusions == {("blue", "blue"): 3, ("red", "blue"): 1, ("red", "red"): 3}
    assert report.confused == [("red", "blue", 1)]
    (worst,) = report.worst
    assert worst.file == folder / "test/red/wrong.png"
    assert [found.right for found in worst.found] == [False] * 4 + [True] * 4
    assert worst.found[0].similarity > worst.found[-1].similarity
    assert stages[-1][1:] == (15, 15)


def test_the_report_as_json_names_photographs_inside_the_folder(folder: Path, tiny: Encoder) -> None:
    facts: dict[str, Any] = eval_similar(folder, [tiny]).as_json()
    assert facts["kinds"] == 2
    assert facts["by_kind"]["blue"] == 100.0
    assert facts["worst"][0]["photo"] == str(Path("test/red/wrong.png"))
    assert facts["intervals"]["map10"][0] <= facts["map10"] <= facts["intervals"]["map10"][1]
    assert facts["head"] is None


def test_copies_in_train_and_test_are_left_out(folder: Path, tiny: Encoder) -> None:
    (folder / "test/red/copy.png").write_bytes((folder / "train/blue/0.png").read_bytes())
    report = eval_similar(folder, [tiny])
    assert report.photos == 7
    (left_out,) = report.left_out
    assert left_out.file == folder / "test/red/copy.png"
    assert left_out.reason == f"it is the same photograph as {Path('train/blue/0.png')}"


def test_without_train_and_test_each_searches_all_others(tmp_path: Path, tiny: Encoder) -> None:
    for number in range(3):
        picture(tmp_path / f"red/{number}.png", RED, number)
        picture(tmp_path / f"blue/{number}.png", BLUE, number)
    (tmp_path / "red/copy.png").write_bytes((tmp_path / "red/0.png").read_bytes())
    picture(tmp_path / "alone/1.png", (20, 200, 20), 0)
    report = eval_similar(tmp_path, [tiny])
    assert report.leave_one_out
    assert (report.photos, report.searched) == (6, 7)
    assert report.figures["map10"] == pytest.approx(100.0)
    reasons = {each.file.name: each.reason for each in report.left_out}
    assert reasons["copy.png"] == f"it is the same photograph as {Path('red/0.png')}"
    assert reasons["1.png"] == "it is the only one of its kind"


def test_photographs_that_cannot_be_read_are_named(folder: Path, tiny: Encoder) -> None:
    (folder / "test/red/4.png").write_bytes(b"no picture")
    for file in (folder / "train/blue").iterdir():
        file.write_bytes(b"no picture" + file.name.encode())
    report = eval_similar(folder, [tiny])
    reasons = {report.name_of(each.file): each.reason for each in report.left_out}
    assert "not a photograph" in reasons[str(Path("test/red/4.png"))]
    assert reasons[str(Path("test/blue/4.png"))] == "none of its kind is among those searched"
    assert report.photos == 3


def test_a_folder_with_nothing_to_measure_is_refused(tmp_path: Path, tiny: Encoder) -> None:
    picture(tmp_path / "red/1.png", RED, 0)
    picture(tmp_path / "blue/1.png", BLUE, 0)
    with pytest.raises(DataError, match="No photograph in"):
        eval_similar(tmp_path, [tiny])


def test_a_head_provides_the_similarity(folder: Path, tiny: Encoder) -> None:
    bare, headed = eval_similar(folder, [tiny]), eval_similar(folder, [tiny], head_of(tiny))
    assert headed.figures["map10"] == pytest.approx(bare.figures["map10"])
    assert headed.head == "cosine"


def test_a_head_of_another_encoder_is_refused(folder: Path, tiny: Encoder) -> None:
    whole = head_of(tiny)
    other = Projection("another", "0" * 32, 0.5, whole.projections[0].center)
    with pytest.raises(MismatchError, match="fitted on another"):
        eval_similar(folder, [tiny], Head((other,), whole.same_kind, VOTE, (), "cosine", "nothing"))
    with pytest.raises(MismatchError, match="was not fitted on local-dir"):
        eval_similar(folder, [tiny, _Renamed("0" * 32), _Renamed("1" * 32)], head_of(tiny))  # type: ignore[list-item]


class _Renamed:
    """Name and fingerprint of an encoder, and nothing more."""

    name = "local-dir:renamed"

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint


def test_the_features_of_mini_distinguish_flowers(shared_data: Path, tmp_path: Path) -> None:
    flowers = shared_data / "flowers"
    if not flowers.is_dir():
        pytest.skip(f"no photographs of flowers in {flowers}")
    for part, count in (("train", 12), ("test", 4)):
        for kind in sorted((flowers / part).iterdir()):
            (tmp_path / part / kind.name).mkdir(parents=True)
            for file in sorted(kind.iterdir())[:count]:
                (tmp_path / part / kind.name / file.name).write_bytes(file.read_bytes())
    report = eval_similar(tmp_path, [Encoder.load("mini", device="cpu")])
    assert report.figures["map10"] > 35
    assert report.figures["vote_accuracy"] > 50
