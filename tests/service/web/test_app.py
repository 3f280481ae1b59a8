"""HTTP as a program meets it: every address, every error in one shape, and what must never get out."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from starlette.testclient import TestClient

from service.errors import SmyslError
from service.indexing.indexer import Event, Scanned
from service.library import Library
from service.search.query import MOST_K, Query
from service.web.app import create_app
from tests.service.conftest import Shelf
from tests.service.matches import a_match, an_interaction
from tests.service.pictures import jpeg, picture, save_picture

if TYPE_CHECKING:
    from fastapi import FastAPI


def client_of(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def library(standing: Shelf) -> Iterator[Library]:
    """A library to ask and not to change."""
    with standing.open(upload_limit_mb=0.1) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    with client_of(create_app(library)) as opened:
        yield opened


@pytest.fixture
def own_client(shelf: Shelf) -> Iterator[TestClient]:
    """A service over a library of the test's own, whose files may be changed."""
    with shelf.open() as library, client_of(create_app(library)) as opened:
        yield opened


def ids(client: TestClient) -> dict[str, int]:
    """The id of each photograph by its name."""
    hits = client.get("/search", params={"text": "a cat", "k": 200}).json()["hits"]
    return {hit["name"]: hit["id"] for hit in hits}


def refused(answer: httpx.Response, status: int, kind: str) -> str:
    """The sentence of an answer that is an error in the one shape that there is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"kind", "message"}
    assert body["error"]["kind"] == kind
    message = body["error"]["message"]
    assert isinstance(message, str)
    assert message.endswith(".")
    assert message[0].isupper() or message[0] in "`k" or message.startswith("min_match")
    assert "Traceback" not in message
    return message


# -- search -----------------------------------------------------------------------------------------


def test_search_by_text(client: TestClient, standing: Shelf) -> None:
    answer = client.get("/search", params={"text": "two dogs play in the snow", "k": 3}).json()
    assert answer.keys() == {
        "hits", "took_ms", "model", "calibration", "min_match", "answerable", "best_match", "notice", "photographs",
        "part", "borders_left_out", "head",
    }  # fmt: skip
    assert (answer["model"], answer["photographs"], answer["answerable"]) == (standing.model, 5, True)
    assert len(answer["hits"]) == 3
    matches = [hit["match"] for hit in answer["hits"]]
    assert matches == sorted(matches, reverse=True)
    assert answer["best_match"] == matches[0]
    for hit in answer["hits"]:
        assert 0 <= hit["match"] <= 1
        assert -1 <= hit["similarity"] <= 1
        assert hit["uri"] == str(standing.photographs / hit["name"])
        assert (hit["width"], hit["height"]) == (80, 60)
        assert hit["bytes"] == Path(hit["uri"]).stat().st_size
        assert hit["links"]["image"] == f"/photos/{hit['id']}/image"


def test_get_and_post_answer_the_same(client: TestClient) -> None:
    got = client.get("/search", params={"text": "a cat"}).json()
    posted = client.post("/search", json={"text": "a cat", "photo_id": None}).json()
    assert len(got["hits"]) == 5
    assert got["hits"] == posted["hits"]


def test_search_like_a_photograph_of_the_library_leaves_it_out(client: TestClient) -> None:
    known = ids(client)
    answer = client.post("/search", json={"photo_id": known["wood.jpg"], "k": 200}).json()
    assert {hit["name"] for hit in answer["hits"]} == known.keys() - {"wood.jpg"}


def test_search_by_upload_finds_that_photograph(client: TestClient, standing: Shelf) -> None:
    for name in ("wood.jpg", "moss.tif", "snow.webp", "clay.heic"):
        form = {"k": "1", "min_match": "0"}
        with (standing.photographs / name).open("rb") as file:
            answer = client.post("/search/image", files={"photo": (name, file)}, data=form).json()
        assert [hit["name"] for hit in answer["hits"]] == [name]
        assert answer["hits"][0]["similarity"] > 0.99


def test_a_part_of_a_photograph_of_the_library_searches(client: TestClient) -> None:
    known = ids(client)
    whole = client.post("/search", json={"photo_id": known["wood.jpg"], "k": 200}).json()
    part = client.post("/search", json={"photo_id": known["wood.jpg"], "k": 200, "box": "0.5,0.25,0.5,0.5"}).json()
    assert {hit["name"] for hit in part["hits"]} == known.keys() - {"wood.jpg"}
    assert part["part"] == {"x": 0.5, "y": 0.25, "width": 0.5, "height": 0.5}
    assert (part["borders_left_out"], whole["part"], whole["borders_left_out"]) == (False, None, False)
    assert similarities(part) != similarities(whole)


def test_a_part_of_an_upload_searches_as_that_part_alone_would(client: TestClient) -> None:
    whole = picture(7, (160, 120))
    left = whole.crop((0, 0, 80, 120))
    part = client.post("/search/image", files={"photo": png(whole)}, data={"box": "0,0,0.5,1"}).json()
    alone = client.post("/search/image", files={"photo": png(left)}).json()
    assert similarities(part) == pytest.approx(similarities(alone), abs=1e-6)
    assert part["part"] == {"x": 0, "y": 0, "width": 0.5, "height": 1}


def test_the_borders_of_an_upload_are_left_out_unless_they_are_kept(client: TestClient) -> None:
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
        ("0.5,0.5,0.6,0.1", "reaches out of the photograph"),
        ("0.5,0.5,0,0.5", "has no area"),
        ("a,b,c,d", "cannot be read"),
        ("0.5,0.5,0.05,0.05", "is too small: 4 x 3 pixels"),
    ],
)
def test_a_box_that_is_none_is_refused_in_a_sentence(client: TestClient, box: str, says: str) -> None:
    stored = client.post("/search", json={"photo_id": ids(client)["wood.jpg"], "box": box})
    uploaded = client.post("/search/image", files={"photo": jpeg(1)}, data={"box": box})
    for answer in (stored, uploaded):
        assert says in refused(answer, 400, "usage")
    text = client.post("/search", json={"text": "a cat", "box": "0,0,0.5,0.5"})
    assert "a text has none" in refused(text, 400, "usage")


def test_a_part_of_a_photograph_whose_file_is_gone_is_refused(own_client: TestClient, shelf: Shelf) -> None:
    known = ids(own_client)
    (shelf.photographs / "wood.jpg").unlink()
    (shelf.photographs / "moss.tif").write_bytes(b"no photograph")
    gone = own_client.post("/search", json={"photo_id": known["wood.jpg"], "box": "0,0,0.5,0.5"})
    assert "is not there any more" in refused(gone, 404, "not_found")
    broken = own_client.post("/search", json={"photo_id": known["moss.tif"], "box": "0,0,0.5,0.5"})
    assert "cannot be searched with" in refused(broken, 415, "photograph")


def test_an_upload_that_is_all_border_is_refused(client: TestClient) -> None:
    black = {"photo": png(Image.new("RGB", (320, 240)))}
    assert "all border" in refused(client.post("/search/image", files=black), 400, "usage")
    assert client.post("/search/image", files=black, data={"keep_borders": "true"}).status_code == 200


def similarities(answer: dict[str, Any]) -> list[float]:
    """In the order of the photographs' names."""
    return [hit["similarity"] for hit in sorted(answer["hits"], key=lambda hit: str(hit["name"]))]


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_min_match_cuts(client: TestClient) -> None:
    answer = client.get("/search", params={"text": "a cat", "min_match": 1}).json()
    assert (answer["hits"], answer["answerable"]) == ([], False)
    assert answer["min_match"] == 1
    assert 0 < answer["best_match"] < 1


