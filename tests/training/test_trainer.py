"""The training loop of fine-tuning: settings, loss and batches."""

from __future__ import annotations

import pytest
import torch

from service.encoder.torchvision_compat import mend_torchvision
from service.errors import UsageError
from training.trainer import TrainerSettings, draw_epoch, pair_loss


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("lock", "texts"), ("epochs", 0), ("batch", 1), ("rate", -1.0), ("rate", 1.0), ("weight_decay", -0.1)),
        *(("validation", 0.0), ("validation", 1.0), ("seed", -1), ("rate", float("nan"))),
    ],
)
def test_an_invalid_setting_is_refused_with_the_name_of_its_option(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^--{option.replace('_', '-')} is "):
        TrainerSettings(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [None, torch.tensor(-3.0)])
def test_the_loss_is_that_of_open_clip(bias: torch.Tensor | None) -> None:
    mend_torchvision()
    from open_clip.loss import ClipLoss, SigLipLoss

    torch.manual_seed(0)
    photographs, texts = torch.nn.functional.normalize(torch.randn(2, 6, 8), dim=-1)
    scale = torch.tensor(7.0)
    theirs = (ClipLoss() if bias is None else SigLipLoss())(photographs, texts, scale, bias)
    ours = pair_loss(photographs, texts, scale, bias, torch.zeros(6, 6, dtype=torch.bool))
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("bias", [None, torch.tensor(-3.0)])
def test_an_ignored_pair_is_neither_right_nor_wrong(bias: torch.Tensor | None) -> None:
    """Photographs 0 and 1 share a text, so their similarity to each other's must not matter."""
    torch.manual_seed(0)
    photographs = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    texts = torch.nn.functional.normalize(torch.randn(4, 8), dim=-1)
    ignored = torch.zeros(4, 4, dtype=torch.bool)
    ignored[0, 1] = ignored[1, 0] = True
    similar = texts.clone().requires_grad_()
    loss = pair_loss(photographs, similar, torch.tensor(5.0), bias, ignored)
    loss.backward()
    assert torch.isfinite(similar.grad).all()
    strict = pair_loss(photographs, texts, torch.tensor(5.0), bias, torch.zeros_like(ignored))
    assert loss < strict


def test_no_photograph_is_twice_in_a_batch_and_no_batch_is_tiny() -> None:
    texts_of = [[*range(30)], *([30 + number] for number in range(40))]
    for epoch in range(5):
        batches = draw_epoch(texts_of, 16, seed=0, epoch=epoch)
        for pairs in batches:
            assert len(pairs) >= 4
            assert len({photograph for photograph, _ in pairs}) == len(pairs)
            assert all(text in texts_of[photograph] for photograph, text in pairs)
    assert draw_epoch(texts_of, 16, 0, 1) == draw_epoch(texts_of, 16, 0, 1)
    assert draw_epoch(texts_of, 16, 0, 1) != draw_epoch(texts_of, 16, 0, 2)
    assert draw_epoch(texts_of, 16, 0, 1) != draw_epoch(texts_of, 16, 1, 1)
