"""The spec of a model keeps its names on disk, so that cached and bundled models stay readable."""

from __future__ import annotations

import json

import pytest

from service.encoder.preprocess import Preprocessing
from service.encoder.runtimes.model_spec import ModelSpec
from service.encoder.token_trimming import TokenTrimming
from service.encoder.tokenizer import TokenizerConfig

ON_DISK = {
    "fingerprint": "ab",
    "dimension": 16,
    "features": True,
    "preparation": {
        "size": [32, 48],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.1, 0.2, 0.3],
        "interpolation": "bicubic",
        "resize_mode": "squash",
        "fill_color": 0,
    },
    "sigmoid": [10.0, -5.0],
    "reading": {"context_length": 77, "pad": 0, "lower": True},
    "used": {"rule": "until padding", "token": 1},
    "base": "cd",
}
SPEC = ModelSpec(
    fingerprint="ab",
    dimension=16,
    has_features=True,
    preprocessing=Preprocessing((32, 48), (0.5, 0.5, 0.5), (0.1, 0.2, 0.3), "bicubic", "squash", 0),
    sigmoid=(10.0, -5.0),
    tokenizer=TokenizerConfig(77, 0, lower=True),
    trimming=TokenTrimming("until padding", 1),
    base="cd",
)


def test_names_on_disk_stay() -> None:
    assert json.loads(json.dumps(SPEC.as_json())) == ON_DISK
    assert ModelSpec.from_json(ON_DISK) == SPEC


def test_optional_fields_may_be_missing() -> None:
    content = {**ON_DISK, "sigmoid": None, "reading": None}
    del content["base"]
    spec = ModelSpec.from_json(content)
    assert (spec.sigmoid, spec.tokenizer, spec.base) == (None, None, None)


def test_incomplete_spec_is_refused() -> None:
    with pytest.raises(KeyError):
        ModelSpec.from_json({"fingerprint": "ab"})
