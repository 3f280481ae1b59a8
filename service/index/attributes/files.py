"""A snapshot of attributes as a file beside the catalog, which is remade if it is damaged.

attributes.columns   a checksum, then columns and postings as safetensors, with dictionaries, generation and stamp
                     as JSON in its metadata
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from service.index.attributes.columns import CODED, PLAIN, Attributes, Folder, Postings, WrittenPlace
from service.index.attributes.encoding import make_attributes
from service.store.array_files import map_checksummed, write_checksummed
from service.types import AnyArray, UInt8Array

FILE = "attributes.columns"
VERSION = 1
_POSTINGS = ("keywords", "people")
_TUPLES: dict[str, Any] = {"folder": Folder, "place": WrittenPlace}


def write_attributes(folder: Path, attributes: Attributes) -> bool:
    """Writes a snapshot atomically; returns whether that was possible."""
    from safetensors.numpy import save

    arrays = attributes.columns() | {"by_date": attributes.by_date}
    for name in _POSTINGS:
        postings: Postings = getattr(attributes, name)
        arrays |= {f"{name} starts": postings.starts, f"{name} positions": postings.positions}
    facts = {
        "version": VERSION,
        "generation": attributes.generation,
        "stamp": attributes.stamp,
        "dated": attributes.dated,
        "names": {name: attributes.names[name] for name in CODED}
        | {name: getattr(attributes, name).names for name in _POSTINGS},
    }
    content = save({name: np.ascontiguousarray(each) for name, each in arrays.items()}, {"facts": json.dumps(facts)})
    return write_checksummed(folder / FILE, content)


def read_attributes(folder: Path) -> Attributes | None:
    """The snapshot in a folder, memory-mapped; None if it is missing, damaged or of another version."""
    content = map_checksummed(folder / FILE)
    if content is None:
        return None
    try:
        arrays, facts = _read_safetensors(content)
        if facts["version"] != VERSION:
            return None
        names = {
            name: tuple(each if each is None else _TUPLES[name](*each) for each in facts["names"][name])
            if name in _TUPLES
            else tuple(facts["names"][name])
            for name in CODED
        }
        postings = [
            Postings(tuple(facts["names"][name]), arrays[f"{name} starts"], arrays[f"{name} positions"])
            for name in _POSTINGS
        ]
        columns = {name: arrays[name] for name in (*PLAIN, *CODED)}
        return make_attributes(
            columns, names, postings, arrays["by_date"], int(facts["dated"]), int(facts["generation"]), facts["stamp"]
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_safetensors(content: UInt8Array) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Arrays that share the memory of a safetensors file's content, and the facts in its metadata.

    The package safetensors copies them, so that processes could not share them.
    """
    length = int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8 : 8 + length].tobytes())
    facts = json.loads(header.pop("__metadata__")["facts"])
    body = content[8 + length :]
    arrays = {}
    for name, each in header.items():
        start, end = each["data_offsets"]
        arrays[name] = body[start:end].view(_DTYPES[each["dtype"]]).reshape(each["shape"])
    return arrays, facts


_DTYPES = {"I64": np.int64, "I32": np.int32, "I8": np.int8, "F32": np.float32, "BOOL": np.bool_}
