"""POST /users/me/import: many rows, and many viewers at the same moment."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from pytest_django import DjangoAssertNumQueries

from movies.models import Movie
from recommendations.models import Interaction
from tests.builders import Client, at, make_user
from tests.concurrency import at_once
from tests.viewer_files import (
    DIARY,
    PLAIN,
    RATINGS,
    counts,
    csv,
    imported,
    make_films,
    send,
    zipped,
)
from users.models import Playlist, PlaylistEntry, Viewing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

#: The number for a file of any size.
QUERIES = 21


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def export(number: int) -> bytes:
        rows = make_films(number)
        return zipped(
            {
                "ratings.csv": csv(RATINGS, *(f"{row},4" for row in rows)),
                "diary.csv": csv(DIARY, *(f"{row},,,,2024-01-01" for row in rows)),
                "watchlist.csv": csv(PLAIN, *rows),
                "likes/films.csv": csv(PLAIN, *rows),
            }
        )

    few, many = export(1), export(60)
    imported(viewer, export(1))  # makes the list
    with django_assert_num_queries(QUERIES):
        assert counts(imported(viewer, few)) == (4, 0, 0)
    with django_assert_num_queries(QUERIES):
        assert counts(imported(viewer, many)) == (240, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_the_same_file_twice_at_once_is_taken_once(viewer: Client) -> None:
    rows = make_films(30)
    file = zipped(
        {
            "ratings.csv": csv(RATINGS, *(f"{row},4" for row in rows)),
            "diary.csv": csv(DIARY, *(f"{row},,,,2024-01-01" for row in rows)),
            "watchlist.csv": csv(PLAIN, *rows),
        }
    )
    reports = at_once([lambda: imported(viewer, file)] * 4)
    assert sorted(counts(report) for report in reports) == [(0, 0, 90)] * 3 + [(90, 0, 0)]
    assert (Interaction.objects.count(), Viewing.objects.count()) == (30, 30)
    assert Playlist.objects.count() == 1
    assert PlaylistEntry.objects.count() == 30


@pytest.mark.django_db(transaction=True)
def test_viewers_who_rate_the_same_films_at_once_do_not_stop_each_other() -> None:
    rows = make_films(40)
    viewers = [Client(make_user()) for _ in range(4)]
    for number, client in enumerate(viewers):  # half of them are there, another half for each
        older = [row.replace("2024", "2020", 1) + ",2" for row in rows[number::2]]
        imported(client, csv(RATINGS, *older))
    file = csv(RATINGS, *(f"{row},4" for row in rows))
    reports = at_once([partial(imported, client, file) for client in viewers])
    for report in reports:
        assert report["created"] + report["updated"] == 40
    for film in {row.movie for row in Interaction.objects.select_related("movie")}:
        assert (film.rating_count, film.rating_average) == (4, 4)


@pytest.mark.django_db(transaction=True)
def test_acts_of_the_viewer_during_the_import_are_neither_lost_nor_doubled(viewer: Client) -> None:
    rows = make_films(20)
    films = list(Movie.objects.order_by("pk"))
    playlist = Playlist.objects.create(user=viewer.user, name="Watchlist")
    file = zipped(
        {
            "ratings.csv": csv(RATINGS, *(f"{row},2" for row in rows)),
            "diary.csv": csv(DIARY, *(f"{row},,,,2024-01-01" for row in rows)),
            "watchlist.csv": csv(PLAIN, *rows),
        }
    )

    def by_hand() -> None:
        noon = at(date(2024, 1, 1), 12).isoformat()
        for film in films:
            for answer in (
                viewer.put(f"/movies/{film.pk}/rating", {"stars": 5}),
                viewer.post("/users/me/history", {"movie_id": film.pk, "watched_at": noon}),
                viewer.put(f"/playlists/{playlist.pk}/movies/{film.pk}"),
            ):
                assert answer.status_code in (200, 201), answer.content

    at_once([lambda: imported(viewer, file), by_hand])
    assert Interaction.objects.filter(half_stars=10).count() == 20
    assert Viewing.objects.count() == 20
    assert sorted(PlaylistEntry.objects.values_list("movie", flat=True)) == [f.pk for f in films]


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_erased_meanwhile_leaves_nothing() -> None:
    rows = make_films(20)
    file = zipped(
        {
            "ratings.csv": csv(RATINGS, *(f"{row},2" for row in rows)),
            "watchlist.csv": csv(PLAIN, *rows),
        }
    )
    viewer = Client(make_user(password="cleo from 5 to 7"))
    imported(viewer, file)
    erase = partial(viewer.send, "DELETE", "/users/me", {"password": "cleo from 5 to 7"})
    uploaded, erased = at_once([partial(send, viewer, file), erase])
    assert erased.status_code == 204
    assert uploaded.status_code in (200, 401)
    assert not Interaction.objects.exists()
    assert not Playlist.objects.exists()
