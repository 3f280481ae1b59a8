"""int8: kept only if the check holds, a model with its own fingerprint, which a library finds again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eval.retrieval import recalls
from service.config import Settings
from service.encoder.encoder import Encoder, features_fingerprint
from service.encoder.runtimes.model_cache import INT8, MANIFEST
from service.encoder.runtimes.probes import synthetic_photographs
from service.errors import DataError, MismatchError, ModelError, PhotographError, UsageError
from service.library import Library
from service.search.query import Query
from tests.conftest import Finished
from tests.service.colours import paint
from tests.training.tiny_towers import COLOURS
from training import int8
from training.int8 import QuantizationOutcome, describe_outcome, lost, train_int8

pytestmark = pytest.mark.e2e

Train = Callable[..., QuantizationOutcome]
Load = Callable[..., Encoder]

if find_spec("nncf") is None:
    pytest.skip("NNCF is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 captioned photographs of the split train, 10 of validation and 2 of test."""
    folder = tmp_path_factory.mktemp("captioned")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    lines = ["image\tcaption_id\tsplit\tcaption"]
    for number in range(60):
        colour = COLOURS[number % len(COLOURS)]
        pixels = np.asarray(Image.new("RGB", (40, 32), colour)).astype(int) + random.integers(-40, 40, (32, 40, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number}.png")
        split = "train" if number < 48 else "validation" if number < 58 else "test"
        lines += [f"{number}.png\t{number}#{each}\t{split}\t{colour} {number} {each}" for each in range(2)]
    (folder / "captions.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def train(tiny_folder: Path, data: Path, cache: Path) -> Train:
    def trained(**options: Any) -> QuantizationOutcome:
        options = {"data": data, "model": f"local-dir:{tiny_folder}", "cache": cache} | options
        return train_int8(**options)

    return trained


@pytest.fixture
def load(tiny_folder: Path, cache: Path) -> Load:
    def loaded(**options: Any) -> Encoder:
        return Encoder.load(f"local-dir:{tiny_folder}", **({"device": "cpu", "cache": cache} | options))

    return loaded


@pytest.fixture
def as_measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Replaces measured R@5 by these, one after the other; returns the arguments of each measurement."""

    def measured(*r5: tuple[float, float]) -> list[Any]:
        figures = iter(r5)
        calls: list[Any] = []

        def replaced(*arguments: Any) -> dict[str, float]:
            calls.append(arguments)
            texts, photographs = next(figures)
            return recalls(*arguments) | {"t2i_r5": texts, "i2t_r5": photographs}

        monkeypatch.setattr(int8, "recalls", replaced)
        return calls

    return measured


Measured = Callable[..., list[Any]]


def pixels(encoder: Encoder) -> list[Any]:
    return list(synthetic_photographs((encoder.photograph_side, encoder.photograph_side)))


def kept_folder(cache: Path) -> Path:
    (manifest,) = cache.glob(f"runtimes/*-{INT8}/{MANIFEST}")
    return manifest.parent


def test_a_model_that_passes_the_check_is_kept_with_a_fingerprint_of_its_own(
    train: Train, load: Load, cache: Path, as_measured: Measured, tiny: Encoder
) -> None:
    calls = as_measured((50.0, 60.0), (49.5, 60.5))
    outcome = train()
    assert [trial.holds for trial in outcome.trials] == [True]
    encoder, plain = load(precision="int8"), load()
    assert encoder.fingerprint == outcome.fingerprint != tiny.fingerprint
    assert encoder.base_fingerprint == plain.fingerprint == plain.base_fingerprint == tiny.fingerprint
    assert encoder.features_fingerprint == features_fingerprint(encoder.fingerprint)
    assert (encoder.precision, encoder.runtime) == ("int8", "openvino")
    assert encoder.text_precision == plain.text_precision != "int8"
    ours, theirs = encoder.encode_prepared(pixels(encoder)), plain.encode_prepared(pixels(encoder))
    cosines = (ours * theirs).sum(axis=1)
    assert cosines.min() > 0.9
    assert cosines.max() < 0.999999, "it is quantised"
    texts = ["a cat", "two dogs play in the snow"]
    assert encoder.encode_texts(texts) == pytest.approx(plain.encode_texts(texts), abs=1e-3)
    manifest = json.loads((kept_folder(cache) / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["converted"]["figures"]["t2i_r5"] == 50.0
    checked = [photographs for _, photographs, _ in calls]
    assert checked[0].shape == checked[1].shape == (36, 16)


def test_a_model_that_fails_the_check_is_not_kept(train: Train, load: Load, cache: Path, as_measured: Measured) -> None:
    as_measured((50.0, 60.0), (49.4, 61.0), (50.0, 59.0), (40.0, 40.0))
    outcome = train()
    assert outcome.fingerprint is None
    assert [trial.ends for trial in outcome.trials] == [1 / 8, 1 / 5, 1 / 3]
    assert not list(cache.glob(f"runtimes/*-{INT8}"))
    with pytest.raises(UsageError, match="has not been quantised on this machine"):
        load(precision="int8")
    rows = describe_outcome(outcome)
    assert rows["kept"] == "nothing"
    assert "R@5 loses 0.60 points" in rows["int8 except 25%"]


def test_fewer_layers_are_quantised_until_the_check_holds(train: Train, load: Load, as_measured: Measured) -> None:
    as_measured((50.0, 60.0), (49.0, 60.0), (49.6, 60.0))
    outcome = train()
    assert [trial.holds for trial in outcome.trials] == [False, True]
    assert load(precision="int8").fingerprint == outcome.fingerprint


def test_the_worse_direction_counts_and_half_a_point_is_allowed() -> None:
    figures = {"t2i_r5": 93.5, "i2t_r5": 97.4}
    assert lost(figures, {"t2i_r5": 93.0, "i2t_r5": 99.0}) == 0.5 == int8.MOST_LOST
    assert lost(figures, {"t2i_r5": 99.0, "i2t_r5": 96.4}) == 1.0
    assert lost(figures, {"t2i_r5": 94.5, "i2t_r5": 97.5}) == -0.1


def test_the_ends_of_a_tower_and_its_depthwise_convolutions_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    nncf = int8.import_nncf()
    chosen: dict[str, Any] = {}
    monkeypatch.setattr(nncf, "quantize", lambda graph, dataset, **options: chosen.update(options))

    class Operation:
        def __init__(self, name: str, kind: str) -> None:
            self.get_friendly_name, self.get_type_name = (lambda: name), (lambda: kind)

    class Graph:
        def get_ordered_ops(self) -> list[Operation]:
            kinds = ["Parameter", *["Convolution", "Relu"] * 4, "GroupConvolution", *["MatMul"] * 3, "Result"]
            return [Operation(str(number), kind) for number, kind in enumerate(kinds)]

    int8.quantise(nncf, Graph(), [np.zeros((8, 8, 3), np.uint8)], 1 / 8)
    assert chosen["ignored_scope"].names == ["1", "12", "9"]
    assert chosen["model_type"] is None


@pytest.mark.parametrize(("r5", "words"), [(99.0, "finds nearly all of these"), (50.0, None)])
def test_a_check_that_says_little_has_a_warning(
    train: Train, as_measured: Measured, r5: float, words: str | None
) -> None:
    as_measured((r5, r5), (r5, r5))
    warning = describe_outcome(train())["warning"]
    assert "fewer than 500 photographs" in warning
    assert ("finds nearly all of these" in warning) == (words is not None)


def test_calibration_and_check_are_disjoint_and_without_test_photographs(data: Path) -> None:
    calibration, checked = int8._draw_photographs(data, "train", seed=0)
    assert (len(calibration), len(checked)) == (12, 36)
    assert not {each.name for each in calibration} & {each.name for each in checked}
    assert {each.split for each in (*calibration, *checked)} == {"train"}
    calibration, checked = int8._draw_photographs(data, "validation", seed=0)
    assert (len(calibration), len(checked)) == (48, 10)
    assert {each.split for each in calibration} == {"train"}
    assert {each.split for each in checked} == {"validation"}


def test_of_many_photographs_some_are_drawn(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setattr(int8, "CALIBRATION", 9)
    monkeypatch.setattr(int8, "CHECKED", 20)
    calibration, checked = int8._draw_photographs(data, "train", seed=0)
    assert (len(calibration), len(checked)) == (9, 20)
    assert [each.name for each in int8._draw_photographs(data, "train", seed=0)[1]] == [each.name for each in checked]
    assert [each.name for each in int8._draw_photographs(data, "train", seed=1)[1]] != [each.name for each in checked]


def test_the_split_test_is_refused(train: Train) -> None:
    with pytest.raises(UsageError, match="split test is for the final measurement"):
        train(split="test")


def test_too_few_photographs_are_refused(train: Train, tmp_path: Path) -> None:
    (tmp_path / "few" / "images").mkdir(parents=True)
    paint(tmp_path / "few" / "images" / "red.png", "red")
    (tmp_path / "few" / "captions.tsv").write_text("image\tcaption_id\tsplit\tcaption\nred.png\t1\ttrain\tred\n")
    with pytest.raises(DataError, match="few has too few photographs: at least 8"):
        train(data=tmp_path / "few")


def test_a_photograph_that_cannot_be_read_is_named(train: Train, data: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(data, tmp_path / "broken")
    (broken / "images" / "3.png").write_bytes(b"no photograph")
    with pytest.raises(PhotographError, match=r"3\.png cannot be used as a photograph"):
        train(data=broken)


def test_without_nncf_the_error_says_what_to_install(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(UsageError, match=r"not installed here; run pip install 'smysl\[training\]'"):
        train()


def test_a_model_that_openvino_does_not_run_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.encoder.runtimes.convert.MIN_COSINE", 1.1)
    with pytest.raises(ModelError, match=r"Only models that OpenVINO runs can be quantised\. .* would change"):
        train()


def test_a_quantised_model_is_replaced_only_with_force(train: Train, as_measured: Measured) -> None:
    as_measured((50.0, 60.0), (50.0, 60.0), (50.0, 60.0), (50.0, 60.0))
    first = train()
    with pytest.raises(UsageError, match="has been quantised already"):
        train()
    assert train(force=True, seed=1).fingerprint != first.fingerprint


def test_a_full_disk_is_reported(train: Train, load: Load, as_measured: Measured, cache: Path) -> None:
    load()
    as_measured((50.0, 60.0), (50.0, 60.0))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.encoder.runtimes.model_cache.ModelCache.add", _full)
        with pytest.raises(ModelError, match=r"cannot be written \(No space left on device\)"):
            train()
    assert not list(cache.glob(f"runtimes/*-{INT8}"))


def _full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_nothing_is_reported_over_the_network() -> None:
    """In another process, because under pytest NNCF reports nothing anyway."""
    program = """
        import sys
        from training.int8 import import_nncf

        nncf = import_nncf()
        from nncf.telemetry.wrapper import telemetry
        print(type(telemetry).__name__, "openvino_telemetry" in sys.modules, "openvino.tools.ovc" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MagicMock", "False", "False"]


@pytest.fixture
def quantised(train: Train, as_measured: Measured) -> QuantizationOutcome:
    as_measured((50.0, 60.0), (50.0, 60.0))
    return train()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number, colour in enumerate(COLOURS[:3]):
        paint(tmp_path / "photographs" / f"{number}.png", colour)
    return tmp_path / "photographs"


@pytest.fixture
def opened(tiny_folder: Path, cache: Path, tmp_path: Path) -> Iterator[Callable[..., Library]]:
    libraries: list[Library] = []

    def open_library(**options: Any) -> Library:
        settings = Settings(library=tmp_path / "library", device="cpu", cache=cache, **options)
        libraries.append(Library.open(settings.library, settings, create=True))
        return libraries[-1]

    yield open_library
    for each in libraries:
        each.close()


def index(library: Library, *folders: Path) -> None:
    for _ in library.index(list(folders), encoder=library.encoder_to_index()):
        pass


def test_a_library_indexed_in_int8_is_opened_in_int8(
    quantised: QuantizationOutcome, opened: Callable[..., Library], photographs: Path, tiny_folder: Path
) -> None:
    index(opened(precision="int8", model=f"local-dir:{tiny_folder}"), photographs)
    again = opened()
    assert (again.encoder.precision, again.encoder.fingerprint) == ("int8", quantised.fingerprint)
    assert again.search(Query(text="red", min_match=0.0)).hits
    index(opened())
    assert opened().status().fingerprint == quantised.fingerprint, "an index run stays in int8 too"
    with pytest.raises(MismatchError, match=r"another version of the model .* than the one installed now"):
        opened(precision="fp32").check()


def test_a_library_changes_to_int8_and_back_on_request(
    quantised: QuantizationOutcome, opened: Callable[..., Library], photographs: Path, tiny_folder: Path, tiny: Encoder
) -> None:
    index(opened(model=f"local-dir:{tiny_folder}"), photographs)
    assert opened().encoder.fingerprint == tiny.fingerprint, "other libraries do not change to int8 by themselves"
    with pytest.raises(MismatchError, match="another version of the model"):
        opened(precision="int8").check()
    index(opened(precision="int8"))
    assert opened().encoder.fingerprint == quantised.fingerprint
    index(opened(precision="fp32"))
    assert opened().encoder.fingerprint == tiny.fingerprint


def test_a_model_is_recognised_after_its_files_were_copied(
    opened: Callable[..., Library], photographs: Path, tiny_folder: Path, tmp_path: Path, train: Train, load: Load,
    as_measured: Measured,
) -> None:  # fmt: skip
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    as_measured((50.0, 60.0), (50.0, 60.0))
    outcome = train(model=f"local-dir:{model}")
    index(opened(precision="int8", model=f"local-dir:{model}"), photographs)
    for times in (1, 2):
        for file in model.iterdir():
            shutil.copy(file, file.with_suffix(".again"))
            file.with_suffix(".again").replace(file)
        precision = "int8" if times == 2 else None
        assert opened(precision=precision).encoder.fingerprint == outcome.fingerprint


@pytest.mark.parametrize("damage", ["flipped bit", "manifest", "missing"])
def test_damaged_files_are_reported(
    quantised: QuantizationOutcome, opened: Callable[..., Library], load: Load, train: Train, as_measured: Measured,
    cache: Path, photographs: Path, tiny_folder: Path, damage: str,
) -> None:  # fmt: skip
    index(opened(precision="int8", model=f"local-dir:{tiny_folder}"), photographs)
    file = kept_folder(cache) / ("photographs.bin" if damage != "manifest" else MANIFEST)
    if damage == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content) if damage == "flipped bit" else b"{")
    sentence = r"The quantised model local-dir:.* cannot be used: .*-int8 is damaged\. Make it again"
    with pytest.raises(ModelError, match=sentence):
        load(precision="int8")
    with pytest.raises(ModelError, match=sentence):
        opened().check()
    as_measured((50.0, 60.0), (50.0, 60.0))
    train()
    assert load(precision="int8").precision == "int8"


def test_int8_needs_openvino(quantised: QuantizationOutcome, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="int8 needs OpenVINO; leave out --runtime torch"):
        load(precision="int8", runtime="torch")
    monkeypatch.setattr("service.encoder.runtimes.loading.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="int8 needs OpenVINO, which is not installed here"):
        load(precision="int8")


def test_the_match_of_a_model_is_valid_for_its_int8(quantised: QuantizationOutcome, load: Load, tmp_path: Path) -> None:
    from service.match.artifact import ScorerArtifact
    from service.match.scorer import find_artifact
    from tests.service.sample_artifacts import make_artifact

    encoder = load(precision="int8")
    match: ScorerArtifact = make_artifact(encoder.base_fingerprint)
    match.save(tmp_path / "match")
    assert find_artifact(encoder, tmp_path / "match") is not None


def test_the_command_prints_the_outcome(
    smysl: Callable[..., Finished], data: Path, tiny_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMYSL_CACHE", str(cache))
    command = ("train", "int8", "--data", data, "--model", f"local-dir:{tiny_folder}")
    monkeypatch.setattr(int8, "MOST_LOST", 100.0)
    done = smysl(*command)
    assert done.code == 0, done.err
    for word in ("recall at 1 / 5 / 10", "milliseconds", "R@5 loses", "warning", "kept"):
        assert word in done.out
    monkeypatch.setattr(int8, "MOST_LOST", -101.0)
    done = smysl(*command, "--force")
    assert (done.code, "Nothing was kept" in done.err) == (1, True)
    assert done.out.rstrip().endswith("nothing")
    measured = smysl("eval", "retrieval", "--data", data, "--model", command[-1], "--precision", "int8")
    assert measured.code == 0, "the model that was kept before stays"
