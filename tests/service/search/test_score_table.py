"""Scoring a table of pairs: the lines that come back, and errors that name row and column."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.errors import DataError
from service.match.artifact import Logistic, ScorerArtifact, TextMatch
from service.match.scorer import Scorer
from service.photos.decode import open_photograph
from service.search.score_table import read_pairs, score_lines
from service.search.search import score
from tests.service.pictures import save_picture

if TYPE_CHECKING:
    from service.encoder.encoder import Encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(["wood.jpg", "sand.png", "сад и кот.jpg"]):
        save_picture(tmp_path / name, seed)
    return tmp_path


def table(folder: Path, content: str | bytes) -> Path:
    file = folder / "pairs.tsv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def scorer_of(encoder: Encoder) -> Scorer:
    """A match that differs between pairs by more than that of a random model does."""
    rising = Logistic(slope=4.0, intercept=0.0)
    artifact = ScorerArtifact(encoder.fingerprint, TextMatch(rising, rising), rising)
    return Scorer(encoder, artifact, np.empty((0, encoder.dimension), np.float32))


def lines(file: Path, encoder: Encoder) -> list[str]:
    return list(score_lines(read_pairs(file), encoder, scorer_of(encoder)))


def test_rows_keep_their_order_and_have_the_match_of_a_single_score(folder: Path, tiny: Encoder) -> None:
    pairs = [("wood.jpg", "a cat"), ("sand.png", "a cat"), ("wood.jpg", "a dog in a garden"), ("сад и кот.jpg", "кот")]
    file = table(folder, "image\ttext\n" + "".join(f"{image}\t{text}\n" for image, text in pairs))
    header, *rows = [line.split("\t") for line in lines(file, tiny)]
    assert header == ["image", "text", "match"]
    assert [(image, text) for image, text, _ in rows] == pairs
    scorer = scorer_of(tiny)
    for image, text, match in rows:
        single = score(tiny, scorer, [open_photograph(folder / image).image], [text])[0]
        assert float(match) == pytest.approx(single.match, abs=1e-5)
    assert len({match for _, _, match in rows}) == 4


def test_a_table_longer_than_a_batch_is_scored_with_progress(folder: Path, tiny: Encoder) -> None:
    texts = [f"photograph number {number}" for number in range(130)]
    file = table(folder, "text\timage\n" + "".join(f"{text}\twood.jpg\n" for text in texts))
    progress: list[tuple[int, int]] = []
    scorer = scorer_of(tiny)
    found = list(score_lines(read_pairs(file), tiny, scorer, lambda done, total: progress.append((done, total))))
    assert [line.split("\t")[0] for line in found[1:]] == texts
    assert progress == [(64, 130), (128, 130), (130, 130)]
    last = score(tiny, scorer, [open_photograph(folder / "wood.jpg").image], [texts[-1]])[0]
    assert float(found[-1].split("\t")[2]) == pytest.approx(last.match, abs=1e-5)


@pytest.mark.parametrize(
    "row",
    [
        'wood.jpg\ta cat\tNA\t007\t"said ""hello"""',
        '"wood.jpg"\t"a cat"\t"a\ttab"\t1.50\t',
        'wood.jpg\ta 5" nail\tnull\t 1e5 \tитого',
        'wood.jpg\t"a cat"\t"two\nlines"\t0\t',
    ],
)
def test_columns_and_quotes_are_copied_as_written(folder: Path, tiny: Encoder, row: str) -> None:
    header = 'image\ttext\tby\tid\t"note ""here"""'
    assert lines(table(folder, f"{header}\n{row}\n"), tiny)[0] == f"{header}\tmatch"
    (line,) = lines(table(folder, f"{header}\n{row}\n"), tiny)[1:]
    written, match = line.rsplit("\t", 1)
    assert written == row
    assert 0 <= float(match) <= 1
    (cells,) = csv.reader([line], delimiter="\t") if "\n" not in line else [list(range(6))]
    assert len(cells) == 6


def test_quotes_are_not_part_of_the_text(folder: Path, tiny: Encoder) -> None:
    plain, quoted, other = lines(
        table(folder, 'image\ttext\nwood.jpg\ta cat\nwood.jpg\t"a cat"\nwood.jpg\t"a ""cat"" there"\n'), tiny
    )[1:]
    assert plain.split("\t")[-1] == quoted.split("\t")[-1] != other.split("\t")[-1]


def test_byte_order_marks_crlf_and_missing_final_newlines_are_accepted(folder: Path, tiny: Encoder) -> None:
    found = lines(table(folder, b"\xef\xbb\xbfimage\ttext\r\nwood.jpg\ta cat\r\n\r\nsand.png\ta dog"), tiny)
    assert found[0] == "image\ttext\tmatch"
    assert [line.rsplit("\t", 1)[0] for line in found[1:]] == ["wood.jpg\ta cat", "sand.png\ta dog"]
    assert lines(table(folder, "image\ttext\n"), tiny) == ["image\ttext\tmatch"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "row 1: no column image"),
        ("image\tcaption\nwood.jpg\ta cat\n", "row 1: no column text, and the columns image and text are needed"),
        ("photo\ttext\nwood.jpg\ta cat\n", "row 1: no column image"),
        ("image\timage\ttext\nwood.jpg\twood.jpg\ta cat\n", "row 1: more than one column image"),
        ("image\ttext\tmatch\nwood.jpg\ta cat\t1\n", "row 1: there is a column match already"),
        ("image\ttext\nwood.jpg\ta cat\nnone.jpg\ta dog\n", "row 3, column image: there is no file 'none.jpg'"),
        ("image\ttext\n\ta cat\n", "row 2, column image: there is no file ''"),
        ("image\ttext\nwood.jpg\ta cat\nsand.png\t  \n", "row 3, column text: The text is empty"),
        (f"image\ttext\nwood.jpg\t{'a' * 1001}\n", "row 2, column text: The text has 1,001 characters"),
        ("image\ttext\n\nwood.jpg\t\n", "row 3, column text: The text is empty"),
        ("image\ttext\nwood.jpg\ta cat\tmore\n", "row 2: 3 cells where the header has 2; check its tabs and quotes"),
        ("image\ttext\tby\nwood.jpg\ta cat\n", "row 2: 2 cells where the header has 3"),
        ('image\ttext\nwood.jpg\ta cat\nwood.jpg\t"a cat\n', "after row 2: unexpected end of data; check the quotes"),
        (b"image\ttext\nwood.jpg\t\xff\xfe\n", "the text is not UTF-8; save the table as UTF-8"),
        ("image\ttext\n\0.jpg\ta cat\n", "row 2, column image"),
    ],
)
def test_errors_in_the_table_are_found_before_scoring(folder: Path, content: str | bytes, message: str) -> None:
    file = table(folder, content)
    with pytest.raises(DataError) as caught:
        read_pairs(file)
    assert str(file) in caught.value.message
    assert message in caught.value.message
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(("content", "message"), [(b"", "the file is empty"), (b"no", "it is not a photograph")])
def test_a_bad_photograph_is_named_with_its_row(folder: Path, tiny: Encoder, content: bytes, message: str) -> None:
    (folder / "bad one.jpg").write_bytes(content)
    file = table(folder, "image\ttext\nwood.jpg\ta cat\nbad one.jpg\ta dog\n")
    with pytest.raises(DataError) as caught:
        lines(file, tiny)
    assert f"{file}, row 3, column image: 'bad one.jpg': {message}" in caught.value.message


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*none\.tsv"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="Is a directory"):
        read_pairs(tmp_path)
