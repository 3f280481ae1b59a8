"""`smysl search` with a real service prints the same as without one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import SMYSL, RunningService


def run_search(library: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    command = [*SMYSL, "search", "--library", str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    out = [line for line in done.stdout.splitlines() if "took_ms" not in line]
    return done.returncode, "\n".join(out), done.stderr


@pytest.fixture(scope="module")
def alone(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the service's library that no service serves."""
    copy = tmp_path_factory.mktemp("alone") / "library"
    shutil.copytree(service.library, copy, ignore=shutil.ignore_patterns("serving-*"))
    return copy


@pytest.mark.parametrize(
    "arguments",
    [
        ["a cup of coffee", "-k", "3"],
        ["a cup of coffee", "-k", "3", "--json"],
        ["a whale"],
        ["собака", "--min-match", "0"],
        ["a cup of coffee format:png", "-k", "2"],
        ["a cup of coffee", "--format", "jpeg", "--order", "date", "--min-match", "0"],
        ["a cup of coffee", "--from", "1990", "--to", "1991"],
        ["a cup of coffee", "--month", "13"],
        ["a cup of coffee", "month:13"],
        ["--order", "-date", "-k", "2"],
        ["--image", "{samples}/coffee.png", "--format", "jpeg", "--json"],
        ["a cat", "-k", "0"],
        ["a cat", "--min-match", "nan"],
        ["x" * 1001],
        ["--image", "{samples}/coffee.png", "-k", "2"],
        ["--image", "{samples}/coffee.png", "--box", "0.1,0.1,0.5,0.5", "--json"],
        ["--image", "{samples}/coffee.png", "--box", "0.1,0.1,5,0.5"],
        ["--image", "{samples}/coffee.png", "--head", "none"],
        ["--image", "{library}/catalog.sqlite"],
    ],
)
def test_the_same_is_printed_with_a_service_and_without(
    service: RunningService, samples: Path, alone: Path, arguments: list[str]
) -> None:
    arguments = [argument.format(samples=samples, library=alone) for argument in arguments]
    code, out, err = run_search(service.library, *arguments)
    own_code, own_out, own_err = run_search(alone, *arguments)
    assert (code, out) == (own_code, own_out)
    assert err.replace(str(service.library), str(alone)) == own_err


def test_verbose_names_the_service_and_proxies_are_ignored(service: RunningService) -> None:
    proxies = {"http_proxy": "http://192.0.2.1:9", "HTTP_PROXY": "http://192.0.2.1:9", "no_proxy": ""}
    code, out, err = run_search(service.library, "a cup of coffee", "-v", **proxies)
    assert code == 0
    assert "coffee.png" in out
    assert err == f"The service at {service.url} (process {service.process.pid}) answered.\n"


def test_a_service_with_another_device_is_not_asked(service: RunningService) -> None:
    _, out, err = run_search(service.library, "a cup of coffee", "-v", "--device", "cpu")
    assert "coffee.png" in out
    assert "(it chose its device itself, and the command was given cpu)" in err
