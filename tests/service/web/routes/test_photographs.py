"""Metadata, images and thumbnails over HTTP, also of files that have changed or gone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.pictures import picture, save_picture
from tests.service.web.client import client_of, error_message, photo_ids


def test_metadata_of_a_photograph(client: TestClient, shared_library: SampleLibrary) -> None:
    facts = client.get(f"/photos/{photo_ids(client)['clay.heic']}").json()
    assert facts["uri"] == str(shared_library.photographs / "clay.heic")
    assert (facts["name"], facts["format"], facts["width"], facts["height"]) == ("clay.heic", "HEIF", 80, 60)


@pytest.mark.parametrize(("name", "kind"), [("wood.jpg", "jpeg"), ("sand.png", "png"), ("snow.webp", "webp")])
def test_formats_that_browsers_display_are_sent_unchanged(
    client: TestClient, shared_library: SampleLibrary, name: str, kind: str
) -> None:
    answer = client.get(f"/photos/{photo_ids(client)[name]}/image")
    assert answer.headers["content-type"] == f"image/{kind}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert name in answer.headers["content-disposition"]
    assert answer.content == (shared_library.photographs / name).read_bytes()


@pytest.mark.parametrize("name", ["moss.tif", "clay.heic"])
def test_other_formats_are_sent_as_jpeg(client: TestClient, shared_library: SampleLibrary, name: str) -> None:
    answer = client.get(f"/photos/{photo_ids(client)[name]}/image")
    assert answer.headers["content-type"] == "image/jpeg"
    sent = Image.open(io.BytesIO(answer.content))
    assert sent.format == "JPEG"
    with Image.open(shared_library.photographs / name) as original:
        difference = np.asarray(sent, float) - np.asarray(original.convert("RGB"), float)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize("name", ["turned.tif", "turned.heic", "turned.jpg"])
def test_exif_orientation_is_applied(sample_library: SampleLibrary, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the picture rotated by 90 degrees clockwise
    save_picture(sample_library.photographs / name, 11, exif=exif.tobytes())
    upright = np.asarray(picture(11).rotate(-90, expand=True), float)
    with sample_library.open() as library:
        for _ in library.index():
            pass
        with client_of(create_app(library)) as client:
            photo_id = photo_ids(client)[name]
            facts = client.get(f"/photos/{photo_id}").json()
            pictures = [client.get(f"/photos/{photo_id}/thumbnail").content]
            if not name.endswith(".jpg"):
                pictures.append(client.get(f"/photos/{photo_id}/image").content)
    assert (facts["width"], facts["height"]) == (60, 80)
    for sent in pictures:
        shown = np.asarray(Image.open(io.BytesIO(sent)), float)
        assert shown.shape == upright.shape
        assert np.abs(shown - upright).mean() < 8


def test_a_thumbnail_is_a_small_jpeg(sample_library: SampleLibrary) -> None:
    save_picture(sample_library.photographs / "large.jpg", 5, size=(1600, 900))
    with sample_library.open() as library:
        for _ in library.index():
            pass
        with client_of(create_app(library)) as client:
            answer = client.get(f"/photos/{photo_ids(client)['large.jpg']}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (384, 216)


def test_a_cached_thumbnail_is_not_sent_again(client: TestClient) -> None:
    ids = photo_ids(client)
    path = f"/photos/{ids['wood.jpg']}/thumbnail"
    etag = client.get(path).headers["etag"]
    for mark in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(path, headers={"if-none-match": mark})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get(f"/photos/{ids['sand.png']}/thumbnail").headers["etag"] != etag


@pytest.mark.parametrize("what", ["image", "thumbnail"])
@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_head_and_get_have_the_same_headers(client: TestClient, name: str, what: str) -> None:
    path = f"/photos/{photo_ids(client)[name]}/{what}"
    got, headed = client.get(path), client.head(path)
    assert headed.status_code == 200
    assert headed.content == b""
    assert headed.headers == got.headers
    assert int(headed.headers["content-length"]) == len(got.content)
    assert client.head("/photos/99/image").status_code == 404


def test_an_image_can_be_read_in_ranges(client: TestClient, shared_library: SampleLibrary) -> None:
    answer = client.get(f"/photos/{photo_ids(client)['wood.jpg']}/image", headers={"range": "bytes=10-19"})
    assert answer.status_code == 206
    assert answer.content == (shared_library.photographs / "wood.jpg").read_bytes()[10:20]


def test_a_missing_file_is_reported_and_its_thumbnail_remains(
    own_client: TestClient, sample_library: SampleLibrary
) -> None:
    ids = photo_ids(own_client)
    for name in ("wood.jpg", "moss.tif"):
        (sample_library.photographs / name).unlink()
        message = error_message(own_client.get(f"/photos/{ids[name]}/image"), 404, "not_found")
        assert name in message
        assert "smysl index" in message
        thumbnail = own_client.get(f"/photos/{ids[name]}/thumbnail")
        assert Image.open(io.BytesIO(thumbnail.content)).format == "JPEG"
        assert own_client.get(f"/photos/{ids[name]}").status_code == 200


@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_a_file_replaced_by_a_link_out_of_its_root_is_forbidden(
    own_client: TestClient, sample_library: SampleLibrary, tmp_path: Path, name: str
) -> None:
    photo_id = photo_ids(own_client)[name]
    secret = save_picture(tmp_path / f"secret{Path(name).suffix}", 9)
    (sample_library.photographs / name).unlink()
    (sample_library.photographs / name).symlink_to(secret)
    message = error_message(own_client.get(f"/photos/{photo_id}/image"), 403, "forbidden")
    assert "secret" not in message
    assert str(photo_id) in message


def test_a_root_replaced_by_a_link_is_forbidden(sample_library: SampleLibrary, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    sample_library.photographs.rename(elsewhere)
    sample_library.photographs.symlink_to(elsewhere)
    with sample_library.open() as library, client_of(create_app(library)) as client:
        error_message(client.get(f"/photos/{photo_ids(client)['wood.jpg']}/image"), 403, "forbidden")


def test_a_link_to_itself_is_not_found(own_client: TestClient, sample_library: SampleLibrary) -> None:
    photo_id = photo_ids(own_client)["wood.jpg"]
    (sample_library.photographs / "wood.jpg").unlink()
    (sample_library.photographs / "wood.jpg").symlink_to(sample_library.photographs / "wood.jpg")
    error_message(own_client.get(f"/photos/{photo_id}/image"), 404, "not_found")


def test_a_file_that_is_no_longer_a_photograph_is_refused(
    own_client: TestClient, sample_library: SampleLibrary
) -> None:
    photo_id = photo_ids(own_client)["moss.tif"]
    (sample_library.photographs / "moss.tif").write_bytes(b"root:x:0:0")
    message = error_message(own_client.get(f"/photos/{photo_id}/image"), 415, "photograph")
    assert message.startswith(f"The file of photograph {photo_id} cannot be shown: ")
