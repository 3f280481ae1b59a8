"""Downloading the first run's model from a fake hub on localhost.

huggingface_hub reads HF_ENDPOINT and HF_HOME when it is imported, so each run is a new process, as for a person. The
time limits only stop a process that hangs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.config import PREFERRED_MODEL
from tests.e2e.hub import FakeHub
from tests.e2e.tiny_model import tiny_model, tiny_tokenizer

ROOT = Path(__file__).parents[2]
NAME = "hf-hub:somebody/tiny"
WEIGHTS = "open_clip_model.safetensors"

ENSURE = """
import json, sys
from dataclasses import asdict
from service.errors import SmyslError
from service.encoder.models import ensure_downloaded, is_on_this_machine
name, timeout_s = sys.argv[1], float(sys.argv[2])
events = []
answer = {"before": is_on_this_machine(name), "error": None}
def report(progress):
    events.append(asdict(progress))
    if progress.stage == "download" and len(events) == int(sys.argv[3]):
        print("downloading", flush=True)
try:
    ensure_downloaded(name, timeout_s=timeout_s, on_progress=report)
except SmyslError as error:
    answer |= {"error": error.message, "kind": error.kind}
print(json.dumps({**answer, "after": is_on_this_machine(name), "events": events}))
"""

CHOOSE = """
import json, sys
from service.encoder.models import choose_first_model
said = []
print(json.dumps({"model": choose_first_model(timeout_s=2, say=said.append), "said": said}))
"""

ENCODE = """
import json, sys
from service.encoder.encoder import Encoder
from service.errors import SmyslError
try:
    encoder = Encoder.load(sys.argv[1], device="cpu", timeout_s=2)
    vectors = encoder.encode_texts(["a cat", "red flower"])
    print(json.dumps({"shape": vectors.shape, "norms": (vectors**2).sum(1).tolist(),
                      "fingerprint": encoder.fingerprint}))
except SmyslError as error:
    print(json.dumps({"error": error.message}))
