"""What commands share: options, settings from flags, and printing to standard output and standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.flags import flag_of
from service.cli.wrapping import print_wrapped, terminal_width, wrapped
from service.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column

    from service.config import Settings
    from service.encoder.encoder import Encoder
    from service.library import Library
    from service.photos.decoded import DecodedPhotograph

_TABLE_WIDTH = 80
"""Columns of a terminal from which on a table is readable."""

_LONGEST_ID = 19
"""Digits of the largest number that SQLite takes for an id."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells: 128 plus the number of the signal."""

LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", "-l", help="Folder of the library. Default: SMYSL_LIBRARY, or your data folder."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="Model: mini, ARCH/PRETRAINED of open_clip, hf-hub:ORG/NAME or local-dir:PATH."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="cuda, mps or cpu. Default: the first of them that this machine has."),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(help="fp32, bf16, fp16, or int8 (after smysl train int8). Default: the fastest that matches fp32."),
]
RuntimeOption = Annotated[
    str | None,
    typer.Option(help="openvino or torch, on a CPU. Default: openvino where it can run the model."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def joined(words: Sequence[str] | None) -> str | None:
    """Words typed without quotes as one text; None without any."""
    return " ".join(words) if words else None


def id_of(name: str) -> int | None:
    """The id that a person typed, or None for a name of a file; photographs' files have a suffix."""
    return int(name) if name.isdecimal() and len(name) <= _LONGEST_ID else None


def print_line(text: str) -> None:
    """Print a line to standard output, exactly as it is."""
    sys.stdout.write(text + "\n")


def print_sentences(text: str) -> None:
    """Print sentences to standard output; on a terminal they are wrapped."""
    print_line("\n".join(wrapped(text, terminal_width())))


def print_json(value: Any, *, ensure_ascii: bool = True) -> None:
    """Print indented JSON to standard output."""
    print_line(json.dumps(value, indent=2, ensure_ascii=ensure_ascii))


def settings_of(**flags: Any) -> Settings:
    """Settings from the environment, overridden by the flags that are not `None`.

    Raises `UsageError` for a value that is not allowed, naming the flag and the variable.
    """
    from pydantic import ValidationError

    from service.config import Settings

    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        variable = f"SMYSL_{name.upper()}"
        source = f"{flag_of(name)} (or {variable})" if name in flags else variable
        raise UsageError(f"{source} is {str(fault['input'])!r}: {fault['msg']}.") from None


def open_library(settings: Settings, *, create: bool = False) -> Library:
    """Open the library that the settings name; `create` makes one where there is none."""
    from service.library import Library

    return Library.open(settings.library.expanduser(), settings, create=create, say=say)


def check_exists(file: Path) -> None:
    """Raise `NotFoundError` where a file named on the command line does not exist."""
    if not file.exists():
        raise NotFoundError(f"There is no file {file}. Check the spelling.")


def open_named(file: Path, *, shorter_side: int | None = None) -> DecodedPhotograph:
    """Decode a photograph named on the command line; errors name it. `shorter_side` as for `open_photograph`."""
    from service.errors import PhotographError
    from service.photos.decode import open_photograph

    check_exists(file)
    try:
        return open_photograph(file, shorter_side=shorter_side)
    except PhotographError as error:
        raise PhotographError(f"{file} cannot be used as a photograph: {error.message}.") from None


def encoder_named(
    model: str | None, device: str | None, precision: str | None = None, runtime: str | None = None
) -> Encoder:
    """Load the given model, or that of the settings, or `mini`; a download shows its progress."""
    from service.cli.progress import download
    from service.config import MINI
    from service.encoder.encoder import load_encoder

    settings = settings_of(model=model, device=device, precision=precision, runtime=runtime)
    with download(errors_console()) as on_progress:
        return load_encoder(settings.model or MINI, settings, on_progress, say)


def encoders_named(models: Sequence[str], device: str | None) -> list[Encoder]:
    """Load each of the given models; without any, the one that `encoder_named` chooses."""
    return [encoder_named(model, device) for model in models] or [encoder_named(None, device)]


def cache_folder(folder: Path | None) -> Path:
    """The folder given with --cache, or the user's cache folder."""
    from platformdirs import user_cache_path

    return folder or user_cache_path("smysl")


def check_report(file: Path | None) -> None:
    """Raise `UsageError` where a report cannot be written to `file`; called before anything is measured."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise UsageError(f"The report cannot be written to {file}. Name a file in an existing folder.")


def errors_console() -> Console:
    """A console on standard error, where everything goes that is not a result: progress, notices, errors."""
    from rich.console import Console

    return Console(stderr=True)


def say(sentence: str, console: Console | None = None) -> None:
    """Print a sentence to standard error; on a terminal it is wrapped.

    Pass the console of a progress bar that is on the screen, so that the bar stays below the sentence.
    """
    print_wrapped(console or errors_console(), sentence)


def print_rows(rows: Mapping[str, str]) -> None:
    """Print names and values to standard output in two columns; further lines of a value are indented."""
    width, columns = max(len(name) for name in rows), terminal_width()
    for name, value in rows.items():
        for number, line in enumerate(wrapped(value, columns and columns - width - 2)):
            print_line(f"{'' if number else name:<{width}}  {line}")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells to standard output, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_columns(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with bold headings to standard output, 140 characters wide in a pipe.

    On a terminal that is too narrow for a table, each row is a list of headings and values under its first cell.
    """
    from rich.console import Console
    from rich.table import Table

    rows, width = list(rows), terminal_width()
    if width is not None and width < _TABLE_WIDTH:
        for name, *cells in rows:
            print_line(name)
            for column, cell in zip(columns[1:], cells, strict=True):
                for number, line in enumerate(wrapped(f"{column.header}: {cell}", width - 4)):
                    print_line(f"{'    ' if number else '  '}{line}")
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def with_interval(value: float, interval: tuple[float, float], spec: str, unit: str = "") -> str:
    """A figure with its 95 % interval; `spec` is a format such as `5.1f`, of which the bounds take only the digits."""
    digits = f".{spec.partition('.')[2]}"
    low, high = (f"{bound:{digits}}" for bound in interval)
    return f"{value:{spec}}{unit}   (95 % interval {low} to {high})"


def require_training_packages() -> None:
    """Raise `UsageError` where the packages of `smysl[training]` are not installed."""
    from importlib.util import find_spec

    missing = [name for module, name in _TRAINING_PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"This command needs {' and '.join(missing)}. Install what is missing with pip install 'smysl[training]'."
        )


_TRAINING_PACKAGES = {
    "sklearn": "scikit-learn",
    "scipy": "SciPy",
    "pytorch_metric_learning": "pytorch-metric-learning",
}
