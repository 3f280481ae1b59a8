"""`smysl train int8`: quantises a model's photograph tower to int8, and keeps it if it finds as much as before.

Post-training quantisation by NNCF: the activations of a few hundred photographs give the range that the 256 steps of
each layer have to span. The first and last layers are not quantised, because they lose most; where the check fails,
more are left out. Nor are depthwise convolutions, which lose accuracy and gain no speed. The text tower, which takes
two milliseconds for a query, is not quantised either (docs/log.md, section 15).
"""

from __future__ import annotations

import io
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from data.captions import CaptionedPhotograph, read_captions
from eval.retrieval import TEXT_BATCH, recalls
from service.encoder.encoder import Encoder
from service.encoder.runtimes.model_cache import INT8, CachedModel, ModelCache
from service.errors import DataError, ModelError, PhotographError, UsageError
from service.types import Float32Array, Int64Array, OnStage, Say, UInt8Array
from training.validation import describe_recalls

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress
    from service.encoder.runtimes.loading import LoadedModel
    from service.encoder.runtimes.openvino_towers import OpenVinoTowers

MOST_LOST = 0.5
"""Points of R@5, in either direction, that the quantised model may lose."""
CALIBRATION = 300
"""Photographs to calibrate with at most."""
CHECKED = 1000
"""Photographs to check on at most."""
FEWEST = 8
"""Photographs to calibrate with, and to check on, at least."""
ENOUGH = 500
"""In a check on fewer photographs, half a point is within chance."""
EASY = 90.0
"""R@5 above which a check says little, because losses do not show in what is nearly always found."""
TRAIN, TEST = "train", "test"

_ENDS = (1 / 8, 1 / 5, 1 / 3)
"""The share of layers that is not quantised at each end of the tower, in the order in which they are tried."""
_DEPTHWISE = "GroupConvolution"
_WEIGHTED = ("Convolution", _DEPTHWISE, "MatMul")
_ATTENTION = ("ScaledDotProductAttention", "Softmax")
_BATCH = 16
_TIMED = 12
_TELEMETRY = "openvino_telemetry"


@dataclass(frozen=True, slots=True)
class QuantizationTrial:
    """Figures (percent) of the tower quantised except for a share `ends` of layers at each end.

    `holds` is whether it passed the check.
    """

    ends: float
    figures: dict[str, float]
    holds: bool


@dataclass(frozen=True, slots=True)
class QuantizationOutcome:
    """All trials, and the `fingerprint` of the quantised model, None where none was kept.

    `figures` are those of the model as it runs unquantised in `precision`; `ms` and `int8_ms` are milliseconds per
    photograph.
    """

    model: str
    precision: str
    split: str
    calibration: int
    photographs: int
    captions: int
    figures: dict[str, float]
    trials: list[QuantizationTrial]
    ms: float
    int8_ms: float
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class _ModelAndCache:
    """A loaded model, and the cache for converted models."""

    name: str
    loaded: LoadedModel
    cache: ModelCache

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.name, self.loaded.spec, self.loaded.tokenizer, self.loaded.towers)

    @property
    def towers(self) -> OpenVinoTowers:
        return cast("OpenVinoTowers", self.loaded.towers)


@dataclass(frozen=True, slots=True)
class _CheckData:
    """Preprocessed photographs (height, width, 3) to calibrate with and to check on, and vectors of their captions."""

    calibration: list[UInt8Array]
    checked: list[UInt8Array]
    texts: Float32Array
    photograph_of: Int64Array

    def figures(self, encoder: Encoder, stage: str, on_stage: OnStage) -> dict[str, float]:
        """Recalls (percent) of the photographs to check on."""
        rows = []
        for first in range(0, len(self.checked), _BATCH):
            rows.append(encoder.encode_prepared(self.checked[first : first + _BATCH]))
            on_stage(stage, min(first + _BATCH, len(self.checked)), len(self.checked))
        return recalls(self.texts, np.concatenate(rows), self.photograph_of)