"""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return tiny_model()


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[FakeHub]:
    with FakeHub({"somebody/tiny": dict(files)}) as running:
        yield running


class Machine:
    """A machine with an empty cache, and the address of a hub."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        others = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE"))}
        self.environment = {**others, "HF_HOME": str(folder), "HF_ENDPOINT": address, "PYTHONPATH": str(ROOT)}
        for proxy in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            self.environment.pop(proxy, None)

    def start(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True, cwd=self.folder)

    def run(self, program: str, *arguments: str) -> dict[str, Any]:
        with self.start(program, *arguments) as process:
            try:
                output, errors = process.communicate(timeout=90)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, errors
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
        answer["stderr"] = errors
        return answer

    def ensure(self, name: str = NAME, timeout_s: float = 2) -> dict[str, Any]:
        return self.run(ENSURE, name, str(timeout_s), "0")

    def unfinished_files(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*.incomplete")]


@pytest.fixture
def machine(tmp_path: Path, hub: FakeHub) -> Machine:
    return Machine(tmp_path, hub.address)


def test_first_run_says_the_size_before_it_downloads(machine: Machine, files: dict[str, bytes]) -> None:
    answer = machine.ensure()
    assert (answer["before"], answer["error"], answer["after"]) == (False, None, True)
    events = answer["events"]
    total = len(files[WEIGHTS])
    assert events[0] == {"stage": "start", "model": NAME, "file": "", "done_bytes": 0, "total_bytes": total}
    assert {event["stage"] for event in events[1:-1]} == {"download", "check"}
    done = [event["done_bytes"] for event in events]
    assert done == sorted(done)
    assert (events[-1]["stage"], events[-1]["done_bytes"]) == ("done", total)
    assert answer["stderr"] == ""


def test_cached_run_needs_no_hub(machine: Machine, hub: FakeHub) -> None:
    machine.ensure()
    requests = len(hub.requests)
    hub.failing = 500
    answer = machine.ensure()
    assert (answer["before"], answer["error"], answer["events"]) == (True, None, [])
    assert len(hub.requests) == requests


def test_encoder_downloads_its_model_and_then_needs_no_hub(machine: Machine, hub: FakeHub) -> None:
    first = machine.run(ENCODE, NAME)
    assert first["shape"] == [2, 16]
    assert first["norms"] == pytest.approx([1, 1], abs=1e-3)
    requests = len(hub.requests)
    hub.silent = True
    second = machine.run(ENCODE, NAME)
    assert second["fingerprint"] == first["fingerprint"]
    assert len(hub.requests) == requests


def test_encoder_with_a_tokenizer_from_another_repository(tmp_path: Path) -> None:
    repositories = {
        "somebody/tiny": tiny_model("somebody/words"),
        "somebody/words": tiny_tokenizer(),
    }
    with FakeHub(repositories) as hub:
        machine = Machine(tmp_path, hub.address)
        answer = machine.ensure()
        assert (answer["error"], answer["after"]) == (None, True)
        hub.silent = True
        assert machine.run(ENCODE, NAME)["shape"] == [2, 16]


def test_incomplete_model_is_not_on_this_machine(tmp_path: Path) -> None:
    repositories = {
        "somebody/tiny": tiny_model("somebody/words"),
        "somebody/words": tiny_tokenizer(),
    }
    with FakeHub(repositories, truncated={"tokenizer.json"}) as hub:
        machine = Machine(tmp_path, hub.address)
        assert machine.ensure()["after"] is False
        hub.truncated.clear()
        hub.requests.clear()
        assert machine.ensure()["after"] is True
        assert hub.downloads() == ["tokenizer.json"]


def test_hub_that_cannot_be_reached(tmp_path: Path, hub: FakeHub) -> None:
    address = hub.address.replace(hub.address.rsplit(":", 1)[1], "1")
    answer = Machine(tmp_path, address).ensure()
    assert answer["kind"] == "hub"
    assert answer["error"].startswith(f"The model hub at {address} cannot be reached (")
    assert answer["error"].endswith(
        f"so {NAME} cannot be downloaded; try again later, or use the built-in model with --model mini."
    )
    assert (answer["events"], answer["stderr"]) == ([], "")


def test_hub_that_accepts_the_connection_and_never_answers(machine: Machine, hub: FakeHub) -> None:
    hub.silent = True
    answer = machine.ensure(timeout_s=1)
    assert f"The model hub at {hub.address} did not answer within 1 s, so {NAME}" in answer["error"]


@pytest.mark.parametrize("status", [500, 503])
def test_hub_with_an_error(machine: Machine, hub: FakeHub, status: int) -> None:
    hub.failing = status
    assert f"answered with error {status}" in machine.ensure()["error"]


def test_address_of_something_else_than_a_hub(machine: Machine, hub: FakeHub) -> None:
    machine.environment["HF_ENDPOINT"] = hub.address + "/a/page"
    assert "answered with error 404" in machine.ensure()["error"]


def test_invalid_address(machine: Machine) -> None:
    machine.environment["HF_ENDPOINT"] = "nonsense"
    assert "The model hub at nonsense cannot be reached" in machine.ensure()["error"]


def test_model_that_the_hub_does_not_have(machine: Machine) -> None:
    answer = machine.ensure("hf-hub:somebody/else")
    assert "has no such model, or a private one" in answer["error"]


def test_repository_without_a_model(machine: Machine, hub: FakeHub) -> None:
    hub.repositories["somebody/tiny"].pop(WEIGHTS)
    answer = machine.ensure()
    assert f"has no weights that open_clip could load (none of {WEIGHTS}" in answer["error"]


def test_offline_by_setting(machine: Machine, hub: FakeHub) -> None:
    machine.environment["HF_HUB_OFFLINE"] = "1"
    answer = machine.ensure()
    assert answer["error"].startswith(f"HF_HUB_OFFLINE is set, so {NAME} cannot be downloaded; unset it")
    assert hub.requests == []


def test_truncated_file(machine: Machine, hub: FakeHub) -> None:
    hub.truncated.add(WEIGHTS)
    answer = machine.ensure()
    assert "sent an incomplete file" in answer["error"]
    assert (answer["after"], machine.unfinished_files()) == (False, [])
    hub.truncated.clear()
    answer = machine.ensure()
    assert (answer["error"], answer["after"]) == (None, True)


@pytest.mark.parametrize("file", [WEIGHTS, "open_clip_config.json"])
def test_corrupted_file(machine: Machine, hub: FakeHub, file: str) -> None:
    hub.corrupted.add(file)
    answer = machine.ensure()
    assert answer["error"].startswith(f"{file} of {NAME} arrived damaged from {hub.address}")
    assert (answer["after"], machine.unfinished_files()) == (False, [])
    hub.corrupted.clear()
    answer = machine.ensure()
    assert (answer["error"], answer["after"]) == (None, True)


def test_truncated_cached_file_is_downloaded_again(machine: Machine, hub: FakeHub) -> None:
    machine.ensure()
    blob = next(machine.folder.rglob(WEIGHTS)).resolve()
    blob.write_bytes(blob.read_bytes()[:-100])
    hub.requests.clear()
    answer = machine.ensure()
    assert (answer["before"], answer["error"], answer["after"]) == (False, None, True)
    assert hub.downloads() == [WEIGHTS]


def test_interrupted_download_leaves_nothing_behind(machine: Machine, hub: FakeHub) -> None:
    # Larger than the chunks that huggingface_hub reads, so that a first chunk arrives and is reported.
    hub.repositories["somebody/tiny"][WEIGHTS] += b"\0" * 40_000_000
    hub.slow.add(WEIGHTS)
    with machine.start(ENSURE, NAME, "2", "2") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "downloading\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert machine.unfinished_files() == []
    assert not list(machine.folder.rglob(WEIGHTS))


def preferred_repository() -> dict[str, bytes]:
    """The files of the preferred model with almost no content: it is not loaded here."""
    from safetensors.numpy import save

    return {**tiny_tokenizer(), WEIGHTS: save({}, metadata={"purpose": "test"})}


def test_first_library_uses_the_preferred_model_and_says_its_size(tmp_path: Path) -> None:
    with FakeHub({"timm/ViT-B-32-SigLIP2-256": preferred_repository()}) as hub:
        machine = Machine(tmp_path, hub.address)
        first = machine.run(CHOOSE)
        assert first["model"] == PREFERRED_MODEL
        assert len(first["said"]) == 1
        assert first["said"][0].startswith(f"Downloading {PREFERRED_MODEL} (0.1 MB, 109 languages")
        hub.failing = 500
        again = machine.run(CHOOSE)
        assert (again["model"], again["said"]) == (PREFERRED_MODEL, [])


@pytest.mark.parametrize("silent", [False, True])
def test_first_library_uses_the_built_in_model_where_the_hub_fails(
    machine: Machine, hub: FakeHub, silent: bool
) -> None:
    hub.silent = silent
    hub.failing = None if silent else 503
    answer = machine.run(CHOOSE)
    assert answer["model"] == "mini"
    assert len(answer["said"]) == 1
    assert f"The model hub at {hub.address} " in answer["said"][0]
    assert "so the built-in model mini is used" in answer["said"][0]
    assert answer["said"][0].endswith(f"to change later: smysl index --model {PREFERRED_MODEL}.")
    assert answer["said"][0].count(". ") == 0
