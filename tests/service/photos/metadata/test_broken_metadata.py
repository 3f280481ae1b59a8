"""Whatever bytes a file has, reading its metadata and hashing its image end without an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.photos.metadata.file_dates import date_in_name
from service.photos.metadata.image_data import image_data_hash
from service.photos.metadata.motion import content_identifier, motion_seconds
from service.photos.metadata.reader import Sidecar, read_metadata
from service.store.metadata import Metadata
from tests.service.metadata_files import film, takeout
from tests.service.photos.metadata.test_metadata import FORMATS, XMP

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

MAX_BYTES = 600_000
"""Of a real file that is mutated; larger ones are slow and no different."""

mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "delete", "insert", "cut"]), st.binary(min_size=1, max_size=12)),
    min_size=1,
    max_size=10,
)


@cache
def made_files() -> tuple[bytes, ...]:
    return tuple(make() for make in FORMATS.values())


def mutated(content: bytes, steps: list[tuple[float, str, bytes]]) -> bytes:
    """Bytes with some set, deleted, inserted or cut off; most of them near the start, where headers are."""
    changed = bytearray(content)
    for where, how, value in steps:
        place = int(where**4 * len(changed))
        if how == "set":
            changed[place : place + len(value)] = value
        elif how == "insert":
            changed[place:place] = value
        elif how == "delete":
            del changed[place : place + len(value)]
        elif where > 0.3:
            del changed[int(where * len(changed)) :]
    return bytes(changed)


def check(content: bytes, sidecars: list[Sidecar]) -> None:
    """Read everything, and see that what was read can be stored."""
    metadata, problems = read_metadata(content, "IMG_1.jpg", sidecars=sidecars)
    assert len(problems) <= 3
    for name in Metadata.__dataclass_fields__:
        value = getattr(metadata, name)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                assert text == text.strip() != ""
                assert text.encode() is not None
            elif isinstance(text, float):
                assert abs(text) < 1e9
    assert (metadata.latitude is None) == (metadata.longitude is None)
    assert (metadata.taken_at is None) == (metadata.taken_source is None)
    image_data_hash(content)
    motion_seconds(content)
    content_identifier(content)


@settings(max_examples=200)
@given(st.data(), mutations)
def test_mutated_files_are_read_without_an_error(data: st.DataObject, steps: list[tuple[float, str, bytes]]) -> None:
    content = data.draw(st.sampled_from([*made_files(), film(1.5, "X")]))
    check(mutated(content, steps), [])


@settings(max_examples=150)
@given(mutations, mutations)
def test_mutated_sidecars_are_read_without_an_error(
    steps: list[tuple[float, str, bytes]], others: list[tuple[float, str, bytes]]
) -> None:
    google = takeout(description="sea", people=[{"name": "Ann"}], photoTakenTime={"timestamp": "1563107696"})
    check(b"", [Sidecar("a.xmp", mutated(XMP, steps)), Sidecar("a.json", mutated(google, others))])


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from([0, 2, 4, 8, 12]))
def test_any_bytes_after_a_files_start_are_read_without_an_error(content: bytes, length: int) -> None:
    for start in made_files():
        check(start[:length] + content, [Sidecar("a.xmp", content), Sidecar("a.json", content)])


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_name_is_read_without_an_error(name: str) -> None:
    date_in_name(name)


@pytest.mark.data
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), mutations)
def test_mutated_real_files_are_read_without_an_error(
    shared_data: Path, data: st.DataObject, steps: list[tuple[float, str, bytes]]
) -> None:
    files = [file for file in sorted((shared_data / "formats").glob("*/*")) if file.stat().st_size <= MAX_BYTES]
    check(mutated(data.draw(st.sampled_from(files)).read_bytes(), steps), [])
