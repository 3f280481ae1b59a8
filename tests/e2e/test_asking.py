"""The command `smysl search` beside a real service: the same bytes as without one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import SMYSL, RunningService


def searched(library: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    command = [*SMYSL, "search", "--library", str(library), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | variables)
    out = [line for line in done.stdout.splitlines() if "took_ms" not in line]
    return done.returncode, "\n".join(out), done.stderr


@pytest.fixture(scope="module")
def alone(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that the service serves, where no service is."""
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
    given = [argument.format(samples=samples, library=alone) for argument in arguments]
    code, out, err = searched(service.library, *given)
    own_code, own_out, own_err = searched(alone, *given)
    assert (code, out) == (own_code, own_out)
    assert err.replace(str(service.library), str(alone)) == own_err


def test_it_says_whom_it_asked_and_goes_around_proxies(service: RunningService) -> None:
    proxies = {"http_proxy": "http://192.0.2.1:9", "HTTP_PROXY": "http://192.0.2.1:9", "no_proxy": ""}
    code, out, err = searched(service.library, "a cup of coffee", "-v", **proxies)
    assert code == 0
    assert "coffee.png" in out
    assert err == f"The service at {service.url} (process {service.process.pid}) was asked.\n"


def test_another_device_than_the_service_s_is_no_question_for_it(service: RunningService) -> None:
    _, out, err = searched(service.library, "a cup of coffee", "-v", "--device", "cpu")
    assert "coffee.png" in out
    assert "was left aside (it was started with the device that it chose, not with cpu)" in err
