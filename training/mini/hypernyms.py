"""Kinds above ImageNet's classes: "a bird", "furniture", "a rocket", and which classes each takes in.

The classifier's names are narrow ("American robin"), what people type is wide ("a bird"). WordNet says what
every class is a kind of. `kinds.tsv` beside this file holds that, so that nobody needs WordNet to train:

    python -m training.mini.hypernyms FOLDER > training/mini/kinds.tsv

writes it anew from the folder with WordNet 3.0's `data.noun` (Debian's package wordnet-base carries it);
`kinds.LICENSE` holds WordNet's terms.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.encoder.torchvision_compat import mend_torchvision

FILE = Path(__file__).with_name("kinds.tsv")
MOST_CLASSES = 130
"""A kind of more classes ("instrumentality", "organism") says too little about what is to be seen."""
MOST_WORDS = 3
_TOPS = 3
"""WordNet's file of the most general nouns."""


@dataclass(frozen=True)
class Hypernym:
    """A word and the classes, as numbers of the classifier's rows, that are kinds of what it names."""

    word: str
    classes: tuple[int, ...]


@dataclass(frozen=True)
class _Synset:
    words: tuple[str, ...]
    file: int
    above: tuple[str, ...]


def read_hypernyms() -> list[Hypernym]:
    """The kinds of `kinds.tsv`."""
    with FILE.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return [Hypernym(row["word"], tuple(int(each) for each in row["classes"].split())) for row in rows]


def hypernyms_of(synsets: list[str], nouns: dict[str, _Synset]) -> list[Hypernym]:
    """All kinds above some synsets (offsets in WordNet, in the classifier's order), widest first."""
    below: dict[str, set[int]] = {}
    for row, offset in enumerate(synsets):
        seen: set[str] = set()
        open_ends = [offset]
        while open_ends:
            for above in nouns[open_ends.pop()].above:
                if above not in seen:
                    seen.add(above)
                    open_ends.append(above)
        for above in seen:
            below.setdefault(above, set()).add(row)
    kinds: dict[str, set[int]] = {}
    for offset, classes in below.items():
        if len(classes) <= MOST_CLASSES and nouns[offset].file != _TOPS:
            for word in nouns[offset].words[:MOST_WORDS]:
                # One word may name two kinds ("vessel": a ship, a pot); it may mean either.
                kinds.setdefault(word, set()).update(classes)
    return [
        Hypernym(word, tuple(sorted(classes)))
        for word, classes in sorted(kinds.items(), key=lambda each: (-len(each[1]), each[0]))
    ]


def read_nouns(folder: Path) -> dict[str, _Synset]:
    """WordNet's nouns by offset; the format of `data.noun` is described in its manual page wndb(5)."""
    nouns = {}
    with (folder / "data.noun").open(encoding="latin-1") as stream:
        for line in stream:
            if line.startswith(" "):
                continue
            fields = line.partition(" | ")[0].split()
            words = int(fields[3], 16)
            pointers = fields[4 + 2 * words :]
            above = [pointers[at + 1] for at in range(1, 1 + 4 * int(pointers[0]), 4) if pointers[at] in ("@", "@i")]
            names = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2])
            nouns[fields[0]] = _Synset(names, int(fields[1]), tuple(above))
    return nouns


def main(folder: Path) -> None:
    """Write the table to standard output."""
    mend_torchvision()
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-1k")
    synsets = [name.removeprefix("n") for name in info.label_names()]
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(["word", "classes"])
    for kind in hypernyms_of(synsets, read_nouns(folder)):
        writer.writerow([kind.word, " ".join(str(each) for each in kind.classes)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