def test_the_cut_of_the_match_holds_until_another_is_asked_for(own_client: TestClient, shelf: Shelf) -> None:
    fingerprint = own_client.get("/status").json()["model"]["fingerprint"]
    first = own_client.get("/search", params={"text": "a cat"}).json()
    assert (first["calibration"], first["min_match"], len(first["hits"])) == ("background", 0, 5)
    # The service runs on while somebody fits a match for its library.
    a_match(fingerprint, min_match=0.999).save(shelf.library)
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


def test_hits_have_the_match_that_score_gives(own_client: TestClient, shelf: Shelf) -> None:
    model = own_client.get("/status").json()["model"]
    a_match(model["fingerprint"], an_interaction(model["dimension"])).save(shelf.library)
    answer = own_client.get("/search", params={"text": "a cat"}).json()
    matches = [hit["match"] for hit in answer["hits"]]
    assert matches == sorted(matches, reverse=True)
    assert answer["calibration"] == "ratings"
    for hit in answer["hits"]:
        scored = own_client.post("/score", json={"photo_id": hit["id"], "text": "a cat"}).json()
        assert scored["match"] == pytest.approx(hit["match"], abs=1e-5)
        assert scored["similarity"] == pytest.approx(hit["similarity"], abs=1e-5)


def test_a_broken_match_in_the_library_gets_a_sentence(own_client: TestClient, shelf: Shelf) -> None:
    (shelf.library / "match.json").write_text("{")
    answer = own_client.get("/search", params={"text": "a cat"})
    assert str(shelf.library / "match.json") in refused(answer, 503, "model")
    (shelf.library / "match.json").unlink()
    assert own_client.get("/search", params={"text": "a cat"}).json()["calibration"] == "background"


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        ({}, 422, "`text` is missing"),
        ({"text": ""}, 400, "The text is empty"),
        ({"text": "  \n"}, 400, "The text is empty"),
        ({"text": "a" * 10_000}, 400, "10,000 characters, and at most 1,000"),
        ({"text": "a", "k": 0}, 400, "k is 0; it must be from 1 to 200"),
        ({"text": "a", "k": 201}, 400, "k is 201"),
        ({"text": "a", "k": 10**30}, 400, "must be from 1 to 200"),
        ({"text": "a", "k": "five"}, 422, "`k`: Input should be a valid integer"),
        ({"text": "a", "k": 1.5}, 422, "`k`: Input should be a valid integer"),
        ({"text": "a", "min_match": -0.1}, 400, "min_match is -0.1; it must be from 0 to 1"),
        ({"text": "a", "min_match": "nan"}, 400, "min_match is nan"),
        ({"text": "a", "min_match": "inf"}, 400, "min_match is inf"),
    ],
)
def test_get_search_refuses(client: TestClient, parameters: dict[str, Any], status: int, says: str) -> None:
    assert says in refused(client.get("/search", params=parameters), status, "usage")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ('{"text": "a", "photo_id": 1}', 400, "one thing to look for, a text or a photograph; it was given 2"),
        ("{}", 400, "it was given 0"),
        ('{"text": null}', 400, "it was given 0"),
        ('{"text": "a", "min_match": NaN}', 400, "min_match is nan"),
        ('{"text": "a", "k": 0}', 400, "k is 0"),
        ('{"text": "a", "colour": "red"}', 422, "`colour` is not known here"),
        ('{"text": 5}', 422, "`text`: Input should be a valid string"),
        ('{"text": "\\ud83d"}', 400, "The text is not Unicode"),
        ("{broken", 422, "The body is not JSON"),
        ("", 422, "The body must be JSON"),
        ("[1]", 422, "The body must be JSON"),
        ("[" * 50_000, 400, "The request cannot be read"),
    ],
)
def test_post_search_refuses(client: TestClient, body: str, status: int, says: str) -> None:
    answer = client.post("/search", content=body, headers={"content-type": "application/json"})
    assert says in refused(answer, status, "usage")


