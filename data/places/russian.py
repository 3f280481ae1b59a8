"""Chooses the Russian name of a town among GeoNames' alternate names, which do not say their language.

Candidates are the alternates in letters of the Russian alphabet alone; Bulgarian, Serbian, Belarusian and other names
pass that too ("Париз", "Парис", "Парыж" beside "Париж"). A conditional logit over these features ranks them:

- how like Russian place names the letters are (a model of letter 4-grams, trained on CLDR's Russian names),
- how close the romanised candidate is to the town's name,
- the share of its words that the dictionary of pymorphy3 (OpenCorpora) has as place names in the nominative,
- whether it has a space: Russian writes foreign names with hyphens.

The weights are fitted to towns that share their name with a region for which CLDR has a Russian name. Where CLDR itself
names the town, that name is taken. Chinese names are transcribed, unless the dictionary has another ("Пекин").
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from functools import cache, cached_property
from typing import Any

import numpy as np

from data.places.chinese import palladius
from data.places.sources import Sources, Town
from service.photos.places.names import fold
from service.types import Float64Array

_RUSSIAN = re.compile(r"[А-ЯЁ](?:[А-ЯЁа-щы-яё’' -]|ъ(?=[еёюя]))*")
_LEAST_POPULATION = 5000
_LEAST_LIKENESS = 0.4
_SPELT_UNLIKE_SOUND = frozenset({"AU", "BE", "CA", "FR", "GB", "IE", "LU", "NZ", "RE", "US"})
"""Countries in whose names a right transcription can share few letters with the original ("Foix", "Фуа")."""

_NOT_CHINESE = ("CN.13", "CN.14", "CN.20")
"""Xinjiang, Tibet and Inner Mongolia, where pinyin transcribes names of other languages."""

_REGION_WORDS = re.compile(
    r"\b(область|район|провинция|край|округ|республика|остров|острова|департамент|штат|регион|муниципалитет|община"
    r"|префектура|столичн\w+|административн\w+|федеральн\w+|территория|губерния|мухафаза|вилайет|уезд|графство)\b",
    re.IGNORECASE,
)
_LATIN = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "i",
    "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
    "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu",
    "я": "ya",
}  # fmt: skip


class LetterModel:
    """An n-gram model of letters, smoothed by interpolation with shorter contexts."""

    _ORDER = 4
    _ALPHABET = 60
    _PRIOR = 4

    def __init__(self, names: Iterable[str]) -> None:
        self._counts: Counter[str] = Counter()
        self._contexts: Counter[str] = Counter()
        for name in names:
            for ngram in self._ngrams(name):
                for start in range(self._ORDER):
                    self._counts[ngram[start:]] += 1
                    self._contexts[ngram[start:-1]] += 1

    def likelihood(self, name: str) -> float:
        """Mean log-likelihood of a letter."""
        logs = []
        for ngram in self._ngrams(name):
            probability = 1 / self._ALPHABET
            for start in range(self._ORDER - 1, -1, -1):
                count, context = self._counts[ngram[start:]], self._contexts[ngram[start:-1]]
                probability = (count + self._PRIOR * probability) / (context + self._PRIOR)
            logs.append(math.log(probability))
        return sum(logs) / len(logs)

    def _ngrams(self, name: str) -> Iterator[str]:
        padded = "^" * (self._ORDER - 1) + name.casefold() + "$"
        return (padded[end - self._ORDER : end] for end in range(self._ORDER, len(padded) + 1))


class RussianNames:
    """Russian names of towns."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._names = _names_in(sources, "ru")
        self._russian = LetterModel(self._names)
        self._weights = self._fit()

    def choose(self, town: Town) -> str | None:
        """The Russian name of a town; None where no alternate name is Russian."""
        return self.from_cldr.get(town.id) or self.rank(town)

    def rank(self, town: Town) -> str | None:
        """The most Russian of the alternate names, without looking at what CLDR calls this town."""
        candidates = [name for name in russian_candidates(town) if _plausible(name, town)]
        chinese = palladius(town.name) if town.country == "CN" else None
        if chinese and not candidates:
            return chinese
        if chinese and town.region not in _NOT_CHINESE and not any(_known(name) == 1 for name in candidates):
            return chinese
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        best = candidates[int(np.argmax(self._features(town, candidates, self._russian) @ self._weights))]
        # Russian often leaves out the dots of ё, dictionaries do not.
        return next((name for name in candidates if "ё" in name and name.replace("ё", "е") == best), best)

    @cached_property
    def zone_cities(self) -> list[tuple[Town, str]]:
        """Cities after which time zones are named, and their Russian names in CLDR."""
        english, by_zone = self._sources.zone_cities("en"), defaultdict(list)
        for town in self._sources.towns:
            by_zone[town.zone].append(town)
        found = []
        for zone, russian in self._sources.zone_cities("ru").items():
            name = fold(english.get(zone) or zone.rpartition("/")[2].replace("_", " "))
            towns = [town for town in by_zone[zone] if fold(town.name) == name]
            if towns and "," not in russian:
                found.append((max(towns, key=lambda town: town.population), russian))
        return found

    @cached_property
    def region_namesakes(self) -> list[tuple[Town, str]]:
        """Towns with the English name of a region of their country, and the region's Russian name in CLDR."""
        russian, by_name = self._sources.subdivisions("ru"), {}
        for code, english in self._sources.subdivisions("en").items():
            if code in russian and not _REGION_WORDS.search(russian[code]):
                by_name[code[:2].upper(), fold(english)] = russian[code]
        namesakes = [(town, by_name.get((town.country, fold(town.name)))) for town in self._sources.towns]
        return [(town, name) for town, name in namesakes if name and town.population >= _LEAST_POPULATION]

    @cached_property
    def from_cldr(self) -> dict[int, str]:
        """Russian names that CLDR gives, by GeoNames id: of cities of time zones, and of regions named after a town."""
        names = {
            town.id: name
            for town, name in self.region_namesakes
            if name in (candidates := russian_candidates(town)) or not candidates
        }
        return names | {town.id: name for town, name in self.zone_cities}

    def _fit(self, steps: int = 2000, rate: float = 0.1, decay: float = 0.002) -> Float64Array:
        """Weights of the features, by gradient ascent on the log-likelihood of the right candidates.

        The right names are in the Russian letter model, so each is judged by a model of the other half of the names.
        """
        halves = [LetterModel(name for name in self._names if _half(name) != half) for half in (0, 1)]
        tested = {town.id for town, _ in self.zone_cities}
        choices = []
        for town, name in self.region_namesakes:
            candidates = russian_candidates(town)
            if name in candidates and len(candidates) > 1 and town.id not in tested:
                choices.append((self._features(town, candidates, halves[_half(name)]), candidates.index(name)))
        scale = np.concatenate([features for features, _ in choices]).std(axis=0) + 1e-9
        weights = np.zeros(len(scale))
        for _ in range(steps):
            gradient = np.zeros(len(scale))
            for features, right in choices:
                logits = features / scale @ weights
                scores = np.exp(logits - logits.max())
                gradient += (features[right] - scores / scores.sum() @ features) / scale
            weights += rate * (gradient / len(choices) - decay * weights)
        fitted: Float64Array = weights / scale
        return fitted

    def _features(self, town: Town, candidates: list[str], russian: LetterModel) -> Float64Array:
        rows = []
        for candidate in candidates:
            likelihood = russian.likelihood(candidate)
            rows.append((likelihood, _likeness(candidate, town), _known(candidate), float(" " in candidate)))
        return np.array(rows)


