"""Which files of the hub's cache a model needs, and whether they are there.

A model of the hub is up to three things, each maybe in a repository of its own: the weights, the
tokenizer, and (for a text tower of transformers) that tower's configuration. Nothing here uses the
network or imports torch, unless a model is asked for that is not on the list of `known.py`.
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
"""Any one of these files makes a tokenizer."""

TOKENIZER_CONFIGURATION = "config.json"
"""transformers asks for it first and must either have it or know that the repository has none."""

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
    """One thing that a model takes from the hub.

    Attributes:
        role: what it is for.
        repository: ORG/NAME on the hub, or a NAME alone for the oldest ones.
        choices: names of files, the best first; any one of them will do.
    """

    role: Role
    repository: str
    choices: tuple[str, ...]


def is_on_this_machine(name: str) -> bool:
    """Whether a model can be used without a network.

    Args:
        name: a model's name as `--model` takes it.

    Raises:
        UsageError: no such model.
    """
    parsed = parse_name(name)
    if parsed.folder is not None:
        return (parsed.folder / CONFIGURATION).is_file()
    if any(find_in_cache(part) is None for part in first_parts(parsed)):
        return False
    return all(find_in_cache(part) is not None for part in text_parts(parsed))


def bytes_on_disk(name: str) -> int:
    """Size of a model's files on this machine, 0 where it is not there; links are counted as what they lead to.

    Args:
        name: a model's name as `--model` takes it.

    Raises:
        UsageError: no such model.
    """
    return sum(file.stat().st_size for file in files_of(name))


def files_of(name: str) -> list[Path]:
    """A model's files on this machine, sorted; links are followed. None where it is not there.

    Args:
        name: a model's name as `--model` takes it.

    Raises:
        UsageError: no such model.
    """
    parsed = parse_name(name)
    if parsed.folder is not None:
        return sorted(file for file in parsed.folder.rglob("*") if file.is_file())
    if not is_on_this_machine(name):
        return []
    found = {find_in_cache(part) for part in [*first_parts(parsed), *text_parts(parsed)]}
    return sorted(file for file in found if file is not None)


def first_parts(parsed: ModelName) -> list[RequiredFile]:
    """What can be named without having anything yet: the weights, and the configuration that leads on."""
    if parsed.kind == "hub" and parsed.repository:
        return [
            RequiredFile("configuration", parsed.repository, (CONFIGURATION,)),
            RequiredFile("weights", parsed.repository, _weight_choices("")),
        ]
    repository, file = _registry_source(parsed)
    return [RequiredFile("weights", repository, _weight_choices(file))]


def text_parts(parsed: ModelName) -> list[RequiredFile]:
    """What the text tower takes from the hub; the configuration of a hub model must be cached by now."""
    text = _model_configuration(parsed).get("text_cfg", {})
    parts = []
    if tower := text.get("hf_model_name"):
        parts.append(RequiredFile("text tower", tower, ("config.json",)))
    if tokenizer := text.get("hf_tokenizer_name"):
        parts.append(RequiredFile("tokenizer", tokenizer, VOCABULARIES))
    return parts


def find_in_cache(part: RequiredFile) -> Path | None:
    """The cached and whole file of a part, or None."""
    if part.role == "tokenizer" and not is_answered(part.repository, TOKENIZER_CONFIGURATION):
        return None
    for choice in part.choices:
        path = cached_file(part.repository, choice)
        if path is not None and _is_whole(path):
            return path
    return None


def cached_file(repository: str, file: str) -> Path | None:
    """Where a file of the hub lies in the cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file)
    return Path(found) if isinstance(found, str) else None


def is_answered(repository: str, file: str) -> bool:
    """Whether the cache has a file, or knows that the repository has none of this name."""
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(repository, file) is not None


@contextmanager
def cached_only() -> Iterator[None]:
    """Let nothing in this process ask the hub meanwhile: what is not cached is missing.

    open_clip and transformers ask the hub for news of each file even where it is cached; with a hub that
    does not answer, loading a cached model would take a minute, and with one that does, a library's model
    could change under it.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _weight_choices(file: str) -> tuple[str, ...]:
    """The order in which open_clip looks for weights: safetensors before torch's own format."""
    file = file or "open_clip_pytorch_model.bin"
    if file == "open_clip_pytorch_model.bin":
        return ("open_clip_model.safetensors", file)
    safe = Path(file).with_suffix(".safetensors").name
    return (safe, file) if safe != file else (file,)


def _registry_source(parsed: ModelName) -> tuple[str, str]:
    """Repository and file of a model of open_clip's registry; the file is "" where the usual one is meant."""
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


def _is_whole(path: Path) -> bool:
    """Whether a file has its full length, as far as the file itself tells: safetensors do, others do not."""
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