def train_int8(
    data: Path,
    model: str,
    *,
    split: str = TRAIN,
    seed: int = 0,
    force: bool = False,
    cache: Path | None = None,
    timeout_s: float = 5.0,
    on_download: Callable[[DownloadProgress], None] | None = None,
    on_stage: OnStage = lambda stage, done, total: None,
    say: Say = lambda sentence: None,
) -> QuantizationOutcome:
    """Quantise the photograph tower of `model`, check it, and keep it in the folder `cache` if it finds as much.

    `data` has `images/` and `captions.tsv`. Photographs of its split train calibrate. The check compares R@1/5/10 in
    both directions, on other photographs of `split`, with the unquantised model as it runs on this machine.

    Raises:
        UsageError: nncf is missing, the split is test, or the model is already quantised, unless `force`.
        DataError: the data has a fault, or too few photographs.
        ModelError: the model does not load, OpenVINO cannot run it, or the result cannot be written.
    """
    if split == TEST:
        raise UsageError("The split test is for the final measurement; check on train, or on another split.")
    nncf = import_nncf()
    base = _unquantised(model, cache, timeout_s, on_download, say)
    fingerprint, encoder = base.loaded.spec.fingerprint, base.encoder
    present = base.cache.find_quantised(fingerprint)
    if isinstance(present, CachedModel) and not force:
        raise UsageError(
            f"The model {base.name} has been quantised already: `--precision int8` uses it. --force does it again, "
            "and libraries indexed with it then have to be encoded again."
        )
    calibration, checked = _draw_photographs(data, split, seed)
    check = _read_check_data(encoder, calibration, checked, on_stage)
    figures = check.figures(encoder, "checking unquantised", on_stage)
    try:
        with base.cache.new_folder(fingerprint, INT8) as new:
            trials, quantised = _run_trials(nncf, base, check, figures, new, on_stage)
            ms, int8_ms = _time_both(encoder, quantised.encoder, check.checked[:_BATCH])
            sizes = (len(calibration), len(checked), len(check.texts))
            own = quantised.loaded.spec.fingerprint if trials[-1].holds else None
            outcome = QuantizationOutcome(
                base.name, encoder.precision, split, *sizes, figures, trials, ms, int8_ms, own
            )
            if own is not None:
                _write_text_tower(base, new)
                base.cache.add(new, quantised.loaded.spec, INT8, asdict(outcome))
    except OSError as error:
        raise ModelError(f"The quantised model cannot be written ({error.strerror or error}).") from None
    return outcome


def lost(figures: dict[str, float], in_int8: dict[str, float]) -> float:
    """Points of R@5 lost in int8, in the direction that loses more; below 0 where both gain."""
    return max(round(figures[name] - in_int8[name], 6) for name in ("t2i_r5", "i2t_r5"))


def describe_outcome(outcome: QuantizationOutcome) -> dict[str, str]:
    """The outcome as names and values, for a terminal."""
    rows = {
        "model": outcome.model,
        "checked on": f"{outcome.photographs:,} photographs with {outcome.captions:,} captions, split {outcome.split}; "
        f"{outcome.calibration:,} others calibrated",
        outcome.precision: f"{describe_recalls(outcome.figures)} (recall at 1 / 5 / 10 in percent)",
    }
    for trial in outcome.trials:
        verdict = f"R@5 loses {lost(outcome.figures, trial.figures):.2f} points at most; {MOST_LOST} are allowed"
        rows[f"int8 except {2 * trial.ends:.0%}"] = f"{describe_recalls(trial.figures)}\n{verdict}"
    rows["milliseconds"] = f"{outcome.ms:.1f} per photograph in {outcome.precision}, {outcome.int8_ms:.1f} in int8"
    warnings = []
    if outcome.photographs < ENOUGH:
        warnings.append(f"with fewer than {ENOUGH} photographs, half a point is within chance")
    if min(outcome.figures["t2i_r5"], outcome.figures["i2t_r5"]) > EASY:
        warnings.append("the model finds nearly all of these; if it was trained on them, check on others (--split)")
    if warnings:
        rows["warning"] = "\n".join(warnings)
    rows["kept"] = f"fingerprint {outcome.fingerprint}" if outcome.fingerprint else "nothing"
    return rows


