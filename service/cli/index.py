"""The command `smysl index`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    LibraryOption,
    PrecisionOption,
    errors_console,
    open_library,
    print_sentences,
    say,
    settings_of,
)
from service.errors import LibraryError, UsageError


def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of photographs. Default: all folders of the library."),
    ] = None,
    library: LibraryOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model: mini, ARCH/PRETRAINED of open_clip, hf-hub:ORG/NAME or local-dir:PATH. Repeat it to add "
            "models whose features heads use."
        ),
    ] = None,
    forget: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="First remove an additional model and its features from the library."),
    ] = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    prune: Annotated[
        bool,
        typer.Option(help="Remove photographs from the library whose files are gone. Their ratings are kept."),
    ] = False,
    confirm: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --prune: the number of photographs that really are gone, where a folder lost more than a tenth.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Leave out files and folders of DIR, as in .gitignore; repeat it for more. Remembered; '' for none.",
        ),
    ] = None,
    follow_links: Annotated[
        bool | None,
        typer.Option("--follow-links/--no-follow-links", help="Follow links to folders in DIR. Remembered."),
    ] = None,
    min_bytes: Annotated[
        int | None, typer.Option(min=0, help="Leave out files of DIR with fewer bytes. Remembered.")
    ] = None,
    max_megapixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Decode at most N million pixels of a photograph, 179 if not given. Larger JPEG and TIFF files are "
            "decoded at a smaller scale, others are left out. Each million may take 16 MB of memory.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name every file that is left out, and broken metadata.")
    ] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read all files again, also those that look unchanged.")
    ] = False,
) -> None:
    """Add new photographs to the library, skip unchanged ones, follow moved ones.

    Your photographs are never changed or deleted. Stop it with Ctrl-C and run it again to continue. A --model other
    than the library's own encodes all photographs again. Additional models stay until --forget removes them.
    """
    from service.cli.progress import count, describe, describe_losses, download, follow_index
    from service.indexing.options import IndexOptions
    from service.library import Library
    from service.store.new_library import removed_if_it_fails
    from service.store.paths import resolve_folder

    if confirm is not None and not prune:
        raise UsageError("--confirm says how many photographs --prune may remove. Add --prune, or leave it out.")
    if not folders and not (exclude is None and follow_links is None and min_bytes is None):
        raise UsageError("Name the folders for which --exclude, --follow-links and --min-bytes are meant.")
    errors = errors_console()
    named_models = model or []
    main_model = named_models[0] if named_models else None
    settings = settings_of(
        library=library, model=main_model, device=device, precision=precision, max_megapixels=max_megapixels
    )
    folder = settings.library.expanduser()
    # Before a model is loaded or even downloaded: a misspelt folder should fail at once.
    named = [resolve_folder(folder) for folder in folders or ()]
    try:
        with removed_if_it_fails(folder), open_library(settings, create=bool(named)) as opened:
            if not named and not opened.status().roots:
                raise UsageError("Name at least one folder of photographs: smysl index DIR.")
            if forget is not None:
                opened.forget_model(forget)
            with download(errors) as on_progress:
                encoder = opened.encoder_to_index(say=say, on_progress=on_progress)
                additional = opened.additional_to_index(encoder, named_models[1:], on_progress)
            # After Ctrl-C the run is closed while the library is open, so that what is encoded is written.
            options = IndexOptions(
                prune=prune,
                confirm=confirm,
                reread=reread,
                exclude=None if exclude is None else tuple(exclude),
                follow_links=follow_links,
                min_bytes=min_bytes,
            )
            with closing(opened.index(named, options, encoder=encoder, additional=additional)) as run:
                summary = follow_index(errors, run, verbose=verbose)
            print_sentences(describe(summary))
            status = opened.status()
            models = " and ".join(["model " + str(status.model), *status.additional_models])
            print_sentences(f"The library {status.library} holds {count(status.photographs)} ({models}).")
            for head in opened.heads():
                if head.fault is not None:
                    say(f"The head {head.name} cannot be used: {head.fault}")
            if status.fingerprint != encoder.fingerprint:
                raise LibraryError(
                    f"The library still uses the model {status.model}: one of its folders is missing or cannot be "
                    f"read, so its photographs could not be encoded with {encoder.name}. Run the command again when "
                    "the folder is back."
                )
            if prune and summary.losses:
                raise LibraryError(describe_losses(summary))
    except KeyboardInterrupt:
        kept = "What was indexed is kept; run the command again to continue."
        say(f"Stopped. {kept}" if Library.is_in(folder) else "Stopped before anything was indexed.", errors)
        raise typer.Exit(INTERRUPTED) from None
    if summary.failed and not (summary.added or summary.changed or summary.moved or summary.unchanged):
        raise typer.Exit(1)
