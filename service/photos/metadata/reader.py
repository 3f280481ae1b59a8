"""Merge what a photograph's file, its sidecars and its name say about it into one `Metadata`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.photos.metadata.blocks import Blocks, find_blocks
from service.photos.metadata.exif import changed_moment, digitised_moment, original_moment, read_exif
from service.photos.metadata.file_dates import date_in_name
from service.photos.metadata.iptc import read_iptc
from service.photos.metadata.motion import has_samsung_film, motion_seconds
from service.photos.metadata.takeout import parse_takeout, read_takeout, takeout_moment
from service.photos.metadata.values import Moment, is_believable
from service.photos.metadata.xmp import XmpPacket, extension_of, has_film, parse_xmp, read_xmp, xmp_moment
from service.store.metadata import DateSource, Metadata

MAX_PROBLEMS = 3
"""Sentences on one photograph that are returned."""

_WRITTEN = ("title", "description", "creator", "copyright", "keywords", "people", "stars", "label")
_PLACE = ("country", "region", "town")
_LOCATION = ("latitude", "longitude", "altitude")
_CAMERA = ("camera", "lens", "focal_length", "focal_length_35", "aperture", "exposure", "iso", "flash", "orientation")
"""Fields that people write, two groups that come from one source together, and those that cameras write."""

_FIRST_FILE_YEAR = 1981
"""Times of files before it are those of a clock that was never set."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A file beside a photograph that describes it: XMP (`A.xmp`, `A.CR3.xmp`) or Google Takeout's JSON."""

    name: str
    content: bytes


def read_metadata(
    content: bytes, name: str, *, sidecars: Sequence[Sidecar] = (), modified: datetime | None = None
) -> tuple[Metadata, list[str]]:
    """What is known of a photograph, without decoding its pixels.

    The date is the first that can be believed of a sidecar's, EXIF's, XMP's in the file, EXIF's of digitising,
    Takeout's, the file name's, EXIF's of the last change, and the file's time. What people wrote comes from sidecars,
    else from XMP in the file, else from IPTC, EXIF and Takeout; what cameras write comes from EXIF first.

    Args:
        content: bytes of the photograph's file.
        name: the file's name, which may hold a date.
        sidecars: files that describe the photograph.
        modified: time of the file; its time zone is kept if it has one.

    Returns:
        the metadata, and at most `MAX_PROBLEMS` clauses on what is broken, such as "its XMP is damaged".
    """
    problems: list[str] = []
    blocks = find_blocks(content, problems)
    packets_beside, takeout = _open_sidecars(name, sidecars, problems)
    packets_inside = _open_packets(blocks, problems)
    exif = read_exif(blocks.exif, problems)
    beside, inside = (
        [read_xmp(packet, problems) for packet in packets] for packets in (packets_beside, packets_inside)
    )
    iptc = [read_iptc(blocks.iptc, problems)] if blocks.iptc else []
    google = [read_takeout(fields, problems) for fields in takeout]

    written = [*beside, *inside, *iptc, exif, *google]
    values = _first_of_each([exif, *inside, *beside], _CAMERA) | _first_of_each(written, _WRITTEN)
    values |= _first_group(written, _PLACE) | _first_group([*beside, exif, *inside, *google], _LOCATION)
    values |= _taken(
        [
            # Programs correct a camera's clock in the sidecar.
            *(("xmp", xmp_moment(packet)) for packet in packets_beside),
            ("exif", original_moment(blocks.exif)),
            *(("xmp", xmp_moment(packet)) for packet in packets_inside),
            ("exif", digitised_moment(blocks.exif)),
            *(("takeout", takeout_moment(fields)) for fields in takeout),
            ("name", date_in_name(name)),
            ("exif", changed_moment(blocks.exif)),
            ("file", _file_moment(modified)),
        ],
        problems,
    )
    if any(has_film(packet) for packet in packets_inside) or has_samsung_film(content):
        values["motion"] = motion_seconds(content)
    return Metadata(**values), list(dict.fromkeys(problems))[:MAX_PROBLEMS]


def _open_sidecars(
    name: str, sidecars: Sequence[Sidecar], problems: list[str]
) -> tuple[list[XmpPacket], list[dict[str, Any]]]:
    """XMP packets and Takeout's fields; `A.CR3.xmp` is more about `A.CR3` than `A.xmp` and comes first."""
    found: list[str] = []
    packets: list[XmpPacket] = []
    takeout: list[dict[str, Any]] = []
    for sidecar in sorted(sidecars, key=lambda each: not each.name.casefold().startswith(name.casefold())):
        if sidecar.name.casefold().endswith(".json"):
            if fields := parse_takeout(sidecar.content, found):
                takeout.append(fields)
        elif packet := parse_xmp(sidecar.content, found):
            packets.append(packet)
    problems += [problem.replace("its XMP", "its XMP sidecar") for problem in found]
    return packets, takeout


def _open_packets(blocks: Blocks, problems: list[str]) -> list[XmpPacket]:
    """The XMP packet in a file, and the one in further segments of a JPEG that it names."""
    packet = parse_xmp(blocks.xmp, problems) if blocks.xmp else None
    if packet is None:
        return []
    parts = blocks.xmp_extensions.get(extension_of(packet))
    extension = parse_xmp(b"".join(parts[place] for place in sorted(parts)), problems) if parts else None
    return [packet, extension] if extension else [packet]


def _first_of_each(sources: Sequence[Metadata], names: tuple[str, ...]) -> dict[str, Any]:
    """Of each field the first value that is known."""
    found: dict[str, Any] = {}
    for name in names:
        for source in sources:
            value = getattr(source, name)
            if value is not None and value != ():
                found[name] = value
                break
    return found


def _first_group(sources: Sequence[Metadata], names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of the first source that knows one of them: a town of one and a country of another need not fit."""
    for source in sources:
        values = {name: getattr(source, name) for name in names}
        if any(value is not None for value in values.values()):
            return values
    return {}


def _taken(candidates: Sequence[tuple[DateSource, Moment | None]], problems: list[str]) -> dict[str, Any]:
    """The first date that can be believed, with its time zone from itself or from XMP's date of the same minute."""
    known = [(source, moment) for source, moment in candidates if moment is not None]
    for source, moment in known:
        if not is_believable(moment.time):
            if source != "file":
                problems.append(f"its date, {moment.time.date().isoformat()}, cannot be right")
            continue
        zones = (
            other.offset
            for other_source, other in known
            if other_source == "xmp" and other.offset is not None and _is_same_minute(moment.time, other.time)
        )
        offset = next(zones, None) if moment.offset is None else moment.offset
        return {"taken_at": moment.time, "taken_offset": offset, "taken_source": source}
    return {}


def _is_same_minute(one: datetime, other: datetime) -> bool:
    return abs((one - other).total_seconds()) < 60


def _file_moment(modified: datetime | None) -> Moment | None:
    if modified is None or modified.year < _FIRST_FILE_YEAR:
        return None
    offset = modified.utcoffset()
    minutes = None if offset is None else round(offset.total_seconds() / 60)
    return Moment(modified.replace(tzinfo=None, microsecond=0), minutes)
