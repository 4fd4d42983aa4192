"""Movies through HTTP: posted, read, changed and deleted."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import pytest
from django.utils import timezone

from movies.models import Movie
from movies.services import restore_movie
from recommendations.models import Interaction
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.catalogue import film, posted, refused_fields, while_uncommitted
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db


# --- posting and reading


def test_a_posted_movie_is_found_at_its_location(staff: Client, anonymous: Client) -> None:
    answer = staff.post("/movies", film())
    assert answer.status_code == 201
    assert answer["Location"] == f"/api/v1/movies/{answer.json()['id']}"
    assert anonymous.get(answer["Location"]).json() == answer.json()
    assert anonymous.get("/movies/by-slug/cleo").json() == answer.json()


def test_a_movie_needs_a_name_protagonists_and_a_start_and_has_defaults_for_the_rest(
    staff: Client,
) -> None:
    assert refused_fields(staff.post("/movies", {})) == [
        "body.name",
        "body.protagonists",
        "body.start_date",
    ]
    start = timezone.localdate() + timedelta(days=9)
    movie = posted(staff, start_date=start)
    made = [movie.pop(field) for field in ("id", "created_at", "updated_at")]
    assert all(made)
    assert movie == {
        "name": "Cléo",
        "slug": "cleo",
        "directors": [],
        "protagonists": ["Corinne Marchand"],
        "overview": "",
        "genres": [],
        "poster": None,
        "poster_srcset": None,
        "trailer": None,
        "start_date": start.isoformat(),
        "end_date": None,
        "status": "coming-up",
        "ranking": 0,
        "original_language": None,
        "release_year": None,
        "runtime_minutes": None,
        "tmdb_id": None,
        "rating_average": None,
        "rating_count": 0,
        "community_score": None,
    }


@pytest.mark.usefixtures("november")
def test_everything_that_is_posted_is_read_back(staff: Client) -> None:
    fields = {
        "name": "Cléo de 5 à 7",
        "slug": "cleo",
        "protagonists": ["Corinne Marchand", "Antoine Bourseiller"],
        "overview": "Two hours in Paris.\nIn real time.",
        "poster": "https://example.org/cléo.jpg?size=large",
        "trailer": "http://example.org/trailer",
        "start_date": "2026-12-03",
        "end_date": "2026-12-03",
        "status": "running",
        "original_language": "fr",
        "release_year": 1962,
        "runtime_minutes": 90,
        "tmdb_id": 499,
    }
    movie = posted(staff, **fields)
    assert {key: movie[key] for key in fields} == fields


@pytest.mark.parametrize("path", ["/movies/0", "/movies/987654321", "/movies/by-slug/nothing"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_movie_that_is_not_there_is_404(staff: Client, method: str, path: str) -> None:
    expected = 405 if "slug" in path and method != "GET" else 404
    assert staff.send(method, path, {} if method == "PATCH" else None).status_code == expected


@pytest.mark.parametrize(
    "slug", ["%00", "a%00b", "%ff", "%F0%9F%8E%AC", "..", "%2e%2e", "a" * 5000, "%E2%80%AE"]
)
def test_an_odd_address_is_404(anonymous: Client, slug: str) -> None:
    assert anonymous.get(f"/movies/by-slug/{slug}").status_code in (404, 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/movies"), ("PATCH", "/movies/1"), ("DELETE", "/movies/1")],
)
def test_writing_is_for_staff(anonymous: Client, viewer: Client, method: str, path: str) -> None:
    assert anonymous.send(method, path, film()).status_code == 401
    assert viewer.send(method, path, film()).status_code == 403
    forged = {"Authorization": "Bearer not.a.token"}
    assert anonymous.send(method, path, film(), headers=forged).status_code == 401
    assert not Movie.objects.exists()


# --- the same movie again


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("Cléo", "Cléo"),
        ("Cléo", "CLÉO"),
        ("Cléo", " cle\u0301o\x00"),
        ("Straße", "STRAẞE"),
        ("istanbul", "İstanbul"),
        ("七人の侍", "七人の侍"),
    ],
)
def test_the_same_name_and_start_again_names_the_standing_movie(
    staff: Client, first: str, again: str
) -> None:
    standing = posted(staff, name=first)
    answer = staff.post("/movies", film(name=again))
    assert (answer.status_code, answer.json()["movie_id"]) == (409, standing["id"])
    other = posted(staff, name=again, start_date="2026-12-04")
    answer = staff.patch(f"/movies/{other['id']}", {"start_date": "2026-12-03"})
    assert (answer.status_code, answer.json()["movie_id"]) == (409, standing["id"])


def test_the_same_movie_with_its_address_again_names_the_standing_movie(staff: Client) -> None:
    standing = posted(staff, slug="cleo", tmdb_id=499)
    answer = staff.post("/movies", film(slug="cleo", tmdb_id=499))
    assert (answer.status_code, answer.json()["movie_id"]) == (409, standing["id"])


def test_one_tmdb_id_is_one_movie(staff: Client) -> None:
    standing = posted(staff, tmdb_id=499)
    answer = staff.post("/movies", film(name="Another", tmdb_id=499))
    assert (answer.status_code, answer.json()["movie_id"]) == (409, standing["id"])
    other = posted(staff, name="Another", tmdb_id=500)
    assert staff.patch(f"/movies/{other['id']}", {"tmdb_id": 499}).status_code == 409
    assert staff.patch(f"/movies/{other['id']}", {"tmdb_id": None}).status_code == 200


def test_a_withdrawn_movie_blocks_no_new_one(staff: Client) -> None:
    fields = {"slug": "cleo", "tmdb_id": 499}
    first = posted(staff, **fields)
    interact(make_user(), Movie.objects.get(pk=first["id"]))
    assert staff.delete(f"/movies/{first['id']}", force=True).status_code == 204
    second = posted(staff, **fields)
    assert second["id"] != first["id"]
    assert staff.get("/movies/by-slug/cleo").json()["id"] == second["id"]


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_posts_of_a_movie_is_409(staff: Client) -> None:
    answers = at_once([lambda: staff.post("/movies", film(genres=["drama", "music"]))] * 2)
    created, refused = sorted(answers, key=lambda answer: answer.status_code)
    assert (created.status_code, refused.status_code) == (201, 409)
    assert refused.json()["movie_id"] == created.json()["id"]


@pytest.mark.django_db(transaction=True)
def test_movies_of_one_name_posted_at_once_get_different_addresses(staff: Client) -> None:
    films = [film(start_date=f"2026-12-0{day}") for day in range(1, 5)]
    answers = at_once([partial(staff.post, "/movies", each) for each in films])
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["slug"] for answer in answers}) == 4


# --- changing


def test_a_patch_keeps_the_fields_it_leaves_out(staff: Client) -> None:
    movie = posted(staff, overview="Paris.", runtime_minutes=90, end_date="2026-12-30")
    path = f"/movies/{movie['id']}"
    changed = staff.patch(path, {"overview": "Paris, 1961."}).json()
    assert changed["updated_at"] > movie["updated_at"]
    expected = {**movie, "overview": "Paris, 1961.", "updated_at": changed["updated_at"]}
    assert changed == expected == staff.get(path).json()
    assert staff.patch(path, {"end_date": None, "runtime_minutes": None}).json()["end_date"] is None


@pytest.mark.django_db(transaction=True)
def test_a_patch_loses_neither_ranking_nor_rating_that_change_meanwhile(staff: Client) -> None:
    movie = make_movie()

    def elsewhere() -> None:
        Movie.objects.filter(pk=movie.pk).update(ranking=70)
        interact(make_user(), movie, "rating", half_stars=8)

    answer = while_uncommitted(
        elsewhere, lambda: staff.patch(f"/movies/{movie.pk}", {"overview": "New."})
    )
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert answer.json() == shown
    assert (shown["overview"], shown["ranking"]) == ("New.", 70)
    assert (shown["rating_count"], shown["rating_average"]) == (1, 4.0)


@pytest.mark.django_db(transaction=True)
def test_the_dates_are_held_against_those_that_another_patch_sets_meanwhile(staff: Client) -> None:
    movie = make_movie(start_date=date(2026, 12, 3))
    answer = while_uncommitted(
        lambda: Movie.objects.filter(pk=movie.pk).update(end_date=date(2026, 12, 10)),
        lambda: staff.patch(f"/movies/{movie.pk}", {"start_date": "2026-12-11"}),
    )
    assert answer.status_code == 422


# --- deleting


def test_a_movie_that_nothing_needs_is_deleted(staff: Client) -> None:
    movie = posted(staff, genres=["drama"])
    path = f"/movies/{movie['id']}"
    answer = staff.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not Movie.objects.exists()
    assert [staff.delete(path).status_code for _ in range(2)] == [404, 404]
    assert staff.delete(path, force=True).status_code == 404


def test_a_movie_in_use_is_not_deleted_and_the_refusal_counts_what_uses_it(staff: Client) -> None:
    movie = make_movie()
    make_screening(movie)
    for _ in range(2):
        interact(make_user(), movie)
    answer = staff.delete(f"/movies/{movie.pk}")
    assert answer.status_code == 409
    assert answer.json()["counts"] == {"screenings": 1, "interactions": 2}
    assert staff.delete(f"/movies/{movie.pk}", force="no").status_code == 409
    assert staff.delete(f"/movies/{movie.pk}", force="perhaps").status_code == 422
    assert staff.get(f"/movies/{movie.pk}").status_code == 200


def test_a_movie_deleted_by_force_is_gone_everywhere_and_its_interactions_are_kept(
    staff: Client,
) -> None:
    movie = make_movie(genres=["drama"])
    screening = make_screening(movie)
    interact(make_user(), movie)
    assert movie.name in staff.get("/programme").content.decode()
    path = f"/movies/{movie.pk}"
    assert staff.delete(path, force=True).status_code == 204
    assert [staff.delete(path, force=True).status_code for _ in range(2)] == [404, 404]
    for gone in (path, f"/movies/by-slug/{movie.slug}", f"/screenings/{screening.pk}"):
        assert staff.get(gone).status_code == 404
    for method in ("PATCH", "DELETE"):
        for gone in (path, f"/screenings/{screening.pk}"):
            assert staff.send(method, gone, {}).status_code == 404
    for listed in ("/movies", "/movies/trending", "/screenings"):
        assert staff.get(listed).json()["data"] == []
    again = {"movie_id": movie.pk, "hall": "1", "starts_at": "2026-12-03T20:00:00Z"}
    assert staff.post("/screenings", again).status_code == 404
    assert Interaction.objects.filter(movie=movie).count() == 1


def test_a_hidden_screening_of_a_withdrawn_movie_is_never_shown(
    staff: Client, anonymous: Client
) -> None:
    shown = make_screening(hall="1")
    make_screening(shown.movie, hall="2", state="hidden")
    assert staff.delete(f"/movies/{shown.movie_id}", force=True).status_code == 204
    restore_movie(movie_id=shown.movie_id)
    found = anonymous.get("/screenings").json()["data"]
    assert [(each["hall"], each["state"]) for each in found] == [("1", "cancelled")]


def test_a_withdrawn_movie_leaves_the_hall_to_others(staff: Client) -> None:
    screening = make_screening(hall="1")
    staff.delete(f"/movies/{screening.movie_id}", force=True)
    taken = {"movie_id": make_movie().pk, "hall": "1", "starts_at": screening.starts_at}
    assert staff.post("/screenings", taken).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_movie_that_comes_into_use_while_it_is_deleted_stays(staff: Client) -> None:
    movie = make_movie()
    answer = while_uncommitted(
        lambda: interact(make_user(), movie, "rating", half_stars=8),
        lambda: staff.delete(f"/movies/{movie.pk}"),
    )
    assert answer.status_code == 409
    assert staff.get(f"/movies/{movie.pk}").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_deletions_of_a_movie_is_404(staff: Client) -> None:
    path = f"/movies/{make_movie().pk}"
    answers = at_once([lambda: staff.delete(path)] * 2)
    assert sorted(answer.status_code for answer in answers) == [204, 404]
