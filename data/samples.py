"""Sample photographs: the real ones that scikit-image and scikit-learn carry in their wheels.

    python -m data.samples DIR

writes them into DIR under names that say what they show. Nothing is downloaded. Drawings, test charts,
silhouettes and computed images of the packages are left out.

| file | in the package | whose, and under what licence |
| --- | --- | --- |
| astronaut.png | scikit-image: astronaut.png | NASA, public domain |
| brick-wall.png | scikit-image: brick.png | CC0Textures, CC0 |
| cameraman.png | scikit-image: camera.png | Lav Varshney, CC0 |
| cat.png | scikit-image: chelsea.png | Stefan van der Walt, CC0 |
| chinese-temple.jpg | scikit-learn: china.jpg | danielbuechele on Flickr, CC BY 2.0 |
| clock-blurred.png | scikit-image: clock_motion.png | Stefan van der Walt, public domain |
| coffee.png | scikit-image: coffee.png | Rachel Michetti, CC0 |
| coins.png | scikit-image: coins.png | Brooklyn Museum, no known restrictions |
| flower.jpg | scikit-learn: flower.jpg | vultilion on Flickr, CC BY 2.0 |
| galaxies.jpg | scikit-image: hubble_deep_field.jpg | NASA, public domain |
| grass.png | scikit-image: grass.png | linolafett on DeviantArt, CC0 |
| gravel.png | scikit-image: gravel.png | CC0Textures, CC0 |
| handwriting.png | scikit-image: text.png | Wikipedia, public domain |
| moon.png | scikit-image: moon.png | as scikit-image, BSD-3-Clause |
| motorcycle.png | scikit-image: motorcycle_left.png | Middlebury College, 2014 stereo benchmark, no licence named |
| page-of-text.png | scikit-image: page.png | as scikit-image, BSD-3-Clause |
| retina.jpg | scikit-image: retina.jpg | Wikimedia Commons, CC0 |
| rocket.jpg | scikit-image: rocket.jpg | SpaceX, public domain |
| tissue.png | scikit-image: ihc.png | Center for Microscopy and Molecular Imaging, no known restrictions |
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.errors import NotFoundError, SmyslError, UsageError

_SCIKIT_IMAGE = {
    "astronaut.png": "astronaut.png",
    "brick-wall.png": "brick.png",
    "cameraman.png": "camera.png",
    "cat.png": "chelsea.png",
    "clock-blurred.png": "clock_motion.png",
    "coffee.png": "coffee.png",
    "coins.png": "coins.png",
    "galaxies.jpg": "hubble_deep_field.jpg",
    "grass.png": "grass.png",
    "gravel.png": "gravel.png",
    "handwriting.png": "text.png",
    "moon.png": "moon.png",
    "motorcycle.png": "motorcycle_left.png",
    "page-of-text.png": "page.png",
    "retina.jpg": "retina.jpg",
    "rocket.jpg": "rocket.jpg",
    "tissue.png": "ihc.png",
}

_SCIKIT_LEARN = {"chinese-temple.jpg": "china.jpg", "flower.jpg": "flower.jpg"}


@dataclass(frozen=True)
class SamplePhotograph:
    """A photograph inside an installed package.

    Attributes:
        name: a file name that says what it shows.
        source: the file in the package.
        package: the package's name.
    """

    name: str
    source: Path
    package: str


def sample_photographs() -> list[SamplePhotograph]:
    """All sample photographs, by name.

    Raises:
        NotFoundError: scikit-image or scikit-learn is not installed, or carries other files.
    """
    found = [
        *_in_package("scikit-image", "skimage", "data", _SCIKIT_IMAGE),
        *_in_package("scikit-learn", "sklearn", "datasets/images", _SCIKIT_LEARN),
    ]
    return sorted(found, key=lambda sample: sample.name)


def copy_samples(to: Path) -> list[Path]:
    """Copy the sample photographs into a folder and return where they are.

    A photograph that is there already is left alone, with its time, so that an index need not look again.

    Args:
        to: the folder; made where it is missing.

    Raises:
        NotFoundError: the packages that carry the photographs are not installed.
        UsageError: the folder holds another file under a sample's name, or cannot be written.
    """
    samples = sample_photographs()
    try:
        to.mkdir(parents=True, exist_ok=True)
        return [_copy(sample, to / sample.name) for sample in samples]
    except OSError as error:
        raise UsageError(
            f"The sample photographs cannot be written to {to} ({error.strerror}); name another folder."
        ) from error


def _in_package(package: str, module: str, folder: str, files: dict[str, str]) -> list[SamplePhotograph]:
    # Asked for its place and not imported: importing either package takes seconds.
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise NotFoundError(
            f"The sample photographs are part of {package}, which is not installed; run pip install 'smysl[demo]'."
        )
    sources = {name: Path(spec.origin).parent / folder / file for name, file in files.items()}
    missing = [source.name for source in sources.values() if not source.is_file()]
    if missing:
        raise NotFoundError(
            f"The installed {package} does not carry {', '.join(missing)}; run pip install --upgrade 'smysl[demo]'."
        )
    return [SamplePhotograph(name, source, package) for name, source in sources.items()]


def _copy(sample: SamplePhotograph, target: Path) -> Path:
    if target.exists():
        if filecmp.cmp(sample.source, target, shallow=False):
            return target
        raise UsageError(f"{target} is there already and is not the sample photograph; name an empty folder.")
    # Beside its place first, so that a run that is stopped leaves no half photograph under a sample's name.
    descriptor, beside = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    os.close(descriptor)
    try:
        shutil.copyfile(sample.source, beside)
        Path(beside).chmod(0o644)
        Path(beside).replace(target)
    finally:
        Path(beside).unlink(missing_ok=True)
    return target


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m data.samples DIR`; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m data.samples", description="Write sample photographs.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write them")
    folder: Path = parser.parse_args(arguments).folder
    try:
        copied = copy_samples(folder)
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    sys.stdout.write(f"{len(copied)} sample photographs are in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
