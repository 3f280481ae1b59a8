"""Model names that `--model` accepts, and the sentences for those that it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from service.config import PREFERRED_MODEL
from service.encoder.models import mini_folder, parse_name
from service.errors import UsageError


def test_built_in() -> None:
    parsed = parse_name(" mini ")
    assert (parsed.kind, parsed.text, parsed.folder) == ("mini", "mini", mini_folder())


def test_registry() -> None:
    parsed = parse_name(PREFERRED_MODEL)
    assert (parsed.kind, parsed.architecture, parsed.pretrained) == (
        "registry",
        "ViT-B-32-SigLIP2-256",
        "webli",
    )


def test_registry_in_one_spelling() -> None:
    assert str(parse_name("ViT-B-32/LAION2B-s34b-b79k")) == "ViT-B-32/laion2b_s34b_b79k"


def test_hub() -> None:
    parsed = parse_name("hf-hub:some-body/a.model_1")
    assert (parsed.kind, parsed.repository) == ("hub", "some-body/a.model_1")


def test_folder_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parsed = parse_name("local-dir:my model")
    assert (parsed.kind, parsed.folder) == ("folder", tmp_path / "my model")
    assert parsed.text == f"local-dir:{tmp_path / 'my model'}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is not a model name"),
        ("nonsense", "is not a model name: write mini, ARCH/PRETRAINED such as"),
        ("minni", "Did you mean mini?"),
        ("MINI", "Did you mean mini?"),
        ("siglip2", "Did you mean ViT-B-32-SigLIP2-256/webli?"),
        ("ViT-B-32", "Did you mean ViT-B-32/laion2b_s34b_b79k?"),
        ("ViT-B-32/", "Did you mean ViT-B-32/laion2b_s34b_b79k?"),
        ("ViT-B-32/laion2b", "“laion2b”. Did you mean ViT-B-32/laion2b_s34b_b79k?"),
        ("ViT-B-32/no-such-weights", "Did you mean ViT-B-32/openai?"),
        ("ViT-B-32/openia", "Did you mean ViT-B-32/openai?"),
        ("vit-b-32/openai", "Did you mean ViT-B-32/openai?"),
        ("/webli", "is not a model name"),
        ("ViT-B-33/openai", "no architecture “ViT-B-33”. Did you mean ViT-B-32/openai?"),
        ("../../etc/passwd", "no architecture “..”"),
        ("ViT-B-32-SigLIP2-256/webbli", "no weights “webbli”. Did you mean ViT-B-32-SigLIP2-256/webli?"),
        ("hf-hub:somebody", "write hf-hub:ORG/NAME"),
        ("hf-hub:some body/model", "write hf-hub:ORG/NAME"),
        ("hf-hub:../model/x", "write hf-hub:ORG/NAME"),
        ("local-dir:", "write local-dir:PATH"),
    ],
)
def test_wrong_name_raises_a_sentence(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_name(name)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_offered_models_import_no_torch() -> None:
    program = (
        "import sys; from service.encoder.models import offered_models, is_on_this_machine, parse_name;"
        "[is_on_this_machine(str(parse_name(m.name))) for m in offered_models()];"
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
