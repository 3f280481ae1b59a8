"""The bundled graphs are used only with the weights that they were written for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.encoder.models import mini_folder
from service.encoder.runtimes.bundled import GRAPHS, WEIGHTS, BundledModel

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "weights"])
def test_damaged_graphs_or_graphs_of_other_weights_are_not_used(tmp_path: Path, damage: str) -> None:
    for name in (GRAPHS, WEIGHTS):
        shutil.copy(mini_folder() / name, tmp_path / name)
    assert BundledModel.read(tmp_path) is not None
    graphs = tmp_path / GRAPHS
    if damage == "gone":
        graphs.unlink()
    elif damage == "weights":
        with (tmp_path / WEIGHTS).open("r+b") as stream:
            stream.seek(-10, 2)
            stream.write(b"\0")
            stream.seek(-9, 2)
            stream.write(b"\1\2\3")
    else:
        graphs.write_bytes(graphs.read_bytes()[: 100 if damage == "cut" else 0])
    assert BundledModel.read(tmp_path) is None