def import_nncf() -> Any:
    """The package nncf, imported without its telemetry; `UsageError` where it is not installed."""
    from service.encoder.runtimes.openvino_towers import openvino
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    telemetry = sys.modules.get(_TELEMETRY)
    # NNCF runs without telemetry where this import fails.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        openvino()
        import nncf
    except ImportError:
        raise UsageError(
            "This needs OpenVINO and NNCF, which are not installed here; run pip install 'smysl[training]'."
        ) from None
    finally:
        sys.modules.pop(_TELEMETRY)
        if telemetry is not None:
            sys.modules[_TELEMETRY] = telemetry
    nncf.set_log_level(logging.ERROR)
    return nncf


def quantise(nncf: Any, graph: Any, photographs: Sequence[UInt8Array], ends: float) -> Any:
    """The graph of a photograph tower with weights and activations in int8.

    A share `ends` of the layers with weights at each end, and depthwise convolutions, are not quantised.
    """
    operations = graph.get_ordered_ops()
    weighted = [each.get_friendly_name() for each in operations if each.get_type_name() in _WEIGHTED]
    count = round(ends * len(weighted))
    left_out = {*weighted[:count], *weighted[len(weighted) - count :]}
    left_out |= {each.get_friendly_name() for each in operations if each.get_type_name() == _DEPTHWISE}
    has_attention = any(each.get_type_name() in _ATTENTION for each in operations)
    dataset = nncf.Dataset([photograph[None] for photograph in photographs])
    # NNCF prints progress bars to standard output, where only results belong.
    with redirect_stdout(io.StringIO()):
        return nncf.quantize(
            graph,
            dataset,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(photographs),
            model_type=nncf.ModelType.TRANSFORMER if has_attention else None,
            ignored_scope=nncf.IgnoredScope(names=sorted(left_out)),
        )


def _unquantised(
    model: str,
    cache: Path | None,
    timeout_s: float,
    on_download: Callable[[DownloadProgress], None] | None,
    say: Say,
) -> _ModelAndCache:
    from service.encoder.models import parse_name
    from service.encoder.runtimes.loading import LoadOptions, load_model

    options = LoadOptions(parse_name(model).text, "cpu", None, "openvino", cache)
    loaded = load_model(options, timeout_s=timeout_s, on_progress=on_download, say=say)
    if loaded.towers.runtime != "openvino":
        raise ModelError(f"Only models that OpenVINO runs can be quantised. {loaded.notice}")
    return _ModelAndCache(options.name, loaded, options.model_cache)


def _run_trials(
    nncf: Any, model: _ModelAndCache, check: _CheckData, figures: dict[str, float], new: Path, on_stage: OnStage
) -> tuple[list[QuantizationTrial], _ModelAndCache]:
    """Quantise into `new` until the check holds or no setting is left; all trials, and the last quantised model."""
    trials: list[QuantizationTrial] = []
    for ends in _ENDS:
        layers = f"all but {2 * ends:.0%} of layers"
        on_stage(f"quantising {layers}", 0, 1)
        graph = quantise(nncf, model.towers.read_image_graph(), check.calibration, ends)
        on_stage(f"quantising {layers}", 1, 1)
        quantised = _write_image_tower(model, graph, new)
        measured = check.figures(quantised.encoder, f"checking {layers}", on_stage)
        trials.append(QuantizationTrial(ends, measured, lost(figures, measured) <= MOST_LOST))
        if trials[-1].holds:
            break
    return trials, quantised


def _write_image_tower(model: _ModelAndCache, graph: Any, folder: Path) -> _ModelAndCache:
    """Write a quantised photograph tower and read it back, so that the check is of the files that are kept."""
    import xxhash

    from service.encoder.runtimes.convert import IMAGE_GRAPH
    from service.encoder.runtimes.openvino_towers import OpenVinoTowers, openvino

    file = folder / IMAGE_GRAPH
    openvino().save_model(graph, str(file), compress_to_fp16=True)
    spec = model.loaded.spec
    digest = xxhash.xxh3_128(spec.fingerprint.encode())
    for part in (file, file.with_suffix(".bin")):
        digest.update(part.read_bytes())
    towers = OpenVinoTowers(
        # Read into memory, because a later trial overwrites the files.
        partial(openvino().Core().read_model, file.read_bytes(), _tensor(file.with_suffix(".bin"))),
        model.towers.read_text_graph,
        INT8,
        text_precision=model.towers.text_precision,
    )
    own = replace(spec, fingerprint=digest.hexdigest(), base=spec.fingerprint)
    return replace(model, loaded=replace(model.loaded, spec=own, towers=towers))