@pytest.mark.parametrize("photo_id", [0, -1, 99, 2**63, -(2**70), 10**30])
def test_unknown_photographs(client: TestClient, photo_id: int) -> None:
    says = f"There is no photograph {photo_id} in this library."
    assert refused(client.post("/search", json={"photo_id": photo_id}), 404, "not_found") == says
    assert refused(client.post("/score", json={"photo_id": photo_id, "text": "a"}), 404, "not_found") == says
    for what in ("", "/image", "/thumbnail"):
        assert refused(client.get(f"/photos/{photo_id}{what}"), 404, "not_found") == says
    refused(client.get("/photos/one"), 422, "usage")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(st.text(max_size=40), st.just("a" * 1001), st.text(alphabet="\x00\ud800\u202e🐱й\n", max_size=9)),
    k=st.one_of(st.integers(), st.integers(-1, MOST_K + 1)),
    min_match=st.one_of(st.floats(), st.floats(0, 1)),
)
def test_whatever_is_asked_gets_an_answer_or_a_sentence(
    client: TestClient, text: str, k: int, min_match: float
) -> None:
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
        refused(answer, 400, "usage")


# -- score ------------------------------------------------------------------------------------------


def test_score_by_id_and_by_upload_agree(client: TestClient, standing: Shelf) -> None:
    photo_id = ids(client)["sand.png"]
    by_id = client.post("/score", json={"photo_id": photo_id, "text": "a cat"}).json()
    assert by_id.keys() == {"match", "similarity"}
    files = {"photo": (standing.photographs / "sand.png").read_bytes()}
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
        ('{"photo_id": 1, "text": "a", "k": 3}', "`k` is not known here"),
        ('{"photo_id": "one", "text": "a"}', "`photo_id`: Input should be a valid integer"),
        ('{"photo_id": 1, "text": ""}', "The text is empty"),
        ('{"photo_id": 1, "text": "\\ud83d"}', "The text is not Unicode"),
    ],
)
def test_score_refuses(client: TestClient, body: str | bytes, says: str) -> None:
    answer = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert says in refused(answer, 400, "usage")


