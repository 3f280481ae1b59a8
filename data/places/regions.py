"""Finds the Russian names of GeoNames' regions and countries in CLDR.

GeoNames and CLDR number regions differently, so they are matched by their names within a country.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from data.places.sources import LANGUAGES, Sources
from service.photos.places.names import fold

_LEAST_LIKENESS = 0.85
_LEAST_LIKENESS_OF_WORDS = 0.7
_KIND_WORDS = """
    province oblast region governorate county district state department prefecture krai kray republic of
    municipality the autonomous okrug parish city division canton emirate voivodeship provincia departamento estado
    de la del el al du des and community territory special administrative metropolitan commune area council borough
    entity urban pradesh aimak aymag regional
"""

_KINDS = frozenset(_KIND_WORDS.split())
_MATCHED_BY_HAND = {
    "AR.01": "arb", "AR.07": "arc", "AZ.09": "azba", "BA.01": "babih", "BA.02": "basrp", "BE.BRU": "bebru",
    "BG.42": "bg22", "BG.58": "bg23", "BY.02": "byho", "BY.03": "byhr", "BY.04": "byhm", "BY.05": "bymi",
    "BY.06": "byma", "CH.SG": "chsg", "CM.07": "cmnw", "CM.09": "cmsw", "CZ.78": "cz64", "CZ.79": "cz31",
    "CZ.81": "cz41", "CZ.85": "cz80", "CZ.88": "cz20", "DK.18": "dk82", "FI.10": "fi04", "FI.11": "fi15",
    "FR.28": "frnor", "FR.75": "frnaq", "IN.01": "inan", "IS.38": "is7", "IS.39": "is1", "IS.42": "is8",
    "IS.45": "is3", "KZ.06": "kz23", "KZ.12510144": "kz33", "MN.06": "mn061", "MN.07": "mn063", "MN.08": "mn059",
    "MN.09": "mn057", "MN.18": "mn047", "MY.04": "my04", "NP.4": "npp4", "PA.12": "panb", "PL.73": "pl04",
    "PL.81": "pl20", "PL.84": "pl26", "QA.01": "qada", "RU.11": "rubu", "RU.12": "ruce", "RU.27": "rukc",
    "RU.29": "rukem", "RU.42": "rulen", "RU.59": "rupri", "RU.66": "ruspe", "RU.70": "rusta", "RU.79": "ruty",
    "RU.80": "ruud", "RU.93": "ruzab", "SA.14": "sa02", "SY.04": "syra", "SY.05": "sysu", "TJ.RR": "tjra",
    "UA.09": "ua68", "UA.12": "ua30", "UA.13": "ua32", "US.DC": "usdc", "VN.79": "vnsg", "YE.04": "yehd",
}  # fmt: skip
_NAMED_BY_HAND = {
    "MA.01": "Танжер-Тетуан-Эль-Хосейма",
    "MA.03": "Фес-Мекнес",
    "MA.04": "Рабат-Сале-Кенитра",
    "MA.05": "Бени-Меллаль-Хенифра",
    "MA.06": "Касабланка-Сеттат",
    "MA.07": "Марракеш-Сафи",
    "MA.08": "Драа-Тафилалет",
    "MA.09": "Сус-Масса",
    "PS.GZ": "Сектор Газа",
    "PS.WE": "Западный берег реки Иордан",
    "RS.SE": "Центральная Сербия",
}
"""Regions that CLDR has not, or not any more as they are since 2015."""

_ENGLISH = {
    "BY.02": "Gomel Region",
    "BY.03": "Grodno Region",
    "RU.08": "Bashkortostan",
    "RU.42": "Leningrad Oblast",
    "RU.45": "Mari El",
    "RU.66": "Saint Petersburg",
    "RU.93": "Zabaykalsky Krai",
}
"""Regions that GeoNames spells by other rules than the rest of their country."""

_GONE = {"AN", "CS"}
_REPUBLIC = re.compile(r"^(Автономная )?Республика | Republic$|^Republic of ")
_SHORT_NAMES = {"en": {"HK", "MO", "PS"}, "ru": {"HK", "MO", "PS", "US"}}
_RUSSIAN = {"KR": "Южная Корея", "ZA": "ЮАР"}
_MORE_NAMES = {
    "AE": ("UAE", "Emirates", "ОАЭ", "Эмираты"),
    "BY": ("Белоруссия",),
    "CD": ("DR Congo", "Democratic Republic of the Congo", "ДР Конго"),
    "CG": ("Congo", "Конго"),
    "CN": ("PRC", "КНР"),
    "CZ": ("Czech Republic",),
    "GB": ("Britain", "Great Britain", "Британия", "Соединённое Королевство"),
    "KG": ("Киргизстан",),
    "KR": ("Korea", "Корея", "Южная Корея"),
    "KP": ("КНДР", "Северная Корея"),
    "MD": ("Молдавия",),
    "MM": ("Burma", "Бирма"),
    "NL": ("Holland", "Голландия"),
    "RU": ("Russian Federation", "РФ", "Российская Федерация"),
    "TM": ("Туркмения",),
    "TR": ("Turkey",),
    "US": ("USA", "America", "United States of America", "Америка", "Соединённые Штаты Америки"),
    "VA": ("Vatican",),
}


@dataclass
class Named:
    """A region or country: English and Russian names to show, and all by which it is found."""

    en: str
    ru: str
    keys: set[str] = field(default_factory=set)


def name_regions(sources: Sources) -> dict[str, Named]:
    """Names of all regions by GeoNames' code."""
    matches = match_regions(sources)
    names = {language: sources.subdivisions(language) for language in LANGUAGES}
    regions = {}
    for code, english in sources.regions.items():
        subdivision = matches.get(code, "")
        known = {names[language][subdivision] for language in LANGUAGES if subdivision in names[language]}
        shown = _ENGLISH.get(code, english)
        russian = names["ru"].get(subdivision) or _NAMED_BY_HAND.get(code, "")
        keys = {name for name in (english, shown, russian, *known) if name}
        regions[code] = Named(shown, russian, keys | {_REPUBLIC.sub("", name) for name in keys})
    return regions


