"""Pseudo-photographs of ImageNet's thousand classes with texts, made from the tower's own classifier.

Flickr8k shows people and dogs. The classifier that came with the image tower knows a thousand other things: the weights
of a class point to where photographs of that class are in feature space. A pseudo-photograph is the mean feature, plus
a row of the classifier, centred and scaled to the length of features, plus some of the difference of a random real
photograph from the mean (its surroundings, so to speak). The texts are WordNet's synonyms and definitions, from timm's
`ImageNetInfo`, and the classes' hypernyms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.encoder.torchvision_compat import mend_torchvision
from training.mini.hypernyms import Hypernym, read_hypernyms

if TYPE_CHECKING:
    import torch

TEMPLATES = ("{}", "a {}", "a photo of a {}", "the {}", "a picture of {}", "{}s")
PAIR_TEMPLATES = ("a {} and a {}", "{} with {}", "a {} next to a {}")
HYPERNYM_TEMPLATES = ("{}", "a {}", "a photo of a {}", "{}s")
PAIRED_SENTENCES = 3000
LIKELY = 0.05
"""Classifier probability from which a real photograph may show what a text names."""


@dataclass(frozen=True)
class ClassText:
    """A text and the classes that it names: all of them together or, for a hypernym, any one of them."""

    text: str
    classes: tuple[int, ...]
    any_class: bool = False


def class_texts(names: Sequence[str], definitions: Sequence[str], seed: int) -> list[ClassText]:
    """All texts of the classes: each synonym in each template, definitions, and sentences about two classes.

    `names` are each class's synonyms, separated by commas, as in ImageNetInfo.
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


def hypernym_texts(hypernyms: Sequence[Hypernym]) -> list[ClassText]:
    """The texts of hypernyms: each word in each template."""
    return [
        ClassText(template.format(each.word), each.classes, any_class=True)
        for each in hypernyms
        for template in HYPERNYM_TEMPLATES
    ]


def imagenet_texts(seed: int) -> list[ClassText]:
    """The texts of ImageNet-1k's thousand classes, in the classifier's order, and of their hypernyms."""
    mend_torchvision()
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    names = list(info.label_descriptions(detailed=False))
    detailed = list(info.label_descriptions(detailed=True))
    definitions = [full.removeprefix(f"{name}: ") for name, full in zip(names, detailed, strict=True)]
    return class_texts(names, definitions, seed) + hypernym_texts(read_hypernyms())


def class_shares(rows: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """The classifier's probabilities of what photographs show, float16 (n, classes).

    `rows` (classes, width) are its weights, `pooled` (n, width) its input features. The biases are left out, because
    they are small.
    """
    return (pooled @ rows.T).softmax(dim=1).half()


def may_show(shares: torch.Tensor, texts: Sequence[ClassText]) -> torch.Tensor:
    """Bool (n, texts): whether a real photograph may show what a text of classes names.

    Where it may, text and photograph do not count as wrong answers for each other.
    """
    import torch

    named = torch.zeros(shares.shape[1], len(texts))
    for column, text in enumerate(texts):
        named[list(text.classes), column] = 1
    return shares.float() @ named > LIKELY


def draw_classes(texts: Sequence[ClassText], count: int, generator: torch.Generator) -> list[int]:
    """Indices of at most `count` texts of distinct classes.

    Two texts of one class in a batch would count as wrong answers for each other's photographs.
    """
    import torch

    taken: set[int] = set()
    chosen: list[int] = []
    if count == 0:
        return chosen
    for candidate in torch.randperm(len(texts), generator=generator).tolist():
        classes = texts[candidate].classes
        if taken.isdisjoint(classes):
            taken.update(classes)
            chosen.append(candidate)
        if len(chosen) == count:
            break
    return chosen


class ClassPhotographs:
    """Draws pseudo-photographs as standardised features.

    Args:
        rows: (classes, width) float32, the weights of the classifier.
        features: (n, width) float32, standardised features of real photographs.
        deviation: (width,), the standard deviations that features were divided by.
        noise: the share of a real photograph's difference from the mean that is added.
    """

    def __init__(self, rows: torch.Tensor, features: torch.Tensor, deviation: torch.Tensor, *, noise: float) -> None:
        directions = (rows - rows.mean(dim=0)) / deviation
        self._length = float(features.norm(dim=1).mean())
        self._directions = directions / directions.norm(dim=1, keepdim=True)
        self._features = features
        self._noise = noise

    def draw(self, texts: Sequence[ClassText], generator: torch.Generator) -> torch.Tensor:
        """Features float32 (n, width), one for each text.

        Several classes of a text are mixed in equal parts; of a hypernym's classes one is drawn.
        """
        import torch

        mixed = torch.stack([self._directions[_draw_class(each, generator)].mean(dim=0) for each in texts])
        mixed = mixed / mixed.norm(dim=1, keepdim=True)
        chosen = torch.randint(len(self._features), (len(texts),), generator=generator)
        surroundings = self._noise * self._features[chosen]
        drawn: torch.Tensor = self._length * mixed + surroundings
        return drawn


def _draw_class(text: ClassText, generator: torch.Generator) -> list[int]:
    """The classes that a pseudo-photograph shows."""
    import torch

    if not text.any_class:
        return list(text.classes)
    return [text.classes[int(torch.randint(len(text.classes), (1,), generator=generator))]]
