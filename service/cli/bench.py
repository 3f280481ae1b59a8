"""The commands under `smysl bench`: how fast this machine encodes, indexes, searches and serves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    check_report,
    errors_console,
    print_columns,
    print_json,
    print_line,
    print_rows,
    say,
    settings_of,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from eval.bench_nearest import IndexTrial
    from eval.bench_report import BenchReport
    from service.config import Settings

bench_app = typer.Typer(help="Measure speed on this machine, which should be idle otherwise.", no_args_is_help=True)

RepeatsOption = Annotated[int, typer.Option(help="How often everything is measured.")]
SeedOption = Annotated[int, typer.Option(help="Random seed for generated data.")]
SmallOption = Annotated[int, typer.Option(help="Number of photographs of 224 pixels; 0 for none.")]
LargeOption = Annotated[int, typer.Option(help="Number of photographs of twelve megapixels; 0 for none.")]


@bench_app.command()
def encode(
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    repeats: RepeatsOption = 3,
    as_json: JsonOption = False,
) -> None:
    """Measure milliseconds to encode a query and a photograph, and seconds to load the model.

    Queries are encoded one at a time, photographs in batches of 16 that are already decoded and resized.
    """
    from eval.bench_encode import bench_encoding, medians_by_name
    from eval.bench_report import check_repeats
    from service.cli.progress import steps
    from service.encoder.encoder import load_encoder
    from service.encoder.models import bytes_on_disk
    from service.match.scorer import load_scorer

    check_repeats(repeats)
    name, settings = _downloaded(model, device, precision)
    with steps(errors_console(), "Measuring") as on_progress:
        report = bench_encoding(
            lambda: load_encoder(name, settings),
            bytes_on_disk(name),
            scorer_of=load_scorer,
            repeats=repeats,
            on_progress=on_progress,
        )
    print_report(report, as_json, **medians_by_name(report))


@bench_app.command()
def search(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="Size of a generated library; may be repeated. Default: 7,000 and 100,000."),
    ] = None,
    library: Annotated[Path | None, typer.Option(help="Search this library instead of generated ones.")] = None,
    queries: Annotated[int, typer.Option(help="Number of texts in each repeat, 1 to 1,000.")] = 200,
    filters: Annotated[
        bool,
        typer.Option(
            "--filters", help="Measure filters that leave 0.1, 1, 10 and 50 % instead. Default size: 100,000."
        ),
    ] = False,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure searches without encoding their texts, in this process and over HTTP, and the recall of the index.

    For each library a service is started and searched by one client over one connection, each time with a new text.
    With --filters it measures what filters cost: the time beside the same search without one, and recall.
    """
    if filters:
        from eval.bench_filters import bench_filters

        if library is not None:
            raise UsageError("--filters measures generated libraries: leave out --library.")
        _run(partial(bench_filters, photos or [], queries=queries, repeats=repeats, seed=seed), as_json)
        return
    from eval.bench_search import bench_search

    _run(partial(bench_search, photos or [], library, queries=queries, repeats=repeats, seed=seed), as_json)


