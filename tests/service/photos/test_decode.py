"""Files are decoded to upright sRGB pixels with size and format, or refused with a reason.

Pixels are compared with what the picture is known to show, never with the output of an earlier version.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from service.errors import PhotographError
from service.photos.decode import browser_jpeg, open_photograph, read_file
from service.photos.decoded import MAX_PIXELS, MIN_SIDE, photograph_errors
from service.photos.formats import is_photograph_name
from service.photos.pillow_formats import prepare_pillow
from service.photos.thumbnails import thumbnail
from service.types import Float64Array, Int16Array


def encoded(image: Image.Image, form: str, **settings: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **settings)
    return out.getvalue()


def pixels(source: Path | bytes) -> Int16Array:
    return np.asarray(open_photograph(source).image).astype(np.int16)


def quarters(size: tuple[int, int] = (120, 80)) -> Image.Image:
    """Red and green over blue and yellow: every rotation or reflection changes it."""
    width, height = size
    image = Image.new("RGB", size, "red")
    image.paste("green", (width // 2, 0, width, height // 2))
    image.paste("blue", (0, height // 2, width // 2, height))
    image.paste("yellow", (width // 2, height // 2, width, height))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG with a size in its header and no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    facts = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", facts) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


# -- every file of the collection of formats -----------------------------------------------------------

REFUSED = {
    "jpeg/digikam-unicode.jpg": "too small to be a photograph (7 x 5 pixels)",
    "broken/text.jpg": "not a photograph",
    "broken/truncated.jpg": "truncated",
    "broken/zero-bytes.jpg": "empty",
    "png/bomb-30000x30000.png": "too many pixels",
    "raw/pruned-iphone.dng": "every pixel is black",
    "raw/pruned.cr3": "the RAW file is damaged",
}
"""Files with the extension of a photograph that are refused, and a part of the reason."""

LARGEST_PAGE = {"other/multipage.tiff": (20, 20)}
"""Sizes where the table gives that of the first page."""


def expected_sizes(formats: Path) -> dict[str, tuple[int, int]]:
    """Width and height of each file that is indexed according to the collection's own table."""
    sizes = {}
    for line in (formats / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0].startswith("`") and cells[3].startswith("indexed"):
            width, height = cells[4].rstrip(" |").split(" x ")
            sizes[cells[0].strip("`")] = int(width), int(height)
    return sizes | LARGEST_PAGE


def test_every_file_of_the_collection_is_decoded_or_refused_as_its_table_says(shared_data: Path) -> None:
    formats = shared_data / "formats"
    sizes = expected_sizes(formats)
    assert len(sizes) > 70
    opened = set()
    for file in sorted(path for path in formats.rglob("*") if path.is_file() and is_photograph_name(path.name)):
        name = file.relative_to(formats).as_posix()
        if name in REFUSED:
            with pytest.raises(PhotographError) as refusal:
                open_photograph(file, shorter_side=448)
            assert REFUSED[name] in refusal.value.message
            continue
        photograph = open_photograph(file, shorter_side=448)
        assert photograph.image.mode == "RGB", name
        assert (photograph.width, photograph.height) == sizes[name], name
        opened.add(name)
    assert opened == set(sizes) - set(REFUSED)


# -- orientation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["landscape", "portrait"])
def test_all_eight_orientations_are_turned_upright(shared_data: Path, shape: str) -> None:
    folder = shared_data / "formats" / "orientation"
    first = pixels(folder / f"{shape}_1.jpg")
    for number in range(2, 9):
        turned = pixels(folder / f"{shape}_{number}.jpg")
        assert turned.shape == first.shape, number
        # The pictures differ in the number drawn on them; a wrong rotation differs by more than 40.
        assert np.abs(turned - first).mean() < 6, number


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shorter_side", [None, 40])
def test_orientation_is_applied_at_reduced_scale(orientation: int, shorter_side: int | None) -> None:
    upright = quarters((960, 640))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that each orientation undoes
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph = open_photograph(encoded(stored, "JPEG", exif=exif), shorter_side=shorter_side)
    assert (photograph.width, photograph.height) == (960, 640)
    decoded = np.asarray(photograph.image.resize((960, 640))).astype(int)
    for y, x in ((100, 100), (100, 800), (500, 100), (500, 800)):
        assert np.abs(decoded[y, x] - np.asarray(upright)[y, x]).max() < 30, (y, x)


def test_width_and_height_of_an_almost_square_photograph_are_swapped_when_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("RGB", (1000, 999)), "JPEG", exif=exif)
    photograph = open_photograph(content, shorter_side=100)
    assert photograph.image.width == photograph.image.height, "at reduced scale both sides are equal"
    assert (photograph.width, photograph.height) == (999, 1000)


