"""Which runtime a model gets, and how it gets there: shipped graphs, kept ones, a conversion, or torch.

On a processor OpenVINO comes first. Whatever keeps it from being used, the model runs with torch and gives the same
vectors; a sentence says why it is slower.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.encoder.runtimes import Towers
from service.encoder.runtimes.model_cache import INT8, Conversion, KeptModels
from service.encoder.runtimes.model_spec import ModelFacts
from service.encoder.tokenizer import TOKENIZER, FileTokenizer, Tokenize
from service.errors import ModelError, UsageError
from service.types import Int64Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.encoder.models import DownloadProgress
    from service.encoder.token_trimming import UsedTokens

    Say = Callable[[str], None]

_WITHOUT_OPENVINO = "OpenVINO is not installed, so torch computes, two to four times as slowly; `pip install openvino`."
_ROOM_TO_CONVERT = 3.5
"""Memory that a conversion takes at its peak, in sizes of the model: torch's network, the graph, the compiled graph."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for; None lets the machine say. `cache` is the folder of converted models, None the user's."""

    name: str
    device: str | None
    precision: str | None
    runtime: str | None
    cache: Path | None

    @property
    def kept(self) -> KeptModels:
        """Converted models."""
        from service.config import default_cache

        return KeptModels(self.cache if self.cache is not None else default_cache())


@dataclass(frozen=True)
class Loaded:
    """A model that is ready; `notice` says in a sentence why it is slower than it might be, else None."""

    facts: ModelFacts
    tokenize: Tokenize
    towers: Towers
    notice: str | None = None


def load(
    wanted: Wanted, *, timeout_s: float, on_progress: Callable[[DownloadProgress], None] | None, say: Say
) -> Loaded:
    """Load a model with the quickest runtime there is for it; see `Encoder.load` for the errors."""
    from service.compute.malloc import keep_memory

    device = _device(wanted)
    if device == "cpu":
        keep_memory()
    why_not = _why_no_openvino(wanted, device)
    if wanted.precision == INT8:
        return _quantised(wanted, why_not, timeout_s, on_progress)
    precision, notice = None, why_not or None
    if why_not is None:
        precision, notice = _processor_precision(wanted.precision)
        ready = _ready(wanted, precision)
        if ready is not None:
            return Loaded(ready.facts, ready.tokenize, ready.towers, notice)
    _check_memory(wanted.name)
    from service.encoder.open_clip_model import load_network

    network, tokenizer, config = load_network(wanted.name, timeout_s=timeout_s, on_progress=on_progress)
    if precision is not None:
        outcome = _converted(wanted, network, tokenizer, config, precision, say)
        if outcome.folder is not None and outcome.facts is not None:
            return _of_folder(wanted, outcome.folder, outcome.facts, precision, outcome.reason or notice)
        notice = f"The model {wanted.name} is computed by torch, more slowly than it might be: {outcome.reason}."
        say(notice)
    return _on_torch(wanted, network, tokenizer, config, device, notice)


def tokenize_by(tokenizer: Any, used: UsedTokens) -> Tokenize:
    """How an open_clip tokenizer reads texts for a tower that looks at the tokens `used`."""

    def tokenize(texts: Sequence[str]) -> Int64Array:
        return used.of(np.asarray(tokenizer(list(texts)), np.int64))

    return tokenize


def facts_of(network: Any, tokenizer: Any, config: dict[str, Any], folder: Path | None = None) -> ModelFacts:
    """The facts of an open_clip network on the CPU in float32; its tokenizer's file goes to `folder`, if it has one."""
    from service.encoder.open_clip_model import fingerprint_of, preprocessing_of, sigmoid_of
    from service.encoder.pooled_features import pooling_of
    from service.encoder.preprocess import Preparation
    from service.encoder.runtimes.probes import TEXTS
    from service.encoder.token_trimming import used_tokens_of
    from service.encoder.tokenizer import file_of

    odd = ("", "собака бежит", "un café à la crème", "夜の街", "R&amp;B  \t naïve …", "cat " * 300)
    return ModelFacts(
        fingerprint=fingerprint_of(network, tokenizer, config),
        dimension=int(config["embed_dim"]),
        features=pooling_of(network.visual) is not None,
        preparation=Preparation.of(asdict(preprocessing_of(network))),
        sigmoid=sigmoid_of(network),
        reading=None if folder is None else file_of(tokenizer, folder, (*TEXTS, *odd)),
        used=used_tokens_of(network),
    )


# -- the choice ------------------------------------------------------------------------------------------


