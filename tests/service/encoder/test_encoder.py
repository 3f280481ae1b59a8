"""Unit vectors that depend only on the input, and a fingerprint of everything that determines them.

Tested on a random CLIP and on `mini`, a real model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.encoder.encoder import Encoder
from service.encoder.models import mini_folder
from service.encoder.open_clip_model import load_network
from service.encoder.token_trimming import trim_tokens
from service.errors import ModelError, NotFoundError, UsageError

pytestmark = pytest.mark.e2e

TEXTS = [
    "a cat",
    "two dogs play in the snow, and a third one looks on from behind a fence",
    "a",
    "красный цветок",
    "🐶",
]


def pictures(count: int = 5) -> list[Image.Image]:
    random = np.random.default_rng(4)
    shapes = [(64, 48), (300, 200), (31, 90), (500, 500), (17, 16)]
    return [
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        for width, height in (shapes * count)[:count]
    ]


@pytest.fixture(scope="module")
def mini() -> Encoder:
    return Encoder.load("mini", device="cpu", precision="fp32")


@pytest.fixture(params=["tiny", "mini"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    encoder: Encoder = request.getfixturevalue(request.param)
    return encoder


# -- vectors -------------------------------------------------------------------------------------------


def test_vectors_have_unit_length_and_one_dimension(encoder: Encoder) -> None:
    for vectors in (encoder.encode_texts(TEXTS), encoder.encode_photographs(pictures())):
        assert vectors.shape == (5, encoder.dimension)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_batch_gives_the_vectors_of_its_members_alone(encoder: Encoder) -> None:
    together = encoder.encode_photographs(pictures())
    alone = np.concatenate([encoder.encode_photographs([picture]) for picture in pictures()])
    assert together == pytest.approx(alone, abs=2e-4)
    together = encoder.encode_texts(TEXTS)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert together == pytest.approx(alone, abs=2e-4)
    assert not np.allclose(together[0], together[1], atol=1e-3), "different texts have different vectors"


def test_preparing_first_gives_the_same(encoder: Encoder) -> None:
    prepared = [encoder.prepare(picture) for picture in pictures()]
    side = encoder.photograph_side
    assert {(one.shape, one.dtype.name) for one in prepared} == {((side, side, 3), "uint8")}
    assert np.array_equal(encoder.encode_prepared(prepared), encoder.encode_photographs(pictures()))


def test_empty_input_gives_empty_output(encoder: Encoder) -> None:
    for vectors in (encoder.encode_texts([]), encoder.encode_photographs([]), encoder.encode_prepared([])):
        assert vectors.shape == (0, encoder.dimension)
        assert vectors.dtype == np.float32


@pytest.mark.parametrize("text", ["x" * 1000, "cat " * 250, "ы" * 1000, "\0", "\n", "<|endoftext|>", "[PAD]", "[CLS]"])
def test_odd_texts_have_vectors_too(encoder: Encoder, text: str) -> None:
    vector = encoder.encode_texts([text])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_trimmed_tokens_give_the_vectors_of_all_tokens(mini: Encoder) -> None:
    network, tokenizer, _ = load_network("mini")
    tokens = tokenizer(TEXTS)
    assert trim_tokens(network, tokens).shape[1] < tokens.shape[1]
    untrimmed = network.eval().encode_text(tokens, normalize=True).detach().numpy()
    assert mini.encode_texts(TEXTS) == pytest.approx(untrimmed, abs=1e-3)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
@pytest.mark.parametrize(("model", "precision"), [("tiny", None), ("tiny", "bf16"), ("mini", None)])
def test_chosen_precision_keeps_the_vectors(
    request: pytest.FixtureRequest, model: str, precision: str | None, runtime: str
) -> None:
    """Transformers keep theirs in bf16; the image tower of `mini` needs its first layers in fp32."""
    encoder: Encoder = request.getfixturevalue(model)
    quick = Encoder.load(encoder.name, device="cpu", precision=precision, runtime=runtime)
    assert quick.runtime == runtime
    assert quick.precision == (precision or quick.precision)
    assert quick.fingerprint == encoder.fingerprint
    for one, other in (
        (quick.encode_texts(TEXTS), encoder.encode_texts(TEXTS)),
        (quick.encode_photographs(pictures()), encoder.encode_photographs(pictures())),
    ):
        assert one.dtype == np.float32
        assert (one * other).sum(axis=1).min() >= 0.999


# -- loading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["gpu", "tpu", "", "CPU", "cpu:x", "cuda:", "cpu cpu"])
def test_unknown_device_raises_a_sentence(tiny_folder: Path, device: str) -> None:
    with pytest.raises(UsageError, match=r"device .*; choose"):
        Encoder.load(f"local-dir:{tiny_folder}", device=device)


@pytest.mark.parametrize("device", ["cuda", "mps", "cuda:0"])
def test_unavailable_device_raises_a_sentence(tiny_folder: Path, device: str) -> None:

    if {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device.partition(":")[0]]:
        pytest.skip(f"this machine has {device}")
    with pytest.raises(UsageError, match=r"This machine has no .* device"):
        Encoder.load(f"local-dir:{tiny_folder}", device=device)


def test_unknown_precision_raises_a_sentence(tiny_folder: Path) -> None:
    with pytest.raises(UsageError, match="precision “int4”; choose fp32, bf16, fp16 or int8"):
        Encoder.load(f"local-dir:{tiny_folder}", device="cpu", precision="int4")


def test_device_is_chosen_by_default(tiny: Encoder, tiny_folder: Path) -> None:
    chosen = Encoder.load(f"local-dir:{tiny_folder}")
    assert chosen.device in {"cuda", "mps", "cpu"}
    assert chosen.precision in {"fp32", "bf16", "fp16"}
    assert chosen.fingerprint == tiny.fingerprint


def damage(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff" * 100, b"{}"])
def test_broken_model_raises_a_sentence(tmp_path: Path, tiny_folder: Path, name: str, content: bytes | None) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    damage(folder, name, content)
    with pytest.raises((ModelError, NotFoundError)) as refusal:
        Encoder.load(f"local-dir:{folder}", device="cpu")
    assert str(folder) in refusal.value.message
    assert "\n" not in refusal.value.message


def test_missing_folder_raises_a_sentence(tmp_path: Path) -> None:
    with pytest.raises((ModelError, NotFoundError), match="none"):
        Encoder.load(f"local-dir:{tmp_path / 'none'}", device="cpu")


# -- fingerprint ---------------------------------------------------------------------------------------


def change_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "open_clip_model.safetensors")
    name = "visual.proj"
    weights[name] = weights[name].clone()
    weights[name][0, 0] += 1e-3
    save_file(weights, folder / "open_clip_model.safetensors")


def change_config(folder: Path, section: str, name: str, value: object) -> None:
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config[section][name] = value
    file.write_text(json.dumps(config), encoding="utf-8")


CHANGES: dict[str, Callable[[Path], None]] = {
    "one weight": change_weight,
    "mean": lambda folder: change_config(folder, "preprocess_cfg", "mean", [0.5, 0.5, 0.51]),
    "standard deviation": lambda folder: change_config(folder, "preprocess_cfg", "std", [0.5, 0.5, 0.49]),
    "resize mode": lambda folder: change_config(folder, "preprocess_cfg", "resize_mode", "shortest"),
    "interpolation": lambda folder: change_config(folder, "preprocess_cfg", "interpolation", "bilinear"),
    "activation": lambda folder: change_config(folder, "model_cfg", "quick_gelu", True),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_fingerprint_changes_with_everything_that_determines_vectors(
    tiny: Encoder, tmp_path: Path, tiny_folder: Path, change: str
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    CHANGES[change](folder)
    other = Encoder.load(f"local-dir:{folder}", device="cpu", precision="fp32")
    assert len(tiny.fingerprint) == len(other.fingerprint) == 32
    assert other.fingerprint != tiny.fingerprint


def test_copy_has_the_same_fingerprint(tiny: Encoder, tmp_path: Path, tiny_folder: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "another place and name")
    assert Encoder.load(f"local-dir:{folder}", device="cpu", precision="fp32").fingerprint == tiny.fingerprint


def test_fingerprint_changes_with_the_tokenizer(tmp_path: Path) -> None:
    """Same weights and configuration; only the token ids of two words are swapped."""
    from tests.e2e.tiny_model import tiny_model, tiny_tokenizer

    fingerprints = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in (tiny_model("tokenizer") | tiny_tokenizer()).items():
            (folder / name).write_bytes(content)
        if number:
            words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
            vocabulary = words["model"]["vocab"]
            vocabulary["a"], vocabulary["cat"] = vocabulary["cat"], vocabulary["a"]
            (folder / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
        fingerprints.append(Encoder.load(f"local-dir:{folder}", device="cpu", precision="fp32").fingerprint)
    assert fingerprints[0] != fingerprints[1]


def test_copy_of_mini_has_the_same_fingerprint(mini: Encoder, tmp_path: Path) -> None:
    """Its configuration names the text tower relative to its folder."""
    folder = shutil.copytree(mini_folder(), tmp_path / "copy")
    copied = Encoder.load(f"local-dir:{folder}", device="cpu", precision="fp32")
    assert copied.fingerprint == mini.fingerprint
    assert copied.encode_texts(TEXTS) == pytest.approx(mini.encode_texts(TEXTS), abs=1e-5)


def test_mini_tells_a_cat_from_a_coffee(mini: Encoder, samples: Path) -> None:
    files = {file.stem: file for file in samples.iterdir()}
    chosen = [next(file for stem, file in files.items() if word in stem) for word in ("cat", "coffee")]
    images = [Image.open(file).convert("RGB") for file in chosen]
    similarity = mini.encode_texts(["a cat", "a cup of coffee"]) @ mini.encode_photographs(images).T
    assert similarity[0, 0] > similarity[0, 1]
    assert similarity[1, 1] > similarity[1, 0]