def test_an_invalid_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert open_photograph(encoded(quarters(), "JPEG", exif=exif)).width == 120


def test_a_heic_with_its_rotation_stored_twice_is_turned_once(shared_data: Path) -> None:
    photograph = open_photograph(shared_data / "formats" / "heif" / "iphone-rotated.heic")
    assert photograph.image.size == (photograph.width, photograph.height) == (3024, 4032)


# -- colours -------------------------------------------------------------------------------------------

# XYZ of the primaries of Adobe RGB (1998) and Display P3, adapted to D50 (columns red, green, blue).
TO_XYZ = {
    "adobe-rgb": [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197],
                  [0.0194811, 0.0608902, 0.7448387]],
    "display-p3": [[0.5151215, 0.2919778, 0.1571045], [0.2411957, 0.6922455, 0.0665741],
                   [-0.0010507, 0.0418854, 0.7840881]],
}  # fmt: skip
XYZ_TO_SRGB = [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
               [0.0719453, -0.2289914, 1.4052427]]  # fmt: skip


def in_srgb(colours: Int16Array, space: str) -> Float64Array:
    """Colours (n, 3) from 0 to 255 converted to sRGB by the published primaries and curve of their space."""
    values = colours / 255.0
    if space == "adobe-rgb":
        linear = values**2.19921875
    else:
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear @ np.array(TO_XYZ[space]).T @ np.array(XYZ_TO_SRGB).T, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize(
    ("name", "space"), [("photos/blue-dress-adobergb.jpg", "adobe-rgb"), ("jpeg/display-p3.jpg", "display-p3")]
)
def test_colour_profiles_are_converted_to_srgb(shared_data: Path, name: str, space: str) -> None:
    file = shared_data / "formats" / name
    with Image.open(file) as stored:
        before = np.asarray(stored.convert("RGB")).reshape(-1, 3)[::997].astype(np.int16)
    after = pixels(file).reshape(-1, 3)[::997]
    expected = in_srgb(before, space)
    assert np.abs(after - expected).mean() < 1.5
    assert np.abs(after - before).mean() > 2 * np.abs(after - expected).mean(), "the profile changes something"


def test_the_thumbnail_of_a_converted_photograph_has_no_profile(shared_data: Path) -> None:
    photograph = open_photograph(shared_data / "formats" / "jpeg" / "display-p3.jpg")
    with Image.open(io.BytesIO(thumbnail(photograph.image))) as small:
        assert b"P3" not in small.info.get("icc_profile", b"").replace(b"\0", b"")


@pytest.mark.parametrize("profile", [b"no profile at all", b""])
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    decoded = pixels(encoded(quarters(), "PNG", icc_profile=profile))
    assert decoded[10, 10].tolist() == [255, 0, 0]


def test_a_profile_for_another_colour_model_is_ignored() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = pixels(encoded(Image.new("L", (40, 40), 128), "PNG", icc_profile=srgb))
    assert decoded[20, 20].tolist() == [128, 128, 128]


@pytest.mark.parametrize("name", ["jpeg/cmyk-adobe.jpg", "other/cmyk.tif"])
def test_cmyk_is_not_inverted(shared_data: Path, name: str) -> None:
    """Red letters on black: most pixels are dark, and the bright ones are red."""
    decoded = pixels(shared_data / "formats" / name)
    assert np.median(decoded) < 80
    red, green, blue = decoded.reshape(-1, 3)[decoded.reshape(-1, 3).max(axis=1) > 150].mean(axis=0)
    assert red > green + 60
    assert red > blue + 60


# -- depth, transparency, frames -----------------------------------------------------------------------


def test_sixteen_bit_grey_is_scaled_not_clipped(shared_data: Path) -> None:
    file = shared_data / "formats" / "other" / "grey-16bit.tif"
    with Image.open(file) as stored:
        expected = np.asarray(stored).astype(np.float64) / 257
    decoded = pixels(file)
    assert np.abs(decoded[..., 0] - expected).max() <= 1
    assert decoded.min() < 250, "not all white"


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_a_ramp_of_sixteen_bits_is_scaled_linearly(form: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (32, 1))
    decoded = pixels(encoded(Image.fromarray(ramp), form))
    assert np.abs(decoded[16, :, 0] - np.arange(256)).max() <= 1


