"""Languages: one tag for each, whatever code they come in, found by their ranges, and named."""

from __future__ import annotations

from typing import Any

import pytest

from movies import languages
from movies.models import Movie, Screening
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import posted, posted_screening, refused_fields


@pytest.mark.parametrize(
    ("text", "tag", "name"),
    [
        ("fr", "fr", "French"),
        ("EN", "en", "English"),
        ("eng", "en", "English"),
        ("fre", "fr", "French"),
        ("deu", "de", "German"),
        ("pt_br", "pt-BR", "Brazilian Portuguese"),
        ("PT-br", "pt-BR", "Brazilian Portuguese"),
        ("zh", "zh", "Chinese"),
        ("cmn", "zh", "Chinese"),
        ("zh-hANT", "zh-Hant", "Traditional Chinese"),
        ("zh-Hant-TW", "zh-Hant-TW", "Traditional Chinese (Taiwan)"),
        ("zh-yue", "yue", "Cantonese"),
        ("zh-cmn-Hans", "zh-Hans", "Simplified Chinese"),
        ("sgn-ase", "ase", "American Sign Language"),
        ("sr-latn-rs", "sr-Latn-RS", "Serbian (Latin, Serbia)"),
        ("ca-valencia", "ca-valencia", "Catalan (Valencian)"),
        ("en-UK", "en-GB", "British English"),
        ("es-419", "es-419", "Latin American Spanish"),
        ("nb", "nb", "Norwegian Bokmål"),
        ("wbp", "wbp", "Warlpiri"),
        ("qaa", "qaa", "qaa"),
        # TMDb writes two codes of its own, and outdated ones.
        ("cn", "yue", "Cantonese"),
        ("xx", "zxx", "No linguistic content"),
        ("sh", "sr-Latn", "Serbian (Latin)"),
        ("mo", "ro", "Romanian"),
        ("iw", "he", "Hebrew"),
        ("tl", "fil", "Filipino"),
        ("no", "no", "Norwegian"),
    ],
)
def test_a_language_has_one_tag_and_a_name(text: str, tag: str, name: str) -> None:
    assert languages.canonical_tag(text) == tag
    assert languages.canonical_tag(tag) == tag
    assert languages.language_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", " ", "f", "french", "fr-", "-fr", "fr fr", "fr\n", "fr\x00", "ſr", "中文", "qq", "xyz",
     "en-QQ", "en-Qqqq", "de-nosuch", "en-u-ca-gregory", "x-mine", "i-klingon", "en-fra",
     "ca-ES-valencia", "en-" * 5000, "<b>", "1e3"],
)  # fmt: skip
def test_an_invalid_language_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (language )?tag"):
        languages.canonical_tag(text)
    assert languages.canonical_tag_or_none(text) is None
    assert languages.language_name(text) == text


@pytest.mark.parametrize(
    ("tag", "wanted", "is_within"),
    [
        ("zh-Hant", "zh", True),
        ("zh", "zh-Hant", False),
        ("zh-Hant-TW", "zh-Hant", True),
        ("zho", "zh", False),
        ("fil", "fi", False),
        ("nb", "no", True),
        ("nn-NO", "no", True),
        ("no", "nb", False),
        ("fr", "fr", True),
    ],
)
@pytest.mark.django_db
def test_a_range_is_the_same_in_memory_and_in_the_database(
    tag: str, wanted: str, is_within: bool
) -> None:
    make_movie()
    Movie.objects.update(original_language=tag)
    assert languages.is_in_range(tag, wanted) is is_within
    found = Movie.objects.filter(languages.language_filter("original_language", wanted))
    assert found.exists() is is_within


@pytest.mark.django_db
def test_the_api_stores_one_tag_for_every_spelling(staff: Client, viewer: Client) -> None:
    movie = posted(staff, original_language="ZHO", runtime_minutes=90)
    assert movie["original_language"] == "zh"
    path = f"/movies/{movie['id']}"
    assert staff.patch(path, {"original_language": "cn"}).json()["original_language"] == "yue"
    row = {"name": "Imported", "protagonists": ["A"], "start_date": "2026-12-03"}
    staff.post("/movies/import", {"movies": [{**row, "original_language": "pt_BR"}]})
    assert Movie.objects.get(name="Imported").original_language == "pt-BR"
    stored = Movie.objects.get(pk=movie["id"])
    shown = posted_screening(staff, stored, language="DEU", subtitles="zh-hant")
    assert (shown["language"], shown["subtitles"]) == ("de", "zh-Hant")
    changed = staff.patch(f"/screenings/{shown['id']}", {"subtitles": "eng"}).json()
    assert changed["subtitles"] == "en"
    said = viewer.put("/users/me/preferences", {"languages": ["FRA", "fr", "cn", "xx"]}).json()
    assert said["languages"] == ["fr", "yue", "zxx"]


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["french", "qq", "", "en-QQ", 7])
def test_an_invalid_language_is_refused_with_its_field(staff: Client, code: Any) -> None:
    movie = make_movie()
    screening = make_screening(movie)
    answer = staff.patch(f"/movies/{movie.pk}", {"original_language": code})
    assert refused_fields(answer) == ["body.original_language"]
    answer = staff.patch(f"/screenings/{screening.pk}", {"subtitles": code})
    assert refused_fields(answer) == ["body.subtitles"]


@pytest.mark.django_db
def test_a_refused_language_is_explained(staff: Client) -> None:
    answer = staff.get("/movies", language="qq")
    [error] = answer.json()["errors"]
    assert error["field"] == "query.language"
    assert "there is no language 'qq'" in error["message"]


@pytest.mark.django_db
def test_films_are_found_by_the_range_with_words_and_without(anonymous: Client) -> None:
    for name, code in {"One": "zh", "Two": "zh-Hant", "Three": "yue", "Four": "nb"}.items():
        make_movie(name=f"Film {name}", original_language=code)

    def found(**query: str) -> set[str]:
        movies = anonymous.get("/movies", **query).json()["data"]
        return {movie["name"].removeprefix("Film ") for movie in movies}

    for words in ({}, {"q": "film"}):
        assert found(language="zh", **words) == {"One", "Two"}
        assert found(language="ZH-hant", **words) == {"Two"}
        assert found(language="cn", **words) == {"Three"}
        assert found(language="no", **words) == {"Four"}
        assert found(language="fr", **words) == set()


@pytest.mark.django_db
def test_json_ld_has_tags_alone(anonymous: Client) -> None:
    """A code that was written by SQL is converted too."""
    movie = make_movie(original_language="zh-Hant")
    screening = make_screening(movie, subtitles="en")
    path = f"/movies/{movie.pk}/programme.jsonld"
    nodes = {node["@type"]: node for node in anonymous.get(path).json()["@graph"]}
    assert nodes["Movie"]["inLanguage"] == "zh-Hant"
    assert nodes["ScreeningEvent"]["inLanguage"] == "zh-Hant"
    assert nodes["ScreeningEvent"]["subtitleLanguage"] == "en"
    Movie.objects.update(original_language="cn")
    Screening.objects.filter(pk=screening.pk).update(language=None, subtitles="qq")
    nodes = {node["@type"]: node for node in anonymous.get(path).json()["@graph"]}
    assert nodes["Movie"]["inLanguage"] == nodes["ScreeningEvent"]["inLanguage"] == "yue"
    assert "subtitleLanguage" not in nodes["ScreeningEvent"]
