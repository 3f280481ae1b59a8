"""Kinds from tables and from keywords: what is read, what is left out, what is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import DataError, LibraryError
from service.kinds.label_sources import kinds_from_keywords, kinds_from_table
from tests.service.keywords import save_with_iptc, save_with_xmp, xmp
from tests.service.kinds.conftest import Photographs


@pytest.fixture
def table(photographs: Photographs) -> Callable[..., Path]:
    def write(*rows: str, header: str = "image\tkind") -> Path:
        file = photographs.folder / "kinds.tsv"
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return file

    return write


def test_paths_in_a_table_are_relative_to_it(photographs: Photographs, table: Callable[..., Path]) -> None:
    rose, daisy = photographs.add("in/1.jpg", "2.jpg")
    file = table("rose\tin/1.jpg\tx", "daisy\tin/../2.jpg\ty", "daisy\t2.jpg\tagain", header="kind\timage\tnote")
    found = kinds_from_table(photographs.catalog, file)
    assert found.kinds == {rose: "rose", daisy: "daisy"}
    assert found.notices == []


def test_rows_about_photographs_outside_the_library_are_counted(
    photographs: Photographs, table: Callable[..., Path]
) -> None:
    (rose,) = photographs.add("1.jpg")
    found = kinds_from_table(photographs.catalog, table("1.jpg\trose", "2.jpg\trose", "../3.jpg\tdaisy"))
    assert found.kinds == {rose: "rose"}
    assert found.notices == ["Not in the library and left out: 2 rows: 2.jpg, ../3.jpg."]
    with pytest.raises(LibraryError, match=r"names no photograph of the library: 4\.jpg"):
        kinds_from_table(photographs.catalog, table("4.jpg\trose"))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["1.jpg\trose", "1.jpg\tdaisy"], "image\tkind", "row 3, column kind: '1.jpg' is daisy here and rose in row 2"),
        (["1.jpg\t "], "image\tkind", "row 2, column kind: The kind is empty"),
        (["1.jpg\tunknown"], "image\tkind", "row 2, column kind: “unknown” cannot be a kind"),
        (["\trose"], "image\tkind", "row 2, column image: '' names no file"),
        (["1.jpg\trose\tx"], "image\tkind", "row 2: 3 cells where the header has 2"),
        (['"1.jpg\trose'], "image\tkind", "check the quotes"),
        (["1.jpg\trose"], "image\tclass", "row 1: no column kind"),
        (["1.jpg\ta\tb"], "image\tkind\tkind", "row 1: more than one column kind"),
    ],
)
def test_an_error_in_a_table_names_row_and_column(
    photographs: Photographs, table: Callable[..., Path], rows: list[str], header: str, message: str
) -> None:
    photographs.add("1.jpg")
    with pytest.raises(DataError) as caught:
        kinds_from_table(photographs.catalog, table(*rows, header=header))
    assert message in caught.value.message
    assert "kinds.tsv" in caught.value.message


def test_a_file_that_cannot_be_read_as_a_table_is_an_error(photographs: Photographs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        kinds_from_table(photographs.catalog, tmp_path / "none.tsv")
    with pytest.raises(DataError, match="cannot be read"):
        kinds_from_table(photographs.catalog, tmp_path)
    (tmp_path / "latin.tsv").write_bytes("image\tkind\n1.jpg\tros\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        kinds_from_table(photographs.catalog, tmp_path / "latin.tsv")


def test_keywords_give_kinds_and_ambiguous_or_unreadable_photographs_are_left_out(photographs: Photographs) -> None:
    names = ["rose.jpg", "both.jpg", "none.jpg", "gone.jpg", "slash.jpg", "iptc.jpg"]
    rose, _, _, _, slash, iptc = photographs.add(*names)
    save_with_xmp(photographs.folder / "rose.jpg", xmp("Kind: rose", "kind:", "kindly"))
    save_with_xmp(photographs.folder / "both.jpg", xmp("kind:rose", "kind:daisy"))
    save_with_xmp(photographs.folder / "none.jpg", xmp("rose"))
    save_with_xmp(photographs.folder / "slash.jpg", xmp("kind/daisy", "kind:daisy"))
    save_with_iptc(photographs.folder / "iptc.jpg", b"kind:lily")
    progress: list[tuple[int, int]] = []
    found = kinds_from_keywords(photographs.catalog, lambda done, total: progress.append((done, total)))
    assert found.kinds == {rose: "rose", slash: "daisy", iptc: "lily"}
    assert found.notices == [
        "Keywords name several kinds of 1 photograph, left out: both.jpg (daisy, rose).",
        "The keywords of 1 photograph cannot be read: gone.jpg.",
    ]
    assert progress[-1] == (6, 6)


def test_a_library_without_keywords_of_kinds_is_an_error(photographs: Photographs) -> None:
    photographs.add("none.jpg")
    save_with_xmp(photographs.folder / "none.jpg", xmp("rose"))
    with pytest.raises(LibraryError, match="No photograph of the library has exactly one kind among its keywords"):
        kinds_from_keywords(photographs.catalog, lambda done, total: None)
