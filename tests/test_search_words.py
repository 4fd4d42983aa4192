"""A text's words before Postgres sees them."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movies.schemas import MovieFilters
from movies.search import queries
from movies.search.index import MAX_LEXEMES, SearchableFilm, build_document, person_lexemes
from movies.search.text import fold, lexemes_of

TEXTS = st.text(max_size=200)
#: Hard texts: marks, ligatures, scripts, operators.
HARD = st.text(
    st.sampled_from("äÄßſﬃﷺİıςΣῼǰ\u0301\u0345\u200f\u202e\x00'\"\\:*&|!()<>-_%;७千がｶﾞ한하①½ a1"),
    max_size=60,
)
DOCUMENT = re.compile(r"([^\W_]+(:1[ABC])?( |$))*")
QUERY = re.compile(r"([^\W_]+(:\*)?|[ ()&|])*")


def film(**fields: object) -> SearchableFilm:
    empty: dict[str, object] = {
        "name": "", "protagonists": [], "directors": [], "keywords": [], "series": "",
        "tags": [], "overview": "", "genres": [], "status": "running", "language": None,
        "release_year": None,
    }  # fmt: skip
    return SearchableFilm(**{**empty, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Cléo", "cleo"),
        ("Straße", "strasse"),
        ("ＥＲ", "er"),
        ("ŁÓDŹ Ørsted þórr Æon Đorđe", "lodz orsted thorr aeon dorde"),
        ("İstanbul IŞIK ışık", "istanbul isik isik"),
        ("Ὀδυσσεύς", "οδυσσευσ"),
        ("Ёлки Й", "елки и"),
        ("がガｶﾞ", "がガガ"),
        ("한\u1112\u1161", "한하"),
        ("a\u200fb\x07c", "abc"),
        ("a\tb\u00a0c", "a b c"),
        ("٣ ३ ③", "3 3 3"),
    ],
)
def test_accents_case_and_width_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(TEXTS | HARD)
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert not re.search("[A-Z]", fold(text))


def test_each_letter_begins_a_word_in_scripts_without_spaces() -> None:
    assert list(lexemes_of("七人の侍")) == ["七人", "人の", "の侍", "侍"]
    assert list(lexemes_of("seven")) == ["seven"]


def test_a_word_has_the_weight_of_the_first_field_that_it_is_in() -> None:
    made = build_document(
        film(
            name="Paris",
            protagonists=["Paris Texas"],
            keywords=["texas", "desert"],
            tags=["35mm"],
            overview="Desert of Paris and texas, in 35mm.",
        )
    ).split()
    weights = dict(lexeme.partition(":1")[::2] for lexeme in made)
    assert {word: weights[word] for word in ("paris", "texas", "desert", "35mm", "of")} == {
        "paris": "A", "texas": "B", "desert": "C", "35mm": "C", "of": "",
    }  # fmt: skip


def test_a_person_is_known_by_the_full_name_alone() -> None:
    assert (
        person_lexemes("Agnès Varda")
        == person_lexemes("AGNES  VARDA")
        != person_lexemes("Varda Agnès")
    )
    assert set(person_lexemes("Jürgen")) == {"Pjurgen", "Pjuergen"}
    assert person_lexemes("!!! 🎬") == []


@given(TEXTS | HARD, TEXTS | HARD)
def test_documents_and_queries_hold_letters_and_digits_alone(one: str, other: str) -> None:
    made = build_document(film(name=one, protagonists=[other], keywords=[one], overview=other))
    assert DOCUMENT.fullmatch(made)
    if query := queries.parse_query(one):
        for literal in vars(query).values():
            assert literal
            assert QUERY.fullmatch(literal)
    assert QUERY.fullmatch(queries.person_query(other))


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS | HARD)
def test_postgres_accepts_every_document_and_finds_it_by_its_own_text(text: str) -> None:
    made = build_document(film(name=text, overview=text * 3))
    query = queries.parse_query(text)
    with connection.cursor() as cursor:
        for literal in vars(query).values() if query else [""]:
            cursor.execute("SELECT %s::tsvector @@ %s::tsquery", [made, literal])
            assert cursor.fetchone() == (query is not None,)


@pytest.mark.django_db
def test_a_film_with_more_words_than_can_be_kept_is_found_by_its_name() -> None:
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 20_000)]
    huge = build_document(
        film(
            name="Needle",
            protagonists=["".join(characters[n : n + 200]) for n in range(0, 20_000, 200)],
            overview="\U00020000" * 9_000 + "".join(characters[:1_000]),
            tags=["x" * 40] * 1_000,
        )
    )
    assert len(huge.split()) == MAX_LEXEMES
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::tsvector @@ 'needle'::tsquery", [huge])
        assert cursor.fetchone() == (True,)


def test_a_long_query_is_looked_for_by_its_first_words() -> None:
    query = queries.parse_query(" ".join(f"word{number}" for number in range(100)))
    assert query
    assert "word11" in query.anywhere
    assert "word12" not in query.anywhere
    repeated = queries.parse_query("a.b.c " * 80)
    assert repeated
    assert len(repeated.anywhere) < 100


@pytest.mark.parametrize("text", ["", " ", "!!!", "'\";%_\\", "🎬", "\u0301", "ـ", ":*&|!()"])
def test_without_a_letter_or_a_digit_there_is_no_query(text: str) -> None:
    assert queries.parse_query(text) is None
    assert queries.person_query(text) == ""


@pytest.mark.parametrize(
    ("first", "last", "lexemes"),
    [
        (1962, 1962, {"Y1962"}),
        (1988, 1999, {"Y1988", "Y1989", "D199"}),
        (1931, 1938, {f"Y{year}" for year in range(1931, 1939)}),
        # Too many lexemes: a few years more, which are left out later.
        (1930, 1938, {"D193"}),
        (1951, 1999, {"D195", "D196", "D197", "D198", "D199"}),
        # Too many years to select anything.
        (1990, None, set()),
        (None, 1970, set()),
        (1951, 2001, set()),
        (2000, 1990, set()),
    ],
)
def test_a_range_of_years_is_a_few_lexemes(
    first: int | None, last: int | None, lexemes: set[str]
) -> None:
    filters = MovieFilters.model_validate({"year_from": first, "year_to": last})
    query = queries.facet_query(filters, genre=None)
    assert set(re.findall(r"\w+", query)) == lexemes
