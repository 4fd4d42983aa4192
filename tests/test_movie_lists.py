"""The catalogue's lists: filtered, ordered, paged, and at a fixed number of queries."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from movies.models import Genre, Movie
from tests.builders import Client, interact, make_movie, make_user
from tests.catalogue import posted, refused_fields

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db


def names(answer: Response) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


@pytest.fixture
def three_movies() -> None:
    """Each differs in all that one can filter by."""
    today = timezone.localdate()
    make_movie(
        name="Cléo",
        genres=["drama", "music"],
        protagonists=["Corinne Marchand", "Agnès Varda"],
        original_language="fr",
        release_year=1962,
        start_date=today + timedelta(days=2),
    )
    make_movie(
        name="Stalker",
        genres=["drama"],
        protagonists=["Alexander Kaidanovsky"],
        original_language="ru",
        release_year=1979,
        start_date=today,
    )
    make_movie(
        name="Airplane!",
        genres=[],
        original_language=None,
        release_year=None,
        start_date=today - timedelta(days=100),
        end_date=today - timedelta(days=1),
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["Airplane!", "Cléo", "Stalker"]),
        ({"genre": "drama"}, ["Cléo", "Stalker"]),
        ({"genre": "music"}, ["Cléo"]),
        ({"genre": "nothing"}, []),
        ({"status": "coming-up"}, ["Cléo"]),
        ({"status": "starting"}, ["Stalker"]),
        ({"status": "running"}, []),
        ({"status": "finished"}, ["Airplane!"]),
        ({"language": "ru"}, ["Stalker"]),
        ({"person": "Corinne Marchand"}, ["Cléo"]),
        ({"person": "Agne\u0300s Varda"}, ["Airplane!", "Cléo"]),
        ({"person": "agnes varda"}, ["Airplane!", "Cléo"]),
        ({"person": "AGNÈS  VARDA"}, ["Airplane!", "Cléo"]),
        ({"person": "Varda"}, []),
        ({"person": "!!!"}, []),
        ({"person": "x" * 500}, []),
        ({"person": "Corinne"}, []),
        ({"year_from": 1962}, ["Cléo", "Stalker"]),
        ({"year_to": 1962}, ["Cléo"]),
        ({"year_from": 1963, "year_to": 1978}, []),
        ({"year_from": 1990, "year_to": 1900}, []),
        ({"genre": "drama", "language": "fr", "year_to": 1970, "status": "coming-up"}, ["Cléo"]),
        ({"genre": "drama", "status": "finished"}, []),
        ({"genre": "\x00"}, []),
        ({"person": "\x00'; DROP TABLE movies_movie; --"}, []),
        ({"language": "RUS"}, ["Stalker"]),
        ({"sort": "relevance"}, ["Airplane!", "Cléo", "Stalker"]),
        ({"q": ""}, ["Airplane!", "Cléo", "Stalker"]),
    ],
)
@pytest.mark.usefixtures("three_movies")
def test_the_catalogue_is_filtered(
    anonymous: Client, query: dict[str, str], found: list[str]
) -> None:
    answer = anonymous.get("/movies", **query)
    assert names(answer) == found
    assert answer.json()["pagination"]["total"] == len(found)


@pytest.mark.parametrize(
    "query",
    [
        {"status": "over"},
        {"status": ""},
        {"status": "\x00"},
        {"sort": "id"},
        {"sort": "-name"},
        {"sort": "name; DROP TABLE movies_movie"},
        {"year_from": "x"},
        {"year_from": -1},
        {"year_to": 10**30},
        {"year_to": "1962\x00"},
        {"genre": "x" * 501},
        {"language": "%"},
        {"language": "French"},
        {"language": "qq"},
        {"language": ""},
        {"page": 0},
        {"page": -1},
        {"page": 10**30},
        {"page": "\x00"},
        {"page": ""},
        {"page": 1.5},
        {"per_page": 0},
        {"per_page": 101},
        {"per_page": "all"},
    ],
)
def test_a_bad_question_is_refused_and_its_parameter_named(
    anonymous: Client, query: dict[str, object]
) -> None:
    assert refused_fields(anonymous.get("/movies", **query)) == [f"query.{next(iter(query))}"]


def test_the_catalogue_is_sorted_and_ties_keep_the_order_of_posting(anonymous: Client) -> None:
    today = timezone.localdate()
    for name, days, ranking, stars in [
        ("beta", 5, 10, [5.0]),
        ("Alpha", 5, 30, []),
        ("gamma", 1, 10, [4.0, 4.0]),
        ("delta", 1, 0, [4.0]),
        ("Beta", 6, 30, []),
    ]:
        movie = make_movie(name=name, start_date=today + timedelta(days=days))
        Movie.objects.filter(pk=movie.pk).update(ranking=ranking)
        for given in stars:
            interact(make_user(), movie, "rating", half_stars=int(given * 2))
    for sort, expected in {
        "name": ["Alpha", "beta", "Beta", "delta", "gamma"],
        "-ranking": ["Alpha", "Beta", "beta", "gamma", "delta"],
        "start_date": ["gamma", "delta", "beta", "Alpha", "Beta"],
        "-rating": ["beta", "gamma", "delta", "Alpha", "Beta"],
    }.items():
        assert names(anonymous.get("/movies", sort=sort)) == expected
        pages = [names(anonymous.get("/movies", sort=sort, page=n, per_page=2)) for n in (1, 2, 3)]
        assert list(chain(*pages)) == expected


def test_names_are_sorted_as_people_look_them_up(anonymous: Client) -> None:
    expected = [
        "10", "'71", "8½", "Äpfel", "apple", "“Élan”", "Łódź", "Ödipus", "Öl", "Ostrov",
        "...per la vita", "ß", "Zorro", "Αθήνα", "ёж", "Ёлки", "七人の侍",
    ]  # fmt: skip
    for name in reversed(expected):
        make_movie(name=name)
    assert names(anonymous.get("/movies")) == expected
    pages = [names(anonymous.get("/movies", page=n, per_page=5)) for n in (1, 2, 3, 4, 5)]
    assert list(chain(*pages)) == expected


@pytest.mark.parametrize("name", ["한" * 300, "ﷺ" * 300, "\U0001d15e" * 150, "ǰ" * 300, "🎬" * 300])
def test_a_name_of_any_characters_can_be_sorted_and_found(staff: Client, name: str) -> None:
    posted(staff, name=name, overview=name * 30)
    assert len(names(staff.get("/movies"))) == 1
    assert len(names(staff.get("/movies", q=name[:100]))) == (
        "🎬" not in name and name[0].isalpha()
    )


@pytest.mark.usefixtures("three_movies")
def test_a_finished_film_is_not_trending(anonymous: Client) -> None:
    Movie.objects.filter(name="Airplane!").update(ranking=999)
    Movie.objects.filter(name="Stalker").update(ranking=20)
    assert names(anonymous.get("/movies/trending")) == ["Stalker", "Cléo"]


def test_genres_are_listed_by_name_page_by_page(anonymous: Client) -> None:
    make_movie(genres=["western", "drama", "music"])
    answer = anonymous.get("/genres", per_page=2)
    assert [genre["slug"] for genre in answer.json()["data"]] == ["drama", "music"]
    assert answer.json()["pagination"]["total"] == 3


@pytest.mark.parametrize(
    ("path", "queries"),
    # The catalogue's version, how many rows, and the rows; films have genres. How many films there
    # are in the catalogue is kept for a version, which is then looked at again.
    [("/movies", 5), ("/movies/trending", 4), ("/genres", 3)],
)
@pytest.mark.parametrize("rows", [1, 50])
def test_a_list_takes_as_many_queries_for_one_row_as_for_fifty(
    anonymous: Client, django_assert_num_queries: Any, path: str, queries: int, rows: int
) -> None:
    for number in range(rows):
        make_movie(genres=["drama", f"genre {number}"])
    with django_assert_num_queries(queries):
        answer = anonymous.get(path, per_page=50)
    assert len(answer.json()["data"]) >= rows


def test_one_movie_takes_two_queries(anonymous: Client, django_assert_num_queries: Any) -> None:
    movie = make_movie(genres=["drama", "music"])
    with django_assert_num_queries(1 + 2):  # the catalogue's version
        anonymous.get(f"/movies/{movie.pk}")


@pytest.mark.parametrize("path", ["/movies", "/movies/trending", "/genres", "/movies/{}"])
def test_a_public_read_is_answered_by_304_until_it_changes(anonymous: Client, path: str) -> None:
    movie = make_movie(genres=["drama"])
    path = path.format(movie.pk)
    first = anonymous.get(path)
    assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
    known = {"If-None-Match": first["ETag"]}
    assert anonymous.send("GET", path, headers=known).status_code == 304
    Movie.objects.filter(pk=movie.pk).update(name="Changed")
    Genre.objects.update(name="Changed")
    assert anonymous.send("GET", path, headers=known).status_code == 200


def test_a_genre_that_another_process_has_just_made_is_shown(viewer: Client, settings: Any) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    make_movie(genres=["drama"])
    viewer.get("/movies")
    make_movie(name="Another", genres=["zither music", "drama"])
    names = [
        [genre["name"] for genre in film["genres"]] for film in viewer.get("/movies").json()["data"]
    ]
    assert names == [["Drama", "zither music"], ["Drama"]]
