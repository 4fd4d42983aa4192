"""A viewer's own figures, against ones that were counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from movies import services as movies
from movies.models import Movie
from recommendations.models import Interaction
from tests.audience import rate
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from users.models import Favourite, User, Viewing

pytestmark = pytest.mark.django_db

PATH = "/users/me/statistics"
QUERIES = 4  # who asks; the summary, which has nothing; the figures; genres


def figures(client: Client, **query: Any) -> dict[str, Any]:
    answer = client.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def watched(user: User, movie: Movie, moment: datetime, *, here: bool = False) -> Viewing:
    return Viewing.objects.create(user=user, movie=movie, watched_at=moment, checked_in=here)


@pytest.fixture
def november(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: date(2026, 11, 20))


def test_a_viewer_without_history_has_empty_figures(viewer: Client, november: None) -> None:
    found = figures(viewer)
    assert set(found["counts"].values()) == {0}
    assert found["mean_rating"] is None
    assert [row["stars"] for row in found["by_stars"]] == [half / 2 for half in range(1, 11)]
    assert {row["ratings"] for row in found["by_stars"]} == {0}
    assert found["by_genre"] == found["by_decade"] == []
    assert [row["month"] for row in found["by_month"]] == [
        "2025-12", *(f"2026-{month:02}" for month in range(1, 12))
    ]  # fmt: skip
    assert (found["hours_watched"], found["viewings_without_runtime"]) == (0, 0)


def test_everything_is_counted(viewer: Client, november: None) -> None:
    user = viewer.user
    cleo = make_movie(genres=["drama", "music"], release_year=1962, runtime_minutes=90)
    zazie = make_movie(genres=["comedy", "drama"], release_year=1960, runtime_minutes=96)
    short = make_movie(genres=["drama"], release_year=2001, runtime_minutes=None)
    unknown = make_movie(release_year=None)
    watched(user, cleo, at(date(2026, 11, 3), 20), here=True)
    watched(user, cleo, at(date(2026, 10, 3), 20))
    watched(user, zazie, at(date(2026, 11, 4), 20))
    watched(user, short, at(date(1999, 1, 1), 20))
    interact(user, unknown, "seen")
    interact(user, make_movie(), "like")
    Favourite.objects.create(user=user, movie=cleo)
    rate(viewer, cleo, 5)
    rate(viewer, zazie, 2.5)
    rate(viewer, make_movie(genres=["comedy"], release_year=1969), 5)
    watched(make_user(), cleo, at(date(2026, 11, 3), 20))
    found = figures(viewer)
    assert found["counts"] == {
        "ratings": 3,
        "favourites": 1,
        "history": 4,
        "check_ins": 1,
        "films_watched": 5,
    }
    assert found["mean_rating"] == 4.17
    stars = {row["stars"]: row["ratings"] for row in found["by_stars"] if row["ratings"]}
    assert stars == {2.5: 1, 5: 2}
    assert found["by_genre"] == [
        {"slug": "drama", "name": "Drama", "films_watched": 3, "mean_rating": 3.75},
        {"slug": "comedy", "name": "Comedy", "films_watched": 2, "mean_rating": 3.75},
        {"slug": "music", "name": "Music", "films_watched": 1, "mean_rating": 5},
    ]
    assert found["by_decade"] == [
        {"decade": 1960, "films_watched": 3, "mean_rating": 4.17},
        {"decade": 2000, "films_watched": 1, "mean_rating": None},
        {"decade": None, "films_watched": 1, "mean_rating": None},
    ]
    assert found["by_month"][-2:] == [
        {"month": "2026-10", "viewings": 1, "check_ins": 0},
        {"month": "2026-11", "viewings": 2, "check_ins": 1},
    ]
    assert sum(row["viewings"] for row in found["by_month"]) == 3
    assert found["hours_watched"] == 4.6  # 90 + 90 + 96 minutes
    assert found["viewings_without_runtime"] == 1


def test_months_are_by_the_cinemas_clock(viewer: Client, november: None) -> None:
    watched(viewer.user, make_movie(), datetime(2026, 9, 30, 22, 30, tzinfo=UTC))  # 00:30 here
    by_month = {row["month"]: row["viewings"] for row in figures(viewer)["by_month"]}
    assert (by_month["2026-09"], by_month["2026-10"]) == (0, 1)


@pytest.mark.parametrize(("months", "first"), [(1, "2026-11"), (11, "2026-01"), (23, "2025-01")])
def test_the_requested_number_of_months_is_listed(
    viewer: Client, november: None, months: int, first: str
) -> None:
    by_month = figures(viewer, months=months)["by_month"]
    assert (len(by_month), by_month[0]["month"]) == (months, first)
    assert by_month[-1]["month"] == "2026-11"


@pytest.mark.parametrize("months", [0, 121, "many"])
def test_a_bad_number_of_months_is_refused(viewer: Client, months: object) -> None:
    assert viewer.get(PATH, months=months).status_code == 422


def test_a_check_in_counts_at_once(viewer: Client) -> None:
    screening = make_screening(starts_at=timezone.now())
    payload = {"movie_id": screening.movie_id, "screening_id": screening.pk}
    assert viewer.post("/users/me/history", payload).status_code == 201
    assert figures(viewer)["counts"]["check_ins"] == 1


def test_withdrawn_films_are_counted_as_figures_name_no_film(viewer: Client) -> None:
    movie = make_movie(genres=["drama"])
    rate(viewer, movie, 4)
    before = figures(viewer)
    movies.delete_movie(movie_id=movie.pk, force=True)
    assert figures(viewer) == before
    assert before["counts"]["films_watched"] == 1


def test_figures_are_for_those_who_have_signed_in(anonymous: Client) -> None:
    assert anonymous.get(PATH).status_code == 401


def test_ten_thousand_rows_cost_as_many_queries_and_little_time(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user = viewer.user
    films = [make_movie(genres=["drama", "war"], release_year=1950 + n) for n in range(50)]
    with django_assert_num_queries(QUERIES - 1):  # there is no genre to name
        figures(viewer)
    Viewing.objects.bulk_create(
        Viewing(user=user, movie=film, watched_at=datetime(2020, 1, day, hour, tzinfo=UTC))
        for film in films
        for day in range(1, 11)
        for hour in range(20)
    )
    Interaction.objects.bulk_create(
        Interaction(user=user, movie=film, kind=Interaction.Kind.RATING, half_stars=8)
        for film in films
    )
    with django_assert_num_queries(QUERIES):
        found = figures(viewer)
    assert found["counts"]["history"] == 10_000
    assert found["counts"]["films_watched"] == 50
    took: list[float] = []
    while not took or (min(took) >= 0.5 and len(took) < 30):  # more often on a busy machine
        began = perf_counter()
        figures(viewer)
        took.append(perf_counter() - began)
    assert min(took) < 0.5
