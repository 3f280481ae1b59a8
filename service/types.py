"""Types that every room shares: arrays by what their numbers are, and the callbacks of long work.

Shapes stand in the docstring of whoever takes or returns an array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyArray = NDArray[Any]
BoolArray = NDArray[np.bool_]
UInt8Array = NDArray[np.uint8]
Int8Array = NDArray[np.int8]
Int16Array = NDArray[np.int16]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float16Array = NDArray[np.float16]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

Say = Callable[[str], None]
"""Called with a sentence for the person who waits."""

OnProgress = Callable[[int, int], None]
"""Called with how many are done, and how many there are in all."""

OnStage = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and how much there is in all."""
