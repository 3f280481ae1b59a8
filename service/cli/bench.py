"""The commands under `smysl bench`: how fast this machine does what a library does. `service/cli/app.py` hangs them up."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    errors_console,
    print_line,
    print_rows,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from eval.bench_nearest import IndexTrial
    from eval.bench_report import BenchReport

bench_app = typer.Typer(help="Measure how fast this machine is at it.", no_args_is_help=True)

RepeatsOption = Annotated[int, typer.Option(help="How often it is measured; the spread is shown.")]


def print_report(report: BenchReport, as_json: bool, **more: Any) -> None:
    """Print what a bench has measured: JSON for programs, with `more` before it, or a table for people."""
    if as_json:
        print_line(json.dumps(more | report.as_json(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("figure", "left"), ("median", "right"), ("unit", "left"), ("least–most", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for figure in report.figures:
        repeats = f"{shown(figure.least)}–{shown(figure.most)}" if len(figure.values) > 1 else "once"
        table.add_row(figure.name, shown(figure.median), figure.unit, repeats)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print()
    rows = {
        "machine": _listed(report.machine),
        "versions": _listed(report.versions),
        "settings": _listed(report.settings),
        "notes": "\n".join(report.notes),
    }
    print_rows({name: value for name, value in rows.items() if value})


def shown(value: float) -> str:
    """A figure in about three digits that count; whole from a hundred on, a dash for what is no number."""
    if math.isnan(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_worded(value)}" for name, value in facts.items() if value is not None)


def _worded(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_worded, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@bench_app.command()
def encode(
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Milliseconds for a query and for a photograph, and seconds to load the model.

    Queries are encoded one by one, photographs in batches of 16 that are decoded and resized already. Let
    nothing else compute meanwhile.
    """
    from eval.bench_encode import bench_encoding, medians_by_name
    from eval.bench_report import check_repeats
    from service.cli.progress import download, steps
    from service.config import MINI
    from service.encoder.encoder import load_encoder
    from service.encoder.models import bytes_on_disk, ensure_downloaded
    from service.match.scorer import load_scorer

    check_repeats(repeats)
    errors = errors_console()
    settings = settings_of(model=model, device=device, precision=precision)
    name = settings.model or MINI
    with download(errors) as on_progress:
        ensure_downloaded(name, timeout_s=settings.hub_timeout_s, on_progress=on_progress)
    with steps(errors, "Measuring") as told:
        report = bench_encoding(
            lambda: load_encoder(name, settings),
            bytes_on_disk(name),
            scorer_of=load_scorer,
            repeats=repeats,
            on_progress=told,
        )
    print_report(report, as_json, **medians_by_name(report))


@bench_app.command()
def search(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="How many photographs; once more for each further size. Without it 7,000 and 100,000."),
    ] = None,
    library: Annotated[Path | None, typer.Option(help="Search this library, not drawn ones.")] = None,
    queries: Annotated[int, typer.Option(help="Texts of each repeat, 1 to 1,000.")] = 200,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """What a search takes beyond the text tower, in this process and over HTTP, and what the index loses.

    A service is started on each library and asked by one client that keeps its connection, with texts that were not
    asked before. Let nothing else compute meanwhile.
    """
    from eval.bench_search import bench_search
    from service.cli.progress import stages

    with stages(errors_console()) as on_stage:
        report = bench_search(photos or [], library, queries=queries, repeats=repeats, seed=seed, on_stage=on_stage)
    print_report(report, as_json)


