"""Makes torchvision from PyPI importable beside a CPU-only torch.

The wheels of torchvision on PyPI are compiled against the CUDA build of torch. Beside a CPU-only torch their compiled
library does not load, so the operators `nms` and `qnms` do not exist and the import fails with `operator
torchvision::nms does not exist`, and with it those of open_clip, timm and most of transformers. Nothing here calls
either operator: declaring their schemas is enough.
"""

from __future__ import annotations

import functools

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@functools.cache
def mend_torchvision() -> tuple[str, ...]:
    """Declare the operators that torchvision lacks; call it before the first import of torchvision.

    Does nothing where torchvision's compiled library loads. Returns the names that were declared. The declarations
    last as long as the process, so the function runs once.
    """
    import importlib.util
    from pathlib import Path

    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return ()
    for compiled in sorted(Path(found.origin).parent.glob("_C.*")):
        try:
            torch.ops.load_library(str(compiled))  # type: ignore[no-untyped-call]
        except OSError:
            continue
    missing = tuple(name for name in _SCHEMAS if not _exists(name))
    if missing:
        declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in missing:
            declared.define(_SCHEMAS[name])  # type: ignore[no-untyped-call]
        # torch drops an operator when the object that declared it is garbage-collected.
        setattr(torch.ops.torchvision, "_declared_by_smysl", declared)  # noqa: B010 - mypy knows no such attribute
    return missing


def _exists(name: str) -> bool:
    import torch

    return hasattr(torch.ops.torchvision, name)
