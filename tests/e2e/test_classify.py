"""Classifying photographs of flowers with the built-in model, on the command line and over HTTP."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import SMYSL, RunningService, _address

TRAIN, TEST = 8, 2
"""Photographs of each kind in the library, enough that most votes are right, and photographs to classify."""


@pytest.fixture(scope="module")
def flowers(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few photographs of each kind in train/ and test/."""
    source = shared_data / "flowers"
    if not source.is_dir():
        pytest.skip(f"no flowers in {source}")
    folder = tmp_path_factory.mktemp("flowers")
    for part, count in (("train", TRAIN), ("test", TEST)):
        for kind in sorted(each.name for each in (source / part).iterdir()):
            (folder / part / kind).mkdir(parents=True)
            for file in sorted((source / part / kind).iterdir())[:count]:
                shutil.copy(file, folder / part / kind)
    return folder


@pytest.fixture(scope="module")
def library(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "library"
    run("index", str(flowers / "train"), "--library", str(folder), "--model", "mini")
    return folder


def run(*arguments: str) -> str:
    return subprocess.run([*SMYSL, *arguments], check=True, capture_output=True, text=True).stdout


def test_a_folder_is_classified_into_a_csv(flowers: Path, library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    run("classify", str(flowers / "test"), "--csv", str(out), "--library", str(library))
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5 * TEST
    right = sum(row["kind"] == Path(row["file"]).parent.name for row in rows)
    assert right >= 0.6 * len(rows)
    assert all(Path(row["recommended_10"]).is_file() for row in rows)
    assert (library / "vote.json").is_file()


def test_the_service_answers_the_same_as_the_command(flowers: Path, library: Path) -> None:
    files = sorted((flowers / "test").rglob("*.jpg"))
    output = run("classify", *map(str, files), "--json", "--library", str(library))
    kinds = {Path(line["file"]).name: line["kind"] for line in map(json.loads, output.splitlines())}
    process = subprocess.Popen(
        [*SMYSL, "serve", "--library", str(library), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        service = RunningService(_address(process), library, process)
        body = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="photo"; filename="' + file.name.encode() + b'"\r\n\r\n'
            + file.read_bytes() + b"\r\n"
            for file in files
        ) + b"--x--\r\n"  # fmt: skip
        request = urllib.request.Request(  # noqa: S310 - an address of this test
            f"{service.url}/classify", body, {"content-type": "multipart/form-data; boundary=x"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
            lines = [json.loads(line) for line in answer]
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr:
            process.stderr.close()
    assert {line["file"]: line["kind"] for line in lines} == kinds
