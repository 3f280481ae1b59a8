"""A model is converted for OpenVINO once, checked and cached; whatever goes wrong, torch gives the same vectors."""

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

import numpy as np
import pytest

from service.encoder.encoder import Encoder
from service.encoder.runtimes import loading, memory, openvino_towers
from service.encoder.runtimes.model_cache import MANIFEST
from service.encoder.runtimes.probes import synthetic_photographs
from service.errors import ModelError, UsageError
from service.store.array_files import write_checksummed

pytestmark = pytest.mark.e2e

TEXTS = ["a cat", "two dogs play in the snow", "собака"]
Load = Callable[..., Encoder]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def load(tiny_folder: Path, tmp_path: Path, said: list[str]) -> Load:
    """Loads the random CLIP with a cache of its own for each test."""

    def loaded(**options: Any) -> Encoder:
        options = {"device": "cpu", "cache": tmp_path / "cache", "say": said.append} | options
        return Encoder.load(f"local-dir:{tiny_folder}", **options)

    return loaded


def pixels(encoder: Encoder) -> list[Any]:
    side = encoder.photograph_side
    return list(synthetic_photographs((side, side)))


def assert_same_vectors(one: Encoder, other: Encoder) -> None:
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


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a network is loaded")

    monkeypatch.setattr("service.encoder.runtimes.loading.load_network", refuse)


def entry_folder(tmp_path: Path) -> Path:
    """The folder of the one cached model."""
    (manifest,) = (tmp_path / "cache").rglob(MANIFEST)
    return manifest.parent


# -- converted once ------------------------------------------------------------------------------------


