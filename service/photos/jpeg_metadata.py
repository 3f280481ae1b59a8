"""A JPEG file without what it says beside its picture: where and when it was taken, by whom, earlier pictures."""

from __future__ import annotations

import re

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_JFIF, _ADOBE = 0xE0, 0xEE
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive, with Huffman codes: what browsers show."""
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_KEPT = (0xDB, 0xC4, 0xDD)
"""Tables of quantisation and of Huffman codes, and the interval of restarts."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""What ends the coded pixels of a scan; stuffed zeros and restarts do not."""


def without_metadata(content: bytes) -> bytes | None:
    """The same picture, bit for bit, with no segment that decoding does not need; None where that is not sure.

    EXIF, XMP, IPTC, comments, colour profiles, small pictures inside and whatever follows the end are left out; of
    the application's segments only the JFIF and the Adobe marker stay, which say how colours are coded (ITU-T T.81,
    annex B, and T.871). None is for damaged files and for the rare kinds of JPEG that not every browser shows.
    """
    if content[:2] != bytes((0xFF, _START)):
        return None
    kept = [content[:2]]
    position = 2
    while (found := _next_marker(content, position)) is not None:
        marker, position = found
        if marker == _END:
            return b"".join((*kept, bytes((0xFF, _END))))
        length = int.from_bytes(content[position : position + 2])
        payload = content[position + 2 : position + length]
        if length < 2 or len(payload) != length - 2 or marker in _OTHER_FRAMES:
            return None
        position += length
        if (segment := _needed(marker, payload)) is not None:
            kept.append(_segment(marker, segment))
        if marker == _SCAN:
            following = _MARKER.search(content, position)
            if following is None:
                return None
            kept.append(content[position : following.start()])
            position = following.start()
    return None


def _next_marker(content: bytes, position: int) -> tuple[int, int] | None:
    """The marker at a position and where its length stands; None where there is none."""
    if content[position : position + 1] != b"\xff":
        return None
    # Any number of fill bytes may stand before a marker's code.
    while content[position : position + 1] == b"\xff":
        position += 1
    return (content[position], position + 1) if position < len(content) else None


def _needed(marker: int, payload: bytes) -> bytes | None:
    """What of a segment's payload decoding needs; None for nothing."""
    if marker in _KEPT or marker in _FRAMES or marker == _SCAN:
        return payload
    if marker == _JFIF and payload.startswith(b"JFIF\0") and len(payload) >= 14:
        # The last two bytes are the sides of a small picture that may follow.
        return payload[:12] + b"\0\0"
    if marker == _ADOBE and payload.startswith(b"Adobe") and len(payload) >= 12:
        return payload[:12]
    return None


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2) + payload
