"""A photographer's folder: years, events, names of all kinds, pairs, sidecars, a Takeout, and what a NAS leaves."""

from __future__ import annotations

import json
import shutil
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4">
<dc:subject><rdf:Bag><rdf:li>wedding</rdf:li><rdf:li>Анна</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""

MAKE, MODEL, ORIENTATION, EXIF_IFD, GPS_IFD = 0x010F, 0x0110, 0x0112, 0x8769, 0x8825
TAKEN, OFFSET, FOCAL_LENGTH = 0x9003, 0x9011, 0x920A


@dataclass(frozen=True)
class Shot:
    """What is to be known of a photograph of the tree; colours are RGB of its left and right half, upright."""

    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    taken_at: str | None = None
    camera: str | None = None
    keywords: tuple[str, ...] = ()
    stars: int | None = None
    roles: tuple[str, ...] = ("photograph",)
    town: str | None = None
    size: tuple[int, int] = (160, 120)


@dataclass
class Tree:
    """A folder with photographs by their path below it, and what is left out, by path, with the reason's code."""

    root: Path
    shots: dict[str, Shot] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, shot: Shot, *, orientation: int = 1, gps: tuple[float, float] | None = None) -> Path:
        """Save a photograph of two colours with EXIF."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        if shot.camera is not None:
            exif[MAKE], exif[MODEL] = shot.camera.split(" ", 1)
        if shot.taken_at is not None and "T" in shot.taken_at:
            exif.get_ifd(EXIF_IFD)[TAKEN] = shot.taken_at.replace("-", ":").replace("T", " ")
            exif.get_ifd(EXIF_IFD)[FOCAL_LENGTH] = 35.0
        if gps is not None:
            exif.get_ifd(GPS_IFD).update(_gps(*gps))
        _stored(shot, orientation).save(file, exif=exif, quality=95)
        self.shots[path] = shot
        return file

    def skip(self, path: str, reason: str, content: bytes | None = None) -> None:
        """Put a file there that is not to be indexed; without content it is a photograph."""
        file = self.root / path.removesuffix("/")
        if path.endswith("/"):
            file.mkdir(parents=True)
            two_colours((9, 9, 9), (99, 99, 99)).save(file / "x.jpg")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                two_colours((9, 9, 9), (99, 99, 99)).save(file, "JPEG")
            else:
                file.write_bytes(content)
        self.left_out[path] = reason


def two_colours(
    left: tuple[int, int, int], right: tuple[int, int, int], size: tuple[int, int] = (160, 120)
) -> Image.Image:
    """A picture whose halves have two colours, with a little noise, since an even picture has no content."""
    pixels = np.empty((size[1], size[0], 3), np.int16)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = left, right
    pixels += np.random.default_rng(sum(left)).integers(-3, 4, pixels.shape, dtype=np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _stored(shot: Shot, orientation: int) -> Image.Image:
    """The pixels as a camera stores them that was held so."""
    upright = two_colours(*shot.colours, size=shot.size)
    turns = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    turn = turns[orientation]
    return upright if turn is None else upright.transpose(turn)


def _gps(latitude: float, longitude: float) -> dict[int, object]:
    def parts(degrees: float) -> tuple[float, float, float]:
        minutes = abs(degrees) % 1 * 60
        return float(int(abs(degrees))), float(int(minutes)), minutes % 1 * 60

    return {
        1: "N" if latitude >= 0 else "S",
        2: parts(latitude),
        3: "E" if longitude >= 0 else "W",
        4: parts(longitude),
    }


RED, GREEN, BLUE, WHITE, GOLD = (200, 30, 30), (30, 160, 40), (30, 50, 200), (235, 235, 235), (220, 180, 40)


def make_tree(root: Path, formats: Path | None = None) -> Tree:
    """Make the tree in `root`; `formats` is the folder of real files, for pairs of RAW and JPEG and Live Photos."""
    tree = Tree(root)
    tree.add(
        "2019/Свадьба 💍/IMG_0001.JPG",
        Shot((RED, WHITE), "2019-07-14T15:30:00", "Canon EOS 600D", ("wedding", "Анна"), 4, ("photograph", "sidecar")),
    )
    (root / "2019/Свадьба 💍/IMG_0001.xmp").write_text(SIDECAR, encoding="utf-8")
    tree.add("2019/Свадьба 💍/IMG_0002.JPG", Shot((BLUE, GOLD), "2019-07-14T15:31:00", "Canon EOS 600D"), orientation=3)
    tree.add("2019/Свадьба 💍/IMG_0002_edited.JPG", Shot((GOLD, BLUE), "2019-07-14T15:31:00", "Canon EOS 600D"))
    nfd = unicodedata.normalize("NFD", "2021/Zoë в Париже/Müller й.jpg")
    tree.add(nfd, Shot((GREEN, WHITE), "2021-04-02T09:00:00", "Nokia 8.3", town="Paris"), gps=(48.8584, 2.2945))
    tree.add("2021/portrait.jpg", Shot((WHITE, BLUE), size=(120, 160)), orientation=6)
    tree.add("IMG_20180105_101112.jpg", Shot((GOLD, RED), taken_at="2018-01-05 10:11:12"))
    takeout = tree.add("Takeout/beach.jpg", Shot((BLUE, WHITE), "2016-08-20 12:00:00", roles=("photograph", "takeout")))
    takeout.with_name("beach.jpg.supplemental-metadata.json").write_text(
        json.dumps({"title": "beach.jpg", "photoTakenTime": {"timestamp": "1471694400"}})
    )
    _damaged(tree)
    _rubbish(tree)
    if formats is not None:
        _pairs(tree, formats)
    return tree


def _damaged(tree: Tree) -> None:
    whole = tree.add("odd/whole.jpg", Shot((RED, BLUE), size=(1200, 900))).read_bytes()
    for name, content in (
        ("odd/cut off.jpg", whole[: int(len(whole) * 0.8)]),
        ("odd/no extension", whole + b"1"),
        ("odd/a jpeg.png", whole + b"22"),
    ):
        (tree.root / name).write_bytes(content)
        tree.shots[name] = tree.shots["odd/whole.jpg"]
    frames = [Image.new("RGB", (160, 120)), two_colours(GREEN, GOLD)]
    frames[0].save(tree.root / "odd/black first.gif", save_all=True, append_images=frames[1:], duration=500)
    tree.shots["odd/black first.gif"] = Shot((GREEN, GOLD))
    tree.skip("odd/text.jpg", "unreadable", b"no photograph at all")
    tree.skip("odd/empty.jpg", "unreadable", b"")


def _rubbish(tree: Tree) -> None:
    for folder in ("@eaDir", "#recycle", "2019/@eaDir", "$RECYCLE.BIN", "lost+found", "Catalog Previews.lrdata"):
        tree.skip(f"{folder}/", "rubbish")
    tree.skip("._IMG_0001.jpg", "rubbish", b"\0\5\26\7" + bytes(4000))
    tree.skip("Thumbs.db", "rubbish", b"x")
    tree.skip(".hidden.jpg", "hidden")
    tree.skip("drafts/", "ignored")
    (tree.root / ".smyslignore").write_text("drafts/\n*.tmp.jpg\n")
    tree.skip("2021/export.tmp.jpg", "ignored")
    tree.skip("notes.txt", "not-photograph", b"text")
    tree.skip("2021/holiday.mov", "video", bytes(100))
    (tree.root / "Android").mkdir()
    (tree.root / "Android/.nomedia").touch()
    two_colours(RED, RED).save(tree.root / "Android/cache.jpg")
    tree.left_out["Android/"] = "nomedia"
    (tree.root / "link to 2019").symlink_to(tree.root / "2019")
    tree.left_out["link to 2019"] = "link"


def _pairs(tree: Tree, formats: Path) -> None:
    for name in ("raw/colorchart.dng", "raw/colorchart.jpg", "live/IMG_7943.HEIC", "live/IMG_7943.MOV"):
        target = tree.root / "pairs" / Path(name).name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(formats / name, target)
