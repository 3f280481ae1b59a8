"""One model with random weights for rclip and for smysl; rclip's own weights would have to come from a model hub.

    python -m eval.peer_model OUT PACKAGES

writes a ViT-B-32-256, the architecture of rclip 3.3, twice: OUT/model, a `local-dir` model for smysl, and OUT/rclip,
what rclip expects in `RCLIP_DATADIR`: both towers as ONNX in fp32, and the vocabulary. PACKAGES is the folder of Python
packages of rclip's environment, from which `onnx` is imported; smysl does not depend on it. The speed of a model does
not depend on its weights.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

ARCHITECTURE = "ViT-B-32-256"
SUBFOLDER = "ViT-B-32-256-datacomp_s34b_b86k"
"""Where rclip 3.3 looks for its towers in its data folder."""
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
_SIDE, _TOKENS = 256, 77


def write_models(out: Path) -> None:
    """Write both models; `onnx` must be importable."""
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    import open_clip
    import torch

    torch.manual_seed(0)
    model = open_clip.create_model(ARCHITECTURE, pretrained=None).eval()
    _write_for_smysl(model, out / "model")
    _write_for_rclip(model, out / "rclip")
    vocabulary = Path(open_clip.__file__).parent / VOCABULARY
    (out / "rclip" / "tokenizer").mkdir()
    shutil.copyfile(vocabulary, out / "rclip" / "tokenizer" / VOCABULARY)


def _write_for_smysl(model: Any, folder: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = {
        "model_cfg": open_clip.get_model_config(ARCHITECTURE),
        "preprocess_cfg": {
            "mean": list(open_clip.OPENAI_DATASET_MEAN),
            "std": list(open_clip.OPENAI_DATASET_STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    weights = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def _write_for_rclip(model: Any, folder: Path) -> None:
    import torch

    class PeerTower(torch.nn.Module):
        """One tower as a module of its own; the model is its submodule, so that the weights are exported."""

        def __init__(self, method: str) -> None:
            super().__init__()
            self.model, self.method = model, method

        def forward(self, inputs: Any) -> Any:
            return getattr(self.model, self.method)(inputs)

    (folder / SUBFOLDER).mkdir(parents=True)
    images = torch.zeros(2, 3, _SIDE, _SIDE)
    tokens = torch.zeros(2, _TOKENS, dtype=torch.int64)
    for name, tower, example in (
        ("visual", PeerTower("encode_image"), images),
        ("textual", PeerTower("encode_text"), tokens),
    ):
        torch.onnx.export(
            tower,
            (example,),
            str(folder / SUBFOLDER / f"{name}.onnx"),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    # Last on the path: only packages that are missing here come from the other environment.
    sys.path.append(sys.argv[2])
    write_models(Path(sys.argv[1]))