def _device(wanted: Wanted) -> str:
    on_processor = wanted.runtime == "openvino" or wanted.precision == INT8
    if wanted.device == "cpu" or (wanted.device is None and (on_processor or not _may_accelerate())):
        return "cpu"
    from service.encoder.open_clip_model import choose_device

    device = choose_device(wanted.device)
    if on_processor and device != "cpu":
        raise UsageError(f"OpenVINO and int8 are for the processor here, not for {device}; choose --device cpu.")
    return device


def _may_accelerate() -> bool:
    """Whether it is worth importing torch to ask for a GPU: where no driver of one is seen, there is none."""
    if sys.platform != "linux":
        return True
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def _why_no_openvino(wanted: Wanted, device: str) -> str | None:
    """None where OpenVINO is to be used; else the sentence for a person, "" where nobody would expect it."""
    if device != "cpu" or wanted.runtime == "torch" or wanted.precision == "fp16":
        return ""
    if find_spec("openvino") is None:
        return _WITHOUT_OPENVINO
    return None


def _processor_precision(asked: str | None) -> tuple[str, str | None]:
    """The precision that this processor computes in, and a sentence where it is not the one that was asked for."""
    from service.encoder.runtimes.openvino_towers import fastest_precision, has_bf16

    if asked == "bf16" and not has_bf16():
        return "fp32", "This processor does not compute in bf16 by itself, so fp32 is used; the vectors are the same."
    return asked or fastest_precision(), None


def _ready(wanted: Wanted, precision: str) -> Loaded | None:
    """The model from graphs that are there already, without torch."""
    from service.encoder.models import mini_folder

    kept = wanted.kept
    if wanted.name == "mini":
        from service.encoder.runtimes.bundled import Shipped

        shipped = Shipped.read(mini_folder())
        if shipped is not None and shipped.facts.reading is not None:
            tokenize = FileTokenizer(mini_folder() / TOKENIZER, shipped.facts.reading, shipped.facts.used)
            return Loaded(
                shipped.facts, tokenize, shipped.towers(precision, kept.compiled(shipped.facts.fingerprint, precision))
            )
    fingerprint = kept.fingerprint_of(wanted.name)
    outcome = None if fingerprint is None else kept.find(fingerprint, precision)
    if outcome is None or outcome.folder is None or outcome.facts is None:
        return None
    return _of_folder(wanted, outcome.folder, outcome.facts, precision, None)


def _of_folder(wanted: Wanted, folder: Path, facts: ModelFacts, precision: str, notice: str | None) -> Loaded:
    from service.encoder.open_clip_model import load_tokenizer
    from service.encoder.runtimes.convert import PHOTOGRAPHS, TEXTS_GRAPH
    from service.encoder.runtimes.openvino_towers import OpenVinoTowers, fastest_precision, openvino

    core = openvino().Core()
    towers = OpenVinoTowers(
        partial(core.read_model, folder / PHOTOGRAPHS),
        partial(core.read_model, folder / TEXTS_GRAPH),
        precision,
        wanted.kept.compiled(facts.fingerprint, precision),
        # The text tower, which is quick enough, is not quantised.
        fastest_precision() if precision == INT8 else precision,
    )
    if facts.reading is not None:
        return Loaded(facts, FileTokenizer(folder / TOKENIZER, facts.reading, facts.used), towers, notice)
    return Loaded(facts, tokenize_by(load_tokenizer(wanted.name), facts.used), towers, notice)


def _on_torch(
    wanted: Wanted, network: Any, tokenizer: Any, config: dict[str, Any], device: str, notice: str | None
) -> Loaded:
    from service.encoder.runtimes.torch_towers import TorchTowers
    from service.encoder.torch_precision import Precisions, fastest_precisions

    facts = facts_of(network, tokenizer, config)
    tokenize = tokenize_by(tokenizer, facts.used)
    if wanted.precision is not None:
        precisions = Precisions(wanted.precision, wanted.precision)
    else:
        precisions = fastest_precisions(device, network)
    return Loaded(facts, tokenize, TorchTowers(network, facts.preparation, device, precisions), notice or None)


# -- conversion ------------------------------------------------------------------------------------------


def _converted(
    wanted: Wanted, network: Any, tokenizer: Any, config: dict[str, Any], precision: str, say: Say
) -> Conversion:
    """The graphs of a loaded network, made now where they are not kept; or why there are none."""
    from service.encoder.open_clip_model import fingerprint_of

    fingerprint = fingerprint_of(network, tokenizer, config)
    kept = wanted.kept
    kept.note(wanted.name, fingerprint)
    found = kept.find(fingerprint, precision)
    if found is not None:
        return found
    room = _room_missing(wanted.name)
    if room is not None:
        return Conversion(None, None, room)
    try:
        with kept.converting(fingerprint, precision) as new:
            # Another process may have made them while this one waited.
            return kept.find(fingerprint, precision) or _convert(
                wanted.name, network, tokenizer, config, precision, new, kept, say
            )
    except OSError as error:
        return Conversion(None, None, f"its graphs cannot be kept ({error.strerror or error})")


