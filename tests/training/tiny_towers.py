"""Tiny random towers and a few coloured photographs, for training runs of seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from service.encoder.torchvision_compat import mend_torchvision
from training.mini.pretrained_towers import ImageTower, TextTower

COLOURS = ("red", "green", "blue", "white", "black", "yellow", "purple", "orange")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "something", "very", *COLOURS]


def tiny_image_tower(side: int = 32) -> ImageTower:
    mend_torchvision()
    import timm
    import torch

    torch.manual_seed(1)
    network = timm.create_model("test_efficientnet", num_classes=0).eval().requires_grad_(False)
    half = (0.5, 0.5, 0.5)
    return ImageTower("test_efficientnet", network, network.num_features, side, half, half, None)


def tiny_text_tower(folder: Path, length: int = 16) -> TextTower:
    mend_torchvision()
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=length,
    )
    return TextTower(BertModel(config, add_pooling_layer=False).eval(), tokenizer, 16)


def coloured_data(folder: Path) -> Path:
    """Photographs of one colour each with two captions, 24 for training and 16 for testing, and the crowd's votes.

    The 256 votes, a quarter of them yes, are enough to fit a match; the texts are too few for features.
    """
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    lines, tests = ["image\tcaption_id\tsplit\tcaption"], []
    for number in range(40):
        colour = COLOURS[number % len(COLOURS)]
        split = "train" if number < 24 else "test"
        pixels = np.asarray(Image.new("RGB", (32, 32), colour)).astype(int) + generator.integers(-20, 20, (32, 32, 3))
        name = f"{number}.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / name)
        lines += [f"{name}\t{name}#0\t{split}\ta photo of something {colour}", f"{name}\t{name}#1\t{split}\t{colour}"]
        tests += [(name, colour)] * (split == "test")
    (folder / "captions.tsv").write_text("\n".join(lines) + "\n")
    votes = ["image\tcaption_id\tyes\tno"]
    for name, colour in tests:
        for other, text in tests:
            yes = 3 if colour == text else int(text == "white")
            votes.append(f"{name}\t{other}#1\t{yes}\t{3 - yes}")
    (folder / "crowd_ratings.tsv").write_text("\n".join(votes) + "\n")
    return folder
