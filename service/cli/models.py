"""The command `smysl models`."""

from __future__ import annotations

from service.cli.terminal import JsonOption, print_columns, print_json, say


def models(as_json: JsonOption = False) -> None:
    """List models to choose from: their size, languages and licence, and whether they are on this machine."""
    from dataclasses import asdict

    from rich.table import Column

    from service.encoder.models import is_on_this_machine, offered_models

    known = offered_models()
    here = {model.name: is_on_this_machine(model.name) for model in known}
    if as_json:
        print_json([{**asdict(model), "here": here[model.name]} for model in known])
        return
    # A name broken over two lines could not be copied.
    columns = [Column("model", overflow="fold", no_wrap=True)]
    columns += [Column(heading, overflow="fold") for heading in ("download", "languages", "licence", "on this machine")]
    print_columns(
        columns,
        [
            (
                model.name,
                f"{model.download_mb:,} MB" if model.download_mb else "none",
                model.languages,
                model.licence,
                "yes" if here[model.name] else "no",
            )
            for model in known
        ],
    )
    say(
        "\nAny other CLIP model of open_clip works too: ARCH/PRETRAINED, hf-hub:ORG/NAME, local-dir:PATH.\n"
        "Choose one with: smysl index --model NAME"
    )
