"""What makes a model's towers quick on a machine and leaves their vectors alone: precision, order of the weights.

A library may be written on one machine and asked on another, so nothing here is part of the fingerprint, and
nothing may move a vector by more than rounding: the cosine with the model as it was loaded, in fp32, stays
above 0.999.
"""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What can be asked for, and what torch calls it."""

_PACKED_FOR_ROWS = 16
"""Tokens of a usual query; the library that multiplies picks a layout of the weights for as many rows."""

_SAME = 0.99999
"""Cosine of a tower's vectors before and after folding; rounding alone leaves seven nines."""


@dataclass(frozen=True)
class Precisions:
    """The precision of each tower: fp32, bf16 or fp16."""

    photographs: str
    texts: str


def fastest_precisions(device: str, model: Any) -> Precisions:
    """The fastest precision of each tower of an open_clip model that keeps its vectors.

    Transformers keep theirs in bf16. The many normalised convolutions of an EfficientNet do not: over 160
    photographs the cosine with fp32 had a median of 0.9986 and a minimum of 0.991, and folding the
    normalisation into the convolutions does not help. A text tower beside such a tower is a transformer all
    the same: over 1,000 captions the least cosine of `mini`'s was 0.9999.
    """
    import torch

    convolutional = _has_batch_norm(model)
    if device.startswith("cuda"):
        bf16 = not convolutional and torch.cuda.is_bf16_supported(including_emulation=False)
        return Precisions("bf16", "bf16") if bf16 else Precisions("fp16", "fp16")
    if device == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return Precisions("fp32" if convolutional else "bf16", "bf16")
    return Precisions("fp32", "fp32")


def settle(model: Any, device: str, precisions: Precisions, size: tuple[int, int]) -> Any:
    """Bring an open_clip model, loaded on the CPU in float32, to where and how it is used; returns it.

    `size` is height and width of the tower's photographs in pixels. The model given is changed and only good
    for inference after.
    """
    import torch

    model = model.eval().requires_grad_(False)
    visual = fold_batch_norms(model.visual, size) if device == "cpu" else model.visual
    # Each tower straight from float32 to its own precision: by way of the other's it would lose digits.
    del model.visual
    model = model.to(device=device, dtype=getattr(torch, PRECISIONS[precisions.texts]))
    dtype = getattr(torch, PRECISIONS[precisions.photographs])
    model.visual = visual.to(device=device, dtype=dtype, memory_format=torch.channels_last)
    tower = transformers_tower(model)
    if tower is not None and device == "cpu":
        pack_linears(tower)
    return model


def transformers_tower(model: Any) -> Any | None:
    """The text tower of an open_clip model where it is one of transformers, else None."""
    text = getattr(model, "text", None)
    return text if type(text).__name__ == "HFTextEncoder" else None


def fold_batch_norms(tower: Any, size: tuple[int, int]) -> Any:
    """A photograph tower in float32 with its batch normalisation as part of the convolutions before it.

    Each normalisation is a scale and a shift that are known in advance; folded in, `mini`'s tower needs
    11 % less time. Modules are paired as they are listed, and a tower may run them in another order, so the
    folded one is tried on one picture of noise of `size` (height, width): where its vector differs, the tower
    is returned as it was.
    """
    import torch

    if not _has_batch_norm(tower):
        return tower
    folded = copy.deepcopy(tower)
    for module in list(folded.modules()):
        _fold_children(module)
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        cosine = torch.nn.functional.cosine_similarity(tower(noise), folded(noise), dim=-1)
    return folded if float(cosine.min()) > _SAME else tower


def pack_linears(tower: Any) -> None:
    """Lay out the weights of a tower's linear layers for a few rows at a time, in place; x86 processors only.

    A query is about ten tokens, so its time is that of reading each weight once. torch reads them through
    MKL, or lays them out anew with each call; oneDNN with weights laid out once takes three quarters of the
    time. What is called here is what torch's own compiler (Inductor) calls on such processors.
    """
    import torch

    x86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    if not (x86 and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return
    ready = {torch.float32, torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else {torch.float32}
    for linear in [module for module in tower.modules() if type(module) is torch.nn.Linear]:
        if linear.weight.dtype in ready:
            packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _PACKED_FOR_ROWS)
            linear.weight = torch.nn.Parameter(packed, requires_grad=False)
            linear.forward = functools.partial(_packed_linear, linear)  # type: ignore[method-assign]


def _packed_linear(linear: torch.nn.Linear, rows: torch.Tensor) -> torch.Tensor:
    import torch

    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, linear.weight, linear.bias, "none", [], "")
    return result


def _has_batch_norm(module: Any) -> bool:
    import torch

    return any(isinstance(inner, torch.nn.BatchNorm2d) for inner in module.modules())


def _fold_children(parent: Any) -> None:
    """Fold each normalisation that stands right after a convolution of the same parent into it."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    children = list(parent.named_children())
    for (name, convolution), (norm_name, norm) in itertools.pairwise(children):
        if not (isinstance(convolution, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d)):
            continue
        if convolution.out_channels == norm.num_features and norm.running_mean is not None:
            setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
            # timm's normalisation carries the activation that follows it.
            setattr(parent, norm_name, getattr(norm, "act", torch.nn.Identity()))
