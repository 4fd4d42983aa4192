"""`GET /movies/popular`: what viewers liked lately, before what nobody has touched."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations import popular
from recommendations.dataset import weight_table
from recommendations.models import Interaction
from recommendations.popular import QUERY, most_popular
from tests.builders import Client, interact, make_movie, make_user
from tests.catalogue import refused_fields

pytestmark = pytest.mark.django_db

Kind = Interaction.Kind


def names(client: Client, **query: Any) -> list[str]:
    answer = client.get("/movies/popular", **query)
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


def liked(movie: Movie, *, days_ago: float = 0, kind: str = "like", stars: float = 0) -> None:
    """Let a new viewer like the movie."""
    when = timezone.now() - timedelta(days=days_ago)
    interact(make_user(), movie, kind, half_stars=int(stars * 2), updated_at=when)


def order_of(*movies: Movie) -> list[int]:
    """The movies in their order, numbered as they are given; without those that are not in it."""
    numbers = {movie.pk: number for number, movie in enumerate(movies)}
    return [numbers[pk] for pk in most_popular()]


def test_films_are_ordered_by_likes(anonymous: Client) -> None:
    films = [make_movie(name=name) for name in ("one", "three", "two", "none")]
    for film, times in zip(films, (1, 3, 2), strict=False):
        for _ in range(times):
            liked(film)
    assert names(anonymous) == ["three", "two", "one", "none"]


def test_after_a_half_life_an_interaction_counts_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommendations.popular.POPULAR_HALF_LIFE_DAYS", 10)
    old, new = make_movie(), make_movie()
    liked(new)
    for _ in range(2):
        liked(old, days_ago=10.1)
    assert order_of(old, new) == [1, 0]
    liked(old, days_ago=10.1)
    assert order_of(old, new) == [0, 1]


def test_positive_interactions_count_with_their_weights(
    settings: Settings,
) -> None:
    kinds = [("superlike", 0.0), ("like", 0), ("rating", 3), ("seen", 0)]
    films = [make_movie() for _ in kinds]
    for film, (kind, stars) in zip(films, kinds, strict=True):
        liked(film, kind=kind, stars=stars)
        for against in ("dislike", "hide"):
            liked(film, kind=against)
        liked(film, kind="rating", stars=1)
    assert order_of(*films) == [0, 1, 2, 3]
    disliked = make_movie()
    for kind, stars in (("dislike", 0), ("hide", 0), ("rating", 0.5), ("rating", 2)):
        liked(disliked, kind=kind, stars=stars)
    assert order_of(*films) == [0, 1, 2, 3]


def test_other_weights_make_another_order(settings: Settings) -> None:
    superliked, liked_ = make_movie(), make_movie()
    liked(superliked, kind="superlike")
    liked(liked_)
    assert order_of(superliked, liked_) == [0, 1]
    settings.INTERACTION_WEIGHTS = {**settings.INTERACTION_WEIGHTS, "superlike": -1}
    weight_table.cache_clear()
    try:
        assert order_of(superliked, liked_) == [1]
    finally:
        settings.INTERACTION_WEIGHTS = {**settings.INTERACTION_WEIGHTS, "superlike": 3}
        weight_table.cache_clear()


def test_one_viewer_who_clicks_on_and_on_counts_once(viewer: Client) -> None:
    pushed, honest = make_movie(), make_movie()
    for _ in range(20):
        for kind in ("like", "dislike"):
            viewer.post("/interactions", {"movie_id": pushed.pk, "kind": kind})
        viewer.post("/interactions", {"movie_id": pushed.pk, "kind": "like"})
    for _ in range(2):
        liked(honest)
    assert order_of(honest, pushed) == [0, 1]


def test_a_clock_that_runs_ahead_gains_nothing() -> None:
    """Imported ratings can have a date such as the year 2100."""
    ahead, honest = make_movie(), make_movie()
    liked(ahead, days_ago=-27_000)
    liked(honest, kind="superlike")
    assert order_of(ahead, honest) == [1, 0]


def test_likes_older_than_ten_half_lives_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommendations.popular.POPULAR_HALF_LIFE_DAYS", 1)
    film = make_movie()
    liked(film, days_ago=10.1)
    assert most_popular() == []
    liked(film, days_ago=9.9)
    assert most_popular() == [film.pk]


def test_an_empty_cinema_has_an_empty_list_and_one_without_viewers_a_full_one(
    anonymous: Client,
) -> None:
    """They are sorted by ranking, then by the time of posting."""
    assert names(anonymous) == []
    for name, ranking in (("low", 10), ("high", 30), ("first of equals", 20), ("second", 20)):
        Movie.objects.filter(pk=make_movie(name=name).pk).update(ranking=ranking)
    assert names(anonymous) == ["high", "first of equals", "second", "low"]


def test_every_film_is_on_one_page_and_in_one_order(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The popular movies end within a page, or exceed the number that is kept in order."""
    monkeypatch.setattr(popular, "MOST_POPULAR", 5)
    films = [make_movie(name=f"film {number}") for number in range(12)]
    for place, film in enumerate(films[:7]):
        for _ in range(7 - place):
            liked(film)
    expected = [film.name for film in films]
    assert names(anonymous, per_page=100) == expected
    for per_page in (1, 3, 4, 5, 12):
        pages = [names(anonymous, per_page=per_page, page=page) for page in range(1, 14)]
        assert list(chain.from_iterable(pages)) == expected
    answer = anonymous.get("/movies/popular", per_page=5, page=2)
    assert answer.json()["pagination"] == {"page": 2, "per_page": 5, "total": 12, "pages": 3}