def test_floating_point_grey_is_scaled_by_its_maximum() -> None:
    ramp = np.tile(np.linspace(0, 3.5, 256, dtype=np.float32), (32, 1))
    ramp[0, :3] = np.nan, np.inf, -np.inf
    decoded = pixels(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(decoded[16, :, 0] - np.arange(256)).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_transparency_is_laid_on_white(form: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 32, 64))
    image.paste((0, 0, 0, 128), (48, 0, 64, 64))
    decoded = pixels(encoded(image, form, lossless=True) if form == "WEBP" else encoded(image, form))
    assert decoded[32, 10].tolist() == [0, 0, 255]
    assert decoded[32, 40].tolist() == [255, 255, 255]
    assert np.abs(decoded[32, 60] - 127).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "P", "L", "RGB", "1"])
def test_every_kind_of_transparency_is_laid_on_white(mode: str) -> None:
    if mode == "LA":
        content = encoded(Image.new("LA", (40, 40), (0, 0)), "PNG")
    else:
        key: object = (0, 0, 0) if mode == "RGB" else 0
        content = encoded(Image.new(mode, (40, 40), 0), "PNG", transparency=key)
    assert pixels(content)[20, 20].tolist() == [255, 255, 255]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_frames_that_show_as_much_the_first_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(content)[24, 24] - [255, 0, 0]).max() < 10


# -- size ----------------------------------------------------------------------------------------------


def test_a_jpeg_is_decoded_at_the_smallest_sufficient_scale() -> None:
    photograph = open_photograph(encoded(quarters((1600, 1200)), "JPEG"), shorter_side=256)
    assert photograph.image.size == (400, 300)
    assert (photograph.width, photograph.height) == (1600, 1200)


def test_without_a_requested_side_all_pixels_are_decoded() -> None:
    assert open_photograph(encoded(quarters((1600, 1200)), "JPEG")).image.size == (1600, 1200)


