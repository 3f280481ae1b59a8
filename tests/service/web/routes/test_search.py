"""Searching and scoring over HTTP: hits, crops, uploads and refused requests."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from starlette.testclient import TestClient

from service.errors import SmyslError
from service.search.query import MAX_K, Query
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.pictures import jpeg, picture
from tests.service.sample_artifacts import make_artifact, make_feature_model
from tests.service.web.client import client_of, error_message, photo_ids


def similarities(answer: dict[str, Any]) -> list[float]:
    """In the order of the photographs' names."""
    return [hit["similarity"] for hit in sorted(answer["hits"], key=lambda hit: str(hit["name"]))]


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_search_by_text(client: TestClient, shared_library: SampleLibrary) -> None:
    answer = client.get("/search", params={"text": "two dogs play in the snow", "k": 3}).json()
    assert answer.keys() == {
        "hits", "took_ms", "model", "calibration", "min_match", "answerable", "best_match", "notice", "photographs",
        "part", "borders_left_out", "head", "next_cursor", "filtered", "without_filters", "understood",
    }  # fmt: skip
    assert (answer["model"], answer["photographs"], answer["answerable"]) == (shared_library.model, 5, True)
    assert len(answer["hits"]) == 3
    matches = [hit["match"] for hit in answer["hits"]]
    assert matches == sorted(matches, reverse=True)
    assert answer["best_match"] == matches[0]
    for hit in answer["hits"]:
        assert 0 <= hit["match"] <= 1
        assert -1 <= hit["similarity"] <= 1
        assert hit["uri"] == str(shared_library.photographs / hit["name"])
        assert (hit["width"], hit["height"]) == (80, 60)
        assert hit["bytes"] == Path(hit["uri"]).stat().st_size
        assert hit["links"]["image"].startswith(f"/photos/{hit['id']}/image?v=")


def test_get_and_post_give_the_same_hits(client: TestClient) -> None:
    got = client.get("/search", params={"text": "a cat"}).json()
    posted = client.post("/search", json={"text": "a cat", "photo_id": None}).json()
    assert len(got["hits"]) == 5
    assert got["hits"] == posted["hits"]


def test_search_by_photo_id_leaves_that_photograph_out(client: TestClient) -> None:
    ids = photo_ids(client)
    answer = client.post("/search", json={"photo_id": ids["wood.jpg"], "k": 200}).json()
    assert {hit["name"] for hit in answer["hits"]} == ids.keys() - {"wood.jpg"}


def test_search_by_upload_finds_that_photograph(client: TestClient, shared_library: SampleLibrary) -> None:
    for name in ("wood.jpg", "moss.tif", "snow.webp", "clay.heic"):
        form = {"k": "1", "min_match": "0"}
        with (shared_library.photographs / name).open("rb") as file:
            answer = client.post("/search/image", files={"photo": (name, file)}, data=form).json()
        assert [hit["name"] for hit in answer["hits"]] == [name]
        assert answer["hits"][0]["similarity"] > 0.99


def test_search_with_a_crop_of_a_library_photograph(client: TestClient) -> None:
    ids = photo_ids(client)
    whole = client.post("/search", json={"photo_id": ids["wood.jpg"], "k": 200}).json()
    part = client.post("/search", json={"photo_id": ids["wood.jpg"], "k": 200, "box": "0.5,0.25,0.5,0.5"}).json()
    assert {hit["name"] for hit in part["hits"]} == ids.keys() - {"wood.jpg"}
    assert part["part"] == {"x": 0.5, "y": 0.25, "width": 0.5, "height": 0.5}
    assert (part["borders_left_out"], whole["part"], whole["borders_left_out"]) == (False, None, False)
    assert similarities(part) != similarities(whole)


def test_a_crop_of_an_upload_gives_the_hits_of_the_cropped_file(client: TestClient) -> None:
    whole = picture(7, (160, 120))
    left = whole.crop((0, 0, 80, 120))
    part = client.post("/search/image", files={"photo": png(whole)}, data={"box": "0,0,0.5,1"}).json()
    alone = client.post("/search/image", files={"photo": png(left)}).json()
    assert similarities(part) == pytest.approx(similarities(alone), abs=1e-6)
    assert part["part"] == {"x": 0, "y": 0, "width": 0.5, "height": 1}