def test_score_refuses_half_a_form(client: TestClient) -> None:
    needs = "`photo` (a file) and `text`"
    assert needs in refused(client.post("/score", files={"photo": jpeg(1)}), 400, "usage")
    assert needs in refused(client.post("/score", files={"photo": (None, "a"), "text": (None, "a")}), 400, "usage")
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert "cannot be read" in refused(client.post("/score", content=b"nonsense", headers=form), 400, "usage")


# -- uploads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"this is no photograph", "it is not a photograph"),
        (jpeg(1)[:400], "the file is damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is not a photograph"),
    ],
)
def test_uploads_that_are_no_photograph(client: TestClient, content: bytes, says: str) -> None:
    for answer in (
        client.post("/search/image", files={"photo": content}),
        client.post("/score", files={"photo": content}, data={"text": "a cat"}),
    ):
        message = refused(answer, 415, "photograph")
        assert message.startswith("The upload cannot be used as a photograph: ")
        assert says in message


def test_an_upload_of_too_many_pixels(standing: Shelf) -> None:
    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG")
    with standing.open() as library, client_of(create_app(library)) as client:
        message = refused(client.post("/search/image", files={"photo": out.getvalue()}), 415, "photograph")
    assert "too many pixels" in message


def test_search_by_upload_refuses(client: TestClient) -> None:
    assert "`photo` is missing" in refused(client.post("/search/image"), 422, "usage")
    assert "must be a file" in refused(client.post("/search/image", data={"photo": "a"}), 422, "usage")
    for k in ("0", "201"):
        answer = client.post("/search/image", files={"photo": jpeg(1)}, data={"k": k})
        assert f"k is {k}" in refused(answer, 400, "usage")
    answer = client.post("/search/image", files={"photo": jpeg(1)}, data={"min_match": "nan"})
    assert "min_match is nan" in refused(answer, 400, "usage")


@pytest.mark.parametrize("path", ["/search/image", "/score", "/search"])
def test_an_upload_that_announces_too_much_is_not_read(library: Library, path: str) -> None:
    read, answer = asyncio.run(_upload(library, path, chunks=100, announce=True))
    assert "larger than 0.1 MB" in refused(answer, 413, "too_large")
    assert read == 0


@pytest.mark.parametrize("path", ["/search/image", "/score"])
def test_an_upload_that_announces_nothing_is_cut_off_while_it_streams(library: Library, path: str) -> None:
    read, answer = asyncio.run(_upload(library, path, chunks=100, announce=False))
    message = refused(answer, 413, "too_large")
    assert "SMYSL_UPLOAD_LIMIT_MB" in message
    assert answer.headers["connection"] == "close"
    assert 10 <= read <= 12


