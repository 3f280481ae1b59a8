"""What every command shares: its options, its settings from flags, and how it speaks on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from service.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from service.config import Settings
    from service.encoder.encoder import Encoder
    from service.library import Library
    from service.photos.decode import DecodedPhotograph

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 and the signal's number)."""

LibraryOption = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time
    typer.Option("--library", "-l", help="Folder of the library; else SMYSL_LIBRARY, else your data folder."),
]
ModelOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="mini, ARCH/PRETRAINED of open_clip, hf-hub:ORG/NAME or local-dir:PATH."),
]
DeviceOption = Annotated[Optional[str], typer.Option(help="cuda, mps or cpu; else the first there is.")]  # noqa: UP045
PrecisionOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="fp32, bf16, fp16, or int8 after smysl train int8; else the fastest that keeps the vectors."),
]
RuntimeOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="openvino or torch on a processor; else the first where it can."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_line(text: str) -> None:
    """Print to standard output, whatever characters a file name has."""
    sys.stdout.write(text + "\n")


def settings_of(**flags: Any) -> Settings:
    """Settings with the flags over them that were given; `None` is one that was not.

    Raises:
        UsageError: a value that cannot be; the sentence names the flag and its variable.
    """
    from pydantic import ValidationError

    from service.config import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        variable = f"SMYSL_{name.upper()}"
        asked = f"--{name} (or {variable})" if name in flags else variable
        raise UsageError(f"{asked} is {str(fault['input'])!r}: {fault['msg']}.") from None


def open_library(settings: Settings, *, create: bool = False) -> Library:
    """The library that the settings name; with `create` it is made where it is missing."""
    from service.library import Library

    return Library.open(settings.library.expanduser(), settings, create=create, say=say)


def check_there(file: Path) -> None:
    """Raise `NotFoundError` where a file that a person named is not there."""
    if not file.exists():
        raise NotFoundError(f"There is no file {file}. Check the spelling.")


def open_named(file: Path, *, shorter_side: int | None = None) -> DecodedPhotograph:
    """Decode a photograph that a person named; the error names it too. `shorter_side` as for `open_photograph`."""
    from service.errors import PhotographError
    from service.photos.decode import open_photograph

    check_there(file)
    try:
        return open_photograph(file, shorter_side=shorter_side)
    except PhotographError as error:
        raise PhotographError(f"{file} cannot be used as a photograph: {error.message}.") from None


def encoder_named(
    model: str | None, device: str | None, precision: str | None = None, runtime: str | None = None
) -> Encoder:
    """The model that a command was given, else the one of the settings, else `mini`; a download shows its progress."""
    from service.cli.progress import download
    from service.config import MINI
    from service.encoder.encoder import load_encoder

    settings = settings_of(model=model, device=device, precision=precision, runtime=runtime)
    with download(errors_console()) as on_progress:
        return load_encoder(settings.model or MINI, settings, on_progress, say)


def check_report(file: Path | None) -> None:
    """Raise `UsageError` where a report cannot be written to `file`, before anything is measured for it."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise UsageError(f"The report cannot be written to {file}: name a file in a folder that is there.")


def errors_console() -> Console:
    """The console of everything that is not a result: progress, notices, errors (standard error)."""
    from rich.console import Console

    return Console(stderr=True)


def say(sentence: str) -> None:
    """Tell the person a sentence on standard error, as it is: no markup, no folding."""
    errors_console().print(sentence, highlight=False, markup=False, soft_wrap=True)


def print_rows(rows: dict[str, str]) -> None:
    """Print names and values to standard output in two columns; the lines of a value stand below one another."""
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        first, *more = value.split("\n")
        print_line(f"{name:<{width}}  {first}")
        for line in more:
            print_line(f"{'':<{width}}  {line}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells to standard output, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def need_training_packages() -> None:
    """Raise `UsageError` where what fits heads and matches is not installed; it comes with `smysl[training]`."""
    from importlib.util import find_spec

    missing = [name for module, name in _TRAINING_PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise UsageError(f"This needs {' and '.join(missing)}, not installed here; run pip install 'smysl[training]'.")


_TRAINING_PACKAGES = {
    "sklearn": "scikit-learn",
    "scipy": "SciPy",
    "pytorch_metric_learning": "pytorch-metric-learning",
}
