"""Makes open_clip's towers fast for inference in torch: precision, folded batch norms, packed weights.

A library may be indexed on one machine and searched on another, so nothing here is part of the fingerprint, and
nothing may change a vector by more than rounding: its cosine with the fp32 model as loaded stays above 0.999.
"""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from service.encoder.token_trimming import transformers_text_tower

if TYPE_CHECKING:
    import torch

TORCH_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Precision -> name of the torch dtype."""

_PACKED_FOR_ROWS = 16
"""Tokens of a usual query; oneDNN picks the layout of the weights for this many rows."""

_MIN_FOLDED_COSINE = 0.99999
"""Least cosine of a tower's outputs before and after folding; with rounding alone it is above 0.9999999."""


@dataclass(frozen=True)
class Precisions:
    """The precision of each tower: fp32, bf16 or fp16."""

    image: str
    text: str


def fastest_precisions(device: str, model: Any) -> Precisions:
    """The fastest precision of each tower of an open_clip model that keeps its vectors.

    Transformers keep theirs in bf16. An EfficientNet with its many batch-normalised convolutions does not: over 160
    photographs the cosine with fp32 had a median of 0.9986 and a minimum of 0.991, and folding the batch norms does
    not help. The text tower of such a model is a transformer all the same: over 1,000 captions the least cosine of
    `mini`'s was 0.9999.
    """
    import torch

    convolutional = _has_batch_norm(model)
    if device.startswith("cuda"):
        bf16 = not convolutional and torch.cuda.is_bf16_supported(including_emulation=False)
        return Precisions("bf16", "bf16") if bf16 else Precisions("fp16", "fp16")
    if device == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return Precisions("fp32" if convolutional else "bf16", "bf16")
    return Precisions("fp32", "fp32")


def optimise_for_inference(model: Any, device: str, precisions: Precisions, size: tuple[int, int]) -> Any:
    """Move an open_clip model, loaded on the CPU in float32, to its device and precisions, optimised; returns it.

    `size` is height and width of the image tower's input in pixels. The model is changed in place and good only for
    inference afterwards.
    """
    import torch

    model = model.eval().requires_grad_(False)
    visual = fold_batch_norms(model.visual, size) if device == "cpu" else model.visual
    # Each tower is cast from float32 directly: going through the other's precision would lose digits.
    del model.visual
    model = model.to(device=device, dtype=getattr(torch, TORCH_DTYPES[precisions.text]))
    dtype = getattr(torch, TORCH_DTYPES[precisions.image])
    model.visual = visual.to(device=device, dtype=dtype, memory_format=torch.channels_last)
    tower = transformers_text_tower(model)
    if tower is not None and device == "cpu":
        pack_linears(tower)
    return model


def fold_batch_norms(tower: Any, size: tuple[int, int]) -> Any:
    """Fold the batch norms of an image tower in float32 into the convolutions before them.

    At inference a batch norm is a constant scale and shift; folded, `mini`'s tower takes 11 % less time. Modules are
    paired in the order in which they are listed, and a tower may run them in another order, so the folded tower is
    tried on one noise image of `size` (height, width): where its output differs, the tower is returned unchanged.
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
    return folded if float(cosine.min()) > _MIN_FOLDED_COSINE else tower


def pack_linears(tower: Any) -> None:
    """Repack the weights of a tower's linear layers in place for a few rows at a time; x86 processors only.

    A query is about ten tokens, so its time is that of reading each weight once. torch multiplies through MKL or
    repacks the weights at each call; oneDNN with weights packed once takes three quarters of the time. These are the
    operators that torch's compiler (Inductor) uses on such processors.
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
    """Fold each batch norm that directly follows a convolution of the same parent into it."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    children = list(parent.named_children())
    for (name, convolution), (norm_name, norm) in itertools.pairwise(children):
        if not (isinstance(convolution, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d)):
            continue
        if convolution.out_channels == norm.num_features and norm.running_mean is not None:
            setattr(parent, name, fuse_conv_bn_eval(convolution, norm))
            # timm's batch norm includes the activation after it.
            setattr(parent, norm_name, getattr(norm, "act", torch.nn.Identity()))