def test_model_is_converted_once_and_gives_the_vectors_of_torch(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load()
    assert (first.runtime, first.notice) == ("openvino", None)
    assert "Converting the model" in said[0]
    assert_same_vectors(first, tiny)
    said.clear()
    forbid_networks(monkeypatch)
    second = load()
    assert second.runtime == "openvino"
    assert not said
    assert_same_vectors(second, tiny)


def test_torch_is_used_on_request(load: Load, said: list[str], tmp_path: Path) -> None:
    encoder = load(runtime="torch")
    assert (encoder.runtime, encoder.notice, said) == ("torch", None, [])
    assert not (tmp_path / "cache").exists()


def test_changed_model_is_not_taken_for_the_cached_one(
    tiny_folder: Path, tmp_path: Path, load: Load, tiny: Encoder
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    name = f"local-dir:{folder}"
    before = Encoder.load(name, device="cpu", cache=tmp_path / "cache")
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.51]
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    after = Encoder.load(name, device="cpu", cache=tmp_path / "cache")
    assert before.fingerprint == tiny.fingerprint != after.fingerprint
    assert not np.allclose(before.encode_prepared(pixels(before)), after.encode_prepared(pixels(after)), atol=1e-4)


@pytest.mark.parametrize("damage", ["flipped", "cut", "manifest", "gone", "older"])
def test_damaged_or_outdated_cache_entry_is_converted_again(
    load: Load, tiny: Encoder, said: list[str], tmp_path: Path, damage: str
) -> None:
    load()
    said.clear()
    folder = entry_folder(tmp_path)
    weights = folder / "texts.bin"
    if damage == "flipped":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(bytes(content))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "manifest":
        (folder / MANIFEST).write_text("{", encoding="utf-8")
    elif damage == "gone":
        (folder / MANIFEST).unlink()
    else:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        (folder / MANIFEST).write_text(json.dumps(manifest | {"openvino": "1"}), encoding="utf-8")
    again = load()
    assert again.runtime == "openvino"
    assert "Converting the model" in said[0]
    assert_same_vectors(again, tiny)


def test_two_conversions_at_once_give_one_result(load: Load, tiny: Encoder, said: list[str], tmp_path: Path) -> None:
    found: list[Encoder] = []
    threads = [threading.Thread(target=lambda: found.append(load())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert sum("Converting the model" in sentence for sentence in said) == 1
    for encoder in found:
        assert_same_vectors(encoder, tiny)
    assert entry_folder(tmp_path).name.startswith(tiny.fingerprint)
    assert not list((tmp_path / "cache" / "runtimes").glob(".new-*"))


# -- falling back --------------------------------------------------------------------------------------


def test_failed_conversion_is_reported_and_not_tried_again(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def refuse(*arguments: object) -> None:
        attempts.append(arguments)
        raise RuntimeError("No conversion rule found\nfor aten::odd")

    monkeypatch.setattr("service.encoder.runtimes.convert.graph_of", refuse)
    for _ in range(2):
        encoder = load()
        assert encoder.runtime == "torch"
        assert encoder.notice is not None
        assert "the image tower cannot be converted (No conversion rule found)" in encoder.notice
        assert encoder.notice == said[-1]
        assert_same_vectors(encoder, tiny)
    assert len(attempts) == 1


def test_graphs_that_change_vectors_are_not_used(load: Load, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.encoder.runtimes.convert.MIN_COSINE", 1.1)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "would change (least cosine" in encoder.notice
    assert_same_vectors(encoder, tiny)


def test_more_first_layers_stay_in_fp32_until_the_vectors_are_kept(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cosines = iter([0.99999, 0.9, 0.95, 0.9999])
    monkeypatch.setattr("service.encoder.runtimes.convert._min_cosine", lambda one, other: next(cosines))
    assert load(precision="bf16" if openvino_towers.has_bf16() else None).runtime == "openvino"
    converted = json.loads((entry_folder(tmp_path) / MANIFEST).read_text(encoding="utf-8"))["converted"]
    assert converted["precise_layers"] == 6
    assert (entry_folder(tmp_path) / "photographs.xml").read_text(encoding="utf-8").count('name="precise"') > 6


def test_torch_is_used_without_openvino(
    load: Load, tiny: Encoder, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "pip install openvino" in encoder.notice
    assert_same_vectors(encoder, tiny)


@pytest.mark.parametrize("requested", [None, "bf16"])
def test_processor_without_bf16_computes_in_fp32(
    load: Load, tiny: Encoder, requested: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_towers, "has_bf16", lambda: False)
    encoder = load(precision=requested)
    assert (encoder.runtime, encoder.precision) == ("openvino", "fp32")
    assert (encoder.notice is not None) == (requested == "bf16")
    assert_same_vectors(encoder, tiny)


def test_full_disk_leaves_torch(load: Load, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(graph: object, file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("service.encoder.runtimes.convert._write", full)
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "cannot be saved (No space left on device)" in encoder.notice
    assert_same_vectors(encoder, tiny)


def test_cache_folder_that_cannot_be_made_leaves_torch(load: Load, tiny: Encoder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    encoder = load(cache=tmp_path / "file")
    assert encoder.runtime == "torch"
    assert_same_vectors(encoder, tiny)


def test_too_little_memory_to_convert_leaves_torch(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_memory", lambda what: {"MemTotal": 10**12, "MemAvailable": 1000}[what])
    encoder = load()
    assert encoder.runtime == "torch"
    assert encoder.notice is not None
    assert "of memory" in encoder.notice


def test_model_larger_than_the_memory_raises_a_sentence(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_memory", lambda what: 1000)
    with pytest.raises(ModelError, match=r"takes .* GB and this machine has .* GB of memory; choose a smaller one"):
        load()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"runtime": "tensorrt"}, "no runtime “tensorrt”; choose openvino or torch"),
        ({"precision": "int8"}, "has not been quantised on this machine, .* `smysl train int8 --model local-dir:"),
        ({"precision": "int8", "runtime": "torch"}, "int8 needs OpenVINO; leave out --runtime torch"),
    ],
)
def test_impossible_options_raise_a_sentence(load: Load, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load(**options)


# -- the built-in model --------------------------------------------------------------------------------


def test_mini_imports_neither_torch_nor_telemetry() -> None:
    """In a separate process, where nothing else has imported anything."""
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
    bundled, torch = Encoder.load("mini", device="cpu"), Encoder.load("mini", device="cpu", runtime="torch")
    assert (bundled.runtime, torch.runtime) == ("openvino", "torch")
    assert bundled.fingerprint == torch.fingerprint
    assert (bundled.encode_texts(TEXTS) * torch.encode_texts(TEXTS)).sum(axis=1).min() > 0.999
    # The graphs were checked on real photographs; on synthetic ones they may lose a little more.
    assert (bundled.encode_prepared(pixels(bundled)) * torch.encode_prepared(pixels(torch))).sum(axis=1).min() > 0.995


# -- compiled graphs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["none", "flipped", "cut", "empty", "of another version"])
def test_damaged_compiled_graphs_are_compiled_again(
    load: Load, tiny: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    assert_same_vectors(load(), tiny)
    (blob,) = (tmp_path / "cache").rglob("texts.blob")
    content = bytearray(blob.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[100:]
    elif damage == "empty":
        content.clear()
    if damage == "of another version":
        assert write_checksummed(blob, b"something that OpenVINO does not know")
    else:
        blob.write_bytes(bytes(content))
    original, compiled = openvino_towers.compile_graph, []

    def counted(model: Any, precision: str) -> Any:
        compiled.append(model)
        return original(model, precision)

    monkeypatch.setattr(openvino_towers, "compile_graph", counted)
    assert_same_vectors(load(), tiny)
    assert len(compiled) == (damage != "none"), "the image tower's is intact"
    assert blob.read_bytes() == bytes(content) or damage != "none"
    assert_same_vectors(load(), tiny)
    assert len(compiled) == (damage != "none"), "and cached again"


def test_compiled_graphs_that_cannot_be_written_do_no_harm(load: Load, tiny: Encoder, tmp_path: Path) -> None:
    load()
    (tmp_path / "cache" / "runtimes" / "compiled").touch()
    assert_same_vectors(load(), tiny)
