"""Declaring torchvision's missing operators, in separate processes, since an import cannot be undone."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def plain_import() -> subprocess.CompletedProcess[str]:
    """The result of importing torchvision without any help."""
    return run("import torchvision")


def test_torchvision_imports_and_operators_are_declared_once() -> None:
    done = run(
        "from service.encoder.torchvision_compat import mend_torchvision\n"
        "first, second = mend_torchvision(), mend_torchvision()\n"
        "assert first is second, (first, second)\n"
        "import torch, torchvision, gc; gc.collect()\n"
        "assert torchvision.transforms.functional.resize(torch.zeros(3, 8, 8), [4, 4]).shape == (3, 4, 4)\n"
        "assert hasattr(torch.ops.torchvision, 'nms') and hasattr(torch.ops.torchvision, 'qnms')\n"
        "print(*first)"
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"nms", "qnms"}


def test_existing_operators_are_left_alone(plain_import: subprocess.CompletedProcess[str]) -> None:
    """Operators are declared only where torchvision does not import without them."""
    done = run("from service.encoder.torchvision_compat import mend_torchvision; print(*mend_torchvision())")
    assert done.returncode == 0, done.stderr
    if plain_import.returncode == 0:
        assert done.stdout.split() == []
    else:
        assert "torchvision::nms does not exist" in plain_import.stderr
        assert "nms" in done.stdout.split()


def test_existing_operator_is_not_declared_again() -> None:
    done = run(
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "import service.encoder.torchvision_compat as module\n"
        "import importlib.util, types, pathlib, tempfile\n"
        "empty = pathlib.Path(tempfile.mkdtemp()) / '__init__.py'\n"
        "importlib.util.find_spec = lambda name: types.SimpleNamespace(origin=str(empty))\n"
        "print(*module.mend_torchvision())"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["qnms"]


def test_nothing_is_declared_without_torchvision() -> None:
    done = run(
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from service.encoder.torchvision_compat import mend_torchvision; print(mend_torchvision())"
    )
    assert done.stdout == "()\n", done.stderr


def test_importing_the_module_imports_no_torch() -> None:
    done = run("import sys, service.encoder.torchvision_compat; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
