"""OpenVINO on a processor: converted once, checked, kept; whatever goes wrong, torch gives the same vectors."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service.encoder.encoder import Encoder
from service.encoder.models import mini_folder
from service.encoder.runtimes import loading, memory, openvino_towers
from service.encoder.runtimes.bundled import GRAPHS, WEIGHTS, BundledModel
from service.encoder.runtimes.convert import ConversionError, with_precise_layers
from service.encoder.runtimes.model_cache import MANIFEST
from service.encoder.runtimes.probes import COUNT, synthetic_photographs
from service.errors import ModelError, UsageError
from service.store.array_files import write_checksummed

TEXTS = ["a cat", "two dogs play in the snow", "собака"]
Load = Callable[..., Encoder]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def load(tiny_folder: Path, tmp_path: Path, said: list[str]) -> Load:
    """Loads the random CLIP with a cache of the test's own."""

    def loaded(**options: Any) -> Encoder:
        options = {"device": "cpu", "cache": tmp_path / "cache", "say": said.append} | options
        return Encoder.load(f"local-dir:{tiny_folder}", **options)

    return loaded


def pixels(encoder: Encoder) -> list[Any]:
    side = encoder.photograph_side
    return list(synthetic_photographs((side, side)))


def agree(one: Encoder, other: Encoder) -> None:
    assert one.fingerprint == other.fingerprint
    assert one.features_fingerprint == other.features_fingerprint
    assert one.dimension == other.dimension
    texts = (one.encode_texts(TEXTS) * other.encode_texts(TEXTS)).sum(axis=1)
    assert texts.min() > 0.999
    for ours, theirs in zip(
        one.encode_with_features(pixels(one)), other.encode_with_features(pixels(one)), strict=True
    ):
        assert ours.shape == theirs.shape
        assert (ours * theirs).sum(axis=1).min() > 0.998


def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a network is loaded")

    monkeypatch.setattr("service.encoder.runtimes.loading.load_network", refuse)


def kept(tmp_path: Path) -> Path:
    """The folder of the one model that is kept."""
    (facts,) = (tmp_path / "cache").rglob(MANIFEST)
    return facts.parent


# -- converted once ------------------------------------------------------------------------------------


