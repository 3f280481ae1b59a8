"""Settings: priority of their sources, and messages about bad values."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.config import Settings, default_library
from tests.service.cli.commands import Run, error_of


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, exact: None) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SMYSL_{name.upper()}", raising=False)


def test_an_option_has_priority_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().port, Settings(port=1).port) == (8000, 1)
    monkeypatch.setenv("SMYSL_PORT", "2")
    assert (Settings().port, Settings(port=1).port) == (2, 1)


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("library", "/photographs/library", Path("/photographs/library")),
        ("model", "mini", "mini"),
        ("device", "cpu", "cpu"),
        ("precision", "bf16", "bf16"),
        ("runtime", "torch", "torch"),
        ("cache", "/photographs/cache", Path("/photographs/cache")),
        ("host", "0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("port", "9", 9),
        ("workers", "3", 3),
        ("upload_limit_mb", "0.5", 0.5),
        ("form_limit_mb", "0.5", 0.5),
        ("watch", "true", True),
        ("poll", "1.5", 1.5),
        ("batch_size", "4", 4),
        ("decode_threads", "3", 3),
        ("max_megapixels", "400", 400),
        ("hub_timeout_s", "1.5", 1.5),
    ],
)
def test_every_setting_has_an_environment_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, parsed: object
) -> None:
    assert getattr(Settings(), name) != parsed
    monkeypatch.setenv(f"SMYSL_{name.upper()}", value)
    assert getattr(Settings(), name) == parsed


def test_all_settings_are_tested_here() -> None:
    marks = test_every_setting_has_an_environment_variable.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == Settings.model_fields.keys()


def test_an_empty_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMYSL_PORT", "")
    monkeypatch.setenv("SMYSL_MODEL", "")
    assert (Settings().port, Settings().model) == (8000, None)


def test_the_default_library_is_in_the_data_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_library().is_relative_to(tmp_path)
    assert Settings().library == default_library()
    assert not default_library().exists()


def test_by_default_it_listens_on_loopback_and_accepts_20_mb() -> None:
    assert (Settings().host, Settings().upload_limit_mb) == ("127.0.0.1", 20)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SMYSL_PORT", "eight", "--port (or SMYSL_PORT) is 'eight': Input should be a valid integer"),
        ("SMYSL_PORT", "70000", "--port (or SMYSL_PORT) is '70000': Input should be less than or equal to 65535"),
        ("SMYSL_PRECISION", "fp8", "SMYSL_PRECISION) is 'fp8': Input should be 'fp32', 'bf16', 'fp16' or 'int8'"),
        ("SMYSL_UPLOAD_LIMIT_MB", "-1", "SMYSL_UPLOAD_LIMIT_MB is '-1': Input should be greater than 0"),
        ("SMYSL_UPLOAD_LIMIT_MB", "inf", "SMYSL_UPLOAD_LIMIT_MB is 'inf': Input should be a finite number"),
        ("SMYSL_BATCH_SIZE", "0", "SMYSL_BATCH_SIZE is '0': Input should be greater than or equal to 1"),
        ("SMYSL_DECODE_THREADS", "x", "SMYSL_DECODE_THREADS is 'x'"),
        ("SMYSL_HUB_TIMEOUT_S", "nan", "SMYSL_HUB_TIMEOUT_S is 'nan'"),
    ],
)
def test_a_bad_variable_is_named(
    smysl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    sentence = error_of(smysl("serve", "--library", tmp_path), 2)
    assert says in sentence
    assert "--upload" not in sentence


def test_a_bad_option_is_named_even_if_the_variable_is_good(
    smysl: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SMYSL_PORT", "8000")
    assert "--port (or SMYSL_PORT) is '-1'" in error_of(smysl("serve", "--port", -1, "--library", tmp_path), 2)


def test_the_library_uses_its_own_model_and_refuses_another_from_a_variable(
    smysl: Run, monkeypatch: pytest.MonkeyPatch, sample_library: object
) -> None:
    from tests.service.conftest import SampleLibrary

    assert isinstance(sample_library, SampleLibrary)
    monkeypatch.setenv("SMYSL_LIBRARY", str(sample_library.folder))
    assert smysl("search", "a cat").code == 0
    monkeypatch.setenv("SMYSL_MODEL", sample_library.model)
    assert smysl("search", "a cat").code == 0
    monkeypatch.setenv("SMYSL_MODEL", "ViT-B-32-SigLIP2-256/webli")
    assert "was made with the model" in error_of(smysl("search", "a cat"), 1)
