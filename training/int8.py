"""`smysl train int8`: a model's photograph tower in int8, kept where a check shows that it finds as much.

Post-training quantisation by NNCF: from what flows through the tower for some hundred photographs it takes the range
that the 256 steps of each layer have to span. The first and the last layers stay as they are, since they lose most;
where the check fails, more of them do. So do depthwise convolutions, which lose something and gain no time. The text
tower, for which a query is a matter of two milliseconds, is not quantised (docs/log.md, section 15).
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
from eval.retrieval import DEPTHS, TEXT_BATCH, recalls
from service.encoder.encoder import Encoder
from service.encoder.runtimes.model_cache import INT8, CachedModel, ModelCache
from service.errors import DataError, ModelError, PhotographError, UsageError
from service.types import Float32Array, Int64Array, OnStage, UInt8Array

if TYPE_CHECKING:
    from service.encoder.models import DownloadProgress
    from service.encoder.runtimes.loading import LoadedModel
    from service.encoder.runtimes.openvino_towers import OpenVinoTowers

MOST_LOST = 0.5
"""Points of R@5, either way, by which what is quantised may find less."""
CALIBRATION = 300
CHECKED = 1000
FEWEST = 8
ENOUGH = 500
"""Photographs of a check below which half a point is chance."""
EASY = 90.0
"""R@5 above which a check tells little, since what is nearly always right has room to spare."""
TRAIN, TEST = "train", "test"

_ENDS = (1 / 8, 1 / 5, 1 / 3)
"""The share of layers that is left as it is at either end, in the order in which that is tried."""
_DEPTHWISE = "GroupConvolution"
_WEIGHTED = ("Convolution", _DEPTHWISE, "MatMul")
_ATTENTION = ("ScaledDotProductAttention", "Softmax")
_BATCH = 16
_TIMED = 12
_TELLTALE = "openvino_telemetry"


@dataclass(frozen=True, slots=True)
class QuantizationTrial:
    """Figures (percent) of the tower with a share `ends` of layers at either end left as they were.

    `holds` is whether it may be kept.
    """

    ends: float
    figures: dict[str, float]
    holds: bool


@dataclass(frozen=True, slots=True)
class QuantizationOutcome:
    """What came of it: `fingerprint` of what is kept, None where nothing is.

    `figures` are those of the model as it runs unquantised in `precision`; `ms` and `int8_ms` are for a photograph.
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
    """A model that is loaded, and where models are kept."""

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
    """Prepared photographs (height, width, 3) to calibrate with and to check on, with the vectors of their texts."""

    calibration: list[UInt8Array]
    checked: list[UInt8Array]
    texts: Float32Array
    photograph_of: Int64Array

    def figures(self, encoder: Encoder, what: str, on_stage: OnStage) -> dict[str, float]:
        rows = []
        for first in range(0, len(self.checked), _BATCH):
            rows.append(encoder.encode_prepared(self.checked[first : first + _BATCH]))
            on_stage(what, min(first + _BATCH, len(self.checked)), len(self.checked))
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
    on_stage: OnStage = lambda what, done, total: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> QuantizationOutcome:
    """Quantise the photograph tower of `model`, check it, and keep it in the folder `cache` where it finds as much.

    `data` has `images/` and `captions.tsv`. Photographs of its split train calibrate; the check is on others of
    `split`, R@1/5/10 both ways beside the unquantised model as it runs on this machine.

    Raises:
        UsageError: nncf is missing; the split test; something is kept already, unless `force`.
        DataError: a fault of the data, or too few photographs.
        ModelError: the model does not load, OpenVINO does not compute it, or nothing can be kept.
    """
    if split == TEST:
        raise UsageError("The split test is for the last measurement; check on train, or on another split.")
    nncf = import_nncf()
    base = _unquantised(model, cache, timeout_s, on_download, say)
    fingerprint, encoder = base.loaded.spec.fingerprint, base.encoder
    present = base.cache.find_quantised(fingerprint)
    if isinstance(present, CachedModel) and not force:
        raise UsageError(
            f"The model {base.name} has been quantised already: `--precision int8` uses it. --force does it again; "
            "photographs of libraries that were made with it have to be encoded again then."
        )
    calibration, checked = _drawn(data, split, seed)
    material = _material(encoder, calibration, checked, on_stage)
    figures = material.figures(encoder, "checking as it is", on_stage)
    try:
        with base.cache.new_folder(fingerprint, INT8) as new:
            trials, quantised = _tried(nncf, base, material, figures, new, on_stage)
            ms, int8_ms = _ms(encoder, quantised.encoder, material.checked[:_BATCH])
            sizes = (len(calibration), len(checked), len(material.texts))
            own = quantised.loaded.spec.fingerprint if trials[-1].holds else None
            outcome = QuantizationOutcome(
                base.name, encoder.precision, split, *sizes, figures, trials, ms, int8_ms, own
            )
            if own is not None:
                _write_rest(base, new)
                base.cache.add(new, quantised.loaded.spec, INT8, asdict(outcome))
    except OSError as error:
        raise ModelError(f"What is quantised cannot be kept ({error.strerror or error}).") from None
    return outcome


