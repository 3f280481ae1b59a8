"""`smysl head`, and additional models of `smysl index`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Finished
from tests.service.cli.commands import Run, error_of
from tests.service.conftest import SampleLibrary

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


@pytest.fixture(scope="session")
def second_model(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> str:
    """A model like the tiny one with other preprocessing."""
    folder = tmp_path_factory.mktemp("second-model") / "model"
    shutil.copytree(tiny_folder, folder)
    file = folder / "open_clip_config.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    facts["preprocess_cfg"]["mean"] = [0.1, 0.5, 0.9]
    file.write_text(json.dumps(facts), encoding="utf-8")
    return f"local-dir:{folder}"


def test_a_head_is_added_listed_searched_with_and_removed(
    sample_library: SampleLibrary, smysl: Run, head_folder: Path
) -> None:
    library = ("--library", sample_library.folder)
    nothing = smysl("head", "list", *library)
    assert (nothing.code, nothing.out) == (0, "")
    assert "smysl head add NAME DIR" in nothing.err
    added = smysl("head", "add", "flowers", head_folder, *library)
    assert added == Finished(
        0,
        f"The head flowers (all of it, 2 kinds) is in the library {sample_library.folder} and finds 5 photographs.\n",
        "",
    )
    listed = smysl("head", "list", *library)
    assert listed.out == f"flowers\tall of it\t2\t{sample_library.model}\t91.5\t5\n"
    facts = json.loads(smysl("head", "list", "--json", *library).out)
    assert [each["name"] for each in facts["heads"]] == ["flowers"]
    found = smysl("search", "--image", sample_library.photographs / "moss.tif", "--head", "flowers", *library)
    match, file = found.out.splitlines()[0].split("\t")
    assert Path(file).name == "moss.tif"
    assert float(match) == pytest.approx(0.993, abs=2e-3)
    with_json = smysl(
        "search", "--image", sample_library.photographs / "moss.tif", "--head", "flowers", "--json", *library
    )
    answer = json.loads(with_json.out)
    assert (answer["head"], answer["calibration"]) == ("flowers", "head")
    removed = smysl("head", "remove", "flowers", *library)
    assert removed.out == f"The head flowers is no longer in the library {sample_library.folder}.\n"
    message = error_of(smysl("head", "remove", "flowers", *library), 2)
    assert "has no head flowers" in message
    assert (head_folder / "head.json").is_file(), "the folder of the fitted head is left alone"


def test_commands_report_wrong_use_of_heads(
    sample_library: SampleLibrary, smysl: Run, head_folder: Path, tmp_path: Path
) -> None:
    library = ("--library", sample_library.folder)
    smysl("head", "add", "flowers", head_folder, *library)
    for arguments, code, message in (
        (("head", "add", "flowers", head_folder), 2, "has a head flowers already"),
        (("head", "add", "../up", head_folder), 2, "cannot be the name of a head"),
        (("head", "add", "other", tmp_path / "nowhere"), 1, "There is no head in"),
        (("search", "a red flower", "--head", "flowers"), 2, "cannot read texts"),
        (("search", "--image", sample_library.photographs / "moss.tif", "--head", "trees"), 2, "has no head trees"),
        (("index", "--forget", "mini"), 2, "has no additional model mini"),
        (("index", "--forget", sample_library.model), 2, "is the main model"),
    ):
        assert message in error_of(smysl(*arguments, *library), code)
    assert "--library" in error_of(smysl("head", "list", "--library", tmp_path / "none"), 1)


def test_a_library_without_features_says_how_to_compute_them(
    sample_library: SampleLibrary, smysl: Run, head_folder: Path, tiny: Encoder
) -> None:
    with sample_library.open() as library:
        library.catalog.drop_vectors(tiny.features_fingerprint)
    added = smysl("head", "add", "flowers", head_folder, "--library", sample_library.folder)
    assert "finds 0 photographs" in added.out
    assert f"5 photographs have no features of {sample_library.model} yet" in added.err
    searched = smysl(
        "search",
        "--image",
        sample_library.photographs / "moss.tif",
        "--head",
        "flowers",
        "--library",
        sample_library.folder,
    )
    assert (searched.code, searched.out) == (0, "")
    assert "5 of 5 photographs have no features" in searched.err
    assert "5 changed" in smysl("index", "--library", sample_library.folder).out
    assert "5\n" in smysl("head", "list", "--library", sample_library.folder).out


def test_additional_models_stay_until_they_are_forgotten(
    sample_library: SampleLibrary, smysl: Run, second_model: str
) -> None:
    library = ("--library", sample_library.folder)
    both = smysl("index", "--model", sample_library.model, "--model", second_model, *library)
    assert both.code == 0, both
    assert f"(model {sample_library.model} and {second_model})" in both.out
    assert f"additional   {second_model}" in smysl("status", *library).out
    assert json.loads(smysl("status", "--json", *library).out)["additional_models"] == [second_model]
    kept = smysl("index", *library)
    assert "5 unchanged" in kept.out
    assert second_model in kept.out
    gone = smysl("index", "--forget", second_model, *library)
    assert second_model not in gone.out
    assert json.loads(smysl("status", "--json", *library).out)["additional_models"] == []


def test_index_says_if_a_head_loses_its_model(
    sample_library: SampleLibrary, smysl: Run, head_folder: Path, second_model: str
) -> None:
    smysl("head", "add", "flowers", head_folder, "--library", sample_library.folder)
    changed = smysl("index", "--model", second_model, "--library", sample_library.folder)
    assert changed.code == 0, changed
    assert f"The head flowers cannot be used: The head was fitted on {sample_library.model}" in changed.err
    listed = smysl("head", "list", "--library", sample_library.folder)
    assert listed.out.startswith("flowers\tall of it")
    assert "flowers: The head was fitted on" in listed.err
    back = smysl("index", "--model", second_model, "--model", sample_library.model, "--library", sample_library.folder)
    assert "cannot be used" not in back.err
    found = smysl(
        "search",
        "--image",
        sample_library.photographs / "moss.tif",
        "--head",
        "flowers",
        "--library",
        sample_library.folder,
    )
    assert found.out.splitlines()[0].endswith("moss.tif")
