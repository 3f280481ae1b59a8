"""`smysl models`: for people and for programs."""

from __future__ import annotations

import json

from tests.service.cli.commands import Run


def test_models_lists_names_sizes_languages_licences(smysl: Run) -> None:
    done = smysl("models")
    assert done.code == 0
    for word in ("mini", "ViT-B-32-SigLIP2-256/webli", "MB", "Apache-2.0", "English", "on this machine"):
        assert word in done.out
    assert "smysl index --model NAME" in done.err
    assert "local-dir:PATH" not in done.out


def test_models_prints_json(smysl: Run) -> None:
    done = smysl("models", "--json")
    names = {model["name"]: model for model in json.loads(done.out)}
    assert done.err == ""
    assert names["mini"]["languages"] == "English"
    assert names["ViT-B-32-SigLIP2-256/webli"]["here"] is False