def lost(figures: dict[str, float], in_int8: dict[str, float]) -> float:
    """Points of R@5 that are lost in int8, in the direction that loses more; below 0 where both gain."""
    return max(round(figures[name] - in_int8[name], 6) for name in ("t2i_r5", "i2t_r5"))


def describe_outcome(outcome: QuantizationOutcome) -> dict[str, str]:
    """Names and values of what came of it, for a terminal."""
    rows = {
        "model": outcome.model,
        "checked on": f"{outcome.photographs:,} photographs with {outcome.captions:,} captions, split {outcome.split}; "
        f"{outcome.calibration:,} others calibrated",
        outcome.precision: f"{_in_words(outcome.figures)} (recall at 1 / 5 / 10 in percent)",
    }
    for trial in outcome.trials:
        verdict = f"R@5 loses {lost(outcome.figures, trial.figures):.2f} points at most; {MOST_LOST} may be lost"
        rows[f"int8 but for {2 * trial.ends:.0%}"] = f"{_in_words(trial.figures)}\n{verdict}"
    rows["milliseconds"] = f"{outcome.ms:.1f} a photograph in {outcome.precision}, {outcome.int8_ms:.1f} in int8"
    beware = []
    if outcome.photographs < ENOUGH:
        beware.append(f"with fewer than {ENOUGH} photographs half a point is chance")
    if min(outcome.figures["t2i_r5"], outcome.figures["i2t_r5"]) > EASY:
        beware.append("the model finds nearly all of these; if it was trained on them, check on others (--split)")
    if beware:
        rows["beware"] = "\n".join(beware)
    rows["kept"] = f"fingerprint {outcome.fingerprint}" if outcome.fingerprint else "nothing"
    return rows


def import_nncf() -> Any:
    """The package nncf, imported without what reports its use to a server; `UsageError` where it is not installed."""
    from service.encoder.runtimes.openvino_towers import openvino
    from service.encoder.torchvision_compat import mend_torchvision

    mend_torchvision()
    aside = sys.modules.get(_TELLTALE)
    # NNCF does without where this cannot be imported, and says nothing to anybody.
    sys.modules[_TELLTALE] = None  # type: ignore[assignment]
    try:
        openvino()
        import nncf
    except ImportError:
        raise UsageError(
            "This needs OpenVINO and NNCF, not installed here; run pip install 'smysl[training]'."
        ) from None
    finally:
        sys.modules.pop(_TELLTALE)
        if aside is not None:
            sys.modules[_TELLTALE] = aside
    nncf.set_log_level(logging.ERROR)
    return nncf


def quantise(nncf: Any, graph: Any, photographs: Sequence[UInt8Array], ends: float) -> Any:
    """The graph of a photograph tower with weights and activations in int8.

    A share `ends` of its layers with weights at either end, and depthwise convolutions, stay as they are.
    """
    operations = graph.get_ordered_ops()
    weighted = [each.get_friendly_name() for each in operations if each.get_type_name() in _WEIGHTED]
    count = round(ends * len(weighted))
    left_out = {*weighted[:count], *weighted[len(weighted) - count :]}
    left_out |= {each.get_friendly_name() for each in operations if each.get_type_name() == _DEPTHWISE}
    attends = any(each.get_type_name() in _ATTENTION for each in operations)
    dataset = nncf.Dataset([photograph[None] for photograph in photographs])
    # Its bars are on standard output, where results belong.
    with redirect_stdout(io.StringIO()):
        return nncf.quantize(
            graph,
            dataset,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(photographs),
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
            ignored_scope=nncf.IgnoredScope(names=sorted(left_out)),
        )


# -- the model -------------------------------------------------------------------------------------------


