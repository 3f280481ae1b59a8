"""The commands under `smysl eval`: what they print, the reports they write, and what they refuse."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.errors import UsageError
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary
from tests.service.pictures import save_picture
from tests.training.simulated import make_hasty

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder

pytestmark = pytest.mark.e2e


def test_retrieval_needs_captions(smysl: Run, tmp_path: Path, unindexed_library: SampleLibrary) -> None:
    done = smysl("eval", "retrieval", "--data", tmp_path, "--model", unindexed_library.model)
    assert "captions.tsv" in error_of(done, 1)


def test_retrieval_prints_the_six_figures(smysl: Run, sample_library: SampleLibrary, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(sample_library.photographs)
    rows = [f"{name}\t{name}#0\ttest\ta photograph of {name}" for name in ("wood.jpg", "sand.png", "moss.tif")]
    (tmp_path / "captions.tsv").write_text("image\tcaption_id\tsplit\tcaption\n" + "\n".join(rows) + "\n")
    done = smysl("eval", "retrieval", "--data", tmp_path, "--model", sample_library.model, "--json")
    assert done.code == 0, done
    facts = json.loads(done.out)
    assert (facts["photos"], facts["captions"]) == (3, 3)
    assert facts["t2i_r5"] == facts["i2t_r10"] == 100.0
    assert {"t2i_r1", "t2i_r10", "i2t_r1", "i2t_r5", "seconds"} <= facts.keys()


def test_scoring_prints_figures_for_people_and_for_programs(
    rated: Path, tiny: Encoder, smysl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hasty(monkeypatch)
    command = ("eval", "scoring", "--data", rated, "--model", tiny.name, "--cache", tmp_path / "cache")
    page = tmp_path / "report.html"
    done = smysl(*command, "--no-candidates", "--json", "--report", page)
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["expert_tau_c"] > 50
    assert (facts["expert_pairs"], facts["fingerprint"]) == (400, tiny.fingerprint)
    assert f"The report is in {page}." in done.err
    assert f"{facts['rmse']:.3f}" in page.read_text(encoding="utf-8")
    for_people = smysl(*command, "--no-candidates")
    assert for_people.code == 0, for_people.err
    assert "expert_tau_c over cosine" in for_people.out
    assert "own photograph by match" in for_people.out


def test_scoring_checks_the_report_s_folder_before_measuring(
    rated: Path, tiny: Encoder, smysl: Run, tmp_path: Path
) -> None:
    for page in (tmp_path, tmp_path / "nowhere" / "report.html"):
        command = ("eval", "scoring", "--data", rated, "--model", tiny.name, "--cache", tmp_path / "cache")
        assert str(page) in error_of(smysl(*command, "--report", page), 2)
    assert not (tmp_path / "cache").exists()


def test_scoring_names_missing_packages(smysl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, package=None: None if name == "sklearn" else real(name, package)
    )

    done = smysl("eval", "scoring", "--data", str(tmp_path))

    assert done.code == UsageError.exit_code
    assert "scikit-learn" in done.err and "pip install 'smysl[training]'" in done.err


@pytest.fixture
def few_flowers(shared_data: Path, tmp_path: Path) -> Path:
    """Six photographs of two kinds to be searched and three of each to search, one of them a copy."""
    flowers = shared_data / "flowers"
    if not flowers.is_dir():
        pytest.skip(f"no photographs of flowers in {flowers}")
    folder = tmp_path / "flowers"
    for part, count in (("train", 6), ("test", 3)):
        for kind in ("sunflower", "tulip"):
            (folder / part / kind).mkdir(parents=True)
            for file in sorted((flowers / part / kind).iterdir())[:count]:
                (folder / part / kind / file.name).write_bytes(file.read_bytes())
    copied = next((folder / "train/tulip").iterdir())
    (folder / "test/tulip/copy.jpg").write_bytes(copied.read_bytes())
    (folder / "test/tulip/notes.txt").write_text("no photograph")
    return folder


def test_similar_prints_figures_and_writes_a_report(few_flowers: Path, tmp_path: Path, smysl: Run) -> None:
    page, cache = tmp_path / "report.html", tmp_path / "cache"
    done = smysl("eval", "similar", "--data", few_flowers, "--report", page, "--cache", cache)
    assert done.code == 0, done.err
    names = [line.split("  ")[0] for line in done.out.splitlines()]
    assert names[:5] == ["map10", "r1", "vote_accuracy", "photos", "kinds"]
    assert "95 % interval" in done.out
    assert "6, searched 12 of train/" in done.out
    assert "copy.jpg: it is the same photograph as" in done.out
    assert "1 file that is not a photograph" in done.out
    assert f"The report is in {page}." in done.err
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")

    facts = json.loads(smysl("eval", "similar", "--data", few_flowers, "--json", "--cache", cache).out)
    assert (facts["photos"], facts["kinds"], len(facts["left_out"])) == (6, 2, 1)
    assert facts["map10"] > 50
    assert set(facts["models"]) == {"mini"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model", "mini", "--model", "ViT-B-32/openai"], "only through a head"),
        (["--head", "nowhere"], "There is no head in nowhere"),
        (["--report", "nowhere/report.html"], "The report cannot be written to nowhere"),
    ],
)
def test_similar_reports_wrong_arguments_before_loading_a_model(
    tmp_path: Path, smysl: Run, extra: list[str], message: str
) -> None:
    done = smysl("eval", "similar", "--data", tmp_path, *extra)
    assert done.code != 0
    assert message in done.err
    assert done.out == ""


def test_similar_needs_folders_of_kinds(tmp_path: Path, smysl: Run) -> None:
    done = smysl("eval", "similar", "--data", tmp_path)
    assert done.code == 1
    assert "holds no kinds" in done.err


def captioned(folder: Path, photographs: int) -> Path:
    """A folder of data with this many photographs."""
    (folder / "images").mkdir(parents=True)
    rows = ["image\tcaption_id\tsplit\tcaption"]
    for seed in range(photographs):
        save_picture(folder / "images" / f"{seed}.png", seed, (120, 120))
        rows.append(f"{seed}.png\t{seed}.png#0\ttest\ttwo dogs play in the snow")
    (folder / "captions.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_borders_prints_figures_for_people_and_for_programs(
    shared_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    command = (
        "eval",
        "borders",
        "--data",
        captioned(tmp_path / "data", 4),
        "--copies",
        3,
        "--model",
        shared_library.model,
    )
    lines = smysl(*command, "--also", shared_library.photographs)
    assert lines.code == 0
    assert "4, searched by 3 copies" in lines.out
    assert "0 of 9 photographs without added borders" in lines.out
    report = json.loads(smysl(*command, "--json").out)
    assert report["figures"].keys() == {"r1_kept", "cosine_kept", "r1", "cosine", "boxes"}
    assert (report["photographs"], report["copies"], report["bare"], report["cut"]) == (4, 3, 4, [])
    assert len(report["kinds"]) == 3


def test_borders_reports_wrong_arguments(shared_library: SampleLibrary, smysl: Run, tmp_path: Path) -> None:
    data = captioned(tmp_path / "data", 2)
    for options, message in (
        (("--copies", 0), "copies is 0; it must be from 1 to 2"),
        (("--split", "sunday"), "no row is of split 'sunday'"),
        (("--also", tmp_path / "nowhere"), "nowhere"),
    ):
        done = smysl("eval", "borders", "--data", data, "--model", shared_library.model, *options)
        assert done.code != 0
        assert done.out == ""
        assert message in done.err.replace("\n", "")
