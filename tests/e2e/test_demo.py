"""The main job on real photographs: type a scene, get the photograph; over HTTP, as the demo runs it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.conftest import RunningService

SCENES = {
    "a cup of coffee": "coffee.png",
    "a cat": "cat.png",
    "a motorcycle in a garage": "motorcycle.png",
    "a chinese temple": "chinese-temple.jpg",
    "a red flower": "flower.jpg",
    "a brick wall": "brick-wall.png",
}


def ask(service: RunningService, path: str) -> Any:
    with urlopen(f"{service.url}{path}", timeout=60) as answer:  # noqa: S310 - an address of this test
        return json.loads(answer.read())


@pytest.mark.parametrize("scene", SCENES)
def test_the_photograph_that_shows_the_scene_is_first_of_five(service: RunningService, scene: str) -> None:
    answer = ask(service, f"/search?text={quote(scene)}&k=5&min_match=0")

    assert answer["hits"][0]["name"] == SCENES[scene]
    assert len(answer["hits"]) == 5
    matches = [hit["match"] for hit in answer["hits"]]
    assert matches == sorted(matches, reverse=True)
    assert all(0.0 <= match <= 1.0 for match in matches)
    assert answer["calibration"] == "ratings"


def test_a_cut_by_match_drops_what_does_not_fit(service: RunningService) -> None:
    everything = ask(service, "/search?text=a%20cat&k=19&min_match=0")["hits"]
    threshold = math.nextafter(everything[0]["match"], 0)

    cut = ask(service, f"/search?text=a%20cat&k=19&min_match={threshold}")

    assert [hit["name"] for hit in cut["hits"]] == ["cat.png"]


def test_when_nothing_fits_the_answer_says_so_and_how_near_it_came(service: RunningService) -> None:
    answer = ask(service, "/search?text=a%20crowd%20on%20a%20beach&min_match=1")

    assert answer["hits"] == []
    assert answer["answerable"] is False
    assert 0.0 <= answer["best_match"] < 1.0


def test_a_photograph_finds_itself_first(service: RunningService, samples: Path) -> None:
    import httpx

    answer = httpx.post(
        f"{service.url}/search/image",
        files={"photo": (samples / "rocket.jpg").read_bytes()},
        data={"k": "3"},
        timeout=60,
    ).json()

    assert answer["hits"][0]["name"] == "rocket.jpg"
    assert answer["hits"][0]["similarity"] > 0.99
    assert answer["hits"][0]["match"] > answer["hits"][1]["match"]


def test_a_true_text_scores_above_a_false_one(service: RunningService, samples: Path) -> None:
    import httpx

    def score(text: str) -> float:
        photo = (samples / "coffee.png").read_bytes()
        answer = httpx.post(f"{service.url}/score", files={"photo": photo}, data={"text": text}, timeout=60)
        return float(answer.json()["match"])

    assert score("a cup of coffee on a table") > score("a man rides a horse on a beach")


def test_a_query_in_another_script_gets_a_sentence_beside_the_hits(service: RunningService) -> None:
    answer = ask(service, f"/search?text={quote('кошка')}&min_match=0")

    assert "English" in answer["notice"]
    assert len(answer["hits"]) == 5
