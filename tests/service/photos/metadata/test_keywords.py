"""Keywords in the metadata of photographs: formats, encodings, hostile XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.photos.metadata.keywords import keywords_in
from tests.service.keywords import save_with_iptc, save_with_xmp, xmp


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.heic", "a.avif"])
def test_xmp_keywords_are_read_from_every_format(tmp_path: Path, name: str) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    assert keywords_in(save_with_xmp(tmp_path / name, xmp("kind:été", "b &amp; c", ""))) == ["kind:été", "b & c"]


@pytest.mark.parametrize(
    ("written", "utf8", "read"),
    [
        ("kind:été".encode(), True, "kind:été"),
        ("été".encode(), False, "été"),
        ("\xe9t\xe9".encode("latin-1"), False, "été"),
    ],
)
def test_iptc_keywords_are_decoded_by_their_encoding(tmp_path: Path, written: bytes, utf8: bool, read: str) -> None:
    assert keywords_in(save_with_iptc(tmp_path / "a.jpg", written, b"two", utf8=utf8)) == [read, "two"]


def test_entities_in_metadata_are_not_expanded(tmp_path: Path) -> None:
    entities = "".join(f"<!ENTITY e{place} '{f'&e{place - 1};' * 10 if place else 'kind:x'}'>" for place in range(10))
    bomb = xmp("&e9;", before=f"<!DOCTYPE bomb [{entities}]>")
    assert keywords_in(save_with_xmp(tmp_path / "bomb.jpg", bomb)) == []
    assert keywords_in(save_with_xmp(tmp_path / "broken.jpg", b"<x:xmpmeta")) == []
