"""The command `smysl watch`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    INTERRUPTED,
    DeviceOption,
    LibraryOption,
    ModelOption,
    PrecisionOption,
    errors_console,
    open_library,
    print_sentences,
    say,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from service.cli.progress import Steps
    from service.encoder.encoder import Encoder
    from service.indexing.indexer import Event, Summary
    from service.indexing.watch_events import WatchEvent


def watch(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Folders of photographs. Default: all folders of the library."),
    ] = None,
    library: LibraryOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    prune: Annotated[
        bool,
        typer.Option(
            help="Remove photographs from the library whose files are gone, unless a folder lost more than a tenth. "
            "Their ratings are kept."
        ),
    ] = False,
    poll: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Look for changes this often, on every disk. Default: SMYSL_POLL, or 30 and only on disks that do "
            "not report changes, such as network drives.",
        ),
    ] = None,
) -> None:
    """Index folders, and then what changes in them, until you stop it.

    Changes are indexed when the disk has been quiet for two seconds, or after half a minute. Moved, renamed and edited
    photographs keep their ids and ratings. A folder whose drive is away is waited for.
    """
    from service.indexing.watch_events import WatchOptions
    from service.library import Library
    from service.store.new_library import removed_if_it_fails

    settings = settings_of(library=library, model=model, device=device, precision=precision, poll=poll)
    folder = settings.library.expanduser()
    output = _Output(errors_console())
    # Systems that run it as a service stop it with this signal.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with removed_if_it_fails(folder), open_library(settings, create=bool(folders)) as opened:
            if not folders and not opened.catalog.roots():
                raise UsageError("Name at least one folder of photographs: smysl watch DIR.")

            def load() -> Encoder:
                from service.cli.progress import download

                with download(output.console) as on_progress:
                    return opened.encoder_to_index(say=say, on_progress=on_progress)

            # After Ctrl-C the watch is closed while the library is open, so that what is encoded is written.
            options = WatchOptions(prune=prune, poll_s=settings.poll)
            with closing(opened.watch(folders or (), options, load=load)) as events:
                output.follow(events)
    except KeyboardInterrupt:
        if output.is_watching:
            say("Stopped watching.", output.console)
            return
        kept = "What was indexed is kept; run the command again to continue."
        say(f"Stopped. {kept}" if Library.is_in(folder) else "Stopped before anything was indexed.", output.console)
        raise typer.Exit(INTERRUPTED) from None


_MANY = 100
"""Files from which on the progress of a later run is shown."""


class _Output:
    """Prints what happens; `is_watching` once all folders that are there have been indexed."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.is_watching = False
        self._told_losses = ""
        self._steps: Steps | None = None

    def follow(self, events: Iterator[WatchEvent]) -> None:
        """Print events until there are no more."""
        from service.cli.progress import follow_index

        follow_index(self.console, self._before_watching(events))
        try:
            for event in events:
                self._show(event)
        finally:
            self._end_progress()

    def _show(self, event: WatchEvent) -> None:
        """Print an event after the first run."""
        from service.cli.progress import Steps, describe_changes, print_problem
        from service.indexing.decoder import Failure, Flaw
        from service.indexing.indexer import Advanced, Scanned
        from service.indexing.watch_events import Notice, Ran

        if isinstance(event, Scanned):
            # Of a run that failed like the one before it, nothing else says that it has ended.
            self._end_progress()
            if event.to_read >= _MANY:
                self._steps = Steps(self.console, "Indexing")
                self._steps(0, event.to_read)
        elif isinstance(event, Advanced) and self._steps is not None:
            self._steps(event.done, event.total)
        elif isinstance(event, Failure | Flaw):
            print_problem(self.console, event)
        elif isinstance(event, Notice):
            # After a run that failed, nothing else says that it has ended.
            self._end_progress()
            say(event.sentence, self.console)
        elif isinstance(event, Ran):
            self._end_progress()
            self._print(describe_changes(event))
            self._tell_losses(event.summary)

    def _end_progress(self) -> None:
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def _before_watching(self, events: Iterator[WatchEvent]) -> Iterator[Event]:
        """The events of the first index run; what else happens is printed."""
        from service.cli.progress import describe
        from service.indexing.watch_events import Notice, Ran, Watching

        for event in events:
            if isinstance(event, Notice):
                say(event.sentence, self.console)
            elif isinstance(event, Ran):
                self._print(describe(event.summary))
                self._tell_losses(event.summary)
            elif isinstance(event, Watching):
                self.is_watching = True
                count = len(event.folders)
                watching = f"Watching {count} folder{'' if count == 1 else 's'}"
                self._print(f"{watching if count else 'Waiting for a folder to come back'}. Stop with Ctrl-C.")
                return
            else:
                yield event

    def _tell_losses(self, summary: Summary) -> None:
        """Say once why nothing was removed."""
        from service.cli.progress import describe_losses

        losses = describe_losses(summary) if summary.losses else ""
        if losses and losses != self._told_losses:
            say(losses, self.console)
        self._told_losses = losses or self._told_losses

    def _print(self, text: str) -> None:
        if text:
            print_sentences(text)
            # In a pipe it would only come with later ones.
            sys.stdout.flush()
