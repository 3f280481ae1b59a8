"""Loads a model with the fastest runtime for it on this machine.

On a CPU that is OpenVINO, with the graphs that come with the built-in model, cached graphs, or graphs converted now.
Whatever prevents that, torch gives the same vectors, and a sentence says why it is slower.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from service.compute.malloc import keep_memory
from service.config import MINI, default_cache
from service.encoder.models import OnDownload, is_on_this_machine, mini_folder, parse_name
from service.encoder.open_clip_model import choose_device, fingerprint_of, load_network, load_tokenizer
from service.encoder.runtimes import openvino_towers
from service.encoder.runtimes.bundled import BundledModel
from service.encoder.runtimes.memory import check_fits_into_memory, too_little_to_convert
from service.encoder.runtimes.model_cache import INT8, CachedModel, ModelCache, Unusable
from service.encoder.runtimes.model_spec import ModelSpec
from service.encoder.runtimes.towers import Towers
from service.encoder.tokenizer import TOKENIZER_FILE, FileTokenizer, Tokenizer, trimming_tokenizer
from service.errors import ModelError, UsageError
from service.types import Say

_WITHOUT_OPENVINO = "OpenVINO is not installed, so torch is used, two to four times slower; `pip install openvino`."


@dataclass(frozen=True)
class LoadOptions:
    """What to load; None leaves the choice to the machine, and for `cache` is the user's folder."""

    name: str
    device: str | None
    precision: str | None
    runtime: str | None
    cache: Path | None

    @property
    def model_cache(self) -> ModelCache:
        """The cache of converted models."""
        return ModelCache(self.cache if self.cache is not None else default_cache())


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready; `notice` says in a sentence why it is slower than it could be, else None."""

    spec: ModelSpec
    tokenizer: Tokenizer
    towers: Towers
    notice: str | None = None


def load_model(options: LoadOptions, *, timeout_s: float, on_progress: OnDownload | None, say: Say) -> LoadedModel:
    """Load a model with the fastest runtime for it; see `Encoder.load` for the errors."""
    device = _device(options)
    if device == "cpu":
        keep_memory()
    notice = _why_no_openvino(options, device)
    if options.precision == INT8:
        return _load_int8(options, notice, timeout_s, on_progress)
    precision = None
    if notice is None:
        precision, notice = _openvino_precision(options.precision)
        ready = _load_ready(options, precision, notice)
        if ready is not None:
            return ready
    check_fits_into_memory(options.name)
    network, tokenizer, config = load_network(options.name, timeout_s=timeout_s, on_progress=on_progress)
    if precision is not None:
        converted = _find_or_convert(options, network, tokenizer, config, precision, say)
        if isinstance(converted, CachedModel):
            return _load_cached(options, converted, precision, notice)
        notice = f"The model {options.name} runs on torch, slower than it could: {converted.reason}."
        say(notice)
    return _load_with_torch(options, network, tokenizer, config, device, notice or None)


def known_fingerprint(name: str, cache: ModelCache) -> str | None:
    """The fingerprint of the unquantised model `name`, without loading it; None where it is not known."""
    bundled = BundledModel.read(mini_folder()) if name == MINI else None
    return cache.fingerprint_of(name) if bundled is None else bundled.spec.fingerprint


# -- the choice ------------------------------------------------------------------------------------------


def _device(options: LoadOptions) -> str:
    needs_cpu = options.runtime == "openvino" or options.precision == INT8
    if options.device == "cpu" or (options.device is None and (needs_cpu or not _may_have_gpu())):
        return "cpu"
    device = choose_device(options.device)
    if needs_cpu and device != "cpu":
        raise UsageError(f"OpenVINO and int8 run on the processor, not on {device}; choose --device cpu.")
    return device


def _may_have_gpu() -> bool:
    """Whether it is worth importing torch to look for a GPU: without the device node of a driver there is none."""
    if sys.platform != "linux":
        return True
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def _why_no_openvino(options: LoadOptions, device: str) -> str | None:
    """None where OpenVINO is to be used, else the notice for a person, "" where nobody would expect OpenVINO."""
    if device != "cpu" or options.runtime == "torch" or options.precision == "fp16":
        return ""
    return _WITHOUT_OPENVINO if find_spec("openvino") is None else None


def _openvino_precision(requested: str | None) -> tuple[str, str | None]:
    """The precision that OpenVINO uses on this CPU, and a notice where it is not the requested one."""
    if requested == "bf16" and not openvino_towers.has_bf16():
        return "fp32", "This processor has no bf16, so fp32 is used; the vectors are the same."
    return requested or openvino_towers.fastest_precision(), None


# -- without torch ---------------------------------------------------------------------------------------


def _load_ready(options: LoadOptions, precision: str, notice: str | None) -> LoadedModel | None:
    """The model from graphs that exist already, without torch; None where there are none."""
    cache = options.model_cache
    bundled = BundledModel.read(mini_folder()) if options.name == MINI else None
    if bundled is not None and bundled.spec.tokenizer is not None:
        spec = bundled.spec
        tokenizer = FileTokenizer(mini_folder() / TOKENIZER_FILE, bundled.spec.tokenizer, spec.trimming)
        towers = bundled.towers(precision, cache.blob_folder(spec.fingerprint, precision))
        return LoadedModel(spec, tokenizer, towers, notice)
    fingerprint = cache.fingerprint_of(options.name)
    cached = None if fingerprint is None else cache.find(fingerprint, precision)
    return _load_cached(options, cached, precision, notice) if isinstance(cached, CachedModel) else None


def _load_cached(options: LoadOptions, cached: CachedModel, precision: str, notice: str | None) -> LoadedModel:
    from service.encoder.runtimes.convert import IMAGE_GRAPH, TEXT_GRAPH

    spec, read_graph = cached.spec, openvino_towers.openvino().Core().read_model
    towers = openvino_towers.OpenVinoTowers(
        partial(read_graph, cached.folder / IMAGE_GRAPH),
        partial(read_graph, cached.folder / TEXT_GRAPH),
        precision,
        options.model_cache.blob_folder(spec.fingerprint, precision),
        # The text tower is fast enough and never quantised.
        openvino_towers.fastest_precision() if precision == INT8 else precision,
    )
    tokenizer: Tokenizer
    if spec.tokenizer is not None:
        tokenizer = FileTokenizer(cached.folder / TOKENIZER_FILE, spec.tokenizer, spec.trimming)
    else:
        tokenizer = trimming_tokenizer(load_tokenizer(options.name), spec.trimming)
    return LoadedModel(spec, tokenizer, towers, notice)


def _load_int8(
    options: LoadOptions, why_no_openvino: str | None, timeout_s: float, on_progress: OnDownload | None
) -> LoadedModel:
    if options.runtime == "torch":
        raise UsageError("int8 needs OpenVINO; leave out --runtime torch, or choose another precision.")
    if why_no_openvino:
        raise UsageError("int8 needs OpenVINO, which is not installed here; run pip install openvino.")
    base = _base_fingerprint(options, timeout_s, on_progress)
    quantised = None if base is None else options.model_cache.find_quantised(base)
    command = f"`smysl train int8 --model {options.name} --data DIR`"
    if quantised is None:
        raise UsageError(
            f"The model {options.name} has not been quantised on this machine, and int8 is used only where a check has "
            f"shown that it finds as much: {command} does both."
        )
    if isinstance(quantised, Unusable):
        raise ModelError(
            f"The quantised model {options.name} cannot be used: {quantised.reason}. Make it again with {command}, or "
            "choose another precision."
        )
    return _load_cached(options, quantised, INT8, None)


def _base_fingerprint(options: LoadOptions, timeout_s: float, on_progress: OnDownload | None) -> str | None:
    """The fingerprint of the unquantised model; None where the model is not on this machine."""
    known = known_fingerprint(options.name, options.model_cache)
    if known is not None or (parse_name(options.name).folder is None and not is_on_this_machine(options.name)):
        return known
    check_fits_into_memory(options.name)
    # Its files have changed or moved since it was last loaded, perhaps only their names and times.
    fingerprint = fingerprint_of(*load_network(options.name, timeout_s=timeout_s, on_progress=on_progress))
    options.model_cache.note_fingerprint(options.name, fingerprint)
    return fingerprint


# -- from an open_clip network ---------------------------------------------------------------------------


def _load_with_torch(
    options: LoadOptions, network: Any, tokenizer: Any, config: dict[str, Any], device: str, notice: str | None
) -> LoadedModel:
    from service.encoder.runtimes.torch_inference import Precisions, fastest_precisions
    from service.encoder.runtimes.torch_towers import TorchTowers

    spec = ModelSpec.of_network(network, tokenizer, config)
    if options.precision is not None:
        precisions = Precisions(options.precision, options.precision)
    else:
        precisions = fastest_precisions(device, network)
    towers = TorchTowers(network, spec.preprocessing, device, precisions)
    return LoadedModel(spec, trimming_tokenizer(tokenizer, spec.trimming), towers, notice)


def _find_or_convert(
    options: LoadOptions, network: Any, tokenizer: Any, config: dict[str, Any], precision: str, say: Say
) -> CachedModel | Unusable:
    """The graphs of a loaded network, converted now where they are not cached."""
    fingerprint = fingerprint_of(network, tokenizer, config)
    cache = options.model_cache
    cache.note_fingerprint(options.name, fingerprint)
    cached = cache.find(fingerprint, precision)
    if cached is not None:
        return cached
    if reason := too_little_to_convert(options.name):
        return Unusable(reason)
    try:
        with cache.new_folder(fingerprint, precision) as folder:
            # Another process may have converted it while this one waited.
            cached = cache.find(fingerprint, precision)
            if cached is not None:
                return cached
            say(
                f"Converting the model {options.name} for this processor, once; afterwards searches and index runs are "
                "two to four times as fast."
            )
            return _convert(cache, network, tokenizer, config, precision, folder, say)
    except OSError as error:
        return Unusable(f"its graphs cannot be saved ({error.strerror or error})")


def _convert(
    cache: ModelCache, network: Any, tokenizer: Any, config: dict[str, Any], precision: str, folder: Path, say: Say
) -> CachedModel | Unusable:
    from service.encoder.runtimes.convert import ConversionError, convert

    spec = ModelSpec.of_network(network, tokenizer, config, folder)
    trimming = trimming_tokenizer(tokenizer, spec.trimming)
    try:
        result = convert(network, spec.preprocessing, trimming, folder, precision, say)
    except ConversionError as error:
        cache.add_failure(spec.fingerprint, precision, str(error))
        return Unusable(str(error))
    return cache.add(folder, spec, precision, asdict(result))
