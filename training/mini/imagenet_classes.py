"""ImageNet's thousand classes as pseudo-photographs with texts, out of the tower's own classifier.

Flickr8k shows people and dogs. The classifier that came with the image tower knows a thousand other things:
the weights of a class point where photographs of that class lie among the pooled features. A row, centred,
brought to the length that features have, put on the mean feature, and joined by what makes one real
photograph differ from the mean (its surroundings, as it were), is a pseudo-photograph of the class. timm's
`ImageNetInfo` carries WordNet's synonyms and definitions, which make its texts; `kinds.tsv` adds what the
classes are kinds of.
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
KIND_TEMPLATES = ("{}", "a {}", "a photo of a {}", "{}s")
PAIRED_SENTENCES = 3000
LIKELY = 0.05
"""From this share of the classifier's belief on, a real photograph may show what a text names."""


@dataclass(frozen=True)
class ClassText:
    """A text and the classes that it names: all of them at once or, for a kind, any one of them."""

    text: str
    classes: tuple[int, ...]
    kind: bool = False


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


def hypernym_texts(kinds: Sequence[Hypernym]) -> list[ClassText]:
    """The texts for kinds: each word in each template."""
    return [
        ClassText(template.format(kind.word), kind.classes, kind=True) for kind in kinds for template in KIND_TEMPLATES
    ]


def imagenet_texts(seed: int) -> list[ClassText]:
    """The texts for the thousand classes of ImageNet-1k, in the classifier's order, and for their kinds."""
    mend_torchvision()
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    names = list(info.label_descriptions(detailed=False))
    detailed = list(info.label_descriptions(detailed=True))
    definitions = [full.removeprefix(f"{name}: ") for name, full in zip(names, detailed, strict=True)]
    return class_texts(names, definitions, seed) + hypernym_texts(read_hypernyms())


def class_shares(rows: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """The classifier's belief, float16 (n, classes), each row summing to 1, in what photographs show.

    `rows` (classes, width) are its weights, `pooled` (n, width) features as it takes them. Its biases are left
    out: they are small beside the rest.
    """
    return (pooled @ rows.T).softmax(dim=1).half()


def may_show(shares: torch.Tensor, texts: Sequence[ClassText]) -> torch.Tensor:
    """Bool (n, texts): whether a real photograph may show what a text for classes names.

    Where it may, the text is no wrong answer for the photograph, nor the photograph for the text.
    """
    import torch

    named = torch.zeros(shares.shape[1], len(texts))
    for column, text in enumerate(texts):
        named[list(text.classes), column] = 1
    return shares.float() @ named > LIKELY


def draw_classes(texts: Sequence[ClassText], count: int, generator: torch.Generator) -> list[int]:
    """Rows of at most `count` texts for distinct classes.

    Two texts of one class in a batch would be taken for each other's wrong answers.
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

    def draw(self, texts: Sequence[ClassText], generator: torch.Generator) -> torch.Tensor:
        """Features float32 (n, width), one for each text.

        Several classes of a text are mixed in equal parts; of a kind's classes one is drawn.
        """
        import torch

        mixed = torch.stack([self._directions[_shown(each, generator)].mean(dim=0) for each in texts])
        mixed = mixed / mixed.norm(dim=1, keepdim=True)
        chosen = torch.randint(len(self._features), (len(texts),), generator=generator)
        surroundings = self._noise * self._features[chosen]
        drawn: torch.Tensor = self._length * mixed + surroundings
        return drawn


def _shown(text: ClassText, generator: torch.Generator) -> list[int]:
    import torch

    if not text.kind:
        return list(text.classes)
    return [text.classes[int(torch.randint(len(text.classes), (1,), generator=generator))]]