def match_regions(sources: Sources) -> dict[str, str]:
    """CLDR's codes of GeoNames' regions: the same name, then the same but for words such as "province", then alike.

    No two regions get the same code.
    """
    names = [sources.subdivisions(language) for language in LANGUAGES]
    english, by_country = names[0], defaultdict(list)
    for code in english:
        by_country[code[:2].upper()].append(code)
    matches = {code: found for code, found in _MATCHED_BY_HAND.items() if code in sources.regions}
    taken = set(matches.values())
    for likeness in (_same_name, _same_core, _same_core_elsewhere, _like):
        pairs = [
            (likeness(name, [each[one] for each in names if one in each]), code, one)
            for code, name in sources.regions.items()
            if code not in matches
            for one in by_country[code[:2]]
            if one not in taken
        ]
        for score, code, one in sorted(pairs, reverse=True):
            if score and code not in matches and one not in taken:
                matches[code] = one
                taken.add(one)
    return matches


def name_countries(sources: Sources) -> dict[str, Named]:
    """Names of all countries by ISO code."""
    names = {language: sources.territories(language) for language in LANGUAGES}
    countries = {}
    for code, row in sources.countries.items():
        if code in _GONE:
            continue
        known = {
            _shown(names[language][code, kind])
            for language in LANGUAGES
            for kind in ("", "short", "variant")
            if (code, kind) in names[language]
        }
        keys = {row["name"], *known, *_MORE_NAMES.get(code, ()), _RUSSIAN.get(code, "")}
        shown = {
            language: names[language].get((code, "short" if code in _SHORT_NAMES[language] else ""), row["name"])
            for language in ("en", "ru")
        }
        # Codes are no names, but for these two.
        keys = {key for key in keys if len(key) > 2 or key in ("UK", "РФ")}
        countries[code] = Named(_shown(shown["en"]), _RUSSIAN.get(code) or _shown(shown["ru"]), keys)
    return countries


def _shown(name: str) -> str:
    """CLDR's name of a country without abbreviations and what stands in brackets: "Myanmar (Burma)" is "Myanmar"."""
    name = name.partition(" (")[0]
    return name.replace("о-ва", "острова").replace("о-в ", "остров ")


def _core(name: str) -> str:
    """A folded name without words such as "province"."""
    words = fold(name).split()
    return " ".join(word for word in words if word not in _KINDS) or " ".join(words)


def _same_name(name: str, names: list[str]) -> float:
    return float(fold(name) == fold(names[0]))


def _same_core(name: str, names: list[str]) -> float:
    """Of namesakes, such as a city and the region around it, the one whose whole name is more alike is better."""
    if _core(name) != _core(names[0]):
        return 0
    return 1 + _ratio(fold(name), fold(names[0]))


def _same_core_elsewhere(name: str, names: list[str]) -> float:
    return float(any(_core(name) == _core(each) for each in names if re.search("[a-zA-Z]", each)))


def _like(name: str, names: list[str]) -> float:
    core, other = _core(name), _core(names[0])
    # "Central Papua" is not "Central Java": the words must pair up.
    if len(core.split()) != len(other.split()):
        return 0
    pairs = zip(core.split(), other.split(), strict=True)
    if min(_ratio(one, two) for one, two in pairs) < _LEAST_LIKENESS_OF_WORDS:
        return 0
    ratio = _ratio(core, other)
    return ratio if ratio >= _LEAST_LIKENESS else 0


def _ratio(one: str, two: str) -> float:
    return SequenceMatcher(None, one, two, autojunk=False).ratio()
