"""The command `smysl`: a table of contents of its subcommands, and where errors become text and exit codes."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from service.cli.bench import bench_app
from service.cli.classify import classify, kinds
from service.cli.datasets import data_app
from service.cli.evaluate import eval_app
from service.cli.flags import message_with_flags
from service.cli.forget import forget
from service.cli.heads import head_app
from service.cli.index import index
from service.cli.models import models
from service.cli.ratings import rate, ratings_app
from service.cli.roots import roots_app
from service.cli.score import score
from service.cli.search import search
from service.cli.serve import serve
from service.cli.skipped import skipped
from service.cli.status import status
from service.cli.terminal import print_line, say
from service.cli.train import train_app
from service.cli.watch import watch
from service.errors import SmyslError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from service.store.service_registry import own_version

        print_line(f"smysl {own_version()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Search photographs by meaning: describe a scene and get the photographs that show it.

    Start with `smysl index DIR`, then `smysl search "two dogs play in the snow"` or `smysl serve`.
    """


for command in (index, search, score, rate, classify, kinds, serve, watch, status, models, skipped, forget):
    app.command()(command)
for group, name in (
    (bench_app, "bench"),
    (eval_app, "eval"),
    (train_app, "train"),
    (ratings_app, "ratings"),
    (head_app, "head"),
    (roots_app, "roots"),
    (data_app, "data"),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command; errors become one line on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal with another encoding shows a question mark instead of ending the command.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="smysl")
    except SmyslError as error:
        say(f"smysl: {message_with_flags(error)}")
        sys.exit(error.exit_code)
