"""Parses model names, as given to `--model`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models.offered import offered_model
from service.errors import ModelError, UsageError

HUB_PREFIX = "hf-hub:"
FOLDER_PREFIX = "local-dir:"

Kind = Literal["mini", "registry", "hub", "folder"]


@dataclass(frozen=True)
class ModelName:
    """A parsed model name.

    Attributes:
        kind: "mini", "registry" (ARCH/PRETRAINED of open_clip), "hub" or "folder".
        text: the canonical spelling of the name, which a library remembers.
        architecture: open_clip's architecture, for kind "registry".
        pretrained: open_clip's tag of weights, for kind "registry".
        repository: ORG/NAME on the model hub, for kind "hub".
        folder: an absolute path, for kinds "folder" and "mini".
    """

    kind: Kind
    text: str
    architecture: str | None = None
    pretrained: str | None = None
    repository: str | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        return self.text


def mini_folder() -> Path:
    """The folder of the built-in model, an ordinary open_clip `local-dir` model."""
    return Path(__file__).resolve().parent / "mini"


def parse_name(name: str) -> ModelName:
    """Parse a model name, and check what can be checked without a network.

    Args:
        name: "mini", "ARCH/PRETRAINED", "hf-hub:ORG/NAME" or "local-dir:PATH".

    Raises:
        UsageError: the name has none of these forms, or open_clip knows no such architecture or weights.
    """
    name = name.strip()
    if name == MINI:
        return ModelName("mini", MINI, folder=mini_folder())
    if name.startswith(HUB_PREFIX):
        return _parse_hub(name.removeprefix(HUB_PREFIX))
    if name.startswith(FOLDER_PREFIX):
        return _parse_folder(name.removeprefix(FOLDER_PREFIX))
    architecture, separator, pretrained = name.partition("/")
    if not (architecture and separator and pretrained):
        raise UsageError(_unknown_form(name))
    if offered_model(name):
        return ModelName("registry", name, architecture=architecture, pretrained=pretrained)
    return _parse_registry(architecture, pretrained)


def _parse_hub(repository: str) -> ModelName:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, flags=re.ASCII):
        raise UsageError(f"“{HUB_PREFIX}{repository}” does not name a model of the hub; write {HUB_PREFIX}ORG/NAME.")
    return ModelName("hub", HUB_PREFIX + repository, repository=repository)


def _parse_folder(path: str) -> ModelName:
    if not path.strip():
        raise UsageError(f"“{FOLDER_PREFIX}” names no folder; write {FOLDER_PREFIX}PATH.")
    folder = Path(path).expanduser().resolve()
    return ModelName("folder", f"{FOLDER_PREFIX}{folder}", folder=folder)


def _parse_registry(architecture: str, pretrained: str) -> ModelName:
    if not (configurations_folder() / f"{architecture}.json").is_file():
        close = get_close_matches(architecture, architectures(), n=3, cutoff=0.5)
        raise UsageError(
            f"open_clip knows no architecture “{architecture}”{_or_rather(close)}; "
            "`smysl models` lists what can be chosen."
        )
    tags = pretrained_tags(architecture)
    # open_clip ignores case and hyphens in tags; a library must remember one spelling.
    tag = pretrained.lower().replace("-", "_")
    if tag not in tags:
        close = get_close_matches(tag, tags, n=3, cutoff=0.3) or tags[:3]
        raise UsageError(
            f"{architecture} has no weights “{pretrained}”{_or_rather(close)}; `smysl models` lists what can be chosen."
        )
    return ModelName("registry", f"{architecture}/{tag}", architecture=architecture, pretrained=tag)


def _or_rather(close: list[str]) -> str:
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _unknown_form(name: str) -> str:
    close = get_close_matches(name, [MINI, *architectures()], n=1, cutoff=0.6)
    meant = ""
    if close:
        meant = f" Did you mean {MINI if close[0] == MINI else f'{close[0]}/PRETRAINED'}?"
    return (
        f"“{name}” is not a model name: write {MINI}, ARCH/PRETRAINED such as {PREFERRED_MODEL}, "
        f"{HUB_PREFIX}ORG/NAME or {FOLDER_PREFIX}PATH; `smysl models` lists what can be chosen.{meant}"
    )


def configurations_folder() -> Path:
    """The folder of open_clip's architectures, found without importing it and torch; raises `ModelError`."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise ModelError("The package open_clip is not installed; install smysl again with pip.")
    return Path(spec.origin).parent / "model_configs"


def architectures() -> list[str]:
    """The names of open_clip's architectures."""
    return sorted(path.stem for path in configurations_folder().glob("*.json"))


def pretrained_tags(architecture: str) -> list[str]:
    """The tags of pretrained weights that open_clip has for an architecture. Imports torch."""
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip

    return list(open_clip.list_pretrained_tags_by_model(architecture))