def _tensor(file: Path) -> Any:
    from service.encoder.runtimes.openvino_towers import openvino

    return openvino().Tensor(np.fromfile(file, np.uint8))


def _write_text_tower(model: _ModelAndCache, folder: Path) -> None:
    """Write the text tower and its tokenizer, so that the folder is complete by itself."""
    from service.encoder.runtimes.convert import TEXT_GRAPH
    from service.encoder.runtimes.openvino_towers import openvino
    from service.encoder.tokenizer import TOKENIZER_FILE, FileTokenizer

    openvino().save_model(model.towers.read_text_graph(), str(folder / TEXT_GRAPH), compress_to_fp16=True)
    if isinstance(model.loaded.tokenizer, FileTokenizer):
        shutil.copyfile(model.loaded.tokenizer.file, folder / TOKENIZER_FILE)


def _draw_photographs(data: Path, split: str, seed: int) -> tuple[list[CaptionedPhotograph], list[CaptionedPhotograph]]:
    """Photographs of the split train to calibrate with, and other photographs of `split` to check on."""
    train = read_captions(data, TRAIN)
    random = np.random.default_rng(seed)
    train = [train[row] for row in random.permutation(len(train))]
    calibration = min(CALIBRATION, len(train) // 4)
    checked = train[calibration:]
    if split != TRAIN:
        others = read_captions(data, split)
        calibration, checked = min(CALIBRATION, len(train)), [others[row] for row in random.permutation(len(others))]
    if calibration < FEWEST or len(checked) < FEWEST:
        raise DataError(
            f"{data} has too few photographs: at least {FEWEST} of the split {TRAIN} are needed to calibrate (a "
            f"quarter of them, if the others are checked on) and {FEWEST} to check on; {ENOUGH} are better."
        )
    return train[:calibration], checked[:CHECKED]


def _read_check_data(
    encoder: Encoder,
    calibration: Sequence[CaptionedPhotograph],
    checked: Sequence[CaptionedPhotograph],
    on_stage: OnStage,
) -> _CheckData:
    everything = [*calibration, *checked]
    prepared = []
    for done, photograph in enumerate(everything, start=1):
        prepared.append(_prepared(encoder, photograph))
        on_stage("reading photographs", done, len(everything))
    texts = [caption.text for photograph in checked for caption in photograph.captions]
    rows = []
    for first in range(0, len(texts), TEXT_BATCH):
        rows.append(encoder.encode_texts(texts[first : first + TEXT_BATCH]))
        on_stage("reading captions", min(first + TEXT_BATCH, len(texts)), len(texts))
    photograph_of = np.repeat(np.arange(len(checked)), [len(each.captions) for each in checked])
    return _CheckData(prepared[: len(calibration)], prepared[len(calibration) :], np.concatenate(rows), photograph_of)


def _prepared(encoder: Encoder, photograph: CaptionedPhotograph) -> UInt8Array:
    from service.photos.decode import open_photograph

    try:
        return encoder.prepare(open_photograph(photograph.path, shorter_side=2 * encoder.photograph_side).image)
    except PhotographError as error:
        raise PhotographError(f"{photograph.path} cannot be used as a photograph: {error.message}.") from None


def _time_both(one: Encoder, other: Encoder, photographs: Sequence[UInt8Array]) -> tuple[float, float]:
    """Median milliseconds per photograph of two encoders, batches in turn, the first of each not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 + _TIMED):
        for encoder, measured in zip((one, other), times, strict=True):
            started = time.perf_counter()
            encoder.encode_prepared(photographs)
            measured.append(1000 * (time.perf_counter() - started) / len(photographs))
    return float(np.median(times[0][1:])), float(np.median(times[1][1:]))
