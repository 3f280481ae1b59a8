"""The command `smysl score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    DeviceOption,
    LibraryOption,
    ModelOption,
    check_exists,
    errors_console,
    joined,
    open_library,
    open_named,
    print_line,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from service.config import Settings
    from service.encoder.encoder import Encoder
    from service.match.scorer import Scorer


def score(
    image: Annotated[Path | None, typer.Argument(metavar="FILE", help="A photograph.")] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help="A description to compare it with; quotes are not needed."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="Table (TSV) with the columns image and text, with paths relative to the table."),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Print how well a text describes a photograph, from 0 to 1, for one pair or a whole table.

    Uses --model, or the library's model and match, or the built-in model where there is no library.
    """
    from service.search.score_table import read_pairs, score_lines
    from service.search.search import score as score_pairs
    from service.texts import check_text

    text = joined(words)
    settings = settings_of(library=library, model=model, device=device)
    if pairs is not None:
        if image is not None or text is not None:
            raise UsageError("Give either a photograph and a text, or --pairs FILE.tsv.")
        from service.cli.progress import steps

        table = read_pairs(pairs)
        encoder, scorer = _encoder_and_scorer(settings)
        with steps(errors_console(), "Scoring") as on_progress:
            # Printed afterwards: a progress bar on the screen takes over standard output.
            lines = list(score_lines(table, encoder, scorer, on_progress))
        print_line("\n".join(lines))
        return
    if image is None or text is None:
        raise UsageError('Name a photograph and a text: smysl score FILE "a red flower".')
    check_text(text)
    check_exists(image)
    encoder, scorer = _encoder_and_scorer(settings)
    photograph = open_named(image, shorter_side=2 * encoder.photograph_side)
    print_line(f"{score_pairs(encoder, scorer, [photograph.image], [text])[0].match:.3f}")


def _encoder_and_scorer(settings: Settings) -> tuple[Encoder, Scorer]:
    """The library's encoder and scorer, or those of the model in the settings, or of the built-in one."""
    from service.config import MINI
    from service.encoder.encoder import load_encoder
    from service.library import Library
    from service.match.scorer import load_scorer

    if settings.model is None and Library.is_in(settings.library.expanduser()):
        with open_library(settings) as opened:
            if opened.status().model is not None:
                target = opened.check()
                return target.encoder, target.scorer
    encoder = load_encoder(settings.model or MINI, settings)
    return encoder, load_scorer(encoder)
