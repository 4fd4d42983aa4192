"""`GET /movies?q=`: what is found, in which order, and that nothing typed does harm."""

from __future__ import annotations

from datetime import date
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from movies.models import Movie
from movies.search import queries
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.catalogue import refused_fields

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db


def names(answer: Response) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


@pytest.fixture
def cleo() -> Movie:
    movie = make_movie(
        name="Cléo from 5 to 7",
        protagonists=["Agnès Varda", "Corinne Marchand"],
        overview="Two hours in the life of a singer in Paris.",
        directors=["Ágnes Kocsis"],
        keywords=["real time"],
        series="Left Bank",
        genres=["drama"],
        original_language="fr",
        release_year=1962,
    )
    make_screening(movie, tags=["35mm", "q&a"])
    make_movie(name="Stalker", protagonists=["Alexander Kaidanovsky"], overview="A zone.")
    return movie


# --- what is found


@pytest.mark.parametrize(
    "q",
    [
        "cléo",
        "CLEO",
        "cle",
        "c",
        "cleo 7",
        "7 5 cleo from",
        "varda",
        "Marchand Varda",
        "agnes var",
        "left bank",
        "agne var",
        "cor",
        "agnes koc",
        "singer",
        "sing",
        "in paris",
        "cleo singer varda time 35mm",
        "real time",
        "35mm",
        "q&a",
        "  cleo \t\n varda ",
        "cleo, varda!",
        "cleo AND NOT varda".replace("AND NOT", "&!"),
    ],
)
@pytest.mark.usefixtures("cleo")
def test_words_are_found_in_names_people_keywords_tags_and_overview(
    anonymous: Client, q: str
) -> None:
    assert names(anonymous.get("/movies", q=q)) == ["Cléo from 5 to 7"]


@pytest.mark.parametrize(
    "q",
    ["leo", "cleopatra", "cleo tarkovsky", "zone cleo", "si", "cleo x", "drama", "de", "running"],
)
@pytest.mark.usefixtures("cleo")
def test_every_word_must_be_found_from_its_beginning(anonymous: Client, q: str) -> None:
    answer = anonymous.get("/movies", q=q)
    assert (names(answer), answer.json()["pagination"]["total"]) == ([], 0)


@pytest.mark.parametrize("q", ["", "   ", "\x00", "\u200b\x07"])
@pytest.mark.usefixtures("cleo")
def test_a_query_of_spaces_alone_is_ignored(anonymous: Client, q: str) -> None:
    assert len(names(anonymous.get("/movies", q=q))) == (0 if "\u200b" in q else 2)


@pytest.mark.parametrize(
    "q",
    [
        "'",
        '"',
        ";",
        "%",
        "_",
        "\\",
        "'\";%_\\",
        "':*",
        ":*",
        "&",
        "|",
        "!",
        "()",
        "<->",
        "!!!",
        "🎬",
        "\u0301",
        "'; DROP TABLE movies_movie; --",
        "') @@ '",
        "$$",
        "%s %(x)s {0}",
        "\x00'\x00",
        "x" * 500,
        "' " * 250,
        "\\" * 500,
        "ﷺ" * 27,
        "七" * 500,
        "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 9,
        " ".join(chr(0x4E00 + n) for n in range(250)),
        "a:1A & b:* | !c <-> 'd'",
        "cleo:*",
        "cleo'",
        "Pagnesvarda",
        "Ncleo",
        "G1",
    ],
)
@pytest.mark.usefixtures("cleo")
def test_a_hostile_query_does_no_harm(anonymous: Client, q: str) -> None:
    answer = anonymous.get("/movies", q=q)
    assert set(names(answer)) <= {"Cléo from 5 to 7"}
    assert Movie.objects.count() == 2


def test_a_query_that_is_too_long_is_refused(anonymous: Client) -> None:
    assert refused_fields(anonymous.get("/movies", q="x" * 501)) == ["query.q"]


def test_a_withdrawn_film_is_not_found(staff: Client, cleo: Movie) -> None:
    assert staff.delete(f"/movies/{cleo.pk}", force=True).status_code == 204
    for query in ({"q": "cleo"}, {"person": "Agnès Varda"}, {"q": "varda", "sort": "name"}):
        assert names(staff.get("/movies", **query)) == []


# --- in which order