def test_an_upload_just_under_the_limit_is_read(library: Library) -> None:
    read, answer = asyncio.run(_upload(library, "/search/image", chunks=9, announce=False))
    assert read == 9
    refused(answer, 415, "photograph")


async def _upload(library: Library, path: str, *, chunks: int, announce: bool) -> tuple[int, httpx.Response]:
    """Send a form of `chunks` pieces of 10,000 bytes; how many of them were taken, and the answer."""
    read = 0
    head = b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    tail = b"\r\n--x--\r\n"

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield head
        for _ in range(chunks):
            read += 1
            yield b"x" * 10_000
        yield tail

    headers = {"content-type": "multipart/form-data; boundary=x"}
    if announce:
        headers["content-length"] = str(len(head) + chunks * 10_000 + len(tail))
    transport = httpx.ASGITransport(create_app(library))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post(path, content=body(), headers=headers)
    return read, answer


def test_a_length_of_thousands_of_digits(client: TestClient) -> None:
    answer = client.post("/search", content=b"{}", headers={"content-length": "9" * 5000})
    refused(answer, 413, "too_large")


# -- photographs ------------------------------------------------------------------------------------


def test_facts_of_a_photograph(client: TestClient, standing: Shelf) -> None:
    facts = client.get(f"/photos/{ids(client)['clay.heic']}").json()
    assert facts["uri"] == str(standing.photographs / "clay.heic")
    assert (facts["name"], facts["format"], facts["width"], facts["height"]) == ("clay.heic", "HEIF", 80, 60)


@pytest.mark.parametrize(("name", "kind"), [("wood.jpg", "jpeg"), ("sand.png", "png"), ("snow.webp", "webp")])
def test_formats_that_browsers_show_are_sent_as_they_are(
    client: TestClient, standing: Shelf, name: str, kind: str
) -> None:
    answer = client.get(f"/photos/{ids(client)[name]}/image")
    assert answer.headers["content-type"] == f"image/{kind}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert name in answer.headers["content-disposition"]
    assert answer.content == (standing.photographs / name).read_bytes()


@pytest.mark.parametrize("name", ["moss.tif", "clay.heic"])
def test_formats_that_browsers_do_not_show_are_sent_as_jpeg(client: TestClient, standing: Shelf, name: str) -> None:
    answer = client.get(f"/photos/{ids(client)[name]}/image")
    assert answer.headers["content-type"] == "image/jpeg"
    sent = Image.open(io.BytesIO(answer.content))
    assert sent.format == "JPEG"
    with Image.open(standing.photographs / name) as original:
        difference = np.asarray(sent, float) - np.asarray(original.convert("RGB"), float)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("name", ["turned.tif", "turned.heic", "turned.jpg"])