@bench_app.command()
def decode(
    side: Annotated[int, typer.Option(help="Pixels of the tower's input.")] = 260,
    small: Annotated[int, typer.Option(help="Photographs of 224 pixels.")] = 400,
    large: Annotated[int, typer.Option(help="Photographs of twelve megapixels.")] = 40,
    threads: Annotated[Optional[int], typer.Option(help="Threads at most; else one for each core.")] = None,  # noqa: UP045
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Photographs a second from a file's bytes to a tower's pixels, with one thread and with all cores.

    JPEGs of twelve megapixels are decoded reduced, as an index run does it, and at full scale.
    """
    from eval.bench_decode import bench_decode
    from service.cli.progress import stages

    with stages(errors_console()) as on_stage:
        report = bench_decode(
            side=side, small=small, large=large, threads=threads, repeats=repeats, seed=seed, on_stage=on_stage
        )
    print_report(report, as_json)


@bench_app.command()
def index(
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    small: Annotated[int, typer.Option(help="Photographs of 224 pixels; 0 leaves them out.")] = 2_000,
    large: Annotated[int, typer.Option(help="Photographs of twelve megapixels; 0 leaves them out.")] = 200,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Photographs a second of decoding alone, the tower alone and an index run, and the memory of a run.

    On drawn photographs, in new libraries that are gone afterwards. Let nothing else compute meanwhile.
    """
    from eval.bench_index import bench_index
    from eval.bench_report import check_repeats
    from service.cli.progress import download, stages
    from service.config import MINI
    from service.encoder.encoder import load_encoder
    from service.encoder.models import ensure_downloaded

    check_repeats(repeats)
    errors = errors_console()
    settings = settings_of(model=model, device=device, precision=precision)
    name = settings.model or MINI
    with download(errors) as on_progress:
        ensure_downloaded(name, timeout_s=settings.hub_timeout_s, on_progress=on_progress)
    with stages(errors) as on_stage:
        report = bench_index(
            load_encoder(name, settings),
            settings,
            small=small,
            large=large,
            repeats=repeats,
            seed=seed,
            on_stage=on_stage,
        )
    print_report(report, as_json)


@bench_app.command()
def nearest(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="How many photographs; once more for each further size. Without it 10,000."),
    ] = None,
    library: Annotated[
        Path | None, typer.Option(help="Measure on the vectors of this library, not on drawn ones.")
    ] = None,
    queries: Annotated[int, typer.Option(help="How many vectors are asked, 1 to 10,000.")] = 200,
    repeats: Annotated[int, typer.Option(help="How often all are asked with each setting.")] = 5,
    threads: Annotated[
        int | None, typer.Option(help="Threads that build an index; else one for each core. One asks.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare indexes on the same vectors: FAISS flat (fp32, fp16), FAISS HNSW, and Annoy where it is installed.

    Recall of the ten nearest, milliseconds for a query on one thread, seconds to build, bytes. Let nothing else
    compute meanwhile.
    """
    from eval.bench_nearest import bench_nearest
    from eval.synthetic_vectors import draw_or_read
    from service.cli.progress import stages

    errors = errors_console()
    sizes, draw = draw_or_read(photos or [], library, queries, seed)
    with stages(errors) as on_stage:
        report = bench_nearest(draw, sizes, repeats=repeats, threads=threads, on_stage=on_stage)
    if report.left_out:
        say(report.left_out)
    if as_json:
        print_line(json.dumps(report.as_json(), indent=2))
        return
    _print_trials(report.trials)
    print_rows(
        {
            "vectors": "\n".join(report.sources) + f"\nof {report.dimension} dimensions",
            "asked": f"{report.queries:,} queries one by one on one thread, {report.repeats} times; medians",
            "machine": f"{report.machine}; threads to build with: {report.build_threads}",
            "versions": ", ".join(f"{name} {number}" for name, number in report.versions.items()),
        }
    )


@bench_app.command()
def library(
    photos: Annotated[int, typer.Option(help="How many photographs in the end.")] = 10_000,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder in which the drawn library stays; one that is there already is measured again."),
    ] = None,
    queries: Annotated[int, typer.Option(help="Texts that are asked in each repeat.")] = 100,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw cost against size into this file (SVG).")] = None,
    as_json: JsonOption = False,
) -> None:
    """What a library of drawn photographs costs at 1,000, 10,000, 100,000 and so on, up to --photos.

    Filling it, adding and removing 1,000 photographs, starting a service on it, a search over HTTP beside the text
    tower alone, a search among 1 % of it, memory, and bytes a photograph. A million takes 20 GB of disk.
    """
    from eval.bench_library import bench_library
    from service.cli.progress import stages
    from service.cli.terminal import check_report

    check_report(plot)
    with stages(errors_console()) as on_stage:
        report = bench_library(photos, keep=keep, queries=queries, repeats=repeats, seed=seed, on_stage=on_stage)
    if plot is not None:
        from eval.growth_chart import growth_svg

        plot.write_text(growth_svg(report), encoding="utf-8")
    print_report(report, as_json)


@bench_app.command()
def peer(
    rclip: Annotated[Path, typer.Option(help="rclip's command, or the folder of its environment.")],
    small: Annotated[int, typer.Option(help="Photographs of 224 pixels; 0 leaves them out.")] = 2_000,
    large: Annotated[int, typer.Option(help="Photographs of twelve megapixels; 0 leaves them out.")] = 200,
    searched: Annotated[int, typer.Option(help="Photographs that a query looks through.")] = 7_000,
    queries: Annotated[int, typer.Option(help="Queries of each in a repeat, each a new process.")] = 5,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare with rclip 3.3 in turn: photographs a second, a query in a new process, memory.

    rclip and onnx are installed in an environment of their own, of the same Python. Both programs get a model of the
    same architecture with the same random weights. Let nothing else compute meanwhile.
    """
    from eval.bench_peer import bench_peer
    from service.cli.progress import stages

    with stages(errors_console()) as on_stage:
        report = bench_peer(
            rclip,
            small=small,
            large=large,
            searched=searched,
            queries=queries,
            repeats=repeats,
            seed=seed,
            on_stage=on_stage,
        )
    print_report(report, as_json)


@bench_app.command()
def scans(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="How many photographs; once more for each further size. Without it 10,000 to 300,000."),
    ] = None,
    queries: Annotated[int, typer.Option(help="Photographs that are asked, and as many texts.")] = 200,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the ways in which a library's index is searched: exactly, on several threads, by codes and then exactly.

    Milliseconds of a query by a photograph, by a text and among 1 % of the photographs, recall of the ten nearest,
    seconds to make and to open, bytes. Which way is taken at which size follows from it. A million takes 4 GB of disk.
    """
    from eval.bench_scans import bench_scans
    from service.cli.progress import stages
    from service.config import MINI
    from service.encoder.encoder import load_encoder

    encoder = load_encoder(MINI, settings_of())
    with stages(errors_console()) as on_stage:
        report = bench_scans(
            encoder.encode_texts, photos or [], queries=queries, repeats=repeats, seed=seed, on_stage=on_stage
        )
    print_report(report, as_json)


@bench_app.command()
def http(
    clients: Annotated[int, typer.Option(help="Clients that search at once, 2 to 256.")] = 32,
    seconds: Annotated[float, typer.Option(help="How long each of the four phases of a repeat lasts.")] = 5.0,
    library: Annotated[
        Path | None, typer.Option(help="Library that is served; else 7,000 photographs are drawn.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes of the service that answer.")] = 1,
    repeats: RepeatsOption = 3,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn and asked.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Start the real service and search it by one client and by many at once.

    Milliseconds of a search (p50, p95, p99) and searches a second, with texts that the service has not seen and with
    such as it remembers, and how soon /health answers beside many clients. Let nothing else compute meanwhile.
    """
    from eval.bench_http import bench_http
    from service.cli.progress import stages

    with stages(errors_console()) as on_stage:
        report = bench_http(
            library, clients=clients, seconds=seconds, workers=workers, repeats=repeats, seed=seed, on_stage=on_stage
        )
    print_report(report, as_json)


def _print_trials(trials: Sequence[IndexTrial]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("photographs", "index", "setting", "recall@10", "ms a query", "repeats", "build s", "MB"):
        table.add_column(heading, justify="left" if heading in ("index", "setting") else "right", no_wrap=True)
    for trial in trials:
        table.add_row(
            f"{trial.photographs:,}",
            trial.index,
            trial.setting,
            f"{trial.recall:.1f} %",
            f"{trial.ms:.3f}",
            f"{trial.ms_least:.3f}–{trial.ms_most:.3f}",
            f"{trial.build_s:,.1f}",
            f"{trial.bytes / 1e6:,.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print()