def test_a_model_is_converted_once_and_gives_the_vectors_of_torch(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load()
    assert (first.runtime, first.notice) == ("openvino", None)
    assert "Converting the model" in said[0]
    agree(first, tiny)
    said.clear()
    without_networks(monkeypatch)
    second = load()
    assert second.runtime == "openvino"
    assert not said
    agree(second, tiny)


def test_torch_is_used_where_it_is_asked_for(load: Load, said: list[str], tmp_path: Path) -> None:
    encoder = load(runtime="torch")
    assert (encoder.runtime, encoder.notice, said) == ("torch", None, [])
    assert not (tmp_path / "cache").exists()


def test_a_changed_model_is_not_taken_for_the_kept_one(
    tiny_folder: Path, tmp_path: Path, load: Load, tiny: Encoder
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    name = f"local-dir:{folder}"
    before = Encoder.load(name, device="cpu", cache=tmp_path / "cache")
    facts = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    facts["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.51]
    (folder / "open_clip_config.json").write_text(json.dumps(facts), encoding="utf-8")
    after = Encoder.load(name, device="cpu", cache=tmp_path / "cache")
    assert before.fingerprint == tiny.fingerprint != after.fingerprint
    assert not np.allclose(before.encode_prepared(pixels(before)), after.encode_prepared(pixels(after)), atol=1e-4)


@pytest.mark.parametrize("harm", ["flipped", "cut", "facts", "gone", "older"])
def test_a_cache_that_is_not_whole_is_made_anew(
    load: Load, tiny: Encoder, said: list[str], tmp_path: Path, harm: str
) -> None:
    load()
    said.clear()
    place = kept(tmp_path)
    block = place / "texts.bin"
    if harm == "flipped":
        content = bytearray(block.read_bytes())
        content[len(content) // 2] ^= 1
        block.write_bytes(bytes(content))
    elif harm == "cut":
        block.write_bytes(block.read_bytes()[:100])
    elif harm == "facts":
        (place / MANIFEST).write_text("{", encoding="utf-8")
    elif harm == "gone":
        (place / MANIFEST).unlink()
    else:
        facts = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        (place / MANIFEST).write_text(json.dumps(facts | {"openvino": "1"}), encoding="utf-8")
    again = load()
    assert again.runtime == "openvino"
    assert "Converting the model" in said[0]
    agree(again, tiny)


def test_two_that_convert_at_once_get_one_result(load: Load, tiny: Encoder, said: list[str], tmp_path: Path) -> None:
    found: list[Encoder] = []
    threads = [threading.Thread(target=lambda: found.append(load())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert sum("Converting the model" in sentence for sentence in said) == 1
    for encoder in found:
        agree(encoder, tiny)
    assert kept(tmp_path).name.startswith(tiny.fingerprint)
    assert not list((tmp_path / "cache" / "runtimes").glob(".new-*"))


# -- falling back --------------------------------------------------------------------------------------


def test_a_converter_that_raises_is_told_and_not_tried_again(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def refuse(*arguments: object) -> None:
        tried.append(arguments)
        raise RuntimeError("No conversion rule found\nfor aten::odd")

    monkeypatch.setattr("service.encoder.runtimes.convert.graph_of", refuse)
    for _ in range(2):
        encoder = load()
        assert encoder.runtime == "torch"
        assert encoder.notice is not None
        assert "the image tower does not convert (No conversion rule found)" in encoder.notice
        assert encoder.notice == said[-1]
        agree(encoder, tiny)
    assert len(tried) == 1


def test_graphs_that_move_vectors_are_not_used(load: Load, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.encoder.runtimes.convert.MIN_COSINE", 1.1)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "would change (least cosine" in encoder.notice
    agree(encoder, tiny)


def test_first_layers_stay_precise_until_the_vectors_keep(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosines = iter([0.99999, 0.9, 0.95, 0.9999])
    monkeypatch.setattr("service.encoder.runtimes.convert._least_cosine", lambda one, other: next(cosines))
    assert load(precision="bf16" if openvino_towers.has_bf16() else None).runtime == "openvino"
    converted = json.loads((kept(tmp_path) / MANIFEST).read_text(encoding="utf-8"))["converted"]
    assert converted["precise_layers"] == 6
    assert (kept(tmp_path) / "photographs.xml").read_text(encoding="utf-8").count('name="precise"') > 6


def test_without_openvino_torch_computes(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "pip install openvino" in encoder.notice
    agree(encoder, tiny)


@pytest.mark.parametrize("asked", [None, "bf16"])
def test_a_processor_without_bf16_computes_in_fp32(
    load: Load, tiny: Encoder, asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_towers, "has_bf16", lambda: False)
    encoder = load(precision=asked)
    assert (encoder.runtime, encoder.precision) == ("openvino", "fp32")
    assert (encoder.notice is not None) == (asked == "bf16")
    agree(encoder, tiny)


def test_a_full_disk_does_not_keep_a_model_from_working(
    load: Load, tiny: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: object, file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("service.encoder.runtimes.convert._write", full)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "cannot be kept (No space left on device)" in encoder.notice
    agree(encoder, tiny)


def test_a_cache_folder_that_cannot_be_made_does_not_either(load: Load, tiny: Encoder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    encoder = load(cache=tmp_path / "file")
    assert encoder.runtime == "torch"
    agree(encoder, tiny)


def test_too_little_memory_to_convert_leaves_torch(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_memory", lambda what: {"MemTotal": 10**12, "MemAvailable": 1000}[what])
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "of memory" in encoder.notice


def test_a_model_larger_than_the_memory_gets_a_sentence(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_memory", lambda what: 1000)
    with pytest.raises(ModelError, match=r"takes .* GB and this machine has .* GB of memory; choose a smaller one"):
        load()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runtime": "tensorrt"}, "no runtime “tensorrt”; choose openvino or torch"),
        ({"precision": "int8"}, "has not been quantised on this machine, .* `smysl train int8 --model local-dir:"),
        ({"precision": "int8", "runtime": "torch"}, "int8 is computed by OpenVINO; leave out --runtime torch"),
    ],
)
def test_what_cannot_be_asked_for_gets_a_sentence(load: Load, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load(**options)


# -- the built-in model --------------------------------------------------------------------------------


def test_mini_needs_neither_torch_nor_a_report_over_the_network() -> None:
    """A process of its own, so that nothing else has imported anything."""
    program = """
        import sys
        from PIL import Image
        from service.encoder.encoder import Encoder

        encoder = Encoder.load("mini", device="cpu")
        encoder.encode_texts(["a cat", "naïve café"])
        encoder.encode_with_features([encoder.prepare(Image.new("RGB", (300, 200)))])
        assert encoder.runtime == "openvino", encoder.notice
        print(*sorted(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "openvino" in imported
    assert not imported & {
        "torch",
        "torchvision",
        "open_clip",
        "transformers",
        "openvino_telemetry",
        "openvino.tools.ovc",
    }


def test_mini_gives_the_vectors_of_torch() -> None:
    shipped, torch = Encoder.load("mini", device="cpu"), Encoder.load("mini", device="cpu", runtime="torch")
    assert (shipped.runtime, torch.runtime) == ("openvino", "torch")
    assert shipped.fingerprint == torch.fingerprint
    assert (shipped.encode_texts(TEXTS) * torch.encode_texts(TEXTS)).sum(axis=1).min() > 0.999
    # The graphs were made for photographs; on the drawn ones they may lose a little more.
    assert (shipped.encode_prepared(pixels(shipped)) * torch.encode_prepared(pixels(torch))).sum(axis=1).min() > 0.995


@pytest.mark.parametrize("harm", ["gone", "empty", "cut", "weights"])
def test_graphs_that_do_not_fit_the_weights_are_not_used(tmp_path: Path, harm: str) -> None:
    for name in (GRAPHS, WEIGHTS):
        shutil.copy(mini_folder() / name, tmp_path / name)
    assert BundledModel.read(tmp_path) is not None
    graphs = tmp_path / GRAPHS
    if harm == "gone":
        graphs.unlink()
    elif harm == "weights":
        with (tmp_path / WEIGHTS).open("r+b") as stream:
            stream.seek(-10, 2)
            stream.write(b"\0")
            stream.seek(-9, 2)
            stream.write(b"\1\2\3")
    else:
        graphs.write_bytes(graphs.read_bytes()[: 100 if harm == "cut" else 0])
    assert BundledModel.read(tmp_path) is None


# -- parts ---------------------------------------------------------------------------------------------


def test_as_many_layers_as_asked_for_are_marked() -> None:
    layers = "".join(
        f'<layer id="{place}" name="{place}" type="{kind}" />'
        for place, kind in enumerate(
            ["Parameter", "Const", "Convolution", "Add", "Const", "MatMul", "Clamp", "Convolution", "Result"]
        )
    )
    written = with_precise_layers(f"<net><layers>{layers}</layers></net>", 2)
    marked = ElementTree.fromstring(written)  # noqa: S314 - written here
    names = [
        layer.get("name")
        for layer in marked.iter("layer")
        if layer.find("rt_info/attribute[@name='precise']") is not None
    ]
    assert names == ["2", "3", "5", "6"]


def test_drawn_photographs_are_different_and_always_the_same() -> None:
    drawn = synthetic_photographs((24, 32))
    assert drawn.shape == (COUNT, 24, 32, 3)
    assert drawn.dtype == np.uint8
    assert len(np.unique(drawn.reshape(COUNT, -1), axis=0)) == COUNT
    assert np.array_equal(drawn, synthetic_photographs((24, 32)))


def test_a_conversion_says_which_part_failed() -> None:
    from service.encoder.runtimes.convert import _conversion_errors

    with (
        pytest.raises(ConversionError, match=r"the text tower does not convert \(ValueError\)"),
        _conversion_errors("the text tower"),
    ):
        raise ValueError


# -- compiled graphs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["none", "flipped", "cut", "empty", "of another version"])
def test_compiled_graphs_are_kept_and_made_anew_where_they_are_not_whole(
    load: Load, tiny: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    agree(load(), tiny)
    (blob,) = (tmp_path / "cache").rglob("texts.blob")
    content = bytearray(blob.read_bytes())
    if harm == "flipped":
        content[len(content) // 2] ^= 1
    elif harm == "cut":
        del content[100:]
    elif harm == "empty":
        content.clear()
    if harm == "of another version":
        assert write_checksummed(blob, b"something that OpenVINO does not know")
    else:
        blob.write_bytes(bytes(content))
    real, made = openvino_towers.compile_graph, []

    def counted(model: Any, precision: str) -> Any:
        made.append(model)
        return real(model, precision)

    monkeypatch.setattr(openvino_towers, "compile_graph", counted)
    agree(load(), tiny)
    assert len(made) == (harm != "none"), "the photograph tower's is whole"
    assert blob.read_bytes() == bytes(content) or harm != "none"
    agree(load(), tiny)
    assert len(made) == (harm != "none"), "what was made anew is kept"


def test_a_disk_that_takes_no_compiled_graph_is_no_fault(load: Load, tiny: Encoder, tmp_path: Path) -> None:
    load()
    (tmp_path / "cache" / "runtimes" / "compiled").touch()
    agree(load(), tiny)
