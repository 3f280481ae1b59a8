"""`smysl search`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.service.cli.commands import Run, error_of, fingerprint_of
from tests.service.conftest import SampleLibrary
from tests.service.sample_artifacts import make_artifact


def test_search_prints_match_and_file_separated_by_a_tab(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl("search", "two dogs play in the snow", "--library", shared_library.folder)
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert {Path(file) for _, file in rows} == set(shared_library.photographs.iterdir())
    matches = [float(match) for match, _ in rows]
    assert matches == sorted(matches, reverse=True)
    assert all(0 <= match <= 1 for match in matches)


def test_a_text_needs_no_quotes(shared_library: SampleLibrary, smysl: Run) -> None:
    quoted = smysl("search", "a red car", "--library", shared_library.folder)
    assert smysl("search", "a", "red", "car", "--library", shared_library.folder) == quoted
    assert smysl("search", "--library", shared_library.folder, "a red", "car") == quoted


@pytest.mark.parametrize("flag", ["-k", "-n", "--limit"])
def test_the_number_of_photographs_has_three_names(shared_library: SampleLibrary, smysl: Run, flag: str) -> None:
    done = smysl("search", "a cat", flag, 2, "--library", shared_library.folder)
    assert len(done.out.splitlines()) == 2


def test_search_prints_json(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl("search", "a cat", "-k", 2, "--json", "--library", shared_library.folder)
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert len(answer["hits"]) == 2
    assert answer["model"] == shared_library.model
    assert answer["photographs"] == 5
    assert Path(answer["hits"][0]["uri"]).is_file()


def test_search_with_a_photograph_finds_that_photograph(shared_library: SampleLibrary, smysl: Run) -> None:
    for name in ("wood.jpg", "moss.tif", "clay.heic"):
        done = smysl(
            "search", "--image", shared_library.photographs / name, "-k", 1, "--library", shared_library.folder
        )
        assert done.out.rstrip().endswith(name)


def test_search_with_a_part_of_a_photograph(shared_library: SampleLibrary, smysl: Run) -> None:
    command = (
        "search",
        "--image",
        shared_library.photographs / "wood.jpg",
        "--library",
        shared_library.folder,
        "--json",
    )
    whole, part = (json.loads(smysl(*command, *more).out) for more in ((), ("--box", "0,0.25,0.5,0.5")))
    assert (whole["part"], part["part"]) == (None, {"x": 0, "y": 0.25, "width": 0.5, "height": 0.5})
    assert part["hits"][0]["similarity"] < whole["hits"][0]["similarity"]


def test_search_crops_borders_and_says_so_unless_told_to_keep_them(
    shared_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    framed = tmp_path / "framed.png"
    with Image.open(shared_library.photographs / "wood.jpg") as opened:
        ImageOps.expand(opened, (0, 20, 0, 20), "black").save(framed)
    command = ("search", "--image", framed, "-k", 1, "--library", shared_library.folder)
    without, kept = smysl(*command), smysl(*command, "--keep-borders")
    assert without.err == (
        "Cropped borders and searched with the part 0,0.2,1,0.6. Use --keep-borders to search with all of it.\n"
    )
    assert without.out.rstrip().endswith("wood.jpg")
    assert kept.err == ""
    assert kept.out != without.out


def test_search_rejects_a_photograph_that_is_all_border(
    shared_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (90, 60)).save(black)
    command = ("search", "--image", black, "--library", shared_library.folder)
    assert "all border" in error_of(smysl(*command), 2)
    assert smysl(*command, "--keep-borders").code == 0


def test_search_without_a_good_match_prints_only_a_sentence(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl("search", "a cat", "--min-match", 1, "--library", shared_library.folder)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("No good match: the best is 0.")
    assert ", and only 1.000 or more is shown. Use --min-match 0 to see the nearest anyway." in done.err


def test_search_uses_the_fitted_cut_unless_min_match_is_given(sample_library: SampleLibrary, smysl: Run) -> None:
    make_artifact(fingerprint_of(sample_library), min_match=0.999).save(sample_library.folder)
    nothing = smysl("search", "a cat", "--library", sample_library.folder)
    assert (nothing.code, nothing.out) == (0, "")
    assert ", and only 0.999 or more is shown" in nothing.err
    nearest = smysl("search", "a cat", "--min-match", 0, "--library", sample_library.folder)
    assert len(nearest.out.splitlines()) == 5
    assert nearest.err.startswith("No good match: the best is 0.")
    assert "These are the nearest." in nearest.err
    photograph = sample_library.photographs / "wood.jpg"
    like_it = smysl("search", "--image", photograph, "--library", sample_library.folder)
    assert (len(like_it.out.splitlines()), like_it.err) == (5, "")
    unlike = smysl("search", "--image", photograph, "--min-match", 1, "--library", sample_library.folder)
    assert unlike.err.startswith("No good match: the best is 0.")
    answer = json.loads(smysl("search", "a cat", "--json", "--library", sample_library.folder).out)
    assert (answer["min_match"], answer["answerable"], answer["hits"]) == (0.999, False, [])


def test_search_in_an_empty_library_says_how_to_fill_it(
    unindexed_library: SampleLibrary, smysl: Run, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    smysl("index", tmp_path / "nothing", "--library", unindexed_library.folder, "--model", unindexed_library.model)
    done = smysl("search", "a cat", "--library", unindexed_library.folder)
    assert (done.code, done.out) == (0, "")
    assert (
        done.err
        == f"The library {unindexed_library.folder} holds no photographs yet. Fill it with `smysl index DIR`.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], 'smysl search "a red flower"'),
        ([""], "The text is empty"),
        ([" \n "], "The text is empty"),
        (["a" * 10_000], "10,000 characters, and at most 1,000"),
        (["a \udcff cat"], "The text is not Unicode"),
        (["a cat", "-k", "0"], "-k is 0; it must be from 1 to 1,000"),
        (["a cat", "-k", "1001"], "-k is 1001"),
        (["a cat", "--min-match", "1.5"], "--min-match is 1.5; it must be from 0 to 1"),
        (["a cat", "--min-match", "nan"], "--min-match is nan"),
        (["--image", "/no/such photo.jpg"], "There is no file /no/such photo.jpg"),
        (["a cat", "--device", "abacus"], "choose cuda, mps or cpu"),
        (["a cat", "--limit", "0"], "-k is 0; it must be from 1 to 1,000"),
        (["a cat", "--box", "0,0,0.5,0.5"], "a text has none. Leave out --box."),
        (["--image", "a.jpg", "--box", "0,0,2,2"], "--box 0,0,2,2 extends beyond the photograph"),
        (["--image", "a.jpg", "--box", "0,0,0,1"], "--box 0,0,0,1 has no area"),
        (["--image", "a.jpg", "--box", "all of it"], "--box “all of it” cannot be read"),
        (["a cat", "--head", "flowers"], "or leave out --head."),
    ],
)
def test_search_reports_wrong_arguments(
    shared_library: SampleLibrary, smysl: Run, arguments: list[str], message: str
) -> None:
    assert message in error_of(smysl("search", "--library", shared_library.folder, *arguments), 2)


def test_search_rejects_a_text_together_with_a_photograph(shared_library: SampleLibrary, smysl: Run) -> None:
    done = smysl(
        "search", "a cat", "--image", shared_library.photographs / "wood.jpg", "--library", shared_library.folder
    )
    assert "one thing to look for" in error_of(done, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"GIF89a", "cannot be used"), (b"\xff\xd8\xff", "cannot be used")],
)
def test_search_rejects_a_file_that_is_not_a_photograph(
    sample_library: SampleLibrary, smysl: Run, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "no photo.jpg"
    file.write_bytes(content)
    sentence = error_of(smysl("search", "--image", file, "--library", sample_library.folder), 1)
    assert str(file) in sentence
    assert message in sentence


def test_search_with_another_model_than_the_library_s_says_what_to_do(
    shared_library: SampleLibrary, smysl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMYSL_MODEL", "ViT-B-32-SigLIP2-256/webli")
    sentence = error_of(smysl("search", "a cat", "--library", shared_library.folder), 1)
    assert f"made with the model {shared_library.model}, not with ViT-B-32-SigLIP2-256/webli" in sentence
    assert f"smysl index --library {shared_library.folder} --model ViT-B-32-SigLIP2-256/webli" in sentence


def test_search_reports_a_match_fitted_for_another_model(sample_library: SampleLibrary, smysl: Run) -> None:
    make_artifact("another").save(sample_library.folder)
    done = smysl("search", "a cat", "--library", sample_library.folder)
    assert (done.code, done.out) == (1, "")
    assert f"{sample_library.folder / 'match.json'} belongs to the model with the fingerprint another" in done.err
    assert "remove it" in done.err
