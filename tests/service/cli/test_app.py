"""The command line as a stranger meets it: what each command prints, where, and with which exit code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.conftest import SMYSL, Finished
from tests.service.conftest import Shelf
from tests.service.matches import a_match

Run = Callable[..., Finished]


def told(finished: Finished, code: int) -> str:
    """The sentence of a command that failed as it should: one line, an end, nothing on standard output."""
    assert finished.code == code, finished
    assert finished.out == ""
    line = finished.err.strip()
    assert "\n" not in line, line
    assert "Traceback" not in line
    assert line.startswith("smysl: ")
    assert line.endswith(".")
    return line.removeprefix("smysl: ")


# -- index ------------------------------------------------------------------------------------------


def test_index_counts_what_it_did_and_names_what_failed(empty_shelf: Shelf, smysl: Run) -> None:
    (empty_shelf.photographs / "broken photo ё.jpg").write_bytes(b"this is no photograph")
    (empty_shelf.photographs / "empty.png").touch()
    (empty_shelf.photographs / "notes.txt").write_text("not looked at")
    command = ("index", empty_shelf.photographs, "--library", empty_shelf.library, "--model", empty_shelf.model)
    first = smysl(*command)
    assert first.code == 0
    assert "5 added, 0 unchanged, 0 removed, 2 failed" in first.out
    assert f"The library {empty_shelf.library} holds 5 photographs" in first.out
    failures = [line for line in first.err.splitlines() if "cannot index" in line]
    assert len(failures) == 2
    assert any("broken photo ё.jpg: it is not a photograph" in line for line in failures)
    assert any("empty.png: the file is empty" in line for line in failures)
    again = smysl(*command)
    assert "0 added, 5 unchanged, 0 removed, 2 failed" in again.out


def test_index_forgets_what_is_gone_only_when_told(shelf: Shelf, smysl: Run) -> None:
    (shelf.photographs / "wood.jpg").unlink()
    kept = smysl("index", "--library", shelf.library)
    assert kept.code == 0
    assert "4 unchanged, 0 removed" in kept.out
    assert "1 photograph is not where it was; --prune" in kept.out
    pruned = smysl("index", "--prune", "--library", shelf.library)
    assert "4 unchanged, 1 removed" in pruned.out
    assert "holds 4 photographs" in pruned.out


def test_index_of_nothing_but_bad_files_fails(empty_shelf: Shelf, smysl: Run) -> None:
    for file in empty_shelf.photographs.iterdir():
        file.write_bytes(b"no")
    done = smysl("index", empty_shelf.photographs, "--library", empty_shelf.library, "--model", empty_shelf.model)
    assert done.code == 1
    assert "5 failed" in done.out


@pytest.mark.parametrize("name", ["nothing here", "wood.jpg"])
def test_index_of_a_wrong_folder_says_so_before_it_loads_a_model(empty_shelf: Shelf, smysl: Run, name: str) -> None:
    done = smysl("index", empty_shelf.photographs / name, "--library", empty_shelf.library, "--model", "no such/model")
    sentence = told(done, 2)
    assert name in sentence
    assert "model" not in sentence
    assert not empty_shelf.library.exists()


def test_index_without_folders_needs_a_library(empty_shelf: Shelf, smysl: Run) -> None:
    sentence = told(smysl("index", "--library", empty_shelf.library), 1)
    assert "smysl index DIR" in sentence
    assert not empty_shelf.library.exists()


def test_index_into_a_library_without_folders_asks_for_one(empty_shelf: Shelf, smysl: Run) -> None:
    empty_shelf.open().close()
    assert "Name at least one folder" in told(smysl("index", "--library", empty_shelf.library), 2)


@pytest.mark.parametrize(
    ("model", "code", "says"),
    [
        ("nonsense", 2, "is not a model name"),
        ("local-dir:", 2, "names no folder"),
        ("hf-hub:nobody", 2, "hf-hub:ORG/NAME"),
        ("ViT-B-32/no-such-weights", 2, "has no weights"),
        ("local-dir:/no/such/folder", 2, "/no/such/folder"),
    ],
)
def test_index_with_a_wrong_model(empty_shelf: Shelf, smysl: Run, model: str, code: int, says: str) -> None:
    done = smysl("index", empty_shelf.photographs, "--library", empty_shelf.library, "--model", model)
    assert says in told(done, code)


def test_index_where_another_process_writes(shelf: Shelf, smysl: Run) -> None:
    script = (
        "import sys, pathlib; from service.store.lock import write_lock\n"
        "with write_lock(pathlib.Path(sys.argv[1]), 'smysl index'): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(shelf.library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        sentence = told(smysl("index", shelf.photographs, "--library", shelf.library), 1)
        assert f"process {holder.pid}" in sentence
        assert smysl("search", "a cat", "--library", shelf.library).code == 0
        assert f"process {holder.pid} (smysl index)" in smysl("status", "--library", shelf.library).out
    finally:
        holder.communicate()
    assert "nobody" in smysl("status", "--library", shelf.library).out


# -- search -----------------------------------------------------------------------------------------


def test_search_prints_match_and_file_separated_by_a_tab(standing: Shelf, smysl: Run) -> None:
    done = smysl("search", "two dogs play in the snow", "--library", standing.library)
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert {Path(file) for _, file in rows} == set(standing.photographs.iterdir())
    matches = [float(match) for match, _ in rows]
    assert matches == sorted(matches, reverse=True)
    assert all(0 <= match <= 1 for match in matches)


def test_search_prints_json(standing: Shelf, smysl: Run) -> None:
    done = smysl("search", "a cat", "-k", 2, "--json", "--library", standing.library)
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert len(answer["hits"]) == 2
    assert answer["model"] == standing.model
    assert answer["photographs"] == 5
    assert Path(answer["hits"][0]["uri"]).is_file()


def test_search_with_a_photograph_finds_that_photograph(standing: Shelf, smysl: Run) -> None:
    for name in ("wood.jpg", "moss.tif", "clay.heic"):
        done = smysl("search", "--image", standing.photographs / name, "-k", 1, "--library", standing.library)
        assert done.out.rstrip().endswith(name)


def test_a_part_of_a_photograph_searches(standing: Shelf, smysl: Run) -> None:
    asked = ("search", "--image", standing.photographs / "wood.jpg", "--library", standing.library, "--json")
    whole, part = (json.loads(smysl(*asked, *more).out) for more in ((), ("--box", "0,0.25,0.5,0.5")))
    assert (whole["part"], part["part"]) == (None, {"x": 0, "y": 0.25, "width": 0.5, "height": 0.5})
    assert part["hits"][0]["similarity"] < whole["hits"][0]["similarity"]


def test_borders_are_left_out_in_a_sentence_unless_they_are_kept(standing: Shelf, smysl: Run, tmp_path: Path) -> None:
    framed = tmp_path / "framed.png"
    with Image.open(standing.photographs / "wood.jpg") as opened:
        ImageOps.expand(opened, (0, 20, 0, 20), "black").save(framed)
    asked = ("search", "--image", framed, "-k", 1, "--library", standing.library)
    without, kept = smysl(*asked), smysl(*asked, "--keep-borders")
    assert without.err == (
        "Its borders were left out: only the part 0,0.2,1,0.6 was searched with. --keep-borders takes all of it.\n"
    )
    assert without.out.rstrip().endswith("wood.jpg")
    assert kept.err == ""
    assert kept.out != without.out


def test_a_photograph_that_is_all_border_is_refused(standing: Shelf, smysl: Run, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (90, 60)).save(black)
    asked = ("search", "--image", black, "--library", standing.library)
    assert "all border" in told(smysl(*asked), 2)
    assert smysl(*asked, "--keep-borders").code == 0


def test_search_that_nothing_answers_prints_nothing_but_a_sentence(standing: Shelf, smysl: Run) -> None:
    done = smysl("search", "a cat", "--min-match", 1, "--library", standing.library)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Nothing here shows that: the best match is 0.")
    assert "; only 1.000 or more is shown. --min-match 0 shows the nearest anyway." in done.err


def test_the_cut_of_the_match_holds_until_another_is_asked_for(shelf: Shelf, smysl: Run) -> None:
    a_match(fingerprint_of(shelf), min_match=0.999).save(shelf.library)
    nothing = smysl("search", "a cat", "--library", shelf.library)
    assert (nothing.code, nothing.out) == (0, "")
    assert "; only 0.999 or more is shown" in nothing.err
    nearest = smysl("search", "a cat", "--min-match", 0, "--library", shelf.library)
    assert len(nearest.out.splitlines()) == 5
    assert nearest.err.startswith("Nothing here shows that: the best match is 0.")
    assert "these are the nearest" in nearest.err
    photograph = shelf.photographs / "wood.jpg"
    like_it = smysl("search", "--image", photograph, "--library", shelf.library)
    assert (len(like_it.out.splitlines()), like_it.err) == (5, "")
    unlike = smysl("search", "--image", photograph, "--min-match", 1, "--library", shelf.library)
    assert unlike.err.startswith("Nothing here looks like that: the best match is 0.")
    answer = json.loads(smysl("search", "a cat", "--json", "--library", shelf.library).out)
    assert (answer["min_match"], answer["answerable"], answer["hits"]) == (0.999, False, [])


def test_search_in_a_library_of_an_empty_folder_says_how_to_fill_it(
    empty_shelf: Shelf, smysl: Run, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    smysl("index", tmp_path / "nothing", "--library", empty_shelf.library, "--model", empty_shelf.model)
    done = smysl("search", "a cat", "--library", empty_shelf.library)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"The library {empty_shelf.library} holds no photographs yet. Fill it with `smysl index DIR`.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], 'smysl search "a red flower"'),
        ([""], "The text is empty"),
        ([" \n "], "The text is empty"),
        (["a" * 10_000], "10,000 characters, and at most 1,000"),
        (["a \udcff cat"], "The text is not Unicode"),
        (["a cat", "-k", "0"], "k is 0; it must be from 1 to 200"),
        (["a cat", "-k", "201"], "k is 201"),
        (["a cat", "--min-match", "1.5"], "min_match is 1.5; it must be from 0 to 1"),
        (["a cat", "--min-match", "nan"], "min_match is nan"),
        (["--image", "/no/such photo.jpg"], "There is no file /no/such photo.jpg"),
        (["a cat", "--device", "abacus"], "choose cuda, mps or cpu"),
        (["a cat", "--box", "0,0,0.5,0.5"], "a text has none"),
        (["--image", "a.jpg", "--box", "0,0,2,2"], "extends beyond the photograph"),
        (["--image", "a.jpg", "--box", "0,0,0,1"], "has no area"),
        (["--image", "a.jpg", "--box", "all of it"], "cannot be read"),
    ],
)
def test_search_for_what_cannot_be_searched(standing: Shelf, smysl: Run, arguments: list[str], says: str) -> None:
    assert says in told(smysl("search", "--library", standing.library, *arguments), 2)


def test_search_with_two_questions_at_once(standing: Shelf, smysl: Run) -> None:
    done = smysl("search", "a cat", "--image", standing.photographs / "wood.jpg", "--library", standing.library)
    assert "one thing to look for" in told(done, 2)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "the file is empty"), (b"GIF89a", "cannot be used"), (b"\xff\xd8\xff", "cannot be used")],
)
def test_search_with_what_is_no_photograph(shelf: Shelf, smysl: Run, tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "no photo.jpg"
    file.write_bytes(content)
    sentence = told(smysl("search", "--image", file, "--library", shelf.library), 1)
    assert str(file) in sentence
    assert says in sentence


@pytest.mark.parametrize("command", [("search", "a cat"), ("status",), ("serve",)])
def test_commands_where_there_is_no_library(smysl: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    sentence = told(smysl(*command, "--library", tmp_path / "none"), 1)
    assert str(tmp_path / "none") in sentence
    assert "smysl index DIR" in sentence
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", [("search", "a cat"), ("score", "{photo}", "a cat"), ("status",), ("serve",)])
def test_a_library_that_is_broken_is_never_passed_over(shelf: Shelf, smysl: Run, command: tuple[str, ...]) -> None:
    (shelf.library / "catalog.sqlite").write_bytes(b"this is no database, and it is long enough to be one" * 100)
    arguments = [part.format(photo=shelf.photographs / "wood.jpg") for part in command]
    assert "catalog.sqlite" in told(smysl(*arguments, "--library", shelf.library), 1)


def test_a_library_of_another_model_says_what_to_do(
    standing: Shelf, smysl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMYSL_MODEL", "ViT-B-32-SigLIP2-256/webli")
    sentence = told(smysl("search", "a cat", "--library", standing.library), 1)
    assert f"made with the model {standing.model}, not with ViT-B-32-SigLIP2-256/webli" in sentence
    assert f"smysl index --library {standing.library} --model ViT-B-32-SigLIP2-256/webli" in sentence


@pytest.mark.parametrize("command", [("search", "a cat"), ("serve",), ("score", "{photo}", "a cat")])
def test_a_library_whose_model_is_gone_says_which(
    empty_shelf: Shelf, smysl: Run, tmp_path: Path, tiny_folder: Path, command: tuple[str, ...]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in tiny_folder.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    smysl("index", empty_shelf.photographs, "--library", empty_shelf.library, "--model", f"local-dir:{model}")
    (model / "open_clip_config.json").unlink()
    arguments = [part.format(photo=empty_shelf.photographs / "wood.jpg") for part in command]
    assert str(model) in told(smysl(*arguments, "--library", empty_shelf.library), 1)


def test_a_change_of_model_that_has_to_wait_says_so(
    empty_shelf: Shelf, smysl: Run, tmp_path: Path, tiny_folder: Path
) -> None:
    other = tmp_path / "other-model"
    shutil.copytree(tiny_folder, other)
    config = other / "open_clip_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("squash", "shortest"), encoding="utf-8")
    drive = tmp_path / "drive"
    shutil.copytree(empty_shelf.photographs, drive)
    library = ("--library", empty_shelf.library)
    smysl("index", empty_shelf.photographs, drive, *library, "--model", f"local-dir:{tiny_folder}")
    drive.rename(tmp_path / "unplugged")

    answer = smysl("index", *library, "--model", f"local-dir:{other}")

    assert answer.code == 1
    assert f"still answers with the model local-dir:{tiny_folder}: one of its folders is not there" in answer.err
    assert smysl("search", "a cat", *library).code == 0


# -- score ------------------------------------------------------------------------------------------


def test_score_is_one_number(standing: Shelf, smysl: Run) -> None:
    done = smysl("score", standing.photographs / "wood.jpg", "a cat", "--library", standing.library)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{float(done.out):.3f}\n"
    assert 0 <= float(done.out) <= 1


def test_score_takes_the_model_that_it_is_told(standing: Shelf, smysl: Run, tmp_path: Path) -> None:
    done = smysl(
        "score", standing.photographs / "wood.jpg", "a cat", "--model", standing.model, "--library", tmp_path / "none"
    )
    assert done.code == 0
    assert 0 <= float(done.out) <= 1


def test_score_of_a_table_prints_the_table(shelf: Shelf, smysl: Run) -> None:
    table = shelf.photographs / "pairs.tsv"
    table.write_text("image\ttext\nwood.jpg\ta cat\nsand.png\ta dog\n")
    done = smysl("score", "--pairs", table, "--library", shelf.library)
    assert (done.code, done.err) == (0, "")
    header, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert header == ["image", "text", "match"]
    assert [row[:2] for row in rows] == [["wood.jpg", "a cat"], ["sand.png", "a dog"]]


def test_score_of_a_table_with_a_fault_prints_no_half_of_it(shelf: Shelf, smysl: Run) -> None:
    (shelf.photographs / "bad.jpg").write_bytes(b"no")
    table = shelf.photographs / "pairs.tsv"
    table.write_text("image\ttext\n" + "wood.jpg\ta cat\n" * 70 + "bad.jpg\ta dog\n")
    assert "row 72, column image: 'bad.jpg'" in told(smysl("score", "--pairs", table, "--library", shelf.library), 1)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "Name a photograph and a text"),
        (["wood.jpg"], 2, "Name a photograph and a text"),
        (["wood.jpg", ""], 2, "The text is empty"),
        (["none.jpg", "a cat"], 2, "There is no file none.jpg"),
        (["wood.jpg", "a cat", "--pairs", "x.tsv"], 2, "either a photograph and a text, or --pairs"),
        (["--pairs", "none.tsv"], 1, "There is no file none.tsv"),
        (["--pairs", "."], 1, "cannot be read (Is a directory)"),
    ],
)
def test_score_of_what_cannot_be_scored(
    standing: Shelf, smysl: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(standing.photographs)
    assert says in told(smysl("score", *arguments, "--library", standing.library), code)


# -- status, models, the rest -----------------------------------------------------------------------


def test_status_says_what_there_is(standing: Shelf, smysl: Run) -> None:
    done = smysl("status", "--library", standing.library)
    assert (done.code, done.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert rows["photographs"] == "5"
    assert rows["folders"] == str(standing.photographs)
    assert rows["model"].startswith(f"{standing.model} (cpu, openvino, ")
    assert rows["writing"] == "nobody"


def test_status_says_where_the_match_comes_from_and_where_it_cuts(shelf: Shelf, smysl: Run) -> None:
    before = smysl("status", "--library", shelf.library).out
    assert "against the library's own photographs" in before
    assert "shows" not in before
    a_match(fingerprint_of(shelf), min_match=0.25).save(shelf.library)
    after = smysl("status", "--library", shelf.library).out
    assert "fitted on people's ratings (ratings of nobody)" in after
    assert "matches of 0.25 and more" in after
    facts = json.loads(smysl("status", "--json", "--library", shelf.library).out)
    assert (facts["calibration"], facts["trained_on"], facts["min_match"]) == ("ratings", "ratings of nobody", 0.25)


def test_a_match_of_another_model_in_the_library_gets_a_sentence(shelf: Shelf, smysl: Run) -> None:
    a_match("another").save(shelf.library)
    done = smysl("search", "a cat", "--library", shelf.library)
    assert (done.code, done.out) == (1, "")
    assert f"{shelf.library / 'match.json'} belongs to the model with the fingerprint another" in done.err
    assert "remove it" in done.err


def fingerprint_of(shelf: Shelf) -> str:
    with shelf.open() as library:
        fingerprint = library.status().fingerprint
    assert fingerprint is not None
    return fingerprint


def test_status_says_where_texts_have_another_precision() -> None:
    from service.cli.app import described
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
    assert described(model) == "mini (cpu, torch, fp32, texts in bf16)"


def test_status_prints_json(shelf: Shelf, smysl: Run) -> None:
    facts = json.loads(smysl("status", "--json", "--library", shelf.library).out)
    assert facts["photographs"] == facts["index"]["photographs"] == 5
    assert facts["model"]["name"] == shelf.model
    assert facts["roots"] == [str(shelf.photographs)]


def test_status_of_an_empty_library(empty_shelf: Shelf, smysl: Run) -> None:
    empty_shelf.open().close()
    done = smysl("status", "--library", empty_shelf.library)
    assert done.code == 0
    assert "none yet" in done.out
    assert "is empty. Fill it with" in told(smysl("search", "a cat", "--library", empty_shelf.library), 1)


def test_models_lists_names_sizes_languages_licences(smysl: Run) -> None:
    done = smysl("models")
    assert done.code == 0
    for word in ("mini", "ViT-B-32-SigLIP2-256/webli", "MB", "Apache-2.0", "English", "on this machine"):
        assert word in done.out
    assert "smysl index --model NAME" in done.err
    assert "local-dir:PATH" not in done.out


def test_models_prints_json(smysl: Run) -> None:
    done = smysl("models", "--json")
    names = {model["name"]: model for model in json.loads(done.out)}
    assert done.err == ""
    assert names["mini"]["languages"] == "English"
    assert names["ViT-B-32-SigLIP2-256/webli"]["here"] is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["search", "a cat", "--nonsense"], "No such option: --nonsense"),
        (["search", "a", "b"], "unexpected extra argument"),
        (["search", "a cat", "-k", "five"], "'-k'"),
        (["eval", "retrieval"], "Missing option '--data'"),
    ],
)
def test_wrong_use_is_exit_code_2_and_a_pointer_to_help(smysl: Run, arguments: list[str], says: str) -> None:
    done = smysl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Usage: smysl" in done.err
    assert "-h' for help" in done.err


def test_eval_of_a_folder_without_data(smysl: Run, tmp_path: Path, empty_shelf: Shelf) -> None:
    done = smysl("eval", "retrieval", "--data", tmp_path, "--model", empty_shelf.model)
    assert "captions.tsv" in told(done, 1)


def test_eval_prints_the_six_figures(smysl: Run, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(shelf.photographs)
    rows = [f"{name}\t{name}#0\ttest\ta photograph of {name}" for name in ("wood.jpg", "sand.png", "moss.tif")]
    (tmp_path / "captions.tsv").write_text("image\tcaption_id\tsplit\tcaption\n" + "\n".join(rows) + "\n")
    done = smysl("eval", "retrieval", "--data", tmp_path, "--model", shelf.model, "--json")
    assert done.code == 0, done
    facts = json.loads(done.out)
    assert (facts["photos"], facts["captions"]) == (3, 3)
    assert facts["t2i_r5"] == facts["i2t_r10"] == 100.0
    assert {"t2i_r1", "t2i_r10", "i2t_r1", "i2t_r5", "seconds"} <= facts.keys()


# -- real pipes -------------------------------------------------------------------------------------


def _process(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    command = [*SMYSL, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    process = _process("models", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_a_terminal_of_another_encoding_gets_question_marks(
    empty_shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "мох").symlink_to(tmp_path)
    empty_shelf.open().close()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    out, err = _process("status", "--library", tmp_path / "мох" / "library").communicate()
    assert err == b""
    assert b"/???/library" in out


def test_help_comes_before_torch() -> None:
    heavy = "{'torch', 'faiss', 'open_clip', 'transformers', 'PIL', 'pandas', 'numpy'}"
    script = f"import sys; from service.cli.app import app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
