"""ImageNet's thousand classes as pseudo-photographs with texts, out of the tower's own classifier.

Flickr8k shows people and dogs. The classifier that came with the image tower knows a thousand other things:
the weights of a class point where photographs of that class lie among the pooled features. A row, centred,
brought to the length that features have, put on the mean feature, and joined by what makes one real
photograph differ from the mean (its surroundings, as it were), is a pseudo-photograph of the class. timm's
`ImageNetInfo` carries WordNet's synonyms and definitions, which make its texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.torchvision_mend import mend_torchvision

if TYPE_CHECKING:
    import torch

TEMPLATES = ("{}", "a {}", "a photo of a {}", "the {}", "a picture of {}", "{}s")
PAIR_TEMPLATES = ("a {} and a {}", "{} with {}", "a {} next to a {}")
PAIRED_SENTENCES = 3000


@dataclass(frozen=True)
class ClassText:
    """A text and the one or two classes that it names."""

    text: str
    classes: tuple[int, ...]


def class_texts(names: Sequence[str], definitions: Sequence[str], seed: int) -> list[ClassText]:
    """All texts for the classes: each synonym in each template, definitions, and sentences of two classes.

    `names` holds each class's synonyms, separated by commas, as ImageNetInfo gives them.
    """
    generator = np.random.default_rng(seed)
    synonyms = [[part.strip() for part in name.split(",")] for name in names]
    texts = [
        ClassText(template.format(word), (position,))
        for position, words in enumerate(synonyms)
        for word in words
        for template in TEMPLATES
    ]
    texts += [ClassText(definition, (position,)) for position, definition in enumerate(definitions)]
    for _ in range(PAIRED_SENTENCES if len(names) > 1 else 0):
        first, second = (int(each) for each in generator.choice(len(names), size=2, replace=False))
        template = PAIR_TEMPLATES[generator.integers(len(PAIR_TEMPLATES))]
        words = (str(generator.choice(synonyms[first])), str(generator.choice(synonyms[second])))
        texts.append(ClassText(template.format(*words), (first, second)))
    return texts


def imagenet_texts(seed: int) -> list[ClassText]:
    """The texts for the thousand classes of ImageNet-1k, in the classifier's order."""
    mend_torchvision()
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    names = list(info.label_descriptions(detailed=False))
    detailed = list(info.label_descriptions(detailed=True))
    definitions = [full.removeprefix(f"{name}: ") for name, full in zip(names, detailed, strict=True)]
    return class_texts(names, definitions, seed)


class ClassPhotographs:
    """Draws pseudo-photographs as standardised features.

    `rows` is float32 (classes, width), `features` float32 (n, width) the standardised features of real
    photographs, `deviation` (width,) what they were divided by; `noise` is the share of a real photograph's
    difference from the mean that is added.
    """

    def __init__(self, rows: torch.Tensor, features: torch.Tensor, deviation: torch.Tensor, *, noise: float) -> None:
        directions = (rows - rows.mean(dim=0)) / deviation
        self._length = float(features.norm(dim=1).mean())
        self._directions = directions / directions.norm(dim=1, keepdim=True)
        self._features = features
        self._noise = noise

    def draw(self, classes: Sequence[tuple[int, ...]], generator: torch.Generator) -> torch.Tensor:
        """Features float32 (n, width), one for each tuple of classes; two classes are mixed in equal parts."""
        import torch

        mixed = torch.stack([self._directions[list(each)].mean(dim=0) for each in classes])
        mixed = mixed / mixed.norm(dim=1, keepdim=True)
        chosen = torch.randint(len(self._features), (len(classes),), generator=generator)
        surroundings = self._noise * self._features[chosen]
        drawn: torch.Tensor = self._length * mixed + surroundings
        return drawn
