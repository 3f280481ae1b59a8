"""Parses model names, as given to `--model`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models.offered import offered_model, offered_models
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
        meant = _did_you_mean(f"{architecture}/{pretrained}")
        raise UsageError(f"open_clip knows no architecture “{architecture}”.{meant} {_LISTED}")
    # open_clip ignores case and hyphens in tags; a library must remember one spelling.
    tag = pretrained.lower().replace("-", "_")
    if f"{architecture}/{tag}" not in pretrained_names():
        meant = _did_you_mean(f"{architecture}/{tag}", among=f"{architecture}/")
        raise UsageError(f"{architecture} has no weights “{pretrained}”.{meant} {_LISTED}")
    return ModelName("registry", f"{architecture}/{tag}", architecture=architecture, pretrained=tag)


def _unknown_form(name: str) -> str:
    return (
        f"“{name}” is not a model name: write {MINI}, ARCH/PRETRAINED such as {PREFERRED_MODEL}, "
        f"{HUB_PREFIX}ORG/NAME or {FOLDER_PREFIX}PATH.{_did_you_mean(name)} {_LISTED}"
    )


_LISTED = "`smysl models` lists what can be chosen."
_LEAST_PART = 4
"""Characters from which on a part of a name tells which model is meant."""


def _did_you_mean(name: str, among: str = "") -> str:
    """A question with the nearest model that can be loaded, of those whose names start with `among`; else ""."""
    names = [MINI, *(model.name for model in offered_models()), *pretrained_names()]
    models = {model.casefold(): model for model in names if model.startswith(among)}
    typed = name.casefold().rstrip("/")
    part = len(typed) >= _LEAST_PART
    nearest = (
        [model for model in models if part and model.startswith(f"{typed}/")]
        or [model for model in models if part and typed in model]
        # Of one architecture's weights any may be meant.
        or get_close_matches(typed, models, n=1, cutoff=0.0 if among else 0.6)
    )
    return f" Did you mean {models[nearest[0]]}?" if nearest else ""


def configurations_folder() -> Path:
    """The folder of open_clip's architectures, found without importing it and torch; raises `ModelError`."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise ModelError("The package open_clip is not installed; install smysl again with pip.")
    return Path(spec.origin).parent / "model_configs"


def pretrained_names() -> list[str]:
    """ARCH/PRETRAINED of all weights that open_clip can load. Imports torch."""
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip

    return ["/".join(pair) for pair in open_clip.list_pretrained()]
