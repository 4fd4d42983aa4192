"""The database's counts are right for any writer, and for many at once."""

from __future__ import annotations

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from movies.models import Movie
from recommendations.models import Interaction
from tests.audience import rate, say
from tests.builders import Client, interact, make_movie, make_user
from tests.concurrency import and_disconnect, at_once

pytestmark = pytest.mark.django_db
at_the_same_time = pytest.mark.django_db(transaction=True)

Kind = Interaction.Kind


def assert_counted(movies: Iterable[Movie]) -> None:
    """Count and average of each movie are those of the ratings that stand."""
    for movie in movies:
        stars = [
            half / 2
            for half in Interaction.objects.filter(movie=movie, kind=Kind.RATING).values_list(
                "half_stars", flat=True
            )
        ]
        movie.refresh_from_db()
        assert movie.rating_count == len(stars)
        assert movie.rating_sum == sum(stars)
        assert movie.rating_average == (sum(stars) / len(stars) if stars else None)


# --- at the same time


@at_the_same_time
def test_one_viewer_rating_a_movie_20_times_at_once_has_rated_it_once(viewer: Client) -> None:
    movie = make_movie()
    stars = [1 + half / 2 for half in range(8)] * 3
    answers = at_once([partial(rate, viewer, movie, given) for given in stars[:20]])
    assert [answer.status_code for answer in answers] == [200] * 20
    assert [answer.json()["stars"] for answer in answers] == stars[:20]
    row = Interaction.objects.get()
    assert row.stars in stars
    assert_counted([movie])


@at_the_same_time
def test_one_of_20_simultaneous_equal_interactions_is_new(viewer: Client) -> None:
    movie = make_movie()
    answers = at_once([partial(say, viewer, movie, "like")] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Interaction.objects.count() == 1
    assert viewer.user.taste_version == 1


@at_the_same_time
def test_20_viewers_rating_a_movie_at_once_are_all_counted() -> None:
    movie = make_movie()
    viewers = [Client(make_user()) for _ in range(20)]
    answers = at_once([partial(rate, v, movie, 1 + n % 5) for n, v in enumerate(viewers)])
    assert [answer.status_code for answer in answers] == [200] * 20
    movie.refresh_from_db()
    assert (movie.rating_count, movie.rating_average) == (20, 3)


@at_the_same_time
def test_rating_and_taking_back_at_once_fails_nobody(viewer: Client) -> None:
    movie = make_movie()

    def to_and_fro(number: int) -> set[int]:
        luck = random.Random(number)
        statuses = set()
        for _ in range(15):
            if luck.random() < 0.5:
                statuses.add(rate(viewer, movie, luck.randint(1, 5)).status_code)
            else:
                statuses.add(viewer.delete(f"/movies/{movie.pk}/rating").status_code)
        return statuses

    statuses = set().union(*at_once([partial(to_and_fro, number) for number in range(6)]))
    assert statuses <= {200, 204, 404}
    assert_counted([movie])


@at_the_same_time
@pytest.mark.parametrize("kind", ["rating", "like"])
def test_a_movie_deleted_while_it_is_judged_is_not_there(viewer: Client, kind: str) -> None:
    movie = make_movie()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Movie.objects.filter(pk=movie.pk).delete()
            stars = 4 if kind == "rating" else None
            answer = pool.submit(and_disconnect, partial(say, viewer, movie, kind, stars))
            # It found the movie and waits for the deletion's end.
            assert not wait([answer], timeout=0.3).done
        assert answer.result(timeout=60).status_code == 404


@at_the_same_time
def test_viewers_of_the_same_movies_can_be_deleted_at_once() -> None:
    movies = [make_movie() for _ in range(8)]
    viewers = [make_user() for _ in range(8)]
    for number, user in enumerate(viewers):
        random.Random(number).shuffle(movies)
        for movie in movies:
            interact(user, movie, "rating", half_stars=8)
    at_once([user.delete for user in viewers[1:]])
    assert Interaction.objects.count() == len(movies)
    assert_counted(movies)


# --- counted by the database itself


def test_bulk_writes_are_counted() -> None:
    users, movies = [make_user() for _ in range(3)], [make_movie() for _ in range(2)]
    rows = Interaction.objects.bulk_create(
        Interaction(user=user, movie=movie, kind=Kind.RATING, half_stars=2 * place)
        for place, user in enumerate(users, start=1)
        for movie in movies
    )
    assert_counted(movies)
    assert {user.taste_version for user in refreshed(users)} == {1}

    for row in rows:
        row.half_stars += 1
    Interaction.objects.bulk_update(rows, ["half_stars"])
    assert_counted(movies)
    assert {user.taste_version for user in refreshed(users)} == {2}

    Interaction.objects.filter(user=users[0]).delete()
    assert_counted(movies)
    assert [user.taste_version for user in refreshed(users)] == [3, 2, 2]


def test_raw_sql_is_counted() -> None:
    users, movies = [make_user() for _ in range(2)], [make_movie() for _ in range(2)]
    interact(users[0], movies[0], "rating", half_stars=9)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO recommendations_interaction"
            " (user_id, movie_id, kind, half_stars, created_at, updated_at)"
            " VALUES (%(user)s, %(movie)s, 1, 3, now(), now()),"
            " (%(user)s, %(movie)s, 2, 0, now(), now())",
            {"user": users[1].pk, "movie": movies[0].pk},
        )
        assert_counted(movies)
        # A rating moves to another movie, and another one turns into a like.
        cursor.execute(
            "UPDATE recommendations_interaction SET movie_id = %s WHERE half_stars = 9",
            [movies[1].pk],
        )
        assert_counted(movies)
        cursor.execute(
            "UPDATE recommendations_interaction SET kind = 3, half_stars = 0 WHERE half_stars = 3"
        )
        assert_counted(movies)
        cursor.execute("DELETE FROM recommendations_interaction")
    assert_counted(movies)
    assert [movie.rating_sum for movie in refreshed(movies)] == [0, 0]


def refreshed(rows: list[Any]) -> list[Any]:
    for row in rows:
        row.refresh_from_db()
    return rows


def test_taste_version_rises_with_each_change_and_with_nothing_else(viewer: Client) -> None:
    movie, versions = make_movie(), [viewer.user.taste_version]

    def risen() -> bool:
        versions.append(viewer.user.taste_version)
        return versions[-1] > versions[-2]

    rate(viewer, movie, 4)
    assert risen()
    rate(viewer, movie, 4)
    assert not risen()
    rate(viewer, movie, 5)
    assert risen()
    like = say(viewer, movie, "like").json()["id"]
    assert risen()
    rate(Client(make_user()), movie, 1)
    assert not risen()
    viewer.delete(f"/interactions/{like}")
    assert risen()
    viewer.delete(f"/interactions/{like}")
    assert not risen()
    viewer.delete(f"/movies/{movie.pk}/rating")
    assert risen()


def test_feedback_does_not_make_the_programme_anew(viewer: Client) -> None:
    """The catalogue's version stands: a click must not empty everybody's cache."""
    from movies.models import CatalogueVersion

    movie = make_movie()
    before = CatalogueVersion.objects.get().version
    rate(viewer, movie, 4)
    say(viewer, movie, "hide")
    viewer.delete(f"/movies/{movie.pk}/rating")
    assert CatalogueVersion.objects.get().version == before
