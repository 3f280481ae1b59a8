"""Recognise photographs by the extension of a file's name and by its first bytes (magic numbers)."""

from __future__ import annotations

from pathlib import Path


def _suffixes(*names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names)


RAW_SUFFIXES = _suffixes(
    *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "k25", "kdc", "mef", "mos", "mrw", "nef"),
    *("nrw", "orf", "pef", "raf", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
)
"""Extensions, in lower case, of the cameras' RAW formats."""

SUFFIXES = RAW_SUFFIXES | _suffixes(
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "webp", "gif", "tif", "tiff", "bmp"),
    *("avif", "heic", "heif", "hif", "jxl"),
)
"""Extensions, in lower case, of the files that an index run tries to read."""

RAW = "RAW"
"""`format` of a RAW photograph whose name has none of the extensions above."""

RAW_FORMATS = frozenset(suffix[1:].upper() for suffix in RAW_SUFFIXES) | {RAW}
"""`format` of RAW photographs: the extension in capitals, such as "CR3"."""

SNIFFED_BYTES = 64
"""Bytes from the beginning of a file with which `looks_like_photograph` is certain."""

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
HEIF_BRANDS = frozenset({b"avif", b"avis", b"mif1", b"msf1", *_HEIC_BRANDS})
"""Brands of HEIF files, AVIF among them, which hold still images or sequences of them."""

_RAW_MAGIC = (
    *(b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR"),  # RAF, X3F, MRW, CRW
    *(b"IIRO", b"IIRS", b"MMOR", b"IIU\0"),  # ORF (three kinds), RW2
)
_JPEG_XL_MAGIC = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_BMP_HEADER_BYTES = (12, 40, 52, 56, 64, 108, 124)


def is_photograph_name(name: str) -> bool:
    """Whether a file has a photograph's extension, so that it is worth opening."""
    return Path(name).suffix.lower() in SUFFIXES


def is_raw_name(name: str) -> bool:
    """Whether a file has the extension of a RAW format."""
    return Path(name).suffix.lower() in RAW_SUFFIXES


def is_raw_format(name: str) -> bool:
    """Whether the `format` of a photograph is a RAW format."""
    return name in RAW_FORMATS


def looks_like_photograph(first_bytes: bytes) -> bool:
    """Whether a file begins like a photograph in a format that smysl reads, whatever its name.

    `SNIFFED_BYTES` bytes are enough; a file that begins like one may still be damaged.
    """
    head = first_bytes[:SNIFFED_BYTES]
    return (
        head.startswith(_OTHER_MAGIC + _TIFF_MAGIC)
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS)
        or (head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES)
        or is_jpeg_xl(head)
        or has_raw_magic(head)
    )


def is_jpeg_xl(content: bytes) -> bool:
    """Whether a file is JPEG XL, in a container or as a bare codestream."""
    return content.startswith(_JPEG_XL_MAGIC)


def is_heic(content: bytes) -> bool:
    """Whether these are the bytes of a HEIC file, as phones write it."""
    return content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS


def is_tiff(content: bytes) -> bool:
    """Whether a file is a TIFF; many RAW formats are TIFF as well."""
    return content.startswith(_TIFF_MAGIC)


def has_raw_magic(content: bytes) -> bool:
    """Whether a file begins like a RAW format that is no TIFF, or is CR2, a TIFF with a mark."""
    return (
        content.startswith(_RAW_MAGIC)
        or (content[4:8] == b"ftyp" and content[8:12] == b"crx ")
        or (is_tiff(content) and content[8:10] == b"CR")
    )
