"""Every offered model is one that open_clip knows, with its real dimension and size."""

import pytest

from service.config import MINI, PREFERRED_MODEL
from service.encoder.models import languages_of, offered_models, parse_name
from service.encoder.models.offered import OfferedModel
from service.encoder.torchvision_compat import mend_torchvision

DOWNLOADED = [model for model in offered_models() if model.repository]


def test_built_in_and_preferred_model_come_first() -> None:
    assert [model.name for model in offered_models()][:2] == [MINI, PREFERRED_MODEL]


def test_names_are_unique_and_no_field_is_empty() -> None:
    names = [model.name for model in offered_models()]
    assert len(set(names)) == len(names)
    for model in offered_models():
        assert all([model.title, model.languages, model.licence, model.note, model.dimension])
        assert (model.download_mb > 0) == (model.repository is not None)


@pytest.mark.parametrize("model", DOWNLOADED, ids=lambda model: model.name)
def test_model_is_in_open_clips_registry(model: OfferedModel) -> None:
    mend_torchvision()
    import open_clip

    parsed = parse_name(model.name)
    source = open_clip.get_pretrained_cfg(parsed.architecture, parsed.pretrained)
    configuration = open_clip.get_model_config(parsed.architecture)
    assert source["hf_hub"] == f"{model.repository}/"
    assert configuration["embed_dim"] == model.dimension
    text = configuration["text_cfg"]
    needed = {text[key] for key in ("hf_tokenizer_name", "hf_model_name") if text.get(key)}
    assert set(model.tokenizers) == needed


@pytest.mark.parametrize("model", [m for m in DOWNLOADED if "xlm" not in m.name], ids=lambda model: model.name)
def test_download_size_is_that_of_weights_and_tokenizer(model: OfferedModel) -> None:
    # The meta device gives exact shapes without allocating weights.
    mend_torchvision()
    import open_clip
    import torch

    with torch.device("meta"):
        built = open_clip.create_model(parse_name(model.name).architecture, device="meta")
    weights = sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()) / 1e6
    tokenizer = 36 if model.tokenizers else 0
    assert weights <= model.download_mb + 1
    assert model.download_mb <= weights + tokenizer + 1


def test_languages() -> None:
    assert languages_of(MINI) == "English"
    assert "Russian" in str(languages_of(PREFERRED_MODEL))
    assert languages_of("hf-hub:somebody/something") is None
