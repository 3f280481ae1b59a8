"""The commands under `smysl eval`: how good a model, its match or a head is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    ModelOption,
    PrecisionOption,
    RuntimeOption,
    cache_folder,
    check_report,
    encoder_named,
    encoders_named,
    errors_console,
    print_json,
    print_line,
    print_rows,
    print_table,
    require_training_packages,
    say,
    settings_of,
    with_interval,
)
from service.errors import UsageError

if TYPE_CHECKING:
    from eval.letterbox_accuracy import BordersReport
    from eval.similar import SimilarReport
    from eval.vote_accuracy import ClassifyReport
    from service.encoder.encoder import Encoder
    from service.heads.projection import Head
    from training.match_evaluation import MatchReport

eval_app = typer.Typer(help="Measure the quality of a model, its match or a head.", no_args_is_help=True)

CaptionsOption = Annotated[Path, typer.Option(help="Folder with images/ and captions.tsv.")]
SplitOption = Annotated[str, typer.Option(help="Split of captions.tsv to use.")]
HeadOption = Annotated[Path | None, typer.Option(help="Folder of a head made by smysl train similar.")]
FeatureCacheOption = Annotated[Path | None, typer.Option(help="Folder that keeps features for the next run.")]

_LISTED = 10
"""How many photographs or kinds are listed on a terminal; reports and --json list more."""


@eval_app.command()
def retrieval(
    data: CaptionsOption,
    split: SplitOption = "test",
    model: ModelOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    runtime: RuntimeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure recall at 1, 5 and 10, from text to photograph and from photograph to text, in percent.

    Each caption searches all photographs of the split. Each photograph searches all captions and counts as found
    if any of its own captions is.
    """
    from eval.retrieval import evaluate
    from service.cli.progress import steps

    encoder = encoder_named(model, device, precision, runtime)
    with steps(errors_console(), "Encoding") as on_progress:
        report = evaluate(encoder, data, split, on_progress)
    if as_json:
        print_json(report.as_json())
        return
    rows = {name: with_interval(value, report.intervals[name], "5.1f", " %") for name, value in report.figures.items()}
    rows["photographs"] = f"{report.photos:,} with {report.captions:,} captions, split {report.split}"
    rows["model"] = f"{report.model}, fingerprint {report.fingerprint}"
    rows["seconds"] = f"{report.seconds:.0f}"
    print_rows(rows)


@eval_app.command()
def scoring(
    data: Annotated[Path, typer.Option(help="Folder with images/, captions.tsv and tables of ratings.")],
    model: ModelOption = None,
    device: DeviceOption = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps vectors for the next run.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with diagrams to this file.")] = None,
    candidates: Annotated[bool, typer.Option(help="Compare the candidates for the match too (minutes).")] = True,
    as_json: JsonOption = False,
) -> None:
    """Measure how well a model's match agrees with people's ratings.

    Cross-validated: each pair is judged by a match that was fitted without its photograph and without its text.
    """
    from service.cli.progress import stages

    require_training_packages()
    from training.match_evaluation import measure_match

    check_report(report)
    with stages(errors_console()) as on_stage:
        encoder = encoder_named(model, device)
        measured = measure_match(encoder, data, cache_folder(cache) / "ratings", on_stage, compare=candidates)
    if report is not None:
        report.write_text(measured.page(), encoding="utf-8")
        say(f"The report is in {report}.")
    if as_json:
        print_json(measured.as_json())
    else:
        _print_scoring(measured)


SCORING_FIGURES = ("expert_tau_c", "crowd_tau_b", "rmse", "mae", "ece", "crowd_brier", "crowd_brier_base", "crowd_ece")
"""The figures of a match in the order in which commands print them."""


def _print_scoring(measured: MatchReport) -> None:
    from training.match_evaluation import candidate_rows, interval_text

    figures, intervals = measured.scoring.figures, measured.scoring.intervals
    rows = {name: with_interval(figures[name], intervals[name], "7.3f") for name in SCORING_FIGURES if name in figures}
    for name, each in measured.differences.items():
        rows[f"{name} over cosine"] = with_interval(each.value, each.interval, "+7.3f")
    for cut in measured.answerable:
        rows[f"answerable, {cut.gallery} photographs"] = (
            f"AUROC {cut.auroc:.3f} ({interval_text(cut.auroc_interval, 3)}); cosine {cut.cosine_auroc:.3f}; "
            f"difference {interval_text(cut.difference_interval, 3)}; at a match of {cut.min_match:.2f} "
            f"{cut.answerable_pass:.0%} of the answerable pass and {cut.unanswerable_pass:.0%} of the others"
        )
    order = measured.order
    for name in ("match", "cosine") if order else ():
        rows[f"own photograph by {name}"] = " / ".join(f"{order[f'{name}_r{depth}']:.1f}" for depth in (1, 5, 10))
    print_rows(rows)
    if len(measured.candidates) > 1:
        print_line("")
        print_table(candidate_rows(measured.candidates))