def test_borders_of_an_upload_are_left_out_unless_keep_borders(client: TestClient) -> None:
    framed = {"photo": png(ImageOps.expand(picture(7, (160, 120)), (0, 40, 0, 40), "black"))}
    bare = client.post("/search/image", files={"photo": png(picture(7, (160, 120)))}).json()
    found = client.post("/search/image", files=framed).json()
    kept = client.post("/search/image", files=framed, data={"keep_borders": "true"}).json()
    drawn = client.post("/search/image", files=framed, data={"box": "0,0,1,1"}).json()
    assert (found["borders_left_out"], found["part"]) == (True, {"x": 0, "y": 0.2, "width": 1, "height": 0.6})
    assert similarities(found) == pytest.approx(similarities(bare), abs=1e-6)
    assert (kept["borders_left_out"], kept["part"]) == (False, None)
    assert similarities(kept) == similarities(drawn) != similarities(found)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ("0.5,0.5,0.6,0.1", "extends beyond the photograph"),
        ("0.5,0.5,0,0.5", "has no area"),
        ("a,b,c,d", "cannot be read"),
        ("0.5,0.5,0.05,0.05", "is too small: 4 x 3 pixels"),
    ],
)
def test_an_invalid_box_is_refused(client: TestClient, box: str, says: str) -> None:
    stored = client.post("/search", json={"photo_id": photo_ids(client)["wood.jpg"], "box": box})
    uploaded = client.post("/search/image", files={"photo": jpeg(1)}, data={"box": box})
    for answer in (stored, uploaded):
        assert says in error_message(answer, 400, "usage")
    text = client.post("/search", json={"text": "a cat", "box": "0,0,0.5,0.5"})
    assert "a text has none" in error_message(text, 400, "usage")


def test_a_crop_of_a_missing_or_broken_file_is_refused(own_client: TestClient, sample_library: SampleLibrary) -> None:
    ids = photo_ids(own_client)
    (sample_library.photographs / "wood.jpg").unlink()
    (sample_library.photographs / "moss.tif").write_bytes(b"no photograph")
    gone = own_client.post("/search", json={"photo_id": ids["wood.jpg"], "box": "0,0,0.5,0.5"})
    assert "is not there any more" in error_message(gone, 404, "not_found")
    broken = own_client.post("/search", json={"photo_id": ids["moss.tif"], "box": "0,0,0.5,0.5"})
    assert "cannot be searched with" in error_message(broken, 415, "photograph")


def test_an_upload_of_nothing_but_border_is_refused(client: TestClient) -> None:
    black = {"photo": png(Image.new("RGB", (320, 240)))}
    assert "all border" in error_message(client.post("/search/image", files=black), 400, "usage")
    assert client.post("/search/image", files=black, data={"keep_borders": "true"}).status_code == 200


def test_min_match_leaves_out_hits_below_it(client: TestClient) -> None:
    answer = client.get("/search", params={"text": "a cat", "min_match": 1}).json()
    assert (answer["hits"], answer["answerable"]) == ([], False)
    assert answer["min_match"] == 1
    assert 0 < answer["best_match"] < 1


def test_the_fitted_min_match_applies_unless_the_query_has_one(
    own_client: TestClient, sample_library: SampleLibrary
) -> None:
    fingerprint = own_client.get("/status").json()["model"]["fingerprint"]
    first = own_client.get("/search", params={"text": "a cat"}).json()
    assert (first["calibration"], first["min_match"], len(first["hits"])) == ("background", 0, 5)
    # The service runs on while somebody fits a match for its library.
    make_artifact(fingerprint, min_match=0.999).save(sample_library.folder)
    for answer in (
        own_client.get("/search", params={"text": "a cat"}),
        own_client.post("/search", json={"text": "a cat"}),
        own_client.post("/search", json={"text": "a cat", "min_match": None}),
    ):
        facts = answer.json()
        assert (facts["calibration"], facts["min_match"]) == ("ratings", 0.999)
        assert (facts["hits"], facts["answerable"]) == ([], False)
        assert 0 < facts["best_match"] < 0.999
    nearest = own_client.get("/search", params={"text": "a cat", "min_match": 0}).json()
    assert (len(nearest["hits"]), nearest["min_match"], nearest["answerable"]) == (5, 0, False)
    uploaded = own_client.post("/search/image", files={"photo": jpeg(1)}).json()
    assert (len(uploaded["hits"]), uploaded["min_match"], uploaded["answerable"]) == (5, 0, True)
    status = own_client.get("/status").json()
    assert (status["calibration"], status["trained_on"], status["min_match"]) == ("ratings", "ratings of nobody", 0.999)


