"""Which queries get a notice that the model may not read them, and that English captions get none."""

import csv
from pathlib import Path

import pytest

from service.config import PREFERRED_MODEL
from service.encoder.models import language_notice

OTHER_LANGUAGES = [
    "ein Hund läuft im Schnee",
    "eine Tasse Kaffee auf dem Tisch",
    "rotes Auto auf der Straße",
    "un perro corre por la nieve",
    "montañas y lago",
    "un chien court dans la neige",
    "chat qui dort sur le canapé",
    "due cani giocano sulla neve",
    "uma menina de vestido rosa",
    "een hond rent in de sneeuw",
    "czerwony samochód na ulicy",
    "sobaka bezhit po snegu",
    "devochka v rozovom platie",
    "zhenshchina chitaet knigu",
]

ENGLISH = [
    "a cup of coffee",
    "a chinese temple",
    "Brandenburg Gate at night",
    "Los Angeles skyline",
    "Las Vegas strip at night",
    "Rio de Janeiro",
    "Notre Dame de Paris",
    "Machu Picchu",
    "wakeboarder",
    "jiu jitsu",
    "crème brûlée",
    "chrysanthemum",
    "IMG_2034",
    "50 µm",
    "dog 🐶",
    "don’t look",
    "",
    "   ",
    "123",
]


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("кот", "Russian"),
        ("собака бежит по снегу", "Russian"),
        ("собака біжить по снігу", "Ukrainian"),
        ("雪地里的狗", "Chinese"),
        ("猫", "Chinese"),
        ("雪の中を走る犬", "Japanese"),
        ("눈 속의 개", "Korean"),
        ("σκύλος στο χιόνι", "Greek"),
        ("كلب يركض في الثلج", "Arabic"),
    ],
)
@pytest.mark.parametrize("model", ["mini", "ViT-B-32/laion2b_s34b_b79k"])
def test_other_scripts_get_a_notice_that_names_a_model(model: str, query: str, language: str) -> None:
    assert language_notice(model, query) == (
        f"{model} reads English only and cannot read “{query}”; {PREFERRED_MODEL} reads {language} too: "
        f"smysl index --model {PREFERRED_MODEL}."
    )


def test_only_the_foreign_words_are_quoted() -> None:
    assert "cannot read “кот”" in str(language_notice("mini", "a кот on a sofa with a dog"))


@pytest.mark.parametrize("query", OTHER_LANGUAGES)
def test_other_languages_in_latin_letters_get_a_notice(query: str) -> None:
    assert f"may not understand “{query}”" in str(language_notice("mini", query))


@pytest.mark.parametrize("query", ENGLISH)
def test_english_gets_no_notice(query: str) -> None:
    assert language_notice("mini", query) is None


def test_query_unknown_to_the_tokenizer_gets_a_notice() -> None:
    assert "may not understand “🐶”" in str(language_notice("mini", "🐶"))


def test_long_query_is_shortened_in_the_notice() -> None:
    sentence = str(language_notice("mini", "собака " * 2000))
    assert "…”" in sentence
    assert len(sentence) < 250


@pytest.mark.parametrize("model", [PREFERRED_MODEL, "hf-hub:somebody/something", "local-dir:/somewhere"])
def test_models_that_read_more_or_are_unknown_get_no_notice(model: str) -> None:
    assert language_notice(model, "кот") is None


def test_fewer_than_one_in_two_hundred_english_captions_gets_a_notice(shared_data: Path) -> None:
    captions = shared_data / "flickr8k" / "captions.tsv"
    if not captions.is_file():
        pytest.skip(f"no captions at {captions}")
    with captions.open(encoding="utf-8", newline="") as stream:
        texts = [row["caption"] for row in csv.DictReader(stream, delimiter="\t")]
    alarms = [text for text in texts if language_notice("mini", text)]
    assert len(alarms) < 0.005 * len(texts), alarms[:20]


def test_short_english_queries_get_no_notice(shared_data: Path) -> None:
    queries = shared_data / "formats" / "queries.tsv"
    if not queries.is_file():
        pytest.skip(f"no queries at {queries}")
    with queries.open(encoding="utf-8", newline="") as stream:
        texts = [row["query"] for row in csv.DictReader(stream, delimiter="\t")]
    assert texts
    assert [text for text in texts if language_notice("mini", text)] == []