def test_a_withdrawn_film_leaves_at_once_without_a_gap(anonymous: Client, staff: Client) -> None:
    films = [make_movie(name=f"film {number}") for number in range(4)]
    for days, film in enumerate(films[:3]):
        liked(film, days_ago=days)
    assert names(anonymous, per_page=2) == ["film 0", "film 1"]
    assert staff.delete(f"/movies/{films[0].pk}", force="true").status_code == 204
    assert names(anonymous, per_page=2) == ["film 1", "film 2"]
    assert names(anonymous, per_page=2, page=2) == ["film 3"]


def test_the_order_stands_for_its_lifetime_whoever_asks(
    anonymous: Client, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To add up all interactions takes long. Films that are edited show at once all the same."""
    first, second = make_movie(name="first"), make_movie(name="second")
    liked(first)
    assert names(anonymous) == ["first", "second"]
    for _ in range(2):
        liked(second)
    assert names(anonymous) == names(viewer) == ["first", "second"]
    Movie.objects.filter(pk=first.pk).update(name="edited")
    assert names(anonymous) == ["edited", "second"]
    monkeypatch.setattr("recommendations.popular.POPULAR_LIFETIME_S", 0)
    assert names(anonymous) == names(viewer) == ["second", "edited"]


@pytest.mark.parametrize("rows", [1, 50])
def test_a_page_takes_as_many_queries_for_one_film_as_for_fifty(
    anonymous: Client, django_assert_num_queries: Any, rows: int
) -> None:
    for number in range(rows):
        liked(make_movie(genres=["drama", f"genre {number}"]))
        make_movie(genres=["music"])
    with django_assert_num_queries(1 + 1 + 2 + 1 + 2):  # version; order; who is there; rest; films
        assert len(names(anonymous, per_page=100)) == 2 * rows


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page": "x"}, {"per_page": 0}, {"per_page": 101}, {"page": 10**30}]
)
def test_a_bad_page_is_refused(anonymous: Client, query: dict[str, object]) -> None:
    assert refused_fields(anonymous.get("/movies/popular", **query)) == [
        f"query.{next(iter(query))}"
    ]


def test_a_page_far_behind_the_end_is_empty(anonymous: Client) -> None:
    liked(make_movie())
    make_movie()
    assert names(anonymous, page=1_000_000_000, per_page=100) == []


def test_only_recent_interactions_are_read_and_from_the_index_alone() -> None:
    """All but three of two thousand are old: of a few rows the planner reads any."""
    films, users = [make_movie() for _ in range(50)], [make_user() for _ in range(40)]
    long_ago = timezone.now() - timedelta(days=3650)
    Interaction.objects.bulk_create(
        Interaction(user=user, movie=film, kind=Kind.LIKE, updated_at=long_ago)
        for user in users
        for film in films
    )
    recent = Interaction.objects.filter(movie=films[0], user__in=users[:3])
    assert recent.update(updated_at=timezone.now()) == 3
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        cursor.execute("ANALYZE recommendations_interaction")
        assert most_popular() == [films[0].pk]
        cursor.execute("EXPLAIN " + queries.captured_queries[-1]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "interaction_recent" in plan, plan
    assert QUERY.count("recommendations_") == 1