def test_hits_and_score_give_the_same_match(own_client: TestClient, sample_library: SampleLibrary) -> None:
    model = own_client.get("/status").json()["model"]
    make_artifact(model["fingerprint"], make_feature_model(model["dimension"])).save(sample_library.folder)
    answer = own_client.get("/search", params={"text": "a cat"}).json()
    matches = [hit["match"] for hit in answer["hits"]]
    assert matches == sorted(matches, reverse=True)
    assert answer["calibration"] == "ratings"
    for hit in answer["hits"]:
        scored = own_client.post("/score", json={"photo_id": hit["id"], "text": "a cat"}).json()
        assert scored["match"] == pytest.approx(hit["match"], abs=1e-5)
        assert scored["similarity"] == pytest.approx(hit["similarity"], abs=1e-5)


def test_a_broken_match_file_in_the_library_is_reported(own_client: TestClient, sample_library: SampleLibrary) -> None:
    (sample_library.folder / "match.json").write_text("{")
    answer = own_client.get("/search", params={"text": "a cat"})
    assert str(sample_library.folder / "match.json") in error_message(answer, 503, "model")
    (sample_library.folder / "match.json").unlink()
    assert own_client.get("/search", params={"text": "a cat"}).json()["calibration"] == "background"


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        ({}, 400, "A search needs one thing to look for, a text or a photograph; it was given 0"),
        ({"text": ""}, 400, "The text is empty"),
        ({"text": "  \n"}, 400, "The text is empty"),
        ({"text": "a" * 10_000}, 400, "10,000 characters, and at most 1,000"),
        ({"text": "a", "k": 0}, 400, "k is 0; it must be from 1 to 1,000"),
        ({"text": "a", "k": 1001}, 400, "k is 1001"),
        ({"text": "a", "k": 10**30}, 400, "must be from 1 to 1,000"),
        ({"text": "a", "k": "five"}, 422, "`k`: Input should be a valid integer"),
        ({"text": "a", "k": 1.5}, 422, "`k`: Input should be a valid integer"),
        ({"text": "a", "min_match": -0.1}, 400, "min_match is -0.1; it must be from 0 to 1"),
        ({"text": "a", "min_match": "nan"}, 400, "min_match is nan"),
        ({"text": "a", "min_match": "inf"}, 400, "min_match is inf"),
    ],
)
def test_get_search_refuses_invalid_parameters(
    client: TestClient, parameters: dict[str, Any], status: int, says: str
) -> None:
    assert says in error_message(client.get("/search", params=parameters), status, "usage")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ('{"text": "a", "photo_id": 1}', 400, "one thing to look for, a text or a photograph; it was given 2"),
        ("{}", 400, "it was given 0"),
        ('{"text": null}', 400, "it was given 0"),
        ('{"text": "a", "min_match": NaN}', 400, "min_match is nan"),
        ('{"text": "a", "k": 0}', 400, "k is 0"),
        ('{"text": "a", "colour": "red"}', 422, "`colour` is not a known field"),
        ('{"text": 5}', 422, "`text`: Input should be a valid string"),
        ('{"text": "\\ud83d"}', 400, "The text is not Unicode"),
        ("{broken", 422, "The body is not valid JSON"),
        ("", 422, "The body must be JSON"),
        ("[1]", 422, "The body must be JSON"),
        ("[" * 50_000, 400, "The request cannot be read"),
    ],
)
def test_post_search_refuses_invalid_bodies(client: TestClient, body: str, status: int, says: str) -> None:
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    assert says in error_message(answer, status, "usage")


@pytest.mark.parametrize("photo_id", [0, -1, 99, 2**63, -(2**70), 10**30])
def test_unknown_photo_ids_are_not_found(client: TestClient, photo_id: int) -> None:
    says = f"There is no photograph {photo_id} in this library."
    assert error_message(client.post("/search", json={"photo_id": photo_id}), 404, "not_found") == says
    assert error_message(client.post("/score", json={"photo_id": photo_id, "text": "a"}), 404, "not_found") == says
    for what in ("", "/image", "/thumbnail"):
        assert error_message(client.get(f"/photos/{photo_id}{what}"), 404, "not_found") == says
    error_message(client.get("/photos/one"), 422, "usage")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(st.text(max_size=40), st.just("a" * 1001), st.text(alphabet="\x00\ud800\u202e🐱й\n", max_size=9)),
    k=st.one_of(st.integers(), st.integers(-1, MAX_K + 1)),
    min_match=st.one_of(st.floats(), st.floats(0, 1)),
)
def test_every_query_gets_hits_or_an_error_message(client: TestClient, text: str, k: int, min_match: float) -> None:
    try:
        Query(text=text, k=k, min_match=min_match)
        fits = True
    except SmyslError:
        fits = False
    body = json.dumps({"text": text, "k": k, "min_match": min_match})
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    if fits:
        assert answer.status_code == 200, answer.text
        hits = answer.json()["hits"]
        assert len(hits) <= min(k, 5)
        assert all(hit["match"] >= min_match for hit in hits)
    else:
        error_message(answer, 400, "usage")