def russian_candidates(town: Town) -> list[str]:
    """Alternate names in letters of the Russian alphabet alone, with ъ only where Russian has it."""
    return [name for name in town.alternates if _RUSSIAN.fullmatch(name)]


def romanised(name: str) -> str:
    """A Russian name in Latin letters, without spaces and hyphens."""
    return "".join(_LATIN.get(letter, "") for letter in name.casefold())


def _likeness(name: str, town: Town) -> float:
    latin = re.sub("[^a-z]", "", fold(town.name))
    return SequenceMatcher(None, romanised(name), latin, autojunk=False).ratio()


def _plausible(name: str, town: Town) -> bool:
    """Whether a name can be today's: GeoNames keeps former ones, such as Greek towns' Slavic names, too."""
    unlike = town.country in _SPELT_UNLIKE_SOUND or name == town.name or _known(name) == 1
    return unlike or _likeness(name, town) >= _LEAST_LIKENESS


@cache
def _known(name: str) -> float:
    """The share of a name's words that the Russian dictionary has as place names in the nominative."""
    words = re.findall("[а-яё]+", re.sub("-(на|под|над)-.*", "", name.casefold()))
    known = [
        dictionary().word_is_known(word)
        and any("Geox" in form.tag and ("nomn" in form.tag or "Fixd" in form.tag) for form in dictionary().parse(word))
        for word in words
    ]
    return float(np.mean(known)) if known else 0.0


@cache
def dictionary() -> Any:
    """The Russian dictionary of pymorphy3."""
    from pymorphy3 import MorphAnalyzer

    return MorphAnalyzer()


def _names_in(sources: Sources, language: str) -> list[str]:
    """CLDR's names of regions and countries in a language with Cyrillic letters.

    Names of cities are left out: those in Russian are what the choice is tested with.
    """
    names = [*sources.subdivisions(language).values(), *sources.territories(language).values()]
    return [name for name in names if re.search("[а-яё]", name)]


def _half(name: str) -> int:
    return zlib.crc32(name.encode()) % 2