@bench_app.command()
def decode(
    side: Annotated[int, typer.Option(help="Side of the model's input in pixels.")] = 260,
    small: Annotated[int, typer.Option(help="Number of photographs of 224 pixels.")] = 400,
    large: Annotated[int, typer.Option(help="Number of photographs of twelve megapixels.")] = 40,
    threads: Annotated[int | None, typer.Option(help="Maximum number of threads. Default: one for each core.")] = None,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure photographs a second from a file's bytes to a model's input, on one thread and on all cores.

    JPEGs of twelve megapixels are decoded at reduced scale, as when indexing, and at full scale.
    """
    from eval.bench_decode import bench_decode

    _run(
        partial(bench_decode, side=side, small=small, large=large, threads=threads, repeats=repeats, seed=seed), as_json
    )


@bench_app.command()
def index(
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    small: SmallOption = 2_000,
    large: LargeOption = 200,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure photographs a second of decoding alone, encoding alone and indexing, and the memory of indexing.

    Indexes generated photographs into temporary libraries.
    """
    from eval.bench_index import bench_index
    from eval.bench_report import check_repeats
    from service.encoder.encoder import load_encoder

    check_repeats(repeats)
    name, settings = _downloaded(model, device, precision)
    _run(
        partial(
            bench_index, load_encoder(name, settings), settings, small=small, large=large, repeats=repeats, seed=seed
        ),
        as_json,
    )


@bench_app.command()
def nearest(
    photos: Annotated[
        list[int] | None, typer.Option(help="Number of vectors in an index; may be repeated. Default: 10,000.")
    ] = None,
    library: Annotated[
        Path | None, typer.Option(help="Use the vectors of this library instead of generated ones.")
    ] = None,
    queries: Annotated[int, typer.Option(help="Number of query vectors, 1 to 10,000.")] = 200,
    repeats: RepeatsOption = 5,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads that build an index; one searches it. Default: one for each core."),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare indexes on the same vectors: FAISS flat (fp32, fp16), FAISS HNSW, and Annoy if it is installed.

    Recall of the ten nearest, milliseconds for a query on one thread, seconds to build, bytes.
    """
    from eval.bench_nearest import bench_nearest
    from eval.synthetic_vectors import draw_or_read
    from service.cli.progress import stages

    sizes, draw = draw_or_read(photos or [], library, queries, seed)
    with stages(errors_console()) as on_stage:
        report = bench_nearest(draw, sizes, repeats=repeats, threads=threads, on_stage=on_stage)
    if report.left_out:
        say(report.left_out)
    if as_json:
        print_json(report.as_json())
        return
    _print_trials(report.trials)
    print_rows(
        {
            "vectors": "\n".join(report.sources) + f"\nof {report.dimension} dimensions",
            "queries": f"{report.queries:,}, one at a time on one thread, {report.repeats} times; medians",
            "machine": f"{report.machine}; threads to build with: {report.build_threads}",
            "versions": ", ".join(f"{name} {number}" for name, number in report.versions.items()),
        }
    )


@bench_app.command()
def library(
    photos: Annotated[int, typer.Option(help="Size of the library in the end.")] = 10_000,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps the generated library; one that is already there is measured again."),
    ] = None,
    queries: Annotated[int, typer.Option(help="Number of texts in each repeat.")] = 100,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    plot: Annotated[Path | None, typer.Option(help="Plot cost against size to this file (SVG).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what a library costs at 1,000, 10,000, 100,000 and so on up to --photos generated photographs.

    Filling it, adding and removing 1,000 photographs, starting a service, searching over HTTP (with encoding the text
    alone beside it), searching within 1 % of the photographs, memory, and bytes for each photograph. A million takes
    20 GB of disk.
    """
    from eval.bench_library import bench_library

    check_report(plot)
    report = _run(partial(bench_library, photos, keep=keep, queries=queries, repeats=repeats, seed=seed), as_json)
    if plot is not None:
        from eval.growth_chart import growth_svg

        plot.write_text(growth_svg(report), encoding="utf-8")


@bench_app.command()
def peer(
    rclip: Annotated[Path, typer.Option(help="The command rclip, or the folder of its virtual environment.")],
    small: SmallOption = 2_000,
    large: LargeOption = 200,
    searched: Annotated[int, typer.Option(help="Number of photographs in the libraries that are searched.")] = 7_000,
    queries: Annotated[int, typer.Option(help="Queries of each program in a repeat, each in a new process.")] = 5,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare with rclip 3.3: photographs indexed a second, seconds of a query in a new process, memory.

    rclip and onnx must be installed in a virtual environment of their own, with the same version of Python. Both
    programs get a model of the same architecture with the same random weights.
    """
    from eval.bench_peer import bench_peer

    _run(
        partial(
            bench_peer, rclip, small=small, large=large, searched=searched, queries=queries, repeats=repeats, seed=seed
        ),
        as_json,
    )


@bench_app.command()
def scans(
    photos: Annotated[
        list[int] | None,
        typer.Option(help="Size of a generated index; may be repeated. Default: sizes from 10,000 to 300,000."),
    ] = None,
    queries: Annotated[int, typer.Option(help="Number of query photographs, and of query texts.")] = 200,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the two ways to search a library's index: exactly, and by codes with exact reranking.

    Milliseconds for a query by a photograph, by a text and within 1 % of the photographs, recall of the ten nearest,
    seconds to build and to open, bytes. Shows which way is best at which size. A million takes 4 GB of disk.
    """
    from eval.bench_scans import bench_scans
    from service.config import MINI
    from service.encoder.encoder import load_encoder

    encoder = load_encoder(MINI, settings_of())
    _run(partial(bench_scans, encoder.encode_texts, photos or [], queries=queries, repeats=repeats, seed=seed), as_json)


@bench_app.command()
def http(
    clients: Annotated[int, typer.Option(help="Number of clients that search at once, 2 to 256.")] = 32,
    seconds: Annotated[float, typer.Option(help="Length of each of the four phases of a repeat.")] = 5.0,
    library: Annotated[
        Path | None, typer.Option(help="Library to serve. Default: 7,000 generated photographs.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of processes of the service.")] = 1,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure a running service: searches by one client and by many at once.

    Milliseconds of a search (p50, p95, p99) and searches a second, with texts that are new to the service and with
    texts in its cache, and milliseconds of /health meanwhile.
    """
    from eval.bench_http import bench_http

    _run(
        partial(bench_http, library, clients=clients, seconds=seconds, workers=workers, repeats=repeats, seed=seed),
        as_json,
    )


def _downloaded(model: str | None, device: str | None, precision: str | None) -> tuple[str, Settings]:
    """The name of a model that is on this machine, downloaded if need be, and the settings to load it with."""
    from service.cli.progress import download
    from service.config import MINI
    from service.encoder.models import ensure_downloaded

    settings = settings_of(model=model, device=device, precision=precision)
    name = settings.model or MINI
    with download(errors_console()) as on_progress:
        ensure_downloaded(name, timeout_s=settings.hub_timeout_s, on_progress=on_progress)
    return name, settings


def _run(bench: partial[BenchReport], as_json: bool) -> BenchReport:
    """Run a benchmark with its progress on standard error; prints and returns its report."""
    from service.cli.progress import stages

    with stages(errors_console()) as on_stage:
        report = bench(on_stage=on_stage)
    print_report(report, as_json)
    return report


def print_report(report: BenchReport, as_json: bool, **more: Any) -> None:
    """Print a report as a table, or as JSON with the entries of `more` before it."""
    if as_json:
        print_json(more | report.as_json())
        return
    from rich.table import Column

    def spread(values: Sequence[float]) -> str:
        return f"{format_figure(min(values))}–{format_figure(max(values))}" if len(values) > 1 else "once"

    print_columns(
        [
            Column("figure", no_wrap=True),
            Column("median", justify="right", no_wrap=True),
            Column("unit", no_wrap=True),
            Column("least–most", justify="right", no_wrap=True),
        ],
        [(each.name, format_figure(each.median), each.unit, spread(each.values)) for each in report.figures],
    )
    print_line("")
    rows = {
        "machine": _listed(report.machine),
        "versions": _listed(report.versions),
        "settings": _listed(report.settings),
        "notes": "\n".join(report.notes),
    }
    print_rows({name: value for name, value in rows.items() if value})


def format_figure(value: float) -> str:
    """A number with three significant digits, whole from a hundred on; a dash for NaN."""
    if math.isnan(value):
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_format(value)}" for name, value in facts.items() if value is not None)


def _format(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_format, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _print_trials(trials: Sequence[IndexTrial]) -> None:
    from rich.table import Column

    headings = ("photographs", "index", "setting", "recall@10", "ms a query", "repeats", "build s", "MB")
    print_columns(
        [
            Column(heading, justify="left" if heading in ("index", "setting") else "right", no_wrap=True)
            for heading in headings
        ],
        [
            (
                f"{trial.photographs:,}",
                trial.index,
                trial.setting,
                f"{trial.recall:.1f} %",
                f"{trial.ms:.3f}",
                f"{trial.ms_least:.3f}–{trial.ms_most:.3f}",
                f"{trial.build_s:,.1f}",
                f"{trial.bytes / 1e6:,.1f}",
            )
            for trial in trials
        ],
    )
    print_line("")
