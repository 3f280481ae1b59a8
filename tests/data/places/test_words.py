"""Russian forms, Chinese transcription, ordinary words."""

from __future__ import annotations

import pytest

from data.places import ordinary
from data.places.chinese import palladius
from data.places.ordinary import is_ordinary
from data.places.prepositional import prepositional
from tests.data.places.world import Dictionary


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Париж", "париже"),
        ("Москва", "москве"),
        ("Германия", "германии"),
        ("Казань", "казани"),
        ("Ярославль", "ярославле"),
        ("Афины", "афинах"),
        ("Мытищи", "мытищах"),
        ("Китай", "китае"),
        ("Череповец", "череповце"),
        ("Елец", "ельце"),
        ("Орёл", "орле"),
        ("Крым", "крыму"),
        ("Грозный", "грозном"),
        ("Раменское", "раменском"),
        ("Нижний Новгород", "нижнем новгороде"),
        ("Великие Луки", "великих луках"),
        ("Набережные Челны", "набережных челнах"),
        ("Новая Зеландия", "новой зеландии"),
        ("Краснодарский край", "краснодарском крае"),
        ("Республика Татарстан", "республике татарстан"),
        ("Ростов-на-Дону", "ростове-на-дону"),
        ("Санкт-Петербург", "санкт-петербурге"),
        ("Село", "селе"),
    ],
)
def test_prepositional(name: str, form: str) -> None:
    assert form in prepositional(name)


@pytest.mark.parametrize("name", ["Осло-", "Чили", "Перу", "Paris", "", " ", "-", "Ю", "Тбилиси"])
def test_names_without_forms_do_no_harm(name: str) -> None:
    assert name.casefold() not in prepositional(name)


@pytest.mark.parametrize(
    ("pinyin", "russian"),
    [
        ("Shanghai", "Шанхай"),
        ("Guangzhou", "Гуанчжоу"),
        ("Xi’an", "Сиань"),
        ("Xi'an", "Сиань"),
        ("Chang’an", "Чанъань"),
        ("Changan", "Чаньгань"),
        ("Tian’anmen", "Тяньаньмэнь"),
        ("Lüliang", "Люйлян"),
        ("Chéngguān Qū", "Чэнгуань Цюй"),
        ("Zibo", "Цзыбо"),
        ("Hefei", "Хэфэй"),
        ("Anhui", "Аньхуэй"),
        ("Shijiazhuang", "Шицзячжуан"),
        ("Wuxi", "Уси"),
        ("Ürümqi", None),
        ("Harbin", None),
        ("Lhasa", None),
        ("Zhu Cheng City", None),
        ("", None),
        ("北京", None),
        ("A-B", None),
    ],
)
def test_palladius(pinyin: str, russian: str | None) -> None:
    assert palladius(pinyin) == russian


@pytest.mark.parametrize(
    ("key", "expected"), [("nice", True), ("paris", False), ("море", True), ("берлине", False), ("хужир", False)]
)
def test_ordinary_words(monkeypatch: pytest.MonkeyPatch, key: str, expected: bool) -> None:
    monkeypatch.setattr(ordinary, "dictionary", Dictionary)
    assert is_ordinary(key) is expected
