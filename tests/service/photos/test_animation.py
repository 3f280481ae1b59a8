"""Of an animation the first frame is shown, or the one that shows most if the first shows next to nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import service.photos.animation
from service.photos.decode import open_photograph


def noise(seed: int, contrast: int = 200) -> Image.Image:
    """Large squares of random grey."""
    levels = np.random.default_rng(seed).integers(0, contrast + 1, (4, 6), np.uint8)
    return Image.fromarray(levels).resize((96, 64), Image.Resampling.NEAREST).convert("RGB")


def animation(form: str, *frames: Image.Image) -> bytes:
    out = io.BytesIO()
    settings = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(out, form, save_all=True, append_images=frames[1:], duration=100, **settings)
    return out.getvalue()


def closest(content: bytes, *frames: Image.Image) -> int:
    """The number of the frame that the decoded image is most like."""
    image = np.asarray(open_photograph(content).image).astype(int)
    return int(np.argmin([np.abs(image - np.asarray(frame)).mean() for frame in frames]))


BLACK = Image.new("RGB", (96, 64))
WHITE = Image.new("RGB", (96, 64), "white")


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("plain", [BLACK, WHITE])
def test_a_first_frame_of_one_colour_is_passed_over(form: str, plain: Image.Image) -> None:
    frames = (plain, noise(1, 60), noise(2))
    assert closest(animation(form, *frames), *frames) in (1, 2)
    assert closest(animation(form, plain, noise(2)), plain, noise(2)) == 1


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_first_frame_that_shows_something_is_taken(form: str) -> None:
    frames = (noise(1, 100), noise(2), noise(3))
    assert closest(animation(form, *frames), *frames) == 0


def test_the_frame_with_the_most_contrast_is_taken_of_those_looked_at() -> None:
    faint = [noise(seed, 20) for seed in range(3, 12)]
    frames = [BLACK, *faint]
    frames[8] = noise(2)
    assert closest(animation("GIF", *frames), *frames) == 8


def test_no_more_frames_are_decoded_than_the_limits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    content = animation("GIF", BLACK, WHITE, BLACK, WHITE, noise(1))
    frames = (BLACK, WHITE, BLACK, WHITE, noise(1))
    assert closest(content, *frames) == 4
    monkeypatch.setattr(service.photos.animation, "_MAX_PIXELS", 96 * 64 * 4)
    assert closest(content, *frames) == 0
    monkeypatch.setattr(service.photos.animation, "_MAX_PIXELS", 96 * 64 * 5)
    assert closest(content, *frames) == 4
    monkeypatch.setattr(service.photos.animation, "_MAX_FRAMES", 4)
    assert closest(content, *frames) == 0


def test_a_transparent_first_frame_is_passed_over() -> None:
    empty = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
    content = animation("WEBP", empty, noise(2).convert("RGBA"))
    assert closest(content, WHITE, noise(2)) == 1


def test_damage_after_the_first_frame_keeps_the_best_before_it() -> None:
    content = animation("GIF", BLACK, noise(1), noise(2))
    for length in range(len(content) // 3, len(content), 97):
        image = open_photograph(content[:length]).image
        assert image.size == (96, 64)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_the_chosen_frame_is_reduced_like_any_image(form: str) -> None:
    frames = [frame.resize((960, 640)) for frame in (BLACK, noise(2))]
    photograph = open_photograph(animation(form, *frames), shorter_side=160)
    assert photograph.image.size == (240, 160)
    assert (photograph.width, photograph.height) == (960, 640)
    assert np.asarray(photograph.image).std() > 30


def test_pages_and_pictures_in_one_file_are_no_animation() -> None:
    content = animation("TIFF", BLACK, noise(2))
    assert closest(content, BLACK, noise(2)) == 0