def _unquantised(
    model: str,
    cache: Path | None,
    timeout_s: float,
    on_download: Callable[[DownloadProgress], None] | None,
    say: Callable[[str], None],
) -> _ModelAndCache:
    from service.encoder.models import parse_name
    from service.encoder.runtimes.loading import LoadOptions, load_model

    options = LoadOptions(parse_name(model).text, "cpu", None, "openvino", cache)
    loaded = load_model(options, timeout_s=timeout_s, on_progress=on_download, say=say)
    if loaded.towers.runtime != "openvino":
        raise ModelError(f"Only what OpenVINO computes can be quantised. {loaded.notice}")
    return _ModelAndCache(options.name, loaded, options.model_cache)


def _tried(
    nncf: Any, model: _ModelAndCache, material: _CheckData, figures: dict[str, float], new: Path, on_stage: OnStage
) -> tuple[list[QuantizationTrial], _ModelAndCache]:
    """Quantise into `new` until the check holds or no setting is left; all trials, and what the last one made."""
    trials: list[QuantizationTrial] = []
    for ends in _ENDS:
        what = f"all but {2 * ends:.0%} of layers"
        on_stage(f"quantising {what}", 0, 1)
        graph = quantise(nncf, model.towers.read_image_graph(), material.calibration, ends)
        on_stage(f"quantising {what}", 1, 1)
        quantised = _written(model, graph, new)
        measured = material.figures(quantised.encoder, f"checking {what}", on_stage)
        trials.append(QuantizationTrial(ends, measured, lost(figures, measured) <= MOST_LOST))
        if trials[-1].holds:
            break
    return trials, quantised


def _written(model: _ModelAndCache, graph: Any, folder: Path) -> _ModelAndCache:
    """Write a quantised photograph tower, and read it again: what is checked is what is kept."""
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
        # A later trial writes over the file.
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


def _write_rest(model: _ModelAndCache, folder: Path) -> None:
    """Write what a search needs beside the photograph tower, so that nothing hangs on another folder."""
    from service.encoder.runtimes.convert import TEXT_GRAPH
    from service.encoder.runtimes.openvino_towers import openvino
    from service.encoder.tokenizer import TOKENIZER_FILE, FileTokenizer

    openvino().save_model(model.towers.read_text_graph(), str(folder / TEXT_GRAPH), compress_to_fp16=True)
    if isinstance(model.loaded.tokenizer, FileTokenizer):
        shutil.copyfile(model.loaded.tokenizer.file, folder / TOKENIZER_FILE)


# -- the photographs -------------------------------------------------------------------------------------


def _drawn(data: Path, split: str, seed: int) -> tuple[list[CaptionedPhotograph], list[CaptionedPhotograph]]:
    """Photographs of the split train that calibrate, and others, of `split`, for the check; none is both."""
    train = read_captions(data, TRAIN)
    random = np.random.default_rng(seed)
    train = [train[place] for place in random.permutation(len(train))]
    calibration = min(CALIBRATION, len(train) // 4)
    checked = train[calibration:]
    if split != TRAIN:
        others = read_captions(data, split)
        calibration, checked = min(CALIBRATION, len(train)), [others[at] for at in random.permutation(len(others))]
    if calibration < FEWEST or len(checked) < FEWEST:
        raise DataError(
            f"{data} has too few photographs: at least {FEWEST} of the split {TRAIN} are needed to calibrate (a "
            f"quarter of them, where the others are what is checked) and {FEWEST} for the check; {ENOUGH} on_stage more."
        )
    return train[:calibration], checked[:CHECKED]


def _material(
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


# -- figures ---------------------------------------------------------------------------------------------


def _ms(one: Encoder, other: Encoder, photographs: Sequence[UInt8Array]) -> tuple[float, float]:
    """Milliseconds for a photograph with either encoder, one batch of each in turn; medians, what is first aside."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(1 + _TIMED):
        for encoder, measured in zip((one, other), times, strict=True):
            started = time.perf_counter()
            encoder.encode_prepared(photographs)
            measured.append(1000 * (time.perf_counter() - started) / len(photographs))
    return float(np.median(times[0][1:])), float(np.median(times[1][1:]))


def _in_words(figures: dict[str, float]) -> str:
    ways = {"t2i": "text to photograph", "i2t": "photograph to text"}
    return ", ".join(
        f"{words} {' / '.join(format(figures[f'{way}_r{depth}'], '.1f') for depth in DEPTHS)}"
        for way, words in ways.items()
    )
