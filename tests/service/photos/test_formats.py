"""Photographs are recognised by extensions and by first bytes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from service.errors import PhotographError
from service.photos.decode import open_photograph
from service.photos.formats import (
    RAW_SUFFIXES,
    SNIFFED_BYTES,
    is_photograph_name,
    is_raw_format,
    is_raw_name,
    looks_like_photograph,
)
from service.photos.pillow_formats import prepare_pillow


@pytest.mark.parametrize(
    ("name", "is_photograph"),
    [
        ("a.jpg", True), ("A.JPEG", True), ("b.HEIC", True), ("c.avif", True), ("d.tiff", True), ("e.mpo", True),
        ("f.jxl", True), ("g.dng", True), ("h.jpg.xmp", False), ("i.mov", False), ("jpg", False), (".jpg", False),
    ],
)  # fmt: skip
def test_photographs_are_recognised_by_their_extension(name: str, is_photograph: bool) -> None:
    assert is_photograph_name(name) is is_photograph


def test_raw_photographs_are_recognised_by_extension_and_format() -> None:
    assert is_raw_name("IMG_1.CR3")
    assert not is_raw_name("IMG_1.tif")
    assert all(is_photograph_name(f"a{suffix}") for suffix in RAW_SUFFIXES)
    assert is_raw_format("NEF")
    assert is_raw_format("RAW")
    assert not is_raw_format("TIFF")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_every_format_is_recognised_by_its_first_bytes(form: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(out, "PNG")
    open_photograph(out.getvalue())  # registers HEIF with Pillow, for writing too
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(out, form)
    assert looks_like_photograph(out.getvalue()[:SNIFFED_BYTES])


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"", b"\xff", b"Dear diary", b"%PDF-1.7", b"PK\x03\x04", b"BM and a text", b"RIFF\0\0\0\0WAVEfmt ", b"\0" * 64,
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", b"\0\5\26\7" + b"\0" * 60, b"#!/bin/sh\n", b"<?xml",
    ],
)  # fmt: skip
def test_other_files_do_not_look_like_photographs(first_bytes: bytes) -> None:
    assert not looks_like_photograph(first_bytes)


def test_every_photograph_of_the_collection_looks_like_one(shared_data: Path) -> None:
    files = [file for file in (shared_data / "formats").rglob("*") if is_photograph_name(file.name)]
    unlike = {file.name for file in files if not looks_like_photograph(file.read_bytes()[:SNIFFED_BYTES])}
    assert unlike == {"text.jpg", "zero-bytes.jpg"}


@pytest.mark.parametrize("name", ["", "IMG_1", "really.png"])
def test_a_jpeg_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / (name or "no extension")
    Image.new("RGB", (64, 48), "navy").save(file, "JPEG")
    photograph = open_photograph(file)
    assert (photograph.format, photograph.width) == ("JPEG", 64)


def test_without_pillow_heif_heic_gets_a_sentence_and_everything_else_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_pillow()
    image = Image.new("RGB", (40, 30), "red")
    for name in ("a.heic", "a.jpg"):
        image.save(tmp_path / name)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    prepare_pillow.cache_clear()
    try:
        assert open_photograph(tmp_path / "a.jpg").format == "JPEG"
        with pytest.raises(PhotographError, match="package pillow-heif, which is not installed"):
            open_photograph(tmp_path / "a.heic")
    finally:
        prepare_pillow.cache_clear()
