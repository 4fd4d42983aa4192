"""`POST /movies/import`: which film a row means, and what it makes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from movies.models import Genre, Movie, MovieSearch
from recommendations.models import Interaction
from tests.builders import Client, interact, make_user
from tests.catalogue import film, posted
from tests.importing import every_row, imported, outcomes

pytestmark = pytest.mark.django_db


# --- which film is meant


@pytest.mark.usefixtures("november")
def test_new_films_are_created_and_found_under_their_ids(staff: Client, anonymous: Client) -> None:
    answer = imported(staff, film(), film(name="Vagabond", genres=["drama"], runtime_minutes=105))
    assert (answer["created"], answer["updated"], answer["unchanged"]) == (2, 0, 0)
    assert answer["refused"] == []
    first, second = answer["movies"]
    assert first == {"row": 1, "id": first["id"], "outcome": "created", "changed": []}
    movie = anonymous.get(f"/movies/{second['id']}").json()
    assert (movie["name"], movie["slug"], movie["runtime_minutes"]) == ("Vagabond", "vagabond", 105)
    assert movie["genres"] == [{"slug": "drama", "name": "Drama"}]
    assert movie["status"] == "coming-up"
    assert first["id"] < second["id"]


def test_an_imported_film_equals_a_posted_one(staff: Client) -> None:
    fields = {
        "name": " Cléo  de 5 à 7\x00",
        "protagonists": ["Corinne Marchand", "Antoine Bourseiller"],
        "overview": "Two hours in Paris.\r\nIn real time.",
        "genres": ["film-noir", "Science Fiction"],
        "poster": "https://example.org/cléo.jpg",
        "end_date": "2026-12-30",
        "original_language": "fr",
        "release_year": 1962,
        "runtime_minutes": 90,
        "tmdb_id": 499,
    }
    brought_in = imported(staff, film(**fields))["movies"][0]["id"]
    by_import = staff.get(f"/movies/{brought_in}").json()
    Movie.objects.all().delete()
    by_post = posted(staff, **fields)
    apart = ("id", "created_at", "updated_at")
    assert {**by_import, **dict.fromkeys(apart)} == {**by_post, **dict.fromkeys(apart)}


def test_the_same_again_changes_nothing_and_writes_nothing(staff: Client) -> None:
    movies = [
        film(genres=["drama"], keywords=["paris"], status="running", tmdb_id=499),
        film(name="Vagabond", slug="sans-toit", end_date="2027-01-01"),
    ]
    created = imported(staff, *movies)
    before = every_row()
    again = imported(staff, *movies)
    assert outcomes(again) == ["unchanged", "unchanged"]
    assert [row["id"] for row in again["movies"]] == [row["id"] for row in created["movies"]]
    assert every_row() == before


@pytest.mark.parametrize("again", ["CLÉO", " cle\u0301o\x00", "Cléo"])
def test_a_film_is_known_by_its_name_in_whatever_case_and_its_start(
    staff: Client, again: str
) -> None:
    standing = posted(staff)
    answer = imported(staff, film(name=again, runtime_minutes=91))
    assert (answer["updated"], answer["movies"][0]["id"]) == (1, standing["id"])
    assert outcomes(imported(staff, film(name=again, start_date="2026-12-04"))) == ["created"]


@pytest.mark.parametrize(("name", "again"), [("Straße", "STRAẞE"), ("istanbul", "İstanbul")])
def test_case_is_folded_as_in_the_constraint(staff: Client, name: str, again: str) -> None:
    standing = posted(staff, name=name)
    answer = imported(staff, film(name=again))
    assert answer["refused"] == []
    assert answer["movies"][0]["id"] == standing["id"]


def test_a_film_is_known_by_its_tmdb_id_whatever_its_name_and_start(staff: Client) -> None:
    standing = posted(staff, tmdb_id=499)
    answer = imported(staff, film(name="Cleo from 5 to 7", start_date="2027-01-07", tmdb_id=499))
    assert answer["movies"] == [
        {"row": 1, "id": standing["id"], "outcome": "updated", "changed": ["name", "start_date"]}
    ]
    movie = staff.get(f"/movies/{standing['id']}").json()
    assert (movie["name"], movie["start_date"]) == ("Cleo from 5 to 7", "2027-01-07")
    assert movie["slug"] == standing["slug"]


def test_a_film_without_tmdb_id_gets_that_of_the_row_of_its_name(staff: Client) -> None:
    standing = posted(staff)
    answer = imported(staff, film(tmdb_id=499))
    assert answer["movies"][0] == {
        "row": 1, "id": standing["id"], "outcome": "updated", "changed": ["tmdb_id"],
    }  # fmt: skip
    assert outcomes(imported(staff, film())) == ["unchanged"]
    assert Movie.objects.get().tmdb_id == 499


def test_a_missing_field_stays_and_null_empties_it(staff: Client) -> None:
    fields: dict[str, Any] = {"overview": "Paris.", "genres": ["drama"], "end_date": "2026-12-30"}
    standing = posted(staff, runtime_minutes=90, **fields)
    imported(staff, film(runtime_minutes=91))
    movie = staff.get(f"/movies/{standing['id']}").json()
    assert {**movie, "updated_at": 0} == {**standing, "updated_at": 0, "runtime_minutes": 91}
    imported(staff, film(runtime_minutes=None, overview="", genres=[], end_date=None))
    movie = staff.get(f"/movies/{standing['id']}").json()
    emptied: dict[str, Any] = {
        "runtime_minutes": None,
        "overview": "",
        "genres": [],
        "end_date": None,
    }
    assert {name: movie[name] for name in emptied} == emptied
    assert movie["updated_at"] > standing["updated_at"]


def test_a_row_of_a_withdrawn_film_posts_a_new_one(staff: Client) -> None:
    fields = {"slug": "cleo", "tmdb_id": 499}
    withdrawn = Movie.objects.get(pk=posted(staff, **fields)["id"])
    interact(make_user(), withdrawn)
    assert staff.delete(f"/movies/{withdrawn.pk}", force=True).status_code == 204
    answer = imported(staff, film(**fields))
    assert outcomes(answer) == ["created"]
    assert answer["movies"][0]["id"] != withdrawn.pk
    withdrawn.refresh_from_db()
    assert withdrawn.withdrawn_at
    assert Interaction.objects.get().movie_id == withdrawn.pk
    assert outcomes(imported(staff, film(**fields))) == ["unchanged"]


# --- rows that speak of one film, or get in each other's way


def test_a_row_sees_the_changes_of_earlier_rows(staff: Client) -> None:
    answer = imported(
        staff,
        film(),
        film(name="CLÉO"),
        film(overview="Paris.", name="CLÉO"),
        film(name="CLÉO", tmdb_id=499, genres=["drama"]),
        film(name="Cleo", start_date="2027-01-07", tmdb_id=499),
        film(name="CLÉO"),
        film(name="CLÉO"),
    )
    told = ["created", "updated", "updated", "updated", "updated", "created", "unchanged"]
    assert outcomes(answer) == told
    ids = [row["id"] for row in answer["movies"]]
    assert ids == [ids[0]] * 5 + [ids[5]] * 2
    first, second = Movie.objects.order_by("pk")
    assert (first.name, first.overview, first.tmdb_id) == ("Cleo", "Paris.", 499)
    assert [genre.slug for genre in first.genres.all()] == ["drama"]
    assert (second.name, second.slug) == ("CLÉO", "cleo-2026")


def test_rows_can_pass_unique_values_on(staff: Client) -> None:
    """Names, slugs and TMDb ids each move one film further, and a new one takes what is left."""
    a = posted(staff, name="A", slug="a", tmdb_id=1)
    b = posted(staff, name="B", slug="b", tmdb_id=2)
    answer = imported(
        staff,
        film(name="C", slug="c", tmdb_id=2),
        film(name="B", slug="b", tmdb_id=1),
        film(name="A", slug="a", tmdb_id=3),
    )
    assert outcomes(answer) == ["updated", "updated", "created"]
    found = dict(Movie.objects.values_list("pk", "slug"))
    assert found == {a["id"]: "b", b["id"]: "c", answer["movies"][2]["id"]: "a"}


def test_films_of_one_name_get_slugs_as_if_posted_one_after_another(staff: Client) -> None:
    posted(staff, name="Dune")
    movies = [
        film(name="Dune", start_date=f"2026-12-{day:02}", release_year=2021) for day in range(4, 9)
    ]
    imported(staff, *movies[:3])
    imported(staff, *movies[3:], film(name="Dune Part Two", release_year=2021))
    slugs = list(Movie.objects.order_by("pk").values_list("slug", flat=True))
    assert slugs == [
        "dune", "dune-2021", "dune-3", "dune-4", "dune-5", "dune-6", "dune-part-two",
    ]  # fmt: skip


def test_a_row_whose_film_another_row_has_renamed_is_a_new_film(staff: Client) -> None:
    renamed = posted(staff, tmdb_id=499)
    posted(staff, name="Another", slug="cleo-2026")
    answer = imported(staff, film(name="Cleo", tmdb_id=499), film(), film(name="B"))
    assert outcomes(answer) == ["updated", "created", "created"]
    assert answer["movies"][0]["id"] == renamed["id"]
    assert Movie.objects.get(pk=answer["movies"][1]["id"]).slug == "cleo-3"


# --- what is in a row


def test_a_status_is_set_by_hand_and_null_gives_it_back_to_the_clock(staff: Client) -> None:
    soon = (timezone.localdate() + timedelta(days=9)).isoformat()
    row = film(start_date=soon)
    imported(staff, row)
    answer = imported(staff, {**row, "status": "running"})
    assert answer["movies"][0]["changed"] == ["status"]
    assert Movie.objects.values_list("status", "status_is_manual").get() == ("running", True)
    assert outcomes(imported(staff, row)) == ["unchanged"]
    assert outcomes(imported(staff, {**row, "status": None})) == ["updated"]
    assert Movie.objects.values_list("status", "status_is_manual").get() == ("coming-up", False)


def test_a_status_that_the_clock_has_passed_changes_nothing_again(staff: Client) -> None:
    long_ago = film(start_date="2020-01-01", status="coming-up")
    assert outcomes(imported(staff, long_ago)) == ["created"]
    before = every_row()
    assert outcomes(imported(staff, long_ago)) == ["unchanged"]
    assert every_row() == before


def test_new_dates_move_the_status(staff: Client) -> None:
    imported(staff, film(start_date="2020-01-01", tmdb_id=499))
    answer = imported(staff, film(start_date="2020-01-01", end_date="2020-02-01"))
    assert answer["movies"][0]["changed"] == ["end_date", "status"]
    assert Movie.objects.get().status == "finished"


def test_genres_are_made_once_and_replaced_as_a_whole(staff: Client) -> None:
    Genre.objects.create(slug="sf", name="Science Fiction")
    ways = ["sf", "science fiction", {"slug": "sf", "name": "SF"}, {"slug": "sf"}, "SF"]
    imported(staff, film(genres=["Drama", "drama", *ways]), film(name="B", genres=["DRAMA"]))
    assert set(Genre.objects.values_list("slug", "name")) == {
        ("drama", "Drama"),
        ("sf", "Science Fiction"),
    }
    answer = imported(staff, film(genres=["music", "sf"]), film(name="B", genres=["drama"]))
    assert [row["changed"] for row in answer["movies"]] == [["genres"], []]
    cleo = Movie.objects.get(name="Cléo")
    assert {genre.slug for genre in cleo.genres.all()} == {"music", "sf"}


def test_a_genre_with_its_slug_is_that_genre_and_no_other_of_its_name(staff: Client) -> None:
    Genre.objects.create(slug="sf", name="Science Fiction")
    imported(staff, film(genres=[{"slug": "sci-fi", "name": "Science Fiction"}]))
    assert list(Movie.objects.values_list("genres__slug", "genres__name")) == [
        ("sci-fi", "Science Fiction")
    ]


def test_another_address_of_a_poster_takes_the_place_of_an_upload(staff: Client) -> None:
    imported(staff, film(poster="https://example.org/a.jpg", trailer="https://example.org/a"))
    upload = {"poster_upload": "posters/a", "poster_widths": [342], "trailer_upload": "trailers/a"}
    Movie.objects.update(**upload)
    shown = staff.get(f"/movies/{Movie.objects.get().pk}").json()
    for poster in ("https://example.org/a.jpg", shown["poster"]):
        assert outcomes(imported(staff, film(poster=poster))) == ["unchanged"]
    assert Movie.objects.values(*upload).get() == upload
    answer = imported(staff, film(poster="https://example.org/b.jpg", trailer=None))
    assert answer["movies"][0]["changed"] == ["poster", "trailer"]
    assert Movie.objects.values_list("poster", *upload).get() == (
        "https://example.org/b.jpg", "", [], "",
    )  # fmt: skip


def test_films_are_found_by_what_was_imported(staff: Client, anonymous: Client) -> None:
    imported(staff, film(name="Vagabond", keywords=["hitchhiking"]), film())

    def found(words: str) -> list[str]:
        return [movie["name"] for movie in anonymous.get("/movies", q=words).json()["data"]]

    assert (found("vagab"), found("HITCHHIKING")) == (["Vagabond"], ["Vagabond"])
    answer = imported(staff, film(name="Vagabond", keywords=["winter"]))
    assert answer["movies"][0]["changed"] == ["keywords"]
    assert (found("hitchhiking"), found("winter")) == ([], ["Vagabond"])
    assert not MovieSearch.objects.filter(is_stale=True).exists()
