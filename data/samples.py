"""Sample photographs: the real photographs in the packages scikit-image and scikit-learn.

    python -m data.samples DIR

writes them into DIR under names that say what they show. Nothing is downloaded. The packages' drawings, test charts,
silhouettes and computed images are left out.

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
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.errors import NotFoundError, SmyslError, UsageError
from service.store.atomic import replacing

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
    """A photograph in an installed package: a file name that says what it shows, the file, and the package."""

    name: str
    source: Path
    package: str


def sample_photographs() -> list[SamplePhotograph]:
    """All sample photographs, sorted by name; NotFoundError where a package or one of its files is missing."""
    found = [
        *_in_package("scikit-image", "skimage", "data", _SCIKIT_IMAGE),
        *_in_package("scikit-learn", "sklearn", "datasets/images", _SCIKIT_LEARN),
    ]
    return sorted(found, key=lambda sample: sample.name)


def copy_samples(to: Path) -> list[Path]:
    """Copy the sample photographs into a folder, which is created if needed, and return their paths.

    A photograph that is already there is not touched, so that an index run does not read it again.

    Raises:
        NotFoundError: the packages with the photographs are not installed.
        UsageError: the folder has another file with a sample's name, or cannot be written to.
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
    # Located but not imported: importing either package takes seconds.
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise NotFoundError(
            f"The sample photographs are part of {package}, which is not installed; run pip install 'smysl[demo]'."
        )
    sources = {name: Path(spec.origin).parent / folder / file for name, file in files.items()}
    missing = [source.name for source in sources.values() if not source.is_file()]
    if missing:
        raise NotFoundError(
            f"The installed {package} does not contain {', '.join(missing)}; run pip install --upgrade 'smysl[demo]'."
        )
    return [SamplePhotograph(name, source, package) for name, source in sources.items()]


def _copy(sample: SamplePhotograph, target: Path) -> Path:
    if target.exists():
        if filecmp.cmp(sample.source, target, shallow=False):
            return target
        raise UsageError(f"{target} is there already and is not the sample photograph; name an empty folder.")
    with replacing(target) as temporary:
        shutil.copyfile(sample.source, temporary)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command `python -m data.samples DIR` and return its exit code."""
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
