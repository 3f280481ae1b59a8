"""Read the keywords in a photograph's file: IPTC (dataset 2:25) and XMP (dc:subject and hierarchical ones)."""

from __future__ import annotations

from pathlib import Path

from service.errors import PhotographError
from service.photos.decode import read_file
from service.photos.metadata.blocks import find_blocks
from service.photos.metadata.iptc import read_iptc
from service.photos.metadata.xmp import parse_xmp, read_xmp


def keywords_in(photograph: Path) -> list[str]:
    """The distinct keywords of a photograph's file, those of IPTC first; decodes no pixels.

    Broken metadata counts as none. Raises `PhotographError` with the reason for a file that cannot be opened.
    """
    ignored: list[str] = []
    blocks = find_blocks(read_file(photograph), ignored)
    if blocks.format is None:
        raise PhotographError("it is not a photograph in a format that smysl reads")
    packet = parse_xmp(blocks.xmp, ignored)
    keywords = [
        *(read_iptc(blocks.iptc, ignored).keywords if blocks.iptc else ()),
        *(read_xmp(packet, ignored).keywords if packet else ()),
    ]
    return list(dict.fromkeys(keywords))