@eval_app.command()
def similar(
    data: Annotated[
        Path, typer.Option(help="Folder with train/KIND/* and test/KIND/*, or with KIND/* (leave-one-out).")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model, as for smysl index; repeat it for a head of several models. Default: the head's own, or mini."
        ),
    ] = None,
    head: HeadOption = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with pictures to this file.")] = None,
    device: DeviceOption = None,
    cache: FeatureCacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well photographs find others of their kind; the photographs lie in one folder for each kind.

    Prints MAP@10, the share of searches whose first result is right, and the share whose kind wins a vote of the
    nearest, in percent. Without --head photographs are compared by the cosine of the model's pooled image features.
    """
    from eval.similar import eval_similar
    from eval.similar_page import similar_page
    from service.cli.progress import stages
    from service.heads.projection import Head

    check_report(report)
    fitted = None if head is None else Head.load(head)
    if fitted is None and len(model or []) > 1:
        raise UsageError("Several models can be compared only through a head. Name its folder with --head.")
    names = model or (list(fitted.encoders.values()) if fitted else [])
    encoders = encoders_named(names, device)
    with stages(errors_console()) as on_stage:
        threads = settings_of(device=device).decode_threads
        measured = eval_similar(data, encoders, fitted, cache=cache_folder(cache), on_stage=on_stage, threads=threads)
    if report is not None:
        report.write_text(similar_page(measured), encoding="utf-8")
        say(f"The report is in {report}.")
    if as_json:
        print_json(measured.as_json())
    else:
        _print_similar(measured)


def _print_similar(measured: SimilarReport) -> None:
    rows = {
        name: with_interval(value, measured.intervals[name], "5.1f", " %") for name, value in measured.figures.items()
    }
    how = "each searched all others" if measured.leave_one_out else f"searched {measured.searched:,} of train/"
    rows["photos"] = f"{measured.photos:,}, {how}"
    rows["kinds"] = f"{len(measured.by_kind):,}"
    lowest = sorted(measured.by_kind, key=lambda each: each.map10)[:_LISTED]
    rows["lowest map10"] = "\n".join(f"{each.map10:5.1f} %   {each.kind}" for each in lowest)
    if measured.confused:
        rows["confused"] = "\n".join(
            f"{kind} taken for {voted}: {count:,}" for kind, voted, count in measured.confused[:_LISTED]
        )
    if measured.left_out:
        rows["left out"] = _listed([f"{measured.name_of(each.file)}: {each.reason}" for each in measured.left_out])
    if measured.skipped:
        one = measured.skipped == 1
        rows["skipped"] = "1 file that is not a photograph" if one else f"{measured.skipped:,} files, not photographs"
    if measured.head is not None:
        rows["head"] = measured.head
    rows["model"] = "\n".join(f"{name}, fingerprint {fingerprint}" for name, fingerprint in measured.models.items())
    rows["seconds"] = f"{measured.seconds:.0f}"
    print_rows(rows)


@eval_app.command()
def classify(
    data: Annotated[Path, typer.Option(help="Folder with train/KIND/* and test/KIND/*, or with KIND/* alone.")],
    model: ModelOption = None,
    head: HeadOption = None,
    device: DeviceOption = None,
    cache: FeatureCacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how far classification by vote can be trusted: accuracy, calibration, unknown kinds.

    The nearest photographs of train/ vote on each photograph of test/; without these folders, five-fold
    cross-validation. Each kind in turn is left out, to stand for an unknown one.
    """
    from eval.vote_accuracy import eval_classify
    from service.cli.progress import stages
    from training.similar.train_head import refit

    fitted, encoder = _head_and_encoder(head, model, device)
    with stages(errors_console()) as on_stage:
        threads = settings_of(device=device).decode_threads
        features = cache_folder(cache)
        refit_without = None if fitted is None else refit(fitted, data, encoder, features, on_stage)
        report = eval_classify(
            data, encoder, fitted, refit=refit_without, cache=features, threads=threads, on_stage=on_stage
        )
    if as_json:
        print_json(report.as_json(), ensure_ascii=False)
    else:
        _print_classify(report)
    if not report.refitted and not as_json:
        say("The head was fitted on the left-out kinds too, so the figures for unknown kinds are too good.")


