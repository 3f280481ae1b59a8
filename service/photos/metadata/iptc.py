"""Read the texts of IPTC's older metadata (IIM), which Photoshop keeps among its image resources."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from service.photos.metadata.tiff import decode_text
from service.photos.metadata.values import (
    MAX_DESCRIPTION,
    MAX_TEXT,
    MAX_WORDS,
    clean_lines,
    clean_text,
    distinct_words,
)
from service.store.metadata import Metadata

_CHARACTER_SET = (1, 90)
_UTF8 = b"\x1b%G"
"""Value of dataset 1:90 if texts are UTF-8."""

_TITLE, _KEYWORD, _CREATOR, _TOWN, _REGION = (2, 5), (2, 25), (2, 80), (2, 90), (2, 95)
_COUNTRY, _HEADLINE, _COPYRIGHT, _DESCRIPTION = (2, 101), (2, 105), (2, 116), (2, 120)

_RESOURCE = 0x0404
_MAX_RESOURCES = 1_000
_MAX_VALUES = MAX_WORDS + 1
"""Image resources of a file, and values of one dataset, that are read."""

_BYTES_OF_LETTER = 8
"""The most bytes of a letter in UTF-8 that was written as UTF-8 twice; mending takes 2 seconds a megabyte."""

_MOJIBAKE = ("Ã", "Â", "Ð", "Ñ")
"""Letters that nearly every text of UTF-8 has once it was read as Latin-1."""

Datasets = dict[tuple[int, int], list[bytes]]


def iptc_in_resources(resources: bytes) -> bytes | None:
    """IPTC's datasets among Photoshop's image resources (8BIM); None if they have none."""
    position = 0
    for _ in range(_MAX_RESOURCES):
        # Signature, number, name of an even length with its length before it, length of the data.
        if resources[position : position + 4] != b"8BIM" or position + 7 > len(resources):
            return None
        (number,) = struct.unpack_from(">H", resources, position + 4)
        start = position + 6 + (resources[position + 6] + 2) // 2 * 2
        if start + 4 > len(resources):
            return None
        (length,) = struct.unpack_from(">I", resources, start)
        if number == _RESOURCE:
            return resources[start + 4 : start + 4 + length]
        position = start + 4 + (length + 1) // 2 * 2
    return None


def read_iptc(content: bytes, problems: list[str]) -> Metadata:
    """What IPTC's datasets say, without the date; adds sentences to `problems`."""
    datasets = _datasets(content)
    return Metadata(
        title=clean_text(_first(datasets, _TITLE) or _first(datasets, _HEADLINE)),
        description=clean_lines(_first(datasets, _DESCRIPTION)),
        creator=clean_text(", ".join(_texts(datasets, _CREATOR))),
        copyright=clean_text(_first(datasets, _COPYRIGHT)),
        keywords=distinct_words(_texts(datasets, _KEYWORD), problems, "keywords"),
        country=clean_text(_first(datasets, _COUNTRY), 200),
        region=clean_text(_first(datasets, _REGION), 200),
        town=clean_text(_first(datasets, _TOWN), 200),
    )


def _datasets(content: bytes) -> Datasets:
    """The values of each dataset (record, number) that are whole."""
    found: Datasets = {}
    for key, value in _walk(content):
        values = found.setdefault(key, [])
        if len(values) < _MAX_VALUES:
            values.append(value)
    return found


def _walk(content: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    position = 0
    while position + 5 <= len(content):
        # Programs pad with zeros between datasets.
        if content[position] != 0x1C:
            position = content.find(b"\x1c", position + 1)
            if position < 0:
                return
            continue
        record, number, length = struct.unpack_from(">BBH", content, position + 1)
        position += 5
        if length & 0x8000:
            # The length itself is as long as its lower bits say.
            width = length & 0x7FFF
            length = int.from_bytes(content[position : position + width], "big") if width <= 4 else len(content)
            position += width
        if position + length > len(content):
            return
        yield (record, number), content[position : position + length]
        position += length


def _first(datasets: Datasets, key: tuple[int, int]) -> str | None:
    return next(_texts(datasets, key), None)


def _texts(datasets: Datasets, key: tuple[int, int]) -> Iterator[str]:
    is_utf8 = datasets.get(_CHARACTER_SET, [b""])[0] == _UTF8
    most = _BYTES_OF_LETTER * (MAX_DESCRIPTION if key == _DESCRIPTION else MAX_TEXT)
    return (_text(value[:most], is_utf8) for value in datasets.get(key, []))


def _text(value: bytes, is_utf8: bool) -> str:
    """A text; one that was written as UTF-8, read as Latin-1 and written again is mended."""
    # Datasets have a greatest length, at which programs cut in the middle of a character.
    text = value.decode("utf-8", "ignore" if _is_cut(value) else "replace") if is_utf8 else decode_text(value)
    if any(letter in text for letter in _MOJIBAKE):
        from ftfy import fix_encoding

        return fix_encoding(text)
    return text


def _is_cut(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False
