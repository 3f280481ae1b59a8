"""Which files of the hub's cache a model needs, and whether they are cached.

A model of the hub has up to three parts, each perhaps in a repository of its own: the weights, the tokenizer, and (for
a transformers text tower) that tower's configuration. Nothing here uses the network; torch is imported only for models
that are not in `offered.py`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from service.encoder.models.names import ModelName, configurations_folder, parse_name
from service.encoder.models.offered import offered_model
from service.errors import ModelError

CONFIGURATION = "open_clip_config.json"

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt")
"""Any one of these files is enough for a tokenizer."""

TOKENIZER_CONFIGURATION = "config.json"
"""transformers looks for it first and needs either the file or the cached note that the repository has none."""

TOKENIZER_FILES = (
    TOKENIZER_CONFIGURATION,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab.json",
    *VOCABULARIES,
)

Role = Literal["weights", "configuration", "tokenizer", "text tower"]


@dataclass(frozen=True)
class RequiredFile:
    """A part of a model that is a file on the hub.

    Attributes:
        role: what it is for.
        repository: ORG/NAME on the hub, or NAME alone for the oldest ones.
        choices: file names, any one of which is enough, the best first.
    """

    role: Role
    repository: str
    choices: tuple[str, ...]


def is_on_this_machine(name: str) -> bool:
    """Whether a model can be used without a network; raises `UsageError` for an unknown name."""
    parsed = parse_name(name)
    if parsed.folder is not None:
        return (parsed.folder / CONFIGURATION).is_file()
    if any(find_in_cache(part) is None for part in first_files(parsed)):
        return False
    return all(find_in_cache(part) is not None for part in text_files(parsed))


def bytes_on_disk(name: str) -> int:
    """Size of a model's files on this machine, 0 where it is not there; links count as their targets."""
    return sum(file.stat().st_size for file in files_of(name))


def files_of(name: str) -> list[Path]:
    """A model's files on this machine, sorted, links followed; empty where it is not there."""
    parsed = parse_name(name)
    if parsed.folder is not None:
        return sorted(file for file in parsed.folder.rglob("*") if file.is_file())
    if not is_on_this_machine(name):
        return []
    found = {find_in_cache(part) for part in [*first_files(parsed), *text_files(parsed)]}
    return sorted(file for file in found if file is not None)


def first_files(parsed: ModelName) -> list[RequiredFile]:
    """The files that are known before anything is cached: the weights, and the configuration that names the rest."""
    if parsed.kind == "hub" and parsed.repository:
        return [
            RequiredFile("configuration", parsed.repository, (CONFIGURATION,)),
            RequiredFile("weights", parsed.repository, _weight_choices("")),
        ]
    repository, file = _registry_source(parsed)
    return [RequiredFile("weights", repository, _weight_choices(file))]


def text_files(parsed: ModelName) -> list[RequiredFile]:
    """The files of the text tower; the configuration of a hub model must be cached by now."""
    text = _model_configuration(parsed).get("text_cfg", {})
    parts = []
    if tower := text.get("hf_model_name"):
        parts.append(RequiredFile("text tower", tower, ("config.json",)))
    if tokenizer := text.get("hf_tokenizer_name"):
        parts.append(RequiredFile("tokenizer", tokenizer, VOCABULARIES))
    return parts


def find_in_cache(part: RequiredFile) -> Path | None:
    """The cached file of a part, None where there is none of full length."""
    if part.role == "tokenizer" and not _is_known(part.repository, TOKENIZER_CONFIGURATION):
        return None
    for choice in part.choices:
        path = cached_file(part.repository, choice)
        if path is not None and _is_complete(path):
            return path
    return None


def cached_file(repository: str, file: str) -> Path | None:
    """The path of a hub file in the cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def _is_known(repository: str, file: str) -> bool:
    """Whether the cache has a file, or a note that the repository has none of this name."""
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(repository, file) is not None


@contextmanager
def cached_only() -> Iterator[None]:
    """Let nothing in this process ask the hub meanwhile: what is not cached is missing.

    open_clip and transformers ask the hub for a newer version of each cached file. With a hub that does not answer,
    loading a cached model would take a minute; with one that does, the model of a library could change.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _weight_choices(file: str) -> tuple[str, ...]:
    """Names of weight files in open_clip's order: safetensors before torch's own format."""
    file = file or "open_clip_pytorch_model.bin"
    if file == "open_clip_pytorch_model.bin":
        return ("open_clip_model.safetensors", file)
    safe = Path(file).with_suffix(".safetensors").name
    return (safe, file) if safe != file else (file,)


def _registry_source(parsed: ModelName) -> tuple[str, str]:
    """Repository and file of a model in open_clip's registry; the file is "" for the default name."""
    known = offered_model(parsed.text)
    if known and known.repository:
        return known.repository, ""
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip

    source = open_clip.get_pretrained_cfg(parsed.architecture, parsed.pretrained).get("hf_hub", "")
    repository, _, file = source.rpartition("/")
    if not repository:
        raise ModelError(f"The weights of {parsed} are not on the model hub; `smysl models` lists others.")
    return repository, file


def _model_configuration(parsed: ModelName) -> dict[str, Any]:
    if parsed.kind == "registry":
        path: Path | None = configurations_folder() / f"{parsed.architecture}.json"
    else:
        path = cached_file(str(parsed.repository), CONFIGURATION)
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"The configuration of {parsed} at {path} is not JSON ({error}).") from error
    configuration = content.get("model_cfg", content) if isinstance(content, dict) else None
    if not isinstance(configuration, dict):
        raise ModelError(f"The configuration of {parsed} at {path} describes no open_clip model.")
    return configuration


def _is_complete(path: Path) -> bool:
    """Whether a file has its full length: a safetensors file says so itself, others only must not be empty."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return size > 0
    with path.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            return False
        (header_size,) = struct.unpack("<Q", start)
        if header_size > size:
            return False
        try:
            header = json.loads(stream.read(header_size))
        except ValueError:
            return False
    ends: list[int] = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    return bool(size == 8 + header_size + max(ends, default=0))