def _head_and_encoder(head: Path | None, model: str | None, device: str | None) -> tuple[Head | None, Encoder]:
    """The head in the folder, if one is named, and its encoder or that of --model."""
    from service.heads.projection import Head

    fitted = None if head is None else Head.load(head)
    names = [] if fitted is None else list(fitted.encoders.values())
    if len(names) > 1:
        raise UsageError(f"The head {head} uses {len(names)} models; only heads of one model can be measured here.")
    encoder = encoder_named(model or (names[0] if names else None), device)
    if fitted is not None:
        fitted.check_encoders([encoder.fingerprint], f"--model {encoder.name}")
    return fitted, encoder


def _print_classify(report: ClassifyReport) -> None:
    rows = {}
    for name, value in report.figures.items():
        spec, unit = ("6.3f", "  ") if name in ("ece", "ece_mixed", "unknown_auroc") else ("6.1f", " %")
        rows[name] = with_interval(value, report.intervals[name], spec, unit)
    if report.by_kind:
        hardest = sorted(report.by_kind.items(), key=lambda each: each[1])[:_LISTED]
        rows["lowest auroc"] = "\n".join(f"{value:6.3f}   {kind}" for kind, value in hardest)
    how = "of test/" if report.split else "in five parts"
    rows["photos"] = f"{report.photos:,} {how}; {report.voting:,} of {report.kinds:,} kinds vote"
    if report.left_out:
        rows["left out"] = _listed(report.left_out)
    if report.head is not None:
        rows["head"] = report.head
    rows["model"] = f"{report.model}, fingerprint {report.fingerprint}"
    rows["seconds"] = f"{report.seconds:.0f}"
    print_rows(rows)


@eval_app.command()
def borders(
    data: CaptionsOption,
    split: SplitOption = "test",
    copies: Annotated[int, typer.Option(help="How many photographs get borders.")] = 300,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder of photographs that should stay uncropped; may be repeated."),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure whether cropping borders helps photographs that have them and leaves others alone.

    Copies with a letterbox, a frame or a screen around them search all photographs of the split for their original,
    with the borders and without. Photographs without added borders that would be cropped are listed.
    """
    from eval.letterbox_accuracy import evaluate
    from service.cli.progress import steps
    from service.store.paths import resolve_folder

    folders = [resolve_folder(folder) for folder in also or ()]
    encoder = encoder_named(model, device)
    with steps(errors_console(), "Measuring") as on_progress:
        report = evaluate(encoder, data, split, copies=copies, also=folders, on_progress=on_progress)
    if as_json:
        print_json(report.as_json())
    else:
        _print_borders(report)


def _print_borders(report: BordersReport) -> None:
    rows = {}
    for name, value in report.figures.items():
        spec, unit = (".3f", "") if name.startswith("cosine") else (".1f", " %")
        rows[name] = with_interval(value, report.intervals[name], spec, unit)
    for kind, figures in report.kinds.items():
        rows[kind] = (
            f"r1 {figures['r1_kept']:.0f} -> {figures['r1']:.0f} %, cosine {figures['cosine_kept']:.2f} -> "
            f"{figures['cosine']:.2f}, boxes {figures['boxes']:.0f} %, {figures['copies']:.0f} copies"
        )
    rows["photographs"] = f"{report.photographs:,}, searched by {report.copies:,} copies"
    rows["cut"] = "\n".join([f"{len(report.cut)} of {report.bare:,} photographs without added borders", *report.cut])
    rows["model"] = report.model
    rows["seconds"] = f"{report.seconds:.0f}"
    print_rows(rows)


def _listed(names: Sequence[str]) -> str:
    """The first few names, one a line, and how many more there are."""
    more = len(names) - _LISTED
    return "\n".join([*names[:_LISTED], *([f"and {more:,} more"] if more > 0 else [])])
