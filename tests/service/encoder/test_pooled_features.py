"""Pooled image features come from the same pass as the vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from service.encoder.encoder import Encoder, features_fingerprint
from service.encoder.pooled_features import with_pooled_features
from service.encoder.runtimes.torch_towers import TorchTowers
from service.encoder.torchvision_compat import mend_torchvision
from service.types import Float32Array, UInt8Array

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def mini() -> Encoder:
    return Encoder.load("mini", device="cpu")


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (120, 90, 3), np.uint8)) for _ in range(2)]


def test_vectors_with_features_equal_those_without(mini: Encoder) -> None:
    prepared = [mini.prepare(picture) for picture in pictures()]
    vectors, features = mini.encode_with_features(prepared)
    assert np.allclose(vectors, mini.encode_prepared(prepared), atol=1e-5)
    assert features.shape == (2, 1280)
    assert features.dtype == np.float32
    assert np.allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-5)


def test_features_of_mini_have_their_own_fingerprint(mini: Encoder) -> None:
    assert mini.features_fingerprint == features_fingerprint(mini.fingerprint) != mini.fingerprint


@pytest.mark.parametrize(
    ("architecture", "width"),
    [("ViT-B-32", 768), ("RN50", 2048), ("ViT-B-32-SigLIP2-256", None), ("MobileCLIP2-S0", 1024)],
)
def test_features_are_the_input_of_the_final_projection(architecture: str, width: int | None) -> None:
    mend_torchvision()
    import open_clip
    import torch

    tower = open_clip.create_model(architecture, pretrained=None).visual.eval()
    side = tower.image_size[0] if isinstance(tower.image_size, tuple) else tower.image_size
    batch = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    feature_tower = with_pooled_features(tower)
    if width is None:
        assert feature_tower is None, "its embedding is what it pools"
        return
    assert feature_tower is not None
    with torch.inference_mode():
        output, features = feature_tower(batch)
        assert features.shape == (1, width)
        assert torch.allclose(output, tower(batch), atol=1e-5), "the tower is unchanged"


def test_model_without_pooled_features_uses_its_vectors(mini: Encoder) -> None:
    class Unpooled(TorchTowers):
        def __init__(self) -> None:
            pass

        def encode_pixels(self, pixels: UInt8Array) -> tuple[Float32Array, None]:
            return mini.towers.encode_pixels(pixels)[0], None

    encoder = Encoder("unpooled", replace(mini._spec, has_features=False), mini._tokenizer, Unpooled())
    vectors, features = encoder.encode_with_features([encoder.prepare(picture) for picture in pictures()])
    assert np.array_equal(vectors, features)
    assert encoder.features_fingerprint == encoder.fingerprint
