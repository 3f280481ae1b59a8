"""Hypernyms of ImageNet's classes ("bird", "furniture", "rocket") and the classes that each includes.

The classifier's names are narrow ("American robin"), but people type wider ones ("a bird"). WordNet has the hypernyms
of every class. They are kept in `kinds.tsv` beside this file, so that training does not need WordNet:

    python -m training.mini.hypernyms FOLDER > training/mini/kinds.tsv

writes it again from the folder with WordNet 3.0's `data.noun` (in Debian's package wordnet-base); `kinds.LICENSE` has
WordNet's terms.
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
"""A hypernym of more classes ("instrumentality", "organism") says too little about what a photograph shows."""
MOST_WORDS = 3
"""Words of one synset at most."""
_TOPS = 3
"""Number of WordNet's file with the most general nouns."""


@dataclass(frozen=True)
class Hypernym:
    """A word, and the classes that it includes, as row numbers of the classifier."""

    word: str
    classes: tuple[int, ...]


@dataclass(frozen=True)
class _Synset:
    """Words of one meaning, the number of their WordNet file, and the offsets of their direct hypernyms."""

    words: tuple[str, ...]
    file: int
    parents: tuple[str, ...]


def read_hypernyms() -> list[Hypernym]:
    """The hypernyms in `kinds.tsv`."""
    with FILE.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return [Hypernym(row["word"], tuple(int(each) for each in row["classes"].split())) for row in rows]


def hypernyms_of(synsets: list[str], nouns: dict[str, _Synset]) -> list[Hypernym]:
    """All hypernyms of some synsets (WordNet offsets in the classifier's order), those with most classes first."""
    classes_of: dict[str, set[int]] = {}
    for row, offset in enumerate(synsets):
        ancestors: set[str] = set()
        queue = [offset]
        while queue:
            for parent in nouns[queue.pop()].parents:
                if parent not in ancestors:
                    ancestors.add(parent)
                    queue.append(parent)
        for ancestor in ancestors:
            classes_of.setdefault(ancestor, set()).add(row)
    words: dict[str, set[int]] = {}
    for offset, classes in classes_of.items():
        if len(classes) <= MOST_CLASSES and nouns[offset].file != _TOPS:
            for word in nouns[offset].words[:MOST_WORDS]:
                # A word with two meanings ("vessel": a ship, a pot) includes the classes of both.
                words.setdefault(word, set()).update(classes)
    return [
        Hypernym(word, tuple(sorted(classes)))
        for word, classes in sorted(words.items(), key=lambda each: (-len(each[1]), each[0]))
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
            parents = [pointers[i + 1] for i in range(1, 1 + 4 * int(pointers[0]), 4) if pointers[i] in ("@", "@i")]
            names = tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * words : 2])
            nouns[fields[0]] = _Synset(names, int(fields[1]), tuple(parents))
    return nouns


def main(folder: Path) -> None:
    """Write the table to standard output."""
    mend_torchvision()
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo("imagenet-1k")
    synsets = [name.removeprefix("n") for name in info.label_names()]
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(["word", "classes"])
    for hypernym in hypernyms_of(synsets, read_nouns(folder)):
        writer.writerow([hypernym.word, " ".join(str(each) for each in hypernym.classes)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
