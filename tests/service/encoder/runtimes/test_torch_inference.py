"""Folded, packed and rounded towers give the vectors of the model as loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.captions import read_captions
from service.encoder.encoder import Encoder
from service.encoder.open_clip_model import load_network, preprocessing_of
from service.encoder.preprocess import Preprocessing
from service.encoder.runtimes.torch_inference import (
    Precisions,
    fastest_precisions,
    fold_batch_norms,
    optimise_for_inference,
)
from service.encoder.runtimes.torch_towers import TorchTowers
from service.photos.decode import open_photograph
from service.types import Float32Array
from tests.pixels import normalised

pytestmark = pytest.mark.e2e

TEXTS = ["sunflower", "a red car at night", "two dogs play in the snow, and a third one looks on", "cat " * 250, "🐶"]
SIZE = (64, 64)


class ImageTower(torch.nn.Module):
    """An image tower that lists a convolution, then a batch norm, and runs them as `run` says."""

    def __init__(self, run: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 3, 3, bias=False)
        self.norm = torch.nn.BatchNorm2d(3)
        torch.nn.init.uniform_(self.norm.running_mean, -1, 1)
        torch.nn.init.uniform_(self.norm.running_var, 0.1, 2)
        torch.nn.init.normal_(self.norm.bias)
        self._run = run
        self.eval().requires_grad_(False)

    def forward(self, photographs: torch.Tensor) -> torch.Tensor:
        return self._run(self, photographs).flatten(1)


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    """`mini` and its tokenizer as loaded."""
    model, tokenizer, _ = load_network("mini")
    return model.eval().requires_grad_(False), tokenizer


@pytest.fixture(scope="module")
def fp32() -> Encoder:
    return Encoder.load("mini", device="cpu", precision="fp32", runtime="torch")


@pytest.fixture(scope="module")
def chosen() -> Encoder:
    """`mini` in the precisions chosen on this machine."""
    return Encoder.load("mini", device="cpu", runtime="torch")


def network_of(encoder: Encoder) -> Any:
    assert isinstance(encoder.towers, TorchTowers)
    return encoder.towers.model


def plain_texts(loaded: tuple[Any, Any], texts: list[str]) -> Float32Array:
    """Unit vectors of the model as loaded, with all padding."""
    model, tokenizer = loaded
    with torch.inference_mode():
        vectors: Float32Array = torch.nn.functional.normalize(model.encode_text(tokenizer(texts))).numpy()
    return vectors


def least_cosine(one: Float32Array, other: Float32Array) -> float:
    assert one.shape == other.shape
    return float((one * other).sum(axis=1).min())


def sample_images(samples: Path) -> list[Image.Image]:
    return [open_photograph(file).image for file in sorted(samples.iterdir())]


# -- photographs ---------------------------------------------------------------------------------------


def test_folded_tower_gives_the_same_vectors(loaded: tuple[Any, Any], fp32: Encoder, samples: Path) -> None:
    model, _ = loaded
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network_of(fp32).modules())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()), (
        "the unfolded model has batch norms"
    )
    prepared = [fp32.prepare(image) for image in sample_images(samples)]
    with torch.inference_mode():
        images = normalised(Preprocessing.from_config(asdict(preprocessing_of(model))), np.stack(prepared))
        plain = model.encode_image(torch.from_numpy(images), normalize=True).numpy()
    assert least_cosine(fp32.encode_prepared(prepared), plain) > 0.99999


def test_batch_norm_after_a_convolution_is_folded() -> None:
    tower = ImageTower(lambda self, photographs: self.norm(self.convolution(photographs)))
    folded = fold_batch_norms(tower, SIZE)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    photographs = torch.rand(2, 3, *SIZE)
    assert torch.allclose(folded(photographs), tower(photographs), atol=1e-5)


def test_tower_that_runs_in_another_order_is_left_alone() -> None:
    tower = ImageTower(lambda self, photographs: self.convolution(self.norm(photographs)))
    assert fold_batch_norms(tower, SIZE) is tower
    assert isinstance(tower.norm, torch.nn.BatchNorm2d)


def test_tower_without_batch_norms_is_left_alone(tiny: Encoder) -> None:
    visual = network_of(tiny).visual
    assert fold_batch_norms(visual, SIZE) is visual


# -- texts ---------------------------------------------------------------------------------------------


def test_packed_layers_give_the_vectors_of_plain_ones(loaded: tuple[Any, Any], fp32: Encoder) -> None:
    assert least_cosine(fp32.encode_texts(TEXTS), plain_texts(loaded, TEXTS)) > 0.99999


def test_all_linear_layers_of_the_text_tower_are_packed_on_x86(
    loaded: tuple[Any, Any], fp32: Encoder, chosen: Encoder
) -> None:
    if not (torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX")):
        pytest.skip("layers are packed on x86 processors only")
    linears = [name for name, module in loaded[0].text.named_modules() if type(module) is torch.nn.Linear]
    assert linears
    for encoder in (fp32, chosen):
        assert all(network_of(encoder).text.get_submodule(name).weight.is_mkldnn for name in linears)


def test_text_in_a_batch_gives_its_vector_alone(fp32: Encoder, chosen: Encoder) -> None:
    for encoder, least in ((fp32, 0.99999), (chosen, 0.999)):
        alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
        assert least_cosine(encoder.encode_texts(TEXTS), alone) > least


def test_text_that_is_too_long_is_truncated(loaded: tuple[Any, Any], fp32: Encoder) -> None:
    length = loaded[1].context_length
    full, longer, shorter = fp32.encode_texts([" ".join(["cat"] * count) for count in (length - 2, 4 * length, 3)])
    assert full == pytest.approx(longer, abs=1e-5)
    assert not np.allclose(full, shorter, atol=1e-3)


def test_no_text_gives_no_vector(chosen: Encoder) -> None:
    assert chosen.encode_texts([]).shape == (0, chosen.dimension)


def test_chosen_text_precision_keeps_the_vectors_of_real_captions(
    loaded: tuple[Any, Any], chosen: Encoder, shared_data: Path
) -> None:
    folder = shared_data / "flickr8k"
    if not folder.is_dir():
        pytest.skip(f"no captions in {folder}")
    captions = [photograph.captions[0].text for photograph in read_captions(folder, "train")[:200]]
    for first in range(0, len(captions), 100):
        texts = captions[first : first + 100]
        assert least_cosine(chosen.encode_texts(texts), plain_texts(loaded, texts)) >= 0.999


# -- precision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has_bf16", "mini_precisions", "transformer_precisions"),
    [
        (True, Precisions("fp32", "bf16"), Precisions("bf16", "bf16")),
        (False, Precisions("fp32", "fp32"), Precisions("fp32", "fp32")),
    ],
)
def test_fastest_precision_that_keeps_the_vectors_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    loaded: tuple[Any, Any],
    tiny: Encoder,
    has_bf16: bool,
    mini_precisions: Precisions,
    transformer_precisions: Precisions,
) -> None:
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: has_bf16)
    assert fastest_precisions("cpu", loaded[0]) == mini_precisions
    assert fastest_precisions("cpu", network_of(tiny)) == transformer_precisions
    assert fastest_precisions("mps", loaded[0]) == Precisions("fp32", "fp32")


@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_towers_can_have_different_precisions(
    name: str, tiny_folder: Path, loaded: tuple[Any, Any], tiny: Encoder
) -> None:
    model, tokenizer, _ = load_network("mini" if name == "mini" else f"local-dir:{tiny_folder}")
    size = preprocessing_of(model).size
    height, width = (size, size) if isinstance(size, int) else size
    optimised = optimise_for_inference(model, "cpu", Precisions("fp32", "bf16"), (height, width))
    assert {each.dtype for each in optimised.visual.parameters()} == {torch.float32}
    del optimised.visual
    assert {each.dtype for each in optimised.parameters()} == {torch.bfloat16}
    plain = plain_texts(loaded, TEXTS) if name == "mini" else tiny.encode_texts(TEXTS)
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(optimised.encode_text(tokenizer(TEXTS)).float()).numpy()
    assert least_cosine(vectors, plain) >= 0.999


def test_requested_precision_applies_to_both_towers(tiny: Encoder, chosen: Encoder) -> None:
    assert (tiny.precision, tiny.text_precision) == ("fp32", "fp32")
    assert chosen.fingerprint == Encoder.load("mini", device="cpu", precision="fp32").fingerprint
