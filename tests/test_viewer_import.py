"""POST /users/me/import: what comes of what a viewer brings along."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from recommendations.models import Interaction
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from tests.viewer_files import (
    CLEO,
    DIARY,
    IMDB_LIST,
    PLAIN,
    RATINGS,
    TRAKT_HISTORY,
    cells,
    counts,
    csv,
    imported,
    make_cleo,
    make_films,
    send,
    zipped,
)
from users.models import Playlist, PlaylistEntry, User, Viewing
from users.playlists.schemas import MAX_FILMS, MAX_PLAYLISTS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

Kind = Interaction.Kind
EXPORT = {
    "ratings.csv": csv(RATINGS, f"{CLEO},4.5"),
    "watched.csv": csv(PLAIN, CLEO, "2024-03-02,Vagabond,1985,https://boxd.it/1"),
    "diary.csv": csv(DIARY, f"{CLEO},4,Yes,,2024-02-29"),
    "watchlist.csv": csv(PLAIN, "2024-03-03,Jacquot de Nantes,1991,https://boxd.it/2"),
    "likes/films.csv": csv(PLAIN, CLEO),
    "profile.csv": csv("Date Joined,Username", "2020-01-01,agnes"),
}


def belongings(user: User) -> tuple[list[Any], ...]:
    """All that an import can have left, but for when it was written."""
    ratings = Interaction.objects.filter(user=user).order_by("pk")
    viewings = Viewing.objects.filter(user=user).order_by("pk")
    entries = PlaylistEntry.objects.filter(playlist__user=user).order_by("pk")
    return (
        list(ratings.values_list("pk", "movie", "kind", "half_stars", "updated_at")),
        list(viewings.values_list("pk", "movie", "watched_at", "checked_in")),
        list(entries.values_list("pk", "playlist", "movie", "position")),
    )


def test_an_export_of_letterboxd_becomes_ratings_viewings_likes_and_a_watchlist(
    viewer: Client,
) -> None:
    cleo, vagabond = make_cleo(), make_movie(name="Vagabond", release_year=1985)
    jacquot = make_movie(name="Jacquot de Nantes", release_year=1991)
    report = imported(viewer, zipped(EXPORT), filename="letterboxd.zip")
    assert report["rows"] == report["matched"] == 6
    assert report["by_kind"] == {
        "likes": {"created": 1, "updated": 0, "unchanged": 0},
        "ratings": {"created": 1, "updated": 0, "unchanged": 0},
        "viewings": {"created": 2, "updated": 0, "unchanged": 1},
        "watchlist": {"created": 1, "updated": 0, "unchanged": 0},
    }
    user = viewer.user
    rating = Interaction.objects.get(user=user, kind=Kind.RATING)
    assert (rating.movie, rating.half_stars) == (cleo, 9)
    assert rating.updated_at == at(date(2024, 3, 1), 12)
    like = Interaction.objects.get(user=user, kind=Kind.LIKE)
    assert (like.movie, like.updated_at) == (cleo, at(date(2024, 3, 1), 12))
    # `watched.csv` adds what the diary does not have.
    assert list(Viewing.objects.order_by("watched_at").values_list("movie", "watched_at")) == [
        (cleo.pk, at(date(2024, 2, 29), 12)),
        (vagabond.pk, at(date(2024, 3, 2), 12)),
    ]
    playlist = Playlist.objects.get(user=user)
    assert (playlist.name, playlist.is_public, playlist.pk) == (
        "Watchlist",
        False,
        report["playlist_id"],
    )
    assert [entry.movie for entry in playlist.entries.all()] == [jacquot]
    assert report["files"] == [
        {"name": "ratings.csv", "format": "letterboxd-ratings"},
        {"name": "watched.csv", "format": "letterboxd-watched"},
        {"name": "diary.csv", "format": "letterboxd-diary"},
        {"name": "watchlist.csv", "format": "letterboxd-watchlist"},
        {"name": "likes/films.csv", "format": "letterboxd-likes"},
    ]


def test_a_repeated_import_changes_nothing(viewer: Client) -> None:
    make_cleo(), make_movie(name="Vagabond", release_year=1985)
    make_movie(name="Jacquot de Nantes", release_year=1991)
    first = imported(viewer, zipped(EXPORT))
    before, version = belongings(viewer.user), viewer.user.taste_version
    again = imported(viewer, zipped(EXPORT))
    assert counts(again) == (0, 0, sum(counts(first)))
    assert belongings(viewer.user) == before
    assert viewer.user.taste_version == version


def test_a_dry_run_tells_the_same_and_writes_nothing(viewer: Client) -> None:
    make_cleo()
    told = imported(viewer, zipped(EXPORT), dry_run="true")
    assert belongings(viewer.user) == ([], [], [])
    assert not Playlist.objects.exists()
    done = imported(viewer, zipped(EXPORT))
    assert told == {**done, "dry_run": True}


def test_an_import_needs_a_sign_in(anonymous: Client) -> None:
    assert send(anonymous, csv(RATINGS, f"{CLEO},4")).status_code == 401
    assert anonymous.post("/users/me/import").status_code == 401


def test_an_import_belongs_to_its_viewer(viewer: Client) -> None:
    make_cleo()
    other = Client(make_user())
    imported(viewer, csv(RATINGS, f"{CLEO},4"))
    assert belongings(other.user) == ([], [], [])
    assert counts(imported(other, csv(RATINGS, f"{CLEO},2"))) == (1, 0, 0)


# --- ratings


def test_a_newer_rating_of_the_file_replaces_the_one_here(viewer: Client) -> None:
    rating = interact(
        viewer.user, make_cleo(), "rating", half_stars=2, updated_at=at(date(2020, 1, 1), 12)
    )
    assert counts(imported(viewer, csv(RATINGS, f"{CLEO},4.5"))) == (0, 1, 0)
    rating.refresh_from_db()
    assert (rating.half_stars, rating.updated_at) == (9, at(date(2024, 3, 1), 12))


def test_a_newer_rating_here_stays(viewer: Client) -> None:
    rating = interact(viewer.user, make_cleo(), "rating", half_stars=2)
    assert counts(imported(viewer, csv(RATINGS, f"{CLEO},4.5"))) == (0, 0, 1)
    rating.refresh_from_db()
    assert rating.half_stars == 2


def test_the_latest_rating_of_a_film_counts_in_any_order(viewer: Client) -> None:
    make_cleo()
    film = "Cléo from 5 to 7,1962,x"
    file = csv(RATINGS, f"2021-01-01,{film},4", f"2023-01-01,{film},4", f"2022-01-01,{film},3")
    imported(viewer, file)
    before = belongings(viewer.user)
    assert Interaction.objects.get().half_stars == 8
    assert counts(imported(viewer, file)) == (0, 0, 3)
    assert belongings(viewer.user) == before


def test_a_films_mean_follows_at_once(viewer: Client, anonymous: Client) -> None:
    film = make_cleo()
    assert anonymous.get(f"/movies/{film.pk}").json()["rating_count"] == 0
    imported(viewer, csv(RATINGS, f"{CLEO},4.5"))
    found = anonymous.get(f"/movies/{film.pk}").json()
    assert (found["rating_average"], found["rating_count"]) == (4.5, 1)


def test_the_diary_rates_where_there_are_no_ratings(viewer: Client) -> None:
    make_cleo()
    report = imported(viewer, csv(DIARY, f"{CLEO},4,,,2024-02-29"))
    assert report["matched"] == 1
    assert counts(report) == (2, 0, 0)
    assert Interaction.objects.get().half_stars == 8


# --- viewings


def test_a_check_in_and_an_imported_viewing_of_one_evening_are_one(viewer: Client) -> None:
    film = make_cleo()
    evening = timezone.localdate() - timedelta(days=3)
    screening = make_screening(film, starts_at=at(evening + timedelta(days=1), 0, 30))
    Viewing.objects.create(
        user=viewer.user,
        movie=film,
        screening=screening,
        checked_in=True,
        watched_at=screening.starts_at,
    )
    for day in (evening, evening + timedelta(days=1)):
        diary = csv(DIARY, f"{CLEO},,,,{day}")
        assert counts(imported(viewer, diary)) == (0, 0, 1)
    assert Viewing.objects.count() == 1


def test_watching_a_film_again_is_another_viewing(viewer: Client) -> None:
    make_cleo()
    diary = csv(DIARY, f"{CLEO},,,,2024-02-29", f"{CLEO},,Yes,,2024-03-05")
    assert counts(imported(viewer, diary)) == (2, 0, 0)


def test_an_undated_viewing_adds_nothing_to_a_dated_one(viewer: Client) -> None:
    film = make_cleo()
    Viewing.objects.create(user=viewer.user, movie=film, watched_at=at(date(2019, 5, 1), 20))
    watched = csv(PLAIN, CLEO)
    assert counts(imported(viewer, watched, content="watched")) == (0, 0, 1)


def test_a_moment_is_kept_to_the_second(viewer: Client) -> None:
    film = make_movie(tmdb_id=118340)
    row = cells(
        TRAKT_HISTORY,
        watched_at="2018-08-24T13:48:52.000Z",
        type="movie",
        title="whatever",
        tmdb_id=118340,
    )
    imported(viewer, csv(TRAKT_HISTORY, row))
    assert Viewing.objects.get().watched_at == datetime(2018, 8, 24, 13, 48, 52, tzinfo=UTC)
    assert Viewing.objects.get().movie == film


def test_today_is_not_in_the_future_before_noon(viewer: Client) -> None:
    make_cleo()
    diary = csv(DIARY, f"{CLEO},,,,{timezone.localdate()}")
    assert counts(imported(viewer, diary)) == (1, 0, 0)
    assert Viewing.objects.get().watched_at <= timezone.now()
    assert counts(imported(viewer, diary)) == (0, 0, 1)


def test_a_full_history_takes_no_more(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommendations.importing.plan.MAX_VIEWINGS", 1)
    make_cleo()
    report = imported(viewer, csv(DIARY, f"{CLEO},,,,2024-02-29", f"{CLEO},,,,2024-03-01"))
    assert (counts(report), report["refused_count"]) == ((1, 0, 0), 1)
    assert "no room" in report["refused"][0]["reason"]


# --- the watchlist


def test_an_imported_watchlist_is_appended_to_the_existing_one(viewer: Client) -> None:
    playlist = Playlist.objects.create(user=viewer.user, name="Watchlist")
    standing = make_movie()
    PlaylistEntry.objects.create(playlist=playlist, movie=standing, position=7)
    report = imported(viewer, csv(PLAIN, *make_films(2)), filename="watchlist.csv")
    assert report["playlist_id"] == playlist.pk
    assert list(playlist.entries.values_list("position", flat=True)) == [7, 8, 9]


def test_a_public_list_of_that_name_is_left_alone(viewer: Client) -> None:
    public = Playlist.objects.create(user=viewer.user, name="Watchlist", is_public=True)
    imported(viewer, csv(PLAIN, *make_films(1)), filename="watchlist.csv")
    assert not public.entries.exists()
    assert Playlist.objects.get(is_public=False).entries.count() == 1


def test_the_watchlist_has_room_for_as_many_films_as_any(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_FILMS == 500
    monkeypatch.setattr("recommendations.importing.plan.MAX_FILMS", 2)
    rows = make_films(3)
    for expected in [(2, 0, 0), (0, 0, 2)]:
        report = imported(viewer, csv(PLAIN, *rows), content="watchlist")
        assert counts(report) == expected
        assert report["refused"] == [
            {
                "file": "",
                "row": 4,
                "reason": "There is no room left on your playlist “Watchlist”, or for it.",
            }
        ]


def test_no_playlist_is_made_beyond_the_limit(viewer: Client) -> None:
    Playlist.objects.bulk_create(
        Playlist(user=viewer.user, name=f"{n}") for n in range(MAX_PLAYLISTS)
    )
    report = imported(viewer, csv(PLAIN, *make_films(1)), content="watchlist")
    assert (report["refused_count"], report["playlist_id"]) == (1, None)
    assert Playlist.objects.count() == MAX_PLAYLISTS


def test_a_list_of_imdb_rates_too(viewer: Client) -> None:
    make_cleo()
    values = {"Const": "tt0055852", "Created": "2024-01-01", "Title": "Cléo from 5 to 7"}
    rated = {"Your_Rating": 7, "Date_Rated": "2024-02-01"}
    row = cells(IMDB_LIST, Position=1, Year=1962, Title_Type="Movie", **values, **rated)
    report = imported(viewer, csv(IMDB_LIST, row))
    assert report["by_kind"].keys() == {"ratings", "watchlist"}
    assert Interaction.objects.get().half_stars == 7
    assert PlaylistEntry.objects.count() == 1