@pytest.mark.parametrize(("side", "accepted"), [(MIN_SIDE, True), (MIN_SIDE - 1, False)])
def test_an_image_of_the_size_of_an_icon_is_refused(side: int, accepted: bool) -> None:
    content = encoded(Image.new("RGB", (40, side)), "PNG")
    if accepted:
        assert open_photograph(content).height == side
    else:
        with pytest.raises(PhotographError, match=r"too small .*40 x 15 pixels"):
            open_photograph(content)


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (MAX_PIXELS // 10_000 + 1, 10_000)])
def test_a_decompression_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    with pytest.raises(PhotographError, match="too many pixels"):
        open_photograph(png_header(width, height))


@pytest.mark.parametrize(("width", "height"), [(11_000_000, 16), (16, 1_000_000)])
def test_a_very_long_strip_is_refused(width: int, height: int) -> None:
    with pytest.raises(PhotographError, match="hundred times"):
        open_photograph(png_header(width, height))


def test_a_jpeg_over_the_limit_is_decoded_at_the_largest_scale_allowed() -> None:
    content = encoded(quarters((1600, 1200)), "JPEG")
    assert open_photograph(content, max_pixels=500_000).image.size == (800, 600)
    photograph = open_photograph(content, shorter_side=1200, max_pixels=200_000)
    assert photograph.image.size == (400, 300)
    assert (photograph.width, photograph.height) == (1600, 1200)
    with pytest.raises(PhotographError, match=r"too many pixels \(1600 x 1200"):
        open_photograph(content, max_pixels=20_000)


def test_a_progressive_jpeg_counts_in_full_size() -> None:
    content = encoded(quarters((1600, 1200)), "JPEG", progressive=True)
    assert open_photograph(content, shorter_side=100, max_pixels=1_920_000).image.size == (200, 150)
    with pytest.raises(PhotographError, match="too many pixels"):
        open_photograph(content, shorter_side=100, max_pixels=1_900_000)


@pytest.mark.parametrize(("error", "reason"), [(EOFError(), ""), (SyntaxError("no tables"), " (no tables)")])
def test_what_a_decoder_raises_becomes_a_sentence(error: Exception, reason: str) -> None:
    with pytest.raises(PhotographError) as refusal, photograph_errors():
        raise error
    assert refusal.value.message == f"the file is damaged{reason}"


def test_the_thumbnail_in_a_heif_is_decoded_where_it_is_large_enough() -> None:
    prepare_pillow()
    content = encoded(quarters((1600, 1200)), "HEIF", thumbnails=[1000])
    sizes = [open_photograph(content, shorter_side=side).image.size for side in (600, 800)]
    assert sizes == [(1000, 750), (1600, 1200)]
    photograph = open_photograph(content, shorter_side=600)
    assert (photograph.width, photograph.height) == (1600, 1200)
    assert np.abs(np.subtract(photograph.image.getpixel((900, 10)), (0, 128, 0))).max() < 8


def test_a_panorama_thirty_thousand_pixels_wide_is_a_photograph() -> None:
    photograph = open_photograph(encoded(Image.new("RGB", (30_000, 400)), "JPEG"), shorter_side=448)
    assert (photograph.width, photograph.height) == (30_000, 400)


@pytest.mark.parametrize("size", [(200, 150), (900, 600)])
def test_thumbnails_and_browser_jpegs_have_no_metadata(size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Unter den Linden 1"
    content = encoded(quarters(size), "JPEG", exif=exif, comment=b"Unter den Linden 1", xmp=b"Unter den Linden 1")
    assert content.count(b"Linden") == 3
    for written in (thumbnail(open_photograph(content).image), browser_jpeg(content)):
        assert b"Linden" not in written
        with Image.open(io.BytesIO(written)) as image:
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_small_jpeg_in_other_colours_gets_a_thumbnail_in_srgb(shared_data: Path) -> None:
    with Image.open(shared_data / "formats" / "jpeg" / "display-p3.jpg") as stored:
        content = encoded(stored.resize((200, 258)), "JPEG", icc_profile=stored.info["icc_profile"])
    image = open_photograph(content).image
    with Image.open(io.BytesIO(thumbnail(image))) as small:
        assert "icc_profile" not in small.info
        assert np.abs(np.asarray(small).astype(int) - np.asarray(image)).mean() < 4


@pytest.mark.parametrize(
    ("content", "least"),
    [
        (encoded(Image.new("RGB", (1600, 1200)), "JPEG"), 4 * 400 * 300),
        (encoded(Image.new("RGB", (1600, 1200)), "JPEG", progressive=True), 6 * 1600 * 1200),
        (encoded(Image.new("RGB", (1600, 1200)), "PNG"), 4 * 1600 * 1200),
    ],
)
def test_the_memory_that_decoding_takes_is_announced_before(content: bytes, least: int) -> None:
    announced: list[int] = []
    open_photograph(content, shorter_side=256, before_decoding=announced.append)
    assert len(announced) == 1
    assert least <= announced[0] <= 2 * least


def test_a_large_image_of_any_format_is_reduced_by_a_whole_factor() -> None:
    photograph = open_photograph(encoded(quarters((1700, 1300)), "PNG"), shorter_side=256)
    assert photograph.image.size == (340, 260)
    assert (photograph.width, photograph.height) == (1700, 1300)
    assert photograph.image.getpixel((10, 10)) == (255, 0, 0)


def test_a_browser_gets_a_jpeg_in_full_size() -> None:
    with Image.open(io.BytesIO(browser_jpeg(encoded(quarters((900, 600)), "TIFF")))) as shown:
        assert (shown.format, shown.size) == ("JPEG", (900, 600))


# -- refused files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "BMP", "AVIF", "HEIF"])
def test_a_truncated_file_is_refused(form: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    open_photograph(encoded(noise, "PNG"))  # registers HEIF with Pillow, for writing too
    content = encoded(noise, form)
    assert open_photograph(content).format == form
    with pytest.raises(PhotographError):
        open_photograph(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"Dear diary, today I took no photograph.", "not a photograph"),
        (b"\xff\xd8\xff\xe0", "photograph|damaged"),
        (b"\0" * 10_000, "not a photograph"),
        (b"GIF89a", "photograph|damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n", "not a photograph"),
    ],
)
def test_content_that_is_not_a_photograph_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(PhotographError, match=reason):
        open_photograph(content)


def test_random_damage_raises_nothing_but_photograph_errors() -> None:
    random = np.random.default_rng(1)
    originals = [encoded(quarters(), form) for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]
    for number in range(300):
        content = bytearray(originals[number % len(originals)])
        for position in random.integers(0, len(content), 8):
            content[position] = int(random.integers(0, 256))
        try:
            assert open_photograph(bytes(content)).image.mode == "RGB"
        except PhotographError as error:
            assert error.message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match="does not exist"):
        open_photograph(tmp_path / "gone.jpg")
    with pytest.raises(PhotographError, match="not a file"):
        open_photograph(tmp_path)


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def an_endless_device(folder: Path) -> Path:
    (folder / "zero.jpg").symlink_to("/dev/zero")
    return folder / "zero.jpg"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("make", [a_pipe, an_endless_device])
def test_pipes_and_devices_are_not_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(PhotographError, match="not a file"):
        read_file(make(tmp_path))


def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("the superuser can read everything")
    file = tmp_path / "secret.jpg"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(PhotographError, match="permission"):
        read_file(file)


def test_bytes_are_decoded_like_their_file(tmp_path: Path) -> None:
    content = encoded(quarters(), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(pixels(content), pixels(tmp_path / "a.png"))
