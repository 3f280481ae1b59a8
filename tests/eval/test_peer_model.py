"""The same random weights for two programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.peer_model import SUBFOLDER, VOCABULARY, write_models

pytestmark = pytest.mark.e2e


def test_both_programs_get_the_same_weights_where_they_expect_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records the towers that would be exported: the package that writes ONNX files is no dependency of smysl."""
    import torch

    written: dict[str, Any] = {}

    def export(tower: Any, example: Any, file: str, **options: Any) -> None:
        with torch.no_grad():
            written[Path(file).relative_to(tmp_path).as_posix()] = (tower, tower(*example).shape, options)

    monkeypatch.setattr("torch.onnx.export", export)
    write_models(tmp_path)
    assert set(written) == {f"rclip/{SUBFOLDER}/visual.onnx", f"rclip/{SUBFOLDER}/textual.onnx"}
    _, shape, options = written[f"rclip/{SUBFOLDER}/visual.onnx"]
    assert tuple(shape) == (2, 512)
    assert options["input_names"] == ["input"]
    assert (tmp_path / "rclip" / "tokenizer" / VOCABULARY).is_file()

    import open_clip

    from service.encoder.encoder import Encoder

    encoder = Encoder.load(f"local-dir:{tmp_path / 'model'}", device="cpu", precision="fp32", runtime="torch")
    assert (encoder.dimension, encoder.photograph_side) == (512, 256)
    tower = written[f"rclip/{SUBFOLDER}/textual.onnx"][0]
    with torch.no_grad():
        theirs = tower(open_clip.get_tokenizer("ViT-B-32-256")(["two dogs"]))[0].numpy()
    ours = encoder.encode_texts(["two dogs"])[0]
    assert float(ours @ theirs / np.linalg.norm(theirs)) > 0.999
