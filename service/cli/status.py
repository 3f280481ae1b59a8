"""The command `smysl status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.cli.terminal import (
    DeviceOption,
    JsonOption,
    LibraryOption,
    PrecisionOption,
    open_library,
    print_line,
    print_rows,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from service.web.schemas import ModelOut, StatusOut


def status(
    library: LibraryOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the library holds, which model it uses, and whether a process is writing to it."""
    from service.web.schemas import StatusOut

    with open_library(settings_of(library=library, device=device, precision=precision)) as opened:
        facts = StatusOut.of(opened)
    if as_json:
        print_line(facts.model_dump_json(indent=2))
        return
    print_rows({name: value for name, value in _rows(facts).items() if value})
    if facts.model is not None and facts.model.notice is not None:
        say(facts.model.notice)


def _rows(facts: StatusOut) -> dict[str, str]:
    """Names and values as they are printed; empty values are left out."""
    model, index, writer = facts.model, facts.index, facts.writer
    ratings = f" ({facts.trained_on})" if facts.trained_on else ""
    matches = {
        "ratings": f"fitted on people's ratings{ratings}",
        "sigmoid": "the model's own probability",
        "background": "relative to the library's own photographs",
        None: "",
    }
    return {
        "library": f"{facts.library} ({facts.bytes / 1e6:,.1f} MB)",
        "photographs": f"{facts.photographs:,}",
        "folders": "\n".join(facts.roots) or "none yet",
        "model": describe_model(model) if model else "none yet",
        "additional": ", ".join(facts.additional_models),
        "languages": (model.languages if model else None) or "",
        "match": matches[facts.calibration],
        "shows": f"matches of {facts.min_match:.2f} and more" if facts.min_match else "",
        "index": f"{index.kind}, {index.photographs:,} photographs ({index.bytes / 1e6:,.1f} MB)"
        if index
        else "none yet",
        "writer": f"process {writer.pid} ({writer.doing})" if writer else "none",
    }


def describe_model(model: ModelOut) -> str:
    """A model with its device, runtime and precision, and the precision of texts where it differs."""
    texts = f", texts in {model.text_precision}" if model.text_precision != model.precision else ""
    return f"{model.name} ({model.device}, {model.runtime}, {model.precision}{texts})"