def test_a_photograph_taken_upright_is_delivered_upright(shelf: Shelf, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the picture rotated by 90 degrees clockwise
    save_picture(shelf.photographs / name, 11, exif=exif.tobytes())
    upright = np.asarray(picture(11).rotate(-90, expand=True), float)
    with shelf.open() as library:
        for _ in library.index():
            pass
        with client_of(create_app(library)) as client:
            photo_id = ids(client)[name]
            facts = client.get(f"/photos/{photo_id}").json()
            pictures = [client.get(f"/photos/{photo_id}/thumbnail").content]
            if not name.endswith(".jpg"):
                pictures.append(client.get(f"/photos/{photo_id}/image").content)
    assert (facts["width"], facts["height"]) == (60, 80)
    for sent in pictures:
        shown = np.asarray(Image.open(io.BytesIO(sent)), float)
        assert shown.shape == upright.shape
        assert np.abs(shown - upright).mean() < 8


def test_a_thumbnail_is_a_small_jpeg(shelf: Shelf) -> None:
    save_picture(shelf.photographs / "large.jpg", 5, size=(1600, 900))
    with shelf.open() as library:
        for _ in library.index():
            pass
        with client_of(create_app(library)) as client:
            answer = client.get(f"/photos/{ids(client)['large.jpg']}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (384, 216)


def test_a_thumbnail_that_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    known = ids(client)
    path = f"/photos/{known['wood.jpg']}/thumbnail"
    etag = client.get(path).headers["etag"]
    for mark in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(path, headers={"if-none-match": mark})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get(f"/photos/{known['sand.png']}/thumbnail").headers["etag"] != etag


@pytest.mark.parametrize("what", ["image", "thumbnail"])
@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_head_has_the_headers_of_get(client: TestClient, name: str, what: str) -> None:
    path = f"/photos/{ids(client)[name]}/{what}"
    got, headed = client.get(path), client.head(path)
    assert headed.status_code == 200
    assert headed.content == b""
    assert headed.headers == got.headers
    assert int(headed.headers["content-length"]) == len(got.content)
    assert client.head("/photos/99/image").status_code == 404


def test_part_of_an_image(client: TestClient, standing: Shelf) -> None:
    answer = client.get(f"/photos/{ids(client)['wood.jpg']}/image", headers={"range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.content == (standing.photographs / "wood.jpg").read_bytes()[10:20]


def test_a_file_that_is_gone(own_client: TestClient, shelf: Shelf) -> None:
    known = ids(own_client)
    for name in ("wood.jpg", "moss.tif"):
        (shelf.photographs / name).unlink()
        message = refused(own_client.get(f"/photos/{known[name]}/image"), 404, "not_found")
        assert name in message
        assert "smysl index" in message
        thumbnail = own_client.get(f"/photos/{known[name]}/thumbnail")
        assert Image.open(io.BytesIO(thumbnail.content)).format == "JPEG"
        assert own_client.get(f"/photos/{known[name]}").status_code == 200


@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_a_photograph_that_became_a_link_out_of_its_folder(
    own_client: TestClient, shelf: Shelf, tmp_path: Path, name: str
) -> None:
    photo_id = ids(own_client)[name]
    secret = save_picture(tmp_path / f"secret{Path(name).suffix}", 9)
    (shelf.photographs / name).unlink()
    (shelf.photographs / name).symlink_to(secret)
    message = refused(own_client.get(f"/photos/{photo_id}/image"), 403, "forbidden")
    assert "secret" not in message
    assert str(photo_id) in message


def test_a_folder_that_became_a_link_to_elsewhere(shelf: Shelf, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shelf.photographs.rename(elsewhere)
    shelf.photographs.symlink_to(elsewhere)
    with shelf.open() as library, client_of(create_app(library)) as client:
        refused(client.get(f"/photos/{ids(client)['wood.jpg']}/image"), 403, "forbidden")


def test_a_link_that_leads_in_a_circle(own_client: TestClient, shelf: Shelf) -> None:
    photo_id = ids(own_client)["wood.jpg"]
    (shelf.photographs / "wood.jpg").unlink()
    (shelf.photographs / "wood.jpg").symlink_to(shelf.photographs / "wood.jpg")
    refused(own_client.get(f"/photos/{photo_id}/image"), 404, "not_found")


def test_a_file_that_became_no_photograph(own_client: TestClient, shelf: Shelf) -> None:
    photo_id = ids(own_client)["moss.tif"]
    (shelf.photographs / "moss.tif").write_bytes(b"root:x:0:0")
    message = refused(own_client.get(f"/photos/{photo_id}/image"), 415, "photograph")
    assert message.startswith(f"The file of photograph {photo_id} cannot be shown: ")


@pytest.mark.parametrize(
    "path",
    [
        "/photos/../../etc/passwd",
        "/photos/%2e%2e/%2e%2e/etc/passwd",
        "/photos/..%2f..%2fetc%2fpasswd",
        "/photos/1/image/../../../etc/passwd",
        "/page/../cli.py",
        "/page/%2e%2e/cli.py",
        "/page/..%2fcli.py",
        "/page/%2e%2e%2fcli.py",
        "/page/....//cli.py",
        "/page//etc/passwd",
        "/page/%00",
        "/page/" + "a" * 5000,
        "/page/",
        "/nothing",
        "/photos/1/nothing",
    ],
)
def test_addresses_where_there_is_nothing(library: Library, path: str) -> None:
    """The path is handed over as it is written; a client would tidy it up before it sends it."""
    status, body = asyncio.run(_get_as_written(library, path))
    assert status in (404, 422), body
    error = json.loads(body)["error"]
    assert error["kind"] in ("not_found", "usage")
    assert error["message"].endswith(".")
    assert b"import" not in body
    assert b"root:" not in body


async def _get_as_written(library: Library, path: str) -> tuple[int, bytes]:
    from urllib.parse import unquote

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await create_app(library)(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


# -- methods, hosts, the page -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/health"), ("DELETE", "/photos/1"), ("PUT", "/search"), ("GET", "/score"), ("POST", "/page/page.js")],
)
def test_methods_that_are_not_answered(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert refused(answer, 405, "usage") == f"{method} is not answered at this address; /docs says what is."
    assert method not in answer.headers["allow"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:9", "127.8.8.8", "[::1]", "[::1]:8000"])
def test_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "192.168.1.5", "[::2]:80", "", "["]
)
def test_names_of_other_machines(client: TestClient, host: str) -> None:
    for path in ("/health", "/", "/page/page.js", "/photos/1/image"):
        message = refused(client.get(path, headers={"host": host}), 403, "forbidden")
        assert "--host" in message


def test_a_service_for_others_answers_to_every_name(standing: Shelf) -> None:
    with standing.open(host="0.0.0.0") as library, client_of(create_app(library)) as client:  # noqa: S104
        assert client.get("/health", headers={"host": "photographs.example"}).status_code == 200


def test_the_page_is_served_with_its_guard(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/page/page.js").headers["content-type"].startswith("text/javascript")
    assert client.head("/").status_code == 200


def test_a_fault_of_ours_is_a_sentence_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Library, query: Query) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Library, "search", broken)
    message = refused(client.get("/search", params={"text": "a cat"}), 500, "error")
    assert "secret" not in message


# -- state ------------------------------------------------------------------------------------------


def test_health_and_status(client: TestClient, standing: Shelf) -> None:
    assert client.get("/health").json() == {"status": "ok", "photographs": 5}
    status = client.get("/status").json()
    assert (status["library"], status["photographs"]) == (str(standing.library), 5)
    assert status["roots"] == [str(standing.photographs)]
    assert status["model"]["name"] == standing.model
    assert status["model"]["dimension"] == 16
    assert status["model"]["runtime"] == "openvino"
    assert status["model"]["precision"] == status["model"]["text_precision"] in ("fp32", "bf16")
    assert status["index"]["photographs"] == 5
    assert (status["writer"], status["indexing"]) == (None, None)


def test_health_asks_the_model(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.errors import ModelError

    def broken() -> None:
        raise ModelError("The model is gone.")

    monkeypatch.setattr(library, "check", broken)
    with client_of(create_app(library)) as client:
        assert refused(client.get("/health"), 503, "model") == "The model is gone."


def test_an_empty_library_says_how_to_fill_it(empty_shelf: Shelf) -> None:
    with empty_shelf.open() as library, client_of(create_app(library)) as client:
        assert client.get("/health").json() == {"status": "empty", "photographs": 0}
        status = client.get("/status").json()
        assert (status["photographs"], status["model"], status["index"]) == (0, None, None)
        assert (status["calibration"], status["trained_on"], status["min_match"]) == (None, None, None)
        fill = f"The library {empty_shelf.library} is empty. Fill it with `smysl index DIR`."
        for answer in (
            client.get("/search", params={"text": "a cat"}),
            client.post("/search/image", files={"photo": jpeg(1)}),
            client.post("/score", files={"photo": jpeg(1)}, data={"text": "a cat"}),
        ):
            assert refused(answer, 409, "library") == fill
        refused(client.get("/photos/1/thumbnail"), 404, "not_found")


def test_a_library_of_an_empty_folder_says_so_beside_no_hits(empty_shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with empty_shelf.open(model=empty_shelf.model) as library:
        for _ in library.index([tmp_path / "nothing"]):
            pass
        with client_of(create_app(library)) as client:
            answer = client.get("/search", params={"text": "a cat"}).json()
    assert (answer["hits"], answer["best_match"], answer["photographs"]) == ([], None, 0)
    assert "smysl index DIR" in answer["notice"]


def test_status_while_the_service_indexes(empty_shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_shelf.photographs / "bad.jpg").write_bytes(b"no")
    scanned, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    really = Library.index

    def slowly(self: Library, *arguments: Any, **options: Any) -> Iterator[Event]:
        for event in really(self, *arguments, **options):
            yield event
            if isinstance(event, Scanned):
                scanned.set()
                assert go_on.wait(30)
        ended.set()

    monkeypatch.setattr(Library, "index", slowly)
    library = empty_shelf.open(model=empty_shelf.model)
    with library, client_of(create_app(library, folders=[empty_shelf.photographs])) as client:
        assert scanned.wait(30)
        status = client.get("/status").json()
        assert status["indexing"] == {"done": 0, "total": 6, "failed": 0, "error": None}
        assert status["writer"]["doing"] == "smysl index"
        assert client.get("/search", params={"text": "a cat"}).json()["photographs"] == 0
        go_on.set()
        assert ended.wait(30)
        assert client.get("/status").json()["writer"] is None
        assert client.get("/search", params={"text": "a cat"}).json()["photographs"] == 5
        assert client.get("/status").json()["indexing"] is None


@pytest.mark.parametrize(
    ("fault", "says"), [(SmyslError("The drive is gone."), "The drive is gone."), (ZeroDivisionError(), "log")]
)
def test_status_after_an_index_run_that_failed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, fault: Exception, says: str
) -> None:
    failed = threading.Event()

    def broken(self: Library, *arguments: Any, **options: Any) -> Iterator[Event]:
        failed.set()
        raise fault

    monkeypatch.setattr(Library, "index", broken)
    with shelf.open() as library, client_of(create_app(library, folders=[shelf.photographs])) as client:
        assert failed.wait(30)
        for thread in threading.enumerate():
            if thread.name == "index":
                thread.join(30)
        assert says in client.get("/status").json()["indexing"]["error"]
        assert client.get("/search", params={"text": "a cat"}).status_code == 200


# -- the description --------------------------------------------------------------------------------

ROUTES = {
    ("get", "/search"), ("post", "/search"), ("post", "/search/image"), ("post", "/score"),
    ("get", "/photos/{photo_id}"), ("get", "/photos/{photo_id}/image"), ("get", "/photos/{photo_id}/thumbnail"),
    ("post", "/ratings"), ("get", "/ratings"), ("get", "/health"), ("get", "/heads"),
    ("get", "/status"), ("post", "/classify"),
}  # fmt: skip


def test_openapi_lists_every_route_with_typed_answers(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    described = {
        (method, path): route for path, routes in description["paths"].items() for method, route in routes.items()
    }
    assert described.keys() == ROUTES
    assert client.get("/docs").status_code == 200
    for (_, path), route in described.items():
        assert route["description"].endswith(".") or "multipart" in route["description"], path
        answers = route["responses"]
        assert answers["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorOut")
        content = answers.get("200", answers.get("201"))["content"]
        if path.endswith(("/image", "/thumbnail")) and path.startswith("/photos"):
            assert all(kind.startswith("image/") for kind in content), path
        elif path == "/classify":
            assert set(content) == {"application/x-ndjson"}
        else:
            assert content["application/json"]["schema"]["$ref"].endswith("Out"), path


def test_openapi_says_the_bounds(client: TestClient) -> None:
    parameters = client.get("/openapi.json").json()["paths"]["/search"]["get"]["parameters"]
    bounds = {one["name"]: (one["schema"].get("minimum"), one["schema"].get("maximum")) for one in parameters}
    assert bounds == {"text": (None, None), "k": (1, 200), "min_match": (0, 1)}