def test_the_best_comes_first_by_field_and_whether_the_word_is_whole(anonymous: Client) -> None:
    nobody: dict[str, Any] = {"protagonists": ["Nobody"]}
    make_movie(**nobody, name="E", overview="A star is seen.")
    make_movie(**nobody, name="D", keywords=["star"])
    make_movie(name="C", protagonists=["Ringo Star"])
    make_movie(**nobody, name="Of starlings")
    make_movie(**nobody, name="A Star Is Born")
    make_movie(**nobody, name="Starship")
    make_movie(**nobody, name="Star Wars")
    make_movie(**nobody, name="Star")
    expected = [
        "Star", "Star Wars", "A Star Is Born", "Starship", "Of starlings", "C", "D", "E",
    ]  # fmt: skip
    assert names(anonymous.get("/movies", q="star")) == expected
    assert names(anonymous.get("/movies", q="star", sort="relevance")) == expected
    assert names(anonymous.get("/movies", q="STAR", sort="name")) == sorted(expected)


def test_equal_results_are_ordered_by_the_number_of_ratings(anonymous: Client) -> None:
    for name, ratings in {"Dune A": 0, "Dune C": 1, "Dune B": 2}.items():
        movie = make_movie(name=name, start_date=date(2020, 1, 1))
        for _ in range(ratings):
            interact(make_user(), movie, "rating", half_stars=9)
    assert names(anonymous.get("/movies", q="dune")) == ["Dune B", "Dune C", "Dune A"]
    assert names(anonymous.get("/movies", q="dune", sort="-rating", per_page=1)) == ["Dune B"]


def test_without_a_query_relevance_is_the_order_of_names(anonymous: Client) -> None:
    for name in ("B", "a", "Ç"):
        make_movie(name=name)
    assert names(anonymous.get("/movies", sort="relevance")) == ["a", "B", "Ç"]


# --- with filters, in pages


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ({"genre": "drama"}, True),
        ({"genre": "music"}, False),
        ({"genre": "unheard-of"}, False),
        ({"status": "running"}, True),
        ({"status": "finished"}, False),
        ({"language": "fr"}, True),
        ({"language": "FR"}, True),
        ({"language": "fr-CA"}, False),
        ({"year_from": 1962, "year_to": 1962}, True),
        ({"year_from": 1900}, True),
        ({"year_to": 1961}, False),
        ({"year_from": 1963, "year_to": 1969}, False),
        ({"year_from": 2000, "year_to": 1900}, False),
        ({"person": "agnes varda"}, True),
        ({"person": "agnes"}, False),
        ({"person": "!!!"}, False),
        ({"genre": "drama", "status": "running", "language": "fr", "year_from": 1960}, True),
        ({"genre": "drama", "status": "running", "language": "de"}, False),
    ],
)
@pytest.mark.usefixtures("cleo")
def test_filters_apply_to_search_results(
    anonymous: Client, query: dict[str, str | int], is_found: bool
) -> None:
    for sort in ("name", "-ranking", "start_date", "-rating", "relevance"):
        answer = anonymous.get("/movies", q="cleo varda", sort=sort, **query)
        assert bool(names(answer)) is is_found
        assert answer.json()["pagination"]["total"] == int(is_found)


def test_pages_follow_each_other_without_gap_or_repetition(anonymous: Client) -> None:
    expected = [make_movie(name=f"Film {number:02}").name for number in range(11)]
    pages = [
        anonymous.get("/movies", q="film", page=page, per_page=3).json() for page in range(1, 6)
    ]
    assert [movie["name"] for movie in chain(*(page["data"] for page in pages))] == expected
    assert {page["pagination"]["total"] for page in pages} == {11}


def test_a_frequent_word_finds_the_best_films(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "AT_MOST", 4)
    for number in range(6):
        make_movie(name=f"X {number}", protagonists=["Nobody"], overview="Of a swan.")
    make_movie(name="Z", protagonists=["Sue Swan"])
    make_movie(name="The Swan", protagonists=["Nobody"])
    for query in ({"q": "swan"}, {"q": "swan", "language": "fr"}):
        answer = anonymous.get("/movies", **query)
        assert names(answer)[:2] == ["The Swan", "Z"]
        assert answer.json()["pagination"]["total"] == 4


@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize(
    ("query", "queries"),
    [({"q": "film"}, 4), ({"q": "film", "genre": "drama"}, 5), ({"person": "Agnès Varda"}, 3)],
)
def test_a_search_takes_as_many_queries_for_one_row_as_for_fifty(
    anonymous: Client,
    django_assert_num_queries: Any,
    query: dict[str, str],
    queries: int,
    rows: int,
) -> None:
    for number in range(rows):
        make_movie(name=f"Film {number}", genres=["drama", f"genre {number}"])
    # The catalogue's version is read for the response, and once more for the number of films.
    with django_assert_num_queries(2 + queries):
        answer = anonymous.get("/movies", per_page=50, **query)
    assert len(answer.json()["data"]) == rows
