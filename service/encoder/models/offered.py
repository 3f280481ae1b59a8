"""The models that `smysl models` lists.

Any other model that open_clip can load works too; of these, licence, size and languages come from their model cards.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.config import MINI, PREFERRED_MODEL

ENGLISH = "English"


@dataclass(frozen=True)
class OfferedModel:
    """A model that a person can choose, and what they need to know first.

    Attributes:
        name: the value for `--model`.
        title: a few words for a table.
        languages: a sentence fragment, "English" or "109 languages, Russian among them".
        licence: the licence of the weights, an SPDX name where there is one.
        download_mb: megabytes (1,000,000 bytes) to download, 0 for the built-in model.
        dimension: length of a vector.
        note: one sentence on what it is good for, or on a condition of its licence.
        repository: the weights' repository on the model hub; None for the built-in model.
        tokenizers: repositories of the hub with the tokenizer or the text tower's configuration.
    """

    name: str
    title: str
    languages: str
    licence: str
    download_mb: int
    dimension: int
    note: str
    repository: str | None = None
    tokenizers: tuple[str, ...] = ()


_SIGLIP2 = "109 languages, Russian among them"


def offered_models() -> list[OfferedModel]:
    """The offered models, the built-in one and the preferred one first."""
    return [
        OfferedModel(
            name=MINI,
            title="built-in",
            languages=ENGLISH,
            licence="Apache-2.0",
            download_mb=0,
            dimension=512,
            note="Part of the program, works at once and offline; the least accurate.",
        ),
        OfferedModel(
            name=PREFERRED_MODEL,
            title="SigLIP 2, base, patches of 32",
            languages=_SIGLIP2,
            licence="Apache-2.0",
            download_mb=1542,
            dimension=768,
            note="The recommended one: accurate, many languages, fast even without a graphics card.",
            repository="timm/ViT-B-32-SigLIP2-256",
            tokenizers=("timm/ViT-B-32-SigLIP2-256",),
        ),
        OfferedModel(
            name="ViT-B-16-SigLIP2-256/webli",
            title="SigLIP 2, base, patches of 16",
            languages=_SIGLIP2,
            licence="Apache-2.0",
            download_mb=1535,
            dimension=768,
            note="Recognises smaller things than the recommended one; takes about four times as long.",
            repository="timm/ViT-B-16-SigLIP2-256",
            tokenizers=("timm/ViT-B-16-SigLIP2-256",),
        ),
        OfferedModel(
            name="ViT-SO400M-16-SigLIP2-256/webli",
            title="SigLIP 2, 400 million parameters",
            languages=_SIGLIP2,
            licence="Apache-2.0",
            download_mb=4577,
            dimension=1152,
            note="The most accurate on this list; slow without a graphics card.",
            repository="timm/ViT-SO400M-16-SigLIP2-256",
            tokenizers=("timm/ViT-SO400M-16-SigLIP2-256",),
        ),
        OfferedModel(
            name="ViT-B-32/laion2b_s34b_b79k",
            title="CLIP, base, patches of 32",
            languages=ENGLISH,
            licence="MIT",
            download_mb=605,
            dimension=512,
            note="A well-known baseline.",
            repository="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        ),
        OfferedModel(
            name="ViT-L-14/laion2b_s32b_b82k",
            title="CLIP, large, patches of 14",
            languages=ENGLISH,
            licence="MIT",
            download_mb=1710,
            dimension=768,
            note="More accurate in English than the base ones; slow without a graphics card.",
            repository="laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        ),
        OfferedModel(
            name="MobileCLIP2-S0/dfndr2b",
            title="MobileCLIP 2, smallest",
            languages=ENGLISH,
            licence="Apple AMLR (apple-amlr)",
            download_mb=300,
            dimension=512,
            note="Small and quick; its licence allows research only and no commercial use.",
            repository="timm/MobileCLIP2-S0-OpenCLIP",
        ),
    ]


def offered_model(name: str) -> OfferedModel | None:
    """The offered model with this name, or None."""
    return next((model for model in offered_models() if model.name == name), None)


def languages_of(name: str) -> str | None:
    """The languages that a model reads, as a sentence fragment; None where they are not known."""
    model = offered_model(name)
    return model.languages if model else None
