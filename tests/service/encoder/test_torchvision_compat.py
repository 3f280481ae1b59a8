"""The mend of torchvision, in processes of their own, since an import cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def unmended() -> subprocess.CompletedProcess[str]:
    """What comes of importing torchvision as it is."""
    return run("import torchvision")


def test_torchvision_imports_once_mended_and_the_mend_is_made_once() -> None:
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


def test_what_is_there_is_left_as_it_is(unmended: subprocess.CompletedProcess[str]) -> None:
    """Operators are declared only where torchvision does not import without them."""
    done = run("from service.encoder.torchvision_compat import mend_torchvision; print(*mend_torchvision())")
    assert done.returncode == 0, done.stderr
    if unmended.returncode == 0:
        assert done.stdout.split() == []
    else:
        assert "torchvision::nms does not exist" in unmended.stderr
        assert "nms" in done.stdout.split()


def test_an_operator_that_exists_is_not_declared_again() -> None:
    done = run(
        "import torch\n"
        "held = torch.library.Library('torchvision', 'DEF')\n"
        "held.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "import service.encoder.torchvision_compat as module\n"
        "import importlib.util, types, pathlib, tempfile\n"
        "empty = pathlib.Path(tempfile.mkdtemp()) / '__init__.py'\n"
        "importlib.util.find_spec = lambda name: types.SimpleNamespace(origin=str(empty))\n"
        "print(*module.mend_torchvision())"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["qnms"]


def test_without_torchvision_there_is_nothing_to_mend() -> None:
    done = run(
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from service.encoder.torchvision_compat import mend_torchvision; print(mend_torchvision())"
    )
    assert done.stdout == "()\n", done.stderr


def test_importing_the_module_imports_no_torch() -> None:
    done = run("import sys, service.encoder.torchvision_compat; print('torch' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