def test_score_by_id_and_by_upload_agree(client: TestClient, shared_library: SampleLibrary) -> None:
    photo_id = photo_ids(client)["sand.png"]
    by_id = client.post("/score", json={"photo_id": photo_id, "text": "a cat"}).json()
    assert by_id.keys() == {"match", "similarity"}
    files = {"photo": (shared_library.photographs / "sand.png").read_bytes()}
    uploaded = client.post("/score", files=files, data={"text": "a cat"}).json()
    assert uploaded["similarity"] == pytest.approx(by_id["similarity"], abs=2e-3)
    hits = client.get("/search", params={"text": "a cat"}).json()["hits"]
    found = next(hit for hit in hits if hit["id"] == photo_id)
    assert found["similarity"] == pytest.approx(by_id["similarity"], abs=2e-3)
    assert found["match"] == pytest.approx(by_id["match"], abs=2e-3)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{broken", "A score needs JSON such as"),
        ("", "A score needs JSON such as"),
        ("[" * 50_000, "A score needs JSON such as"),
        (b"\xff", "A score needs JSON such as"),
        ('{"photo_id": 1}', "`text` is missing"),
        ('{"text": "a"}', "`photo_id` is missing"),
        ('{"photo_id": 1, "text": "a", "k": 3}', "`k` is not a known field"),
        ('{"photo_id": "one", "text": "a"}', "`photo_id`: Input should be a valid integer"),
        ('{"photo_id": 1, "text": ""}', "The text is empty"),
        ('{"photo_id": 1, "text": "\\ud83d"}', "The text is not Unicode"),
    ],
)
def test_score_refuses_invalid_bodies(client: TestClient, body: str | bytes, says: str) -> None:
    answer = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert says in error_message(answer, 400, "usage")


def test_score_refuses_an_incomplete_form(client: TestClient) -> None:
    needs = "`photo` (a file) and `text`"
    assert needs in error_message(client.post("/score", files={"photo": jpeg(1)}), 400, "usage")
    assert needs in error_message(
        client.post("/score", files={"photo": (None, "a"), "text": (None, "a")}), 400, "usage"
    )
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert "cannot be read" in error_message(client.post("/score", content=b"nonsense", headers=form), 400, "usage")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"this is no photograph", "it is not a photograph"),
        (jpeg(1)[:400], "the file is damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is not a photograph"),
    ],
)
def test_uploads_that_are_not_photographs_are_refused(client: TestClient, content: bytes, says: str) -> None:
    for answer in (
        client.post("/search/image", files={"photo": content}),
        client.post("/score", files={"photo": content}, data={"text": "a cat"}),
    ):
        message = error_message(answer, 415, "photograph")
        assert message.startswith("The upload cannot be used as a photograph: ")
        assert says in message


def test_an_upload_with_too_many_pixels_is_refused(shared_library: SampleLibrary) -> None:
    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG")
    with shared_library.open() as library, client_of(create_app(library)) as client:
        message = error_message(client.post("/search/image", files={"photo": out.getvalue()}), 415, "photograph")
    assert "too many pixels" in message


def test_search_by_upload_refuses_invalid_fields(client: TestClient) -> None:
    assert "`photo` is missing" in error_message(client.post("/search/image"), 422, "usage")
    assert "must be a file" in error_message(client.post("/search/image", data={"photo": "a"}), 422, "usage")
    for k in ("0", "1001"):
        answer = client.post("/search/image", files={"photo": jpeg(1)}, data={"k": k})
        assert f"k is {k}" in error_message(answer, 400, "usage")
    answer = client.post("/search/image", files={"photo": jpeg(1)}, data={"min_match": "nan"})
    assert "min_match is nan" in error_message(answer, 400, "usage")
