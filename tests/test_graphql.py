"""GraphQL shows what the REST API shows, to whom it shows it, in a fixed number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from movies.days import cinema_day
from movies.models import Screening
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from tests.catalogue import shown

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

EVERYTHING = """
query($first: Int) {
  movies(first: $first) {
    totalCount
    pageInfo { hasNextPage endCursor }
    edges { node {
      id pk name slug protagonists overview poster posterSrcset { webp } trailer
      startDate endDate status ranking
      originalLanguage releaseYear runtimeMinutes tmdbId ratingAverage ratingCount communityScore
      createdAt
      genres { slug name }
      screenings(first: 5) { totalCount edges { node { pk hall startsAt state movie { name } } } }
    } }
  }
}
"""
PROGRAMME = """
query($genre: String, $tag: String) {
  programme(genre: $genre, tag: $tag) {
    from to
    days { date movies {
      movie { pk name genres { slug } screenings(first: 3) { edges { node { pk } } } }
      screenings { pk hall startsAt state tags movie { name } }
    } }
    comingUp { name genres { slug } }
  }
}
"""


def ask(client: Client, query: str, **variables: Any) -> Any:
    answer = client.post("/graphql", {"query": query, "variables": variables})
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert "errors" not in found, found
    return found["data"]


def refusal(client: Client, query: str, **variables: Any) -> str:
    """The message of the first error."""
    answer = client.post("/graphql", {"query": query, "variables": variables})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["errors"][0]["message"])


def names(found: Any) -> list[str]:
    return [edge["node"]["name"] for edge in found["movies"]["edges"]]


def fill(movies: int, screenings: int = 3) -> None:
    """Movies with genres of their own and screenings in the days to come."""
    tomorrow = cinema_day(timezone.now()) + timedelta(days=1)
    for number in range(movies):
        movie = make_movie(genres=["drama", f"genre {number}"])
        for day in range(screenings):
            make_screening(movie, starts_at=at(tomorrow + timedelta(days=day), 20))


def test_a_movie_is_shown_as_in_the_rest_api(anonymous: Client) -> None:
    movie = make_movie(name="Cléo", genres=["drama"], tmdb_id=499, overview="Two hours.")
    interact(make_user(), movie, "rating", half_stars=9)
    rest = anonymous.get(f"/movies/{movie.pk}").json()
    [edge] = ask(anonymous, EVERYTHING)["movies"]["edges"]
    node = edge["node"]
    assert node["pk"] == rest["id"]
    assert [genre["slug"] for genre in node["genres"]] == ["drama"]
    assert node["status"] == rest["status"].upper().replace("-", "_")
    same = {
        "name": "name", "slug": "slug", "protagonists": "protagonists", "overview": "overview",
        "poster": "poster", "trailer": "trailer", "startDate": "start_date",
        "endDate": "end_date", "ranking": "ranking", "originalLanguage": "original_language",
        "releaseYear": "release_year", "runtimeMinutes": "runtime_minutes", "tmdbId": "tmdb_id",
        "ratingAverage": "rating_average", "ratingCount": "rating_count",
        "communityScore": "community_score",
        "createdAt": "created_at",
    }  # fmt: skip
    assert {name: node[name] for name in same} == {name: rest[key] for name, key in same.items()}


@pytest.mark.parametrize("rows", [1, 12])
def test_queries_do_not_grow_with_the_movies(
    anonymous: Client, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    fill(rows)
    with django_assert_num_queries(4):
        found = ask(anonymous, EVERYTHING, first=50)
    assert found["movies"]["totalCount"] == rows
    assert {e["node"]["screenings"]["totalCount"] for e in found["movies"]["edges"]} == {3}


@pytest.mark.parametrize(("rows", "screenings"), [(1, 1), (5, 6)])
def test_queries_do_not_grow_with_the_programme(
    anonymous: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
    screenings: int,
) -> None:
    make_movie(name="Soon", start_date=timezone.localdate() + timedelta(days=9))
    fill(rows, screenings)
    with django_assert_num_queries(12):
        found = ask(anonymous, PROGRAMME)["programme"]
    assert len(found["days"]) == screenings
    assert [movie["name"] for movie in found["comingUp"]] == ["Soon"]


def test_the_programme_is_the_one_of_the_rest_api(anonymous: Client) -> None:
    fill(3)
    tomorrow = timezone.localdate() + timedelta(days=1)
    late = make_movie(name="After midnight", genres=["horror"])
    make_screening(late, starts_at=at(tomorrow + timedelta(days=1), 0, 30), tags=["35mm"])
    for filters in ({}, {"genre": "horror"}, {"tag": "35mm"}, {"genre": "none"}):
        found = ask(anonymous, PROGRAMME, **filters)["programme"]
        days = {day["date"]: [m["movie"]["name"] for m in day["movies"]] for day in found["days"]}
        assert days == shown(anonymous, **filters)


def test_hidden_screenings_are_for_staff_wherever_they_hang(
    anonymous: Client, viewer: Client, staff: Client
) -> None:
    movie = make_movie()
    make_screening(movie, state=Screening.State.HIDDEN)
    query = """{
      screenings { edges { node { state } } }
      movies { edges { node { screenings(first: 9) { edges { node { state } } } } } }
    }"""
    for client, count in ((anonymous, 0), (viewer, 0), (staff, 1)):
        found = ask(client, query)
        assert len(found["screenings"]["edges"]) == count
        [movie_edge] = found["movies"]["edges"]
        assert len(movie_edge["node"]["screenings"]["edges"]) == count


def test_a_withdrawn_movie_is_hidden_from_every_field(anonymous: Client, staff: Client) -> None:
    screening = make_screening()
    [node_id] = [e["node"]["id"] for e in ask(anonymous, EVERYTHING)["movies"]["edges"]]
    staff.delete(f"/movies/{screening.movie_id}", force=True)
    query = """query($id: ID!, $pk: Int!) {
      node(id: $id) { id } movie(pk: $pk) { name }
      movies { edges { node { name } } } screenings { edges { node { pk } } }
      programme { days { date } }
    }"""
    assert ask(anonymous, query, id=node_id, pk=screening.movie_id) == {
        "node": None,
        "movie": None,
        "movies": {"edges": []},
        "screenings": {"edges": []},
        "programme": {"days": []},
    }


def test_one_movie_by_id_by_slug_and_by_global_id(anonymous: Client) -> None:
    movie = make_movie(name="Cléo")
    query = "query($pk: Int, $slug: String) { movie(pk: $pk, slug: $slug) { id name } }"
    found = ask(anonymous, query, pk=movie.pk)["movie"]
    assert found == ask(anonymous, query, slug="cleo")["movie"]
    node = "query($id: ID!) { node(id: $id) { ... on Movie { name } } }"
    assert ask(anonymous, node, id=found["id"]) == {"node": {"name": "Cléo"}}
    assert "either" in refusal(anonymous, query)
    assert ask(anonymous, query, pk=2**31 - 1) == {"movie": None}


def test_pages_follow_each_other_to_the_end(anonymous: Client) -> None:
    for letter in "ABCDE":
        make_movie(name=letter)
    query = """query($after: String) { movies(first: 2, after: $after) {
      pageInfo { hasNextPage endCursor } edges { node { name } } } }"""
    seen, after = [], None
    while True:
        page = ask(anonymous, query, after=after)
        seen += names(page)
        after = page["movies"]["pageInfo"]["endCursor"]
        if not page["movies"]["pageInfo"]["hasNextPage"]:
            break
    assert seen == list("ABCDE")
    backwards = ask(anonymous, "{ movies(last: 2) { edges { node { name } } } }")
    assert names(backwards) == ["D", "E"]


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        ("genre: \"drama\"", {"genre": "drama"}),
        ("status: RUNNING", {"status": "running"}),
        ("status: COMING_UP, sort: START_DATE", {"status": "coming-up", "sort": "start_date"}),
        ("language: \"fr\", sort: RANKING", {"language": "fr", "sort": "-ranking"}),
        ("yearFrom: 1961, yearTo: 1970", {"year_from": 1961, "year_to": 1970}),
        ("sort: RATING", {"sort": "-rating"}),
        ("person: \"Agnès Varda\"", {"person": "Agnès Varda"}),
        ("q: \"movie\"", {"q": "movie"}),
    ],
)  # fmt: skip
def test_filters_and_orders_are_those_of_the_rest_api(
    anonymous: Client, arguments: str, rest: dict[str, Any]
) -> None:
    soon = timezone.localdate() + timedelta(days=9)
    for number in range(6):
        make_movie(
            release_year=1960 + number * 3,
            genres=["drama"] if number % 2 else ["comedy"],
            original_language="fr" if number % 3 else "de",
            **({"start_date": soon + timedelta(days=number)} if number > 3 else {}),
        )
    expected = [movie["name"] for movie in anonymous.get("/movies", **rest).json()["data"]]
    query = "{ movies(%s) { edges { node { name } } } }"
    assert names(ask(anonymous, query % arguments)) == expected
    assert expected, "a filter that finds nothing proves nothing"
