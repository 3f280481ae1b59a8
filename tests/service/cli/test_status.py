"""`smysl status`: what it prints for people and for programs."""

from __future__ import annotations

import json

from tests.service.cli.commands import Run, error_of, fingerprint_of
from tests.service.conftest import SampleLibrary
from tests.service.sample_artifacts import make_artifact


def test_status_prints_rows(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl("status", "--library", shared_library.folder)
    assert (done.code, done.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert rows["photographs"] == "5"
    assert rows["folders"] == str(shared_library.photographs)
    assert rows["model"].startswith(f"{shared_library.model} (cpu, openvino, ")
    assert rows["writer"] == "none"


def test_status_says_where_the_match_comes_from_and_where_it_cuts(sample_library: SampleLibrary, smysl: Run) -> None:
    before = smysl("status", "--library", sample_library.folder).out
    assert "relative to the library's own photographs" in before
    assert "shows" not in before
    make_artifact(fingerprint_of(sample_library), min_match=0.25).save(sample_library.folder)
    after = smysl("status", "--library", sample_library.folder).out
    assert "fitted on people's ratings (ratings of nobody)" in after
    assert "matches of 0.25 and more" in after
    facts = json.loads(smysl("status", "--json", "--library", sample_library.folder).out)
    assert (facts["calibration"], facts["trained_on"], facts["min_match"]) == ("ratings", "ratings of nobody", 0.25)


def test_a_different_precision_of_texts_is_named() -> None:
    from service.cli.status import describe_model
    from service.web.schemas import ModelOut

    model = ModelOut(
        name="mini",
        fingerprint="f",
        dimension=4,
        device="cpu",
        runtime="torch",
        precision="fp32",
        text_precision="bf16",
        notice=None,
        languages=None,
    )
    assert describe_model(model) == "mini (cpu, torch, fp32, texts in bf16)"


def test_status_prints_json(sample_library: SampleLibrary, smysl: Run) -> None:
    facts = json.loads(smysl("status", "--json", "--library", sample_library.folder).out)
    assert facts["photographs"] == facts["index"]["photographs"] == 5
    assert facts["model"]["name"] == sample_library.model
    assert facts["roots"] == [str(sample_library.photographs)]


def test_status_of_an_empty_library(unindexed_library: SampleLibrary, smysl: Run) -> None:
    unindexed_library.open().close()
    done = smysl("status", "--library", unindexed_library.folder)
    assert done.code == 0
    assert "none yet" in done.out
    assert "is empty. Fill it with" in error_of(smysl("search", "a cat", "--library", unindexed_library.folder), 1)