def _convert(
    name: str,
    network: Any,
    tokenizer: Any,
    config: dict[str, Any],
    precision: str,
    new: Path,
    kept: KeptModels,
    say: Say,
) -> Conversion:
    from service.encoder.runtimes.convert import ConversionError, convert

    facts = facts_of(network, tokenizer, config, new)
    tokenize = tokenize_by(tokenizer, facts.used)
    say(f"Converting the model {name} for this processor, once; searches and runs are two to four times as fast then.")
    try:
        converted = convert(
            network, facts.preparation, tokenize, new, precision, lambda stage: say(f"Converting: {stage}.")
        )
    except ConversionError as error:
        kept.keep_reason(facts.fingerprint, precision, str(error))
        return Conversion(None, None, str(error))
    return Conversion(kept.keep(new, facts, precision, asdict(converted)), facts, None)


# -- int8 ------------------------------------------------------------------------------------------------


def noted_fingerprint(name: str, kept: KeptModels) -> str | None:
    """The fingerprint of a model that is not quantised, without loading it; None where that is not known."""
    from service.encoder.models import mini_folder
    from service.encoder.runtimes.bundled import Shipped

    shipped = Shipped.read(mini_folder()) if name == "mini" else None
    return kept.fingerprint_of(name) if shipped is None else shipped.facts.fingerprint


def _quantised(
    wanted: Wanted, why_not: str | None, timeout_s: float, on_progress: Callable[[DownloadProgress], None] | None
) -> Loaded:
    if wanted.runtime == "torch":
        raise UsageError("int8 is computed by OpenVINO; leave out --runtime torch, or choose another precision.")
    if why_not:
        raise UsageError("int8 is computed by OpenVINO, which is not installed here; run pip install openvino.")
    base = _base_fingerprint(wanted, timeout_s, on_progress)
    outcome = None if base is None else wanted.kept.find_quantised(base)
    again = f"`smysl train int8 --model {wanted.name} --data DIR`"
    if outcome is None:
        raise UsageError(
            f"The model {wanted.name} has not been quantised on this machine, and int8 is used only where a check has "
            f"shown that it finds as much: {again} does both."
        )
    if outcome.folder is None or outcome.facts is None:
        raise ModelError(
            f"What was quantised of the model {wanted.name} cannot be used: {outcome.reason}. Make it again with "
            f"{again}, or choose another precision."
        )
    return _of_folder(wanted, outcome.folder, outcome.facts, INT8, None)


def _base_fingerprint(
    wanted: Wanted, timeout_s: float, on_progress: Callable[[DownloadProgress], None] | None
) -> str | None:
    """The fingerprint of the model that is not quantised; None for one that is not on this machine."""
    from service.encoder.models import is_on_this_machine, parse_name

    noted = noted_fingerprint(wanted.name, wanted.kept)
    if noted is not None or (parse_name(wanted.name).folder is None and not is_on_this_machine(wanted.name)):
        return noted
    from service.encoder.open_clip_model import fingerprint_of, load_network

    _check_memory(wanted.name)
    # Its files have changed or moved since it was last loaded, and perhaps nothing but their names and times.
    fingerprint = fingerprint_of(*load_network(wanted.name, timeout_s=timeout_s, on_progress=on_progress))
    wanted.kept.note(wanted.name, fingerprint)
    return fingerprint


# -- memory ----------------------------------------------------------------------------------------------


def _check_memory(name: str) -> None:
    """Raise `ModelError` where a model on this machine is larger than its memory."""
    from service.encoder.models import bytes_on_disk

    size, memory = bytes_on_disk(name), _memory("MemTotal")
    if memory is not None and size > memory:
        raise ModelError(
            f"The model {name} takes {size / 1e9:.0f} GB and this machine has {memory / 1e9:.0f} GB of memory; choose "
            "a smaller one, `smysl models` lists what there is."
        )


def _room_missing(name: str) -> str | None:
    from service.encoder.models import bytes_on_disk

    needed, free = _ROOM_TO_CONVERT * bytes_on_disk(name), _memory("MemAvailable")
    if free is None or needed < free:
        return None
    return f"converting it takes about {needed / 1e9:.0f} GB of memory and {free / 1e9:.0f} GB are free"


def _memory(what: str) -> int | None:
    """Bytes of memory, "MemTotal" or "MemAvailable"; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")]
    return sizes[0] if sizes else None
