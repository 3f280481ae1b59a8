"""Metadata, images and thumbnails over HTTP, also of files that have changed or gone."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.photos.formats import RAW_FORMATS
from service.store.metadata import Metadata
from service.store.records import Companion
from service.web.app import create_app
from tests.service.conftest import SampleLibrary
from tests.service.described import describe, record_of
from tests.service.pictures import picture, save_picture
from tests.service.web.client import client_of, error_message, photo_ids

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


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


@pytest.fixture(scope="module")
def every_format(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, tiny: Encoder) -> Iterator[TestClient]:
    """A service over photographs in formats of which browsers show few."""
    folders = [shared_data / "formats" / name for name in ("raw", "jxl", "heif", "other")]
    sample = SampleLibrary(tmp_path_factory.mktemp("formats") / "library", folders[0], tiny.name)
    with sample.open() as library:
        for _ in library.index(folders, encoder=tiny):
            pass
        with client_of(create_app(library)) as client:
            yield client


def test_every_format_is_sent_as_a_picture_that_looks_like_its_thumbnail(every_format: TestClient) -> None:
    formats = set()
    for photo_id in photo_ids(every_format).values():
        photo = every_format.get(f"/photos/{photo_id}").json()
        small = Image.open(io.BytesIO(every_format.get(photo["links"]["thumbnail"]).content))
        answer = every_format.get(photo["links"]["image"])
        formats.add(photo["format"])
        assert answer.status_code == 200, photo["name"]
        if answer.headers["content-type"] != "image/jpeg":
            assert photo["format"] in ("AVIF", "GIF", "BMP", "PNG"), photo["name"]
            continue
        sent = Image.open(io.BytesIO(answer.content))
        assert sent.width / sent.height == pytest.approx(photo["width"] / photo["height"], rel=0.02), photo["name"]
        difference = np.asarray(sent.convert("RGB").resize(small.size), float) - np.asarray(small.convert("RGB"), float)
        assert np.abs(difference).mean() < 12, photo["name"]
    assert {"JXL", "HEIF", "TIFF", "AVIF", "BMP", "GIF"} < formats
    assert formats & RAW_FORMATS


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


FOR_GOOD = "private, max-age=31536000, immutable"
BRIEFLY = "private, max-age=60"


def links_of(client: TestClient, name: str) -> dict[str, str]:
    links: dict[str, str] = client.get(f"/photos/{photo_ids(client)[name]}").json()["links"]
    return links


def without_version(address: str) -> str:
    return re.sub(r"v=[^&]*&?", "", address)


@pytest.mark.parametrize("link", ["image", "thumbnail"])
@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_a_picture_at_its_own_address_is_kept_for_good(client: TestClient, name: str, link: str) -> None:
    address = links_of(client, name)[link]
    answer = client.get(address)
    assert answer.headers["cache-control"] == FOR_GOOD
    assert client.get(without_version(address)).headers["cache-control"] == BRIEFLY
    assert client.get(f"{without_version(address)}v=0123456789abcdef-1").headers["cache-control"] == BRIEFLY
    again = client.get(address, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == FOR_GOOD


@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif", "clay.heic"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_image_that_the_client_has_is_neither_decoded_nor_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    address = links_of(client, name)["image"]
    first = client.get(address)
    monkeypatch.setattr("service.web.routes.photographs.browser_jpeg", lambda path: pytest.fail("it was decoded"))
    for header, mark in (
        ("if-none-match", first.headers["etag"]),
        ("if-none-match", f"W/{first.headers['etag']}"),
        ("if-modified-since", first.headers["last-modified"]),
    ):
        again = client.request(method, address, headers={header: mark})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


def test_the_address_changes_with_the_content(own_client: TestClient, sample_library: SampleLibrary) -> None:
    before = links_of(own_client, "wood.jpg")
    old = own_client.get(before["image"])
    save_picture(sample_library.photographs / "wood.jpg", 12)
    edited = own_client.get(before["image"], headers={"if-none-match": old.headers["etag"]})
    assert edited.status_code == 200
    assert edited.content == (sample_library.photographs / "wood.jpg").read_bytes()
    assert edited.headers["cache-control"] == BRIEFLY
    assert edited.headers["etag"] != old.headers["etag"]
    assert own_client.get(before["thumbnail"]).headers["cache-control"] == FOR_GOOD
    with sample_library.open() as library:
        for _ in library.index():
            pass
    after = links_of(own_client, "wood.jpg")
    assert {link: before[link] != after[link] for link in ("photo", "image", "thumbnail", "preview")} == {
        "photo": False, "image": True, "thumbnail": True, "preview": True,
    }  # fmt: skip
    for link in ("image", "thumbnail"):
        assert own_client.get(after[link]).headers["cache-control"] == FOR_GOOD
        assert own_client.get(before[link]).headers["cache-control"] == BRIEFLY


def test_a_range_is_sent_only_of_the_content_that_the_client_knows(
    own_client: TestClient, sample_library: SampleLibrary
) -> None:
    address = links_of(own_client, "wood.jpg")["image"]
    whole = own_client.get(address)
    for mark in (whole.headers["etag"], whole.headers["last-modified"]):
        part = own_client.get(address, headers={"range": "bytes=5-", "if-range": mark})
        assert (part.status_code, part.content) == (206, whole.content[5:])
    save_picture(sample_library.photographs / "wood.jpg", 12)
    os.utime(sample_library.photographs / "wood.jpg", (0, 0))
    for mark in (whole.headers["etag"], whole.headers["last-modified"], f"W/{whole.headers['etag']}", "nonsense"):
        complete = own_client.get(address, headers={"range": "bytes=5-", "if-range": mark})
        assert complete.status_code == 200
        assert complete.content == (sample_library.photographs / "wood.jpg").read_bytes()


def test_the_preview_is_larger_than_the_thumbnail(sample_library: SampleLibrary) -> None:
    with sample_library.open() as library, client_of(create_app(library)) as client:
        photo_id = photo_ids(client)["wood.jpg"]
        large = io.BytesIO()
        picture(3, (768, 576)).save(large, "JPEG")
        with library.catalog.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO preview VALUES (?, ?)", (photo_id, large.getvalue()))
        links = links_of(client, "wood.jpg")
        preview, small = client.get(links["preview"]), client.get(links["thumbnail"])
        assert preview.content == large.getvalue() != small.content
        assert preview.headers["cache-control"] == small.headers["cache-control"] == FOR_GOOD
        assert preview.headers["etag"] != small.headers["etag"]
        marked = {"if-none-match": preview.headers["etag"]}
        assert client.get(links["preview"], headers=marked).status_code == 304
        assert "size" in error_message(client.get(f"/photos/{photo_id}/thumbnail?size=huge"), 422, "usage")


def test_a_thumbnail_in_place_of_a_preview_is_kept_briefly(sample_library: SampleLibrary) -> None:
    save_picture(sample_library.photographs / "large.jpg", 5, size=(1600, 900))
    with sample_library.open() as library:
        for _ in library.index():
            pass
        with library.catalog.transaction() as connection:
            connection.execute("DELETE FROM preview")
        with client_of(create_app(library)) as client:
            large, small = links_of(client, "large.jpg"), links_of(client, "wood.jpg")
            assert client.get(large["preview"]).content == client.get(large["thumbnail"]).content
            assert client.get(large["preview"]).headers["cache-control"] == BRIEFLY
            assert client.get(large["thumbnail"]).headers["cache-control"] == FOR_GOOD
            assert client.get(small["preview"]).headers["cache-control"] == FOR_GOOD


def test_metadata_and_files_of_a_photograph(sample_library: SampleLibrary) -> None:
    companions = (Companion("wood.CR3", "raw", 25_000_000, 0), Companion("wood.xmp", "sidecar", 900, 0))
    with sample_library.open() as library, client_of(create_app(library)) as client:
        record = describe(library, "wood.jpg", companions=companions)
        photo = client.get(f"/photos/{record.id}").json()
    folder = sample_library.photographs
    assert {name: value for name, value in photo.items() if name not in ("id", "links", "bytes", "name", "uri")} == {
        "width": 80,
        "height": 60,
        "format": "JPEG",
        "taken_at": "2023-07-14T18:30:05+02:00",
        "taken_source": "exif",
        "camera": "Canon EOS 600D",
        "lens": "EF 50mm f/1.8 II",
        "focal_length": 50.0,
        "focal_length_35": 80.0,
        "aperture": 2.8,
        "exposure": 0.004,
        "iso": 400,
        "flash": False,
        "place": {"town": "Paris", "region": "Île-de-France", "country": "France"},
        "location": {"latitude": 48.8584, "longitude": 2.2945, "altitude": 35.0},
        "title": "Under the tower",
        "description": "A Sunday.",
        "creator": "Ada",
        "copyright": "© Ada",
        "keywords": ["Animals/Dog", "travel"],
        "people": ["Grace"],
        "stars": 4,
        "label": "Red",
        "orientation": "landscape",
        "motion": 2.5,
        "files": [
            {"name": "wood.jpg", "role": "photograph", "uri": str(folder / "wood.jpg"), "bytes": record.size},
            {"name": "wood.CR3", "role": "raw", "uri": str(folder / "wood.CR3"), "bytes": 25_000_000},
            {"name": "wood.xmp", "role": "sidecar", "uri": str(folder / "wood.xmp"), "bytes": 900},
        ],
        "warning": None,
    }


def test_a_photograph_of_which_little_is_known(sample_library: SampleLibrary) -> None:
    with sample_library.open() as library, client_of(create_app(library)) as client:
        odd = Metadata(
            altitude=12.0, exposure=math.inf, aperture=-math.inf, taken_offset=99_999, taken_at=datetime(1, 1, 1)
        )
        photo = client.get(f"/photos/{describe(library, 'wood.jpg', odd).id}").json()
        assert (photo["location"], photo["place"], photo["exposure"], photo["aperture"]) == (None, None, None, None)
        assert (photo["taken_at"], photo["keywords"], photo["people"]) == ("0001-01-01T00:00:00", [], [])
        astray = Metadata(latitude=math.inf, longitude=2.0)
        assert client.get(f"/photos/{describe(library, 'wood.jpg', astray).id}").json()["location"] is None
        assert client.get(f"/photos/{describe(library, 'wood.jpg', Metadata()).id}").json()["taken_at"] is None


def test_hits_carry_metadata(sample_library: SampleLibrary) -> None:
    with sample_library.open() as library, client_of(create_app(library)) as client:
        describe(library, "wood.jpg")
        hits = client.get("/search", params={"text": "a cat", "k": 200, "min_match": 0}).json()["hits"]
    by_name = {hit["name"]: hit for hit in hits}
    wood, sand = by_name["wood.jpg"], by_name["sand.png"]
    assert (wood["taken_at"], wood["camera"], wood["lens"]) == (
        "2023-07-14T18:30:05+02:00", "Canon EOS 600D", "EF 50mm f/1.8 II",
    )  # fmt: skip
    assert wood["place"]["town"] == "Paris"
    assert wood["location"]["longitude"] == 2.2945
    assert wood["keywords"] == ["Animals/Dog", "travel"]
    assert [sand[name] for name in ("camera", "lens", "place", "location", "keywords")] == [None] * 4 + [[]]


@pytest.mark.parametrize("identity", [0, -1, 99, 1 << 62, 1 << 63, -(1 << 63) - 1, 10**30])
def test_an_id_of_no_photograph_is_not_found(client: TestClient, identity: int) -> None:
    for address in ("", "/image", "/thumbnail", "/thumbnail?size=large"):
        error_message(client.get(f"/photos/{identity}{address}"), 404, "not_found")


def test_a_removed_photograph_is_not_found(sample_library: SampleLibrary) -> None:
    with sample_library.open() as library, client_of(create_app(library)) as client:
        links = links_of(client, "wood.jpg")
        etag = client.get(links["thumbnail"]).headers["etag"]
        library.catalog.remove([record_of(library, "wood.jpg").id])
        for address in links.values():
            error_message(client.get(address, headers={"if-none-match": etag}), 404, "not_found")


@pytest.mark.parametrize("name", ["Байкал, лёд «1».jpg", 'quo"te;.jpg', "emoji 🎉.tif", "new\nline.tif"])
def test_any_name_can_be_saved_under(sample_library: SampleLibrary, name: str) -> None:
    save_picture(sample_library.photographs / "a.jpg", 21)
    save_picture(sample_library.photographs / "a.tif", 22)
    (sample_library.photographs / f"a{Path(name).suffix}").rename(sample_library.photographs / name)
    with sample_library.open() as library:
        for _ in library.index():
            pass
        with client_of(create_app(library)) as client:
            disposition = client.get(links_of(client, name)["image"]).headers["content-disposition"]
    kind, _, saved = disposition.partition("; filename*=utf-8''")
    assert (kind, unquote(saved)) == ("inline", str(Path(name).with_suffix(".jpg")))


@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_a_file_replaced_by_something_that_never_ends_is_refused(
    own_client: TestClient, sample_library: SampleLibrary, name: str
) -> None:
    address = links_of(own_client, name)["image"]
    file = sample_library.photographs / name
    file.unlink()
    os.mkfifo(file)
    assert "it is not a file" in error_message(own_client.get(address), 415, "photograph")
    file.unlink()
    file.mkdir()
    assert "it is not a file" in error_message(own_client.get(address), 415, "photograph")


@pytest.mark.parametrize("name", ["wood.jpg", "moss.tif"])
def test_a_file_that_may_not_be_read_is_reported(
    own_client: TestClient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    address = links_of(own_client, name)["image"]
    monkeypatch.setattr("os.access", lambda *arguments: False)
    assert "permission" in error_message(own_client.get(address), 415, "photograph")


def test_a_file_that_vanishes_while_it_is_asked_for_is_reported(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("service.library.Library.file_of", lambda library, identity: tmp_path / "gone.jpg")
    address = f"/photos/{photo_ids(client)['wood.jpg']}/image"
    assert "No such file" in error_message(client.get(address), 415, "photograph")


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
