"""`smysl eval borders`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Finished
from tests.service.conftest import Shelf
from tests.service.pictures import save_picture

Run = Callable[..., Finished]


def captioned(folder: Path, photographs: int) -> Path:
    """A folder of data with so many photographs."""
    (folder / "images").mkdir(parents=True)
    rows = ["image\tcaption_id\tsplit\tcaption"]
    for seed in range(photographs):
        save_picture(folder / "images" / f"{seed}.png", seed, (120, 120))
        rows.append(f"{seed}.png\t{seed}.png#0\ttest\ttwo dogs play in the snow")
    (folder / "captions.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_figures_come_as_lines_and_as_json(standing: Shelf, smysl: Run, tmp_path: Path) -> None:
    asked = ("eval", "borders", "--data", captioned(tmp_path / "data", 4), "--copies", 3, "--model", standing.model)
    lines = smysl(*asked, "--also", standing.photographs)
    assert lines.code == 0
    assert "4, searched by 3 copies" in lines.out
    assert "0 of 9 photographs without added borders" in lines.out
    report = json.loads(smysl(*asked, "--json").out)
    assert report["figures"].keys() == {"r1_kept", "cosine_kept", "r1", "cosine", "boxes"}
    assert (report["photographs"], report["copies"], report["bare"], report["cut"]) == (4, 3, 4, [])
    assert len(report["kinds"]) == 3


def test_what_cannot_be_measured_is_refused(standing: Shelf, smysl: Run, tmp_path: Path) -> None:
    data = captioned(tmp_path / "data", 2)
    for options, says in (
        (("--copies", 0), "copies is 0; it must be from 1 to 2"),
        (("--split", "sunday"), "no row is of split 'sunday'"),
        (("--also", tmp_path / "nowhere"), "nowhere"),
    ):
        done = smysl("eval", "borders", "--data", data, "--model", standing.model, *options)
        assert done.code != 0
        assert done.out == ""
        assert says in done.err.replace("\n", "")
