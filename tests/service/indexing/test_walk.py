"""A walk through folders: which photographs are found, in which order, and what is left out for which reason."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from service.errors import UsageError
from service.indexing.skipped import Reason
from service.indexing.walk import Walk, walk
from service.store.records import RootOptions
from tests.service.trees import failures, grouped, listings, photographs, skipped, write

JPEG = b"\xff\xd8\xff\xe0"


# -- photographs and other files -----------------------------------------------------------------------


def test_photographs_are_found_by_extension_each_folder_before_its_subfolders(tmp_path: Path) -> None:
    write(tmp_path, "b/2.jpg", "b/c/3.HEIC", "a/1.png", "0.webp", "z.jpg", "trip.jpg/4.jpg")
    assert photographs(listings(tmp_path)) == ["0.webp", "z.jpg", "a/1.png", "b/2.jpg", "b/c/3.HEIC", "trip.jpg/4.jpg"]


def test_other_files_and_films_are_named_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "a/clip.mov", "a/alone.xmp", "metadata.json", "catalog.lrcat", "x.jpg.part")
    assert skipped(listings(tmp_path)) == {
        "notes.txt": "not-photograph", "a/clip.mov": "video", "a/alone.xmp": "not-photograph",
        "metadata.json": "not-photograph", "catalog.lrcat": "not-photograph", "x.jpg.part": "not-photograph",
    }  # fmt: skip


def test_a_raw_file_belongs_to_its_jpeg_and_is_a_photograph_without_one(tmp_path: Path) -> None:
    write(tmp_path, "1.cr3", "1.jpg", "1.xmp", "2.cr3", "2.xmp", "3.jxl")
    found = listings(tmp_path)
    assert grouped(found) == {"1.jpg": ["raw 1.cr3", "sidecar 1.xmp"], "2.cr3": ["sidecar 2.xmp"]}
    assert photographs(found) == ["1.jpg", "2.cr3", "3.jxl"]
    assert skipped(found) == {}


def test_files_without_an_extension_are_recognised_by_their_first_bytes(tmp_path: Path) -> None:
    write(tmp_path, "jpeg-without-a-name", "jpeg.dat", "dot.", content=JPEG + bytes(100))
    write(tmp_path, "README", "empty", content=b"")
    found = listings(tmp_path)
    assert photographs(found) == ["dot.", "jpeg-without-a-name"]
    assert set(skipped(found)) == {"jpeg.dat", "README", "empty"}


def test_at_most_64_bytes_of_a_file_without_an_extension_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "large", content=bytes(1000))
    lengths: list[int] = []
    monkeypatch.setattr("service.indexing.walk.looks_like_photograph", lambda content: lengths.append(len(content)))
    listings(tmp_path)
    assert lengths == [64]


def test_small_files_are_left_out_if_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "icon.png", "icon.xmp", content=bytes(999))
    write(tmp_path, "photo.jpg", content=bytes(1000))
    write(tmp_path, "photo.xmp")
    found = listings(tmp_path, min_bytes=1000)
    assert grouped(found) == {"photo.jpg": ["sidecar photo.xmp"]}
    assert skipped(found) == {"icon.png": "too-small-file", "icon.xmp": "not-photograph"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_left_out_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "a.xmp")
    write(tmp_path, "a.jpg")
    found = listings(tmp_path)
    assert skipped(found) == {"pipe.jpg": "special", "pipe": "special", "a.xmp": "special"}


# -- what systems and programs leave beside photographs --------------------------------------------------

RUBBISH = [
    "@eaDir/cat.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/deleted.jpg", "#snapshot/x.jpg", "@tmp/x.jpg",
    "@Recycle/x.jpg", ".@__thumb/x.jpg", "$RECYCLE.BIN/S-1-5-21/$RX.jpg", "System Volume Information/x.jpg",
    "Catalog Previews.lrdata/A/AB/preview.jpg", "Catalog.lrcat-data/x.jpg", "lost+found/x.jpg", ".trash/y.jpg",
    ".Trash-1000/files/x.jpg", ".Trashes/501/x.jpg", ".dtrash/x.jpg", ".thumbnails/x.jpg", "__MACOSX/x.jpg",
]  # fmt: skip
RUBBISH_FILES = ["Thumbs.db", "desktop.ini", ".DS_Store", "._cat.jpg", "x.cocatalogdb"]


def test_what_a_nas_a_system_or_a_program_keeps_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, *RUBBISH, *RUBBISH_FILES, "2023/@eaDir/a.jpg/x.jpg", "2023/a.jpg")
    found = listings(tmp_path)
    assert photographs(found) == ["2023/a.jpg"]
    folders = {name.split("/")[0] + "/" for name in RUBBISH} | {"2023/@eaDir/"}
    assert skipped(found) == dict.fromkeys([*folders, *RUBBISH_FILES], "rubbish"), "a folder counts once"


@pytest.mark.parametrize("name", ["@EADIR", "$Recycle.Bin", "THUMBS.DB", "LOST+FOUND", "a.LRDATA"])
def test_the_case_of_such_names_does_not_matter(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"{name}/x.jpg")
    assert skipped(listings(tmp_path)) == {f"{name}/": "rubbish"}


def test_names_that_only_resemble_them_are_walked(tmp_path: Path) -> None:
    names = ["@home/a.jpg", "#1/b.jpg", "Originals/c.jpg", "My Trash/d.jpg", "lrdata/e.jpg", "thumbnails/f.jpg"]
    write(tmp_path, *names)
    assert sorted(photographs(listings(tmp_path))) == sorted(names)


def test_hidden_files_and_folders_are_counted_each_once(tmp_path: Path) -> None:
    write(tmp_path, ".hidden/4.jpg", ".hidden/5.jpg", ".6.jpg", ".picasaoriginals/7.jpg")
    found = listings(tmp_path)
    assert photographs(found) == []
    assert skipped(found) == {".hidden/": "hidden", ".6.jpg": "hidden", ".picasaoriginals/": "hidden"}


def test_of_a_photo_library_only_the_originals_are_photographs(tmp_path: Path) -> None:
    photos, aperture = "Photos Library.photoslibrary", "Old.aplibrary"
    write(
        tmp_path, f"{photos}/originals/0/0A.heic", f"{photos}/resources/derivatives/0/0A_1.jpeg",
        f"{photos}/database/Photos.sqlite", f"{aperture}/Masters/1.jpg", f"{aperture}/Thumbnails/1.jpg",
        "Shoot.cocatalog/Originals/3.jpg", "Shoot.cocatalog/Cache/3.jpg",
    )  # fmt: skip
    found = listings(tmp_path)
    assert sorted(photographs(found)) == [
        f"{aperture}/Masters/1.jpg", f"{photos}/originals/0/0A.heic", "Shoot.cocatalog/Originals/3.jpg",
    ]  # fmt: skip
    assert set(skipped(found)) == {
        f"{photos}/resources/", f"{photos}/database/", f"{aperture}/Thumbnails/", "Shoot.cocatalog/Cache/",
    }  # fmt: skip
    assert photographs(listings(tmp_path / photos)) == ["originals/0/0A.heic"], "also as a root"


def test_a_folder_with_nomedia_is_left_out_with_all_below_it(tmp_path: Path) -> None:
    write(tmp_path, "a/.nomedia", "a/1.jpg", "a/b/2.jpg", "3.jpg")
    found = listings(tmp_path)
    assert photographs(found) == ["3.jpg"]
    assert skipped(found) == {"a/": "nomedia"}


def test_a_root_is_walked_whatever_it_is_called_and_whatever_lies_in_it(tmp_path: Path) -> None:
    root = write(tmp_path / ".hidden" / "@eaDir", "1.jpg", ".nomedia")
    assert photographs(listings(root)) == ["1.jpg"]


# -- walking a part of a root -----------------------------------------------------------------------------


def test_a_walk_may_start_below_the_root(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "a/2.jpg", "a/b/3.jpg", "c/4.jpg")
    found = listings(tmp_path, "a")
    assert photographs(found) == ["a/2.jpg", "a/b/3.jpg"]
    assert [listing.folder for listing in found] == ["a", "a/b"]


def test_patterns_above_the_start_apply(tmp_path: Path) -> None:
    write(tmp_path, "a/b/1.jpg", "a/b/2.png", "a/b/3.gif", "a/b/4.webp")
    write(tmp_path, ".smyslignore", content=b"*.png\n")
    write(tmp_path, "a/.smyslignore", content=b"*.gif\n")
    found = listings(tmp_path, "a/b", exclude=("a/b/*.webp",))
    assert photographs(found) == ["a/b/1.jpg"]


@pytest.mark.parametrize(
    ("start", "left_out", "reason"),
    [
        ("a/@eaDir/x", "a/@eaDir/", "rubbish"),
        ("a/.hidden", "a/.hidden/", "hidden"),
        ("quiet/x", "quiet/", "nomedia"),
        ("quiet", "quiet/", "nomedia"),
        ("private/x", "private/", "ignored"),
        ("drafts/x", "drafts/", "excluded"),
        ("x.photoslibrary/resources", "x.photoslibrary/resources/", "rubbish"),
    ],
)
def test_a_start_in_a_folder_that_is_left_out_is_too(tmp_path: Path, start: str, left_out: str, reason: str) -> None:
    write(tmp_path, f"{start}/1.jpg", "quiet/.nomedia")
    write(tmp_path, ".smyslignore", content=b"private/\n")
    found = listings(tmp_path, start, exclude=("drafts",))
    assert photographs(found) == []
    assert skipped(found) == {left_out: reason}


# -- links ------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A root with links of all kinds, beside a folder `elsewhere`."""
    root = write(tmp_path / "root", "a/1.jpg", "z.jpg")
    write(tmp_path / "elsewhere", "2.jpg", "b/3.jpg")
    links = {
        "folder": "../elsewhere", "again": "../elsewhere/b", "inside": "a", "loop": ".", "up": "..", "a/up": "../..",
        "nowhere": "none", "self": "self", "file.jpg": "../elsewhere/2.jpg", "known.jpg": "a/1.jpg",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


def test_links_are_counted_and_not_followed(linked: Path) -> None:
    found = listings(linked)
    assert photographs(found) == ["z.jpg", "a/1.jpg"]
    assert set(skipped(found).values()) == {"link"}
    assert len(skipped(found)) == 10


def test_folders_to_which_links_lead_are_to_be_walked_as_roots(linked: Path) -> None:
    walking, options = Walk([linked]), RootOptions(follow_links=True)
    found = list(walking.listings(linked, options=options))
    assert photographs(found) == ["z.jpg", "a/1.jpg"]
    assert skipped(found) == {
        "inside/": "repeated", "loop/": "repeated", "up/": "link-upwards", "a/up/": "link-upwards",
        "nowhere": "link", "self": "link", "file.jpg": "link", "known.jpg": "link",
    }  # fmt: skip
    assert walking.take_linked_folders() == {linked.parent / "elsewhere": options}, "not the folder inside it, too"
    assert walking.take_linked_folders() == {}


def test_links_lead_on_from_folders_to_which_links_led_but_nowhere_twice(tmp_path: Path) -> None:
    root, one, two = (write(tmp_path / name, f"{name}.jpg", f"{name}/x.jpg") for name in ("root", "one", "two"))
    links = {
        root / "one": one, root / "one again": one, root / "inside one": one / "one", one / "two": two,
        one / "back": root, one / "itself": one, two / "up": tmp_path, two / "back": one / "one",
    }  # fmt: skip
    for link, target in links.items():
        link.symlink_to(target)
    walking, options = Walk([root]), RootOptions(follow_links=True)
    roots, found, reasons = [root], [], {}
    while roots:
        for folder in roots:
            seen = list(walking.listings(folder, options=options))
            found += photographs(seen)
            reasons |= {f"{folder.name}/{path}": reason for path, reason in skipped(seen).items()}
        roots = list(walking.take_linked_folders())
    assert found == ["root.jpg", "root/x.jpg", "one.jpg", "one/x.jpg", "two.jpg", "two/x.jpg"]
    assert reasons == {
        "root/one again/": "repeated", "one/back/": "repeated", "one/itself/": "repeated",
        "two/up/": "link-upwards", "two/back/": "repeated",
    }  # fmt: skip


def test_links_into_another_folder_that_is_walked_are_not_followed(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", "1.jpg"), write(tmp_path / "two", "a/2.jpg")
    (one / "to two").symlink_to(two / "a")
    walking = Walk([one, two])
    found = list(walking.listings(one, options=RootOptions(follow_links=True)))
    assert photographs(found) == ["1.jpg"]
    assert skipped(found) == {"to two/": "repeated"}
    assert walking.take_linked_folders() == {}


def test_links_into_a_root_that_is_not_walked_now_are_followed_but_not_those_to_a_folder_around_it(
    tmp_path: Path,
) -> None:
    one, two = write(tmp_path / "one", "1.jpg"), write(tmp_path / "around" / "two", "a/2.jpg")
    (one / "to two").symlink_to(two)
    (one / "around").symlink_to(two.parent)
    walking = Walk([one], [one, two])
    found = list(walking.listings(one, options=RootOptions(follow_links=True)))
    assert list(walking.take_linked_folders()) == [two]
    assert skipped(found) == {"around/": "link-upwards"}


def test_a_link_is_judged_by_its_own_name_and_by_patterns(tmp_path: Path) -> None:
    root = write(tmp_path, "root/", "elsewhere/1.jpg") / "root"
    for name in ("private", ".hidden", "@eaDir"):
        (root / name).symlink_to(tmp_path / "elsewhere")
    found = listings(root, follow_links=True, exclude=("private/",))
    assert skipped(found) == {"private/": "excluded", ".hidden/": "hidden", "@eaDir/": "rubbish"}


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_a_link_to_a_folder_whose_name_is_not_utf8_fails(tmp_path: Path) -> None:
    outside = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    try:
        outside.mkdir()
    except OSError:
        pytest.skip("this file system has no such names")
    root = write(tmp_path, "root/") / "root"
    (root / "link").symlink_to(outside)
    found = listings(root, follow_links=True)
    assert failures(found) == {"link/": "names that are not valid UTF-8"}


# -- names and folders that cannot be read --------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_names_that_are_not_utf8_fail_and_are_shown_as_far_as_they_can_be(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")).write_bytes(b"x")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")).mkdir()
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/._\xff")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    found = listings(tmp_path)
    reason = "its name is not valid UTF-8"
    assert failures(found) == {"\ufffd.jpg": reason, "\ufffd/": reason}
    assert skipped(found) == {"._\ufffd": "rubbish"}


def test_a_folder_that_is_not_there_fails_and_says_that_nothing_is_known_of_it(tmp_path: Path) -> None:
    (listing,) = listings(tmp_path / "none")
    assert listing.unreadable
    assert failures([listing]) == {"./": "the folder cannot be read (No such file or directory)"}


def test_an_unreadable_folder_hides_nothing_but_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    real = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "b":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = listings(tmp_path)
    assert photographs(found) == ["a/1.jpg", "c/3.jpg"]
    assert failures(found) == {"b/": "the folder cannot be read (Permission denied)"}
    assert [listing.folder for listing in found if listing.unreadable] == ["b"]


@pytest.mark.skipif(os.name != "posix", reason="descriptors of folders are POSIX")
def test_a_path_that_is_too_long_fails_and_the_rest_is_found(tmp_path: Path) -> None:
    write(tmp_path, "z.jpg")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("a" * 200, dir_fd=descriptor)
        inner = os.open("a" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    found = listings(tmp_path)
    assert photographs(found) == ["z.jpg"]
    ((_, reason),) = failures(found).items()
    assert reason == "the folder cannot be read (File name too long)"


def test_an_entry_that_cannot_be_examined_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.jpg", "b.jpg")
    real = Walk._examine

    def refuse(self: Walk, entry: os.DirEntry[str], *rest: object) -> object:
        if entry.name == "a.jpg":
            raise OSError(5, "Input/output error")
        return real(self, entry, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Walk, "_examine", refuse)
    found = listings(tmp_path)
    assert photographs(found) == ["b.jpg"]
    assert failures(found) == {"a.jpg": "it cannot be read (Input/output error)"}


# -- the whole ------------------------------------------------------------------------------------------


def test_the_short_form_lists_paths_and_counts_reasons(tmp_path: Path) -> None:
    write(tmp_path, "a/1.heic", "a/1.mov", "2.jpg", "notes.txt", "more.txt", ".hidden/x.jpg")
    found = walk(tmp_path)
    assert found.files == [tmp_path / "2.jpg", tmp_path / "a" / "1.heic"]
    assert found.skipped == {Reason.NOT_PHOTOGRAPH: 2, Reason.HIDDEN: 1}
    assert found.failed == []
    ((path, reason),) = walk(tmp_path / "none").failed
    assert path == str(tmp_path / "none")
    assert reason.startswith("the folder cannot be read")


def test_every_reason_has_a_code_and_a_sentence_of_its_own() -> None:
    assert len({reason.sentence for reason in Reason}) == len({str(reason) for reason in Reason}) == len(Reason)
    assert Reason("not-photograph") is Reason.NOT_PHOTOGRAPH


def test_options_that_are_no_pattern_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--exclude \[z-a\] is not a pattern"):
        listings(tmp_path, exclude=("[z-a]",))


def test_a_photographers_tree(tmp_path: Path) -> None:
    """Years and events, Cyrillic, emoji, decomposed letters, pairs, sidecars, a phone, a Takeout, rubbish of a NAS."""
    decomposed = unicodedata.normalize("NFD", "Müller й")
    write(
        tmp_path,
        "2019/2019-07-14 Baikal/IMG_0001.CR2", "2019/2019-07-14 Baikal/IMG_0001.JPG",
        "2019/2019-07-14 Baikal/IMG_0001.xmp", "2019/2019-07-14 Baikal/IMG_0002.JPG",
        "2019/2019-07-14 Baikal/IMG_0002.JPG.xmp", "2019/2019-07-14 Baikal/MVI_0003.MOV",
        "2019/2019-07-14 Baikal/@eaDir/IMG_0001.JPG/SYNOPHOTO_THUMB_M.jpg",
        "2020/День рождения 🎂/Снимок 1.jpg", "2020/День рождения 🎂/снимок 1.xmp",
        f"2020/{decomposed}/{decomposed}.jpg", f"2020/{decomposed}/Müller й.xmp",
        "2021/iPhone/IMG_7943.HEIC", "2021/iPhone/IMG_7943.MOV", "2021/iPhone/IMG_E7943.JPG",
        "2021/iPhone/IMG_7943.AAE",
        "Takeout/Photos from 2022/PXL.jpg", "Takeout/Photos from 2022/PXL-edited.jpg",
        "Takeout/Photos from 2022/PXL.jpg.supplemental-metadata.json", "Takeout/Photos from 2022/metadata.json",
        "#recycle/old.jpg", "Lightroom/Catalog Previews.lrdata/1.jpg", "Lightroom/Catalog.lrcat", "Thumbs.db",
        "WhatsApp/.nomedia", "WhatsApp/sent.jpg", "drafts/x.jpg",
    )  # fmt: skip
    write(tmp_path, ".smyslignore", content=b"# not finished\ndrafts/\n")
    found = listings(tmp_path)
    assert failures(found) == {}
    assert photographs(found) == [
        "2019/2019-07-14 Baikal/IMG_0001.JPG", "2019/2019-07-14 Baikal/IMG_0002.JPG",
        f"2020/{decomposed}/{decomposed}.jpg", "2020/День рождения 🎂/Снимок 1.jpg",
        "2021/iPhone/IMG_7943.HEIC", "2021/iPhone/IMG_E7943.JPG",
        "Takeout/Photos from 2022/PXL-edited.jpg", "Takeout/Photos from 2022/PXL.jpg",
    ]  # fmt: skip
    assert grouped(found) == {
        "2019/2019-07-14 Baikal/IMG_0001.JPG": ["raw IMG_0001.CR2", "sidecar IMG_0001.xmp"],
        "2019/2019-07-14 Baikal/IMG_0002.JPG": ["sidecar IMG_0002.JPG.xmp"],
        "2020/День рождения 🎂/Снимок 1.jpg": ["sidecar снимок 1.xmp"],
        f"2020/{decomposed}/{decomposed}.jpg": ["sidecar Müller й.xmp"],
        "2021/iPhone/IMG_7943.HEIC": ["motion IMG_7943.MOV"],
        "Takeout/Photos from 2022/PXL-edited.jpg": ["takeout PXL.jpg.supplemental-metadata.json"],
        "Takeout/Photos from 2022/PXL.jpg": ["takeout PXL.jpg.supplemental-metadata.json"],
    }
    assert skipped(found) == {
        "#recycle/": "rubbish", "Thumbs.db": "rubbish", "drafts/": "ignored", "WhatsApp/": "nomedia",
        "2019/2019-07-14 Baikal/@eaDir/": "rubbish", "2019/2019-07-14 Baikal/MVI_0003.MOV": "video",
        "2021/iPhone/IMG_7943.AAE": "not-photograph", "Lightroom/Catalog Previews.lrdata/": "rubbish",
        "Lightroom/Catalog.lrcat": "not-photograph", "Takeout/Photos from 2022/metadata.json": "not-photograph",
    }  # fmt: skip
