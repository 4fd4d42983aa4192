"""`POST /movies/import`: what is refused, row by row or as a whole, and what a call costs."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies.models import CatalogueVersion, Movie
from tests.builders import Client, make_movie
from tests.catalogue import film, posted, refused_fields
from tests.importing import every_row, films, imported, outcomes

pytestmark = pytest.mark.django_db


# --- rows


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (film(start_date="2026-02-30"), "body.start_date: Input should be a valid date"),
        (film(start_date=20261203), "body.start_date: expected a date as in 2026-12-03"),
        (film(start_date="03.12.2026"), "body.start_date: expected a date as in 2026-12-03"),
        (film(end_date="2026-12-02"), "body: end_date lies before start_date"),
        (film(name="   "), "body.name: the text is blank"),
        (film(name="\x07"), "body.name: the text is blank"),
        (film(name=7), "body.name: Input should be a valid string"),
        (film(name="x" * 301), "body.name: Value should have at most 300 items"),
        (film(protagonists=[]), "body.protagonists: List should have at least 1 item"),
        (film(protagonists=["x"] * 10_000), "body.protagonists: List should have at most 100"),
        (film(protagonists=["A", ""]), "body.protagonists.1: the text is blank"),
        (film(genres=["!"]), "body.genres.0.name: expected letters or digits"),
        (film(genres=[7]), "body.genres.0: Input should be"),
        (film(genres=[{"slug": "a b", "name": "A"}]), "body.genres.0.slug: String should match"),
        (film(keywords=["x" * 81]), "body.keywords.0: Value should have at most 80 items"),
        (film(keywords=["x"] * 101), "body.keywords: List should have at most 100 items"),
        (film(directors=["x" * 201]), "body.directors.0: Value should have at most 200 items"),
        (film(directors=["x"] * 21), "body.directors: List should have at most 20 items"),
        (film(series="x" * 201), "body.series: Value should have at most 200 items"),
        (film(series=["x"]), "body.series: Input should be a valid string"),
        (film(status="soon"), "body.status: Input should be 'coming-up'"),
        (film(slug="a b"), "body.slug: String should match pattern"),
        (film(slug=None), "body.slug: Input should be a valid string"),
        (film(poster="javascript:alert(1)"), "body.poster: expected an http or https address"),
        (film(runtime_minutes="ninety"), "body.runtime_minutes: Input should be a valid integer"),
        (film(tmdb_id=2**31), "body.tmdb_id: Input should be less than or equal to 2147483647"),
        (film(ranking=7), "body.ranking: Extra inputs are not permitted"),
        ({}, "body.name: Field required; body.protagonists: Field required; body.start_date: "),
        (None, "body: Input should be a valid dictionary"),
        ([film()], "body: Input should be a valid dictionary"),
        ("Cléo", "body: Input should be a valid dictionary"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_others_go_in(
    staff: Client, row: Any, reason: str
) -> None:
    answer = imported(staff, film(name="Before"), row, film(name="After"))
    told = outcomes(answer)
    assert (told[0], told[2]) == ("created", "created")
    assert told[1].startswith(reason)
    assert [refused["row"] for refused in answer["refused"]] == [2]
    assert answer["refused"][0]["errors"][0]["field"] == reason.partition(":")[0]
    assert set(Movie.objects.values_list("name", flat=True)) == {"Before", "After"}


def test_the_first_ten_errors_of_a_row_are_shown(staff: Client) -> None:
    answer = imported(staff, film(protagonists=[""] * 100))
    assert len(answer["refused"][0]["errors"]) == 10


def test_a_row_that_is_two_films_is_refused(staff: Client) -> None:
    by_tmdb_id = posted(staff, name="Cleo", tmdb_id=499)
    by_name = posted(staff)
    before = every_row()
    answer = imported(staff, film(tmdb_id=499), film(name="Cleo", tmdb_id=500))
    assert [refused["movie_id"] for refused in answer["refused"]] == [
        by_name["id"],
        by_tmdb_id["id"],
    ]
    same = "has the same name and start date, and the TMDb id"
    assert outcomes(answer) == [
        f"body: Movie {by_name['id']} {same} is that of movie {by_tmdb_id['id']}.",
        f"body: Movie {by_tmdb_id['id']} {same} 499.",
    ]
    assert every_row() == before


def test_a_row_that_is_two_films_of_rows_before_is_refused(staff: Client) -> None:
    answer = imported(staff, film(name="A", tmdb_id=1), film(name="B"), film(name="B", tmdb_id=1))
    assert outcomes(answer)[2] == (
        "body: A movie of a row before has the same name and start date, "
        "and the TMDb id is that of a movie of a row before."
    )
    assert answer["refused"][0]["movie_id"] is None


def test_a_slug_that_another_film_has_is_refused(staff: Client) -> None:
    posted(staff, name="Another", slug="taken")
    standing = posted(staff, slug="cleo")
    answer = imported(
        staff, film(slug="taken"), film(name="New", slug="taken"), film(name="Made", slug="made"),
        film(name="Late", slug="made"), film(slug="cleo"),
    )  # fmt: skip
    refused = "body: Another movie has the slug 'taken'."
    told = [refused, refused, "created", refused.replace("taken", "made"), "unchanged"]
    assert outcomes(answer) == told
    assert answer["movies"][1]["id"] == standing["id"]


def test_the_slug_of_a_withdrawn_film_is_refused_too(staff: Client) -> None:
    movie = make_movie()
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=movie.created_at, slug="cleo")
    assert outcomes(imported(staff, film(slug="cleo")))[0].endswith("has the slug 'cleo'.")
    assert outcomes(imported(staff, film())) == ["created"]
    assert Movie.objects.exclude(pk=movie.pk).get().slug == "cleo-2026"


def test_dates_are_checked_against_the_stored_ones(staff: Client) -> None:
    standing = posted(staff, end_date="2026-12-30", tmdb_id=499, runtime_minutes=90)
    before = every_row()
    answer = imported(staff, film(start_date="2027-01-07", tmdb_id=499, runtime_minutes=91))
    assert outcomes(answer) == ["body.end_date: end_date lies before start_date"]
    assert every_row() == before
    # The refused row has left nothing behind for the next one.
    answer = imported(
        staff, film(start_date="2027-01-07", tmdb_id=499), film(), film(start_date="2027-01-07")
    )
    assert outcomes(answer)[1:] == ["unchanged", "created"]
    assert answer["movies"][0]["id"] == standing["id"]


def test_a_row_refused_by_the_database_is_refused_alone(staff: Client) -> None:
    """A withdrawn film has a TMDb id here, which the API never leaves it."""
    withdrawn = make_movie(tmdb_id=499)
    Movie.objects.filter(pk=withdrawn.pk).update(withdrawn_at=withdrawn.created_at)
    rows = films(40)
    rows[17]["tmdb_id"] = 499
    answer = imported(staff, *rows)
    assert (answer["created"], [refused["row"] for refused in answer["refused"]]) == (39, [18])
    assert answer["refused"][0]["reason"].startswith("body: Another movie, perhaps a withdrawn one")
    assert Movie.objects.count() == 40
    assert outcomes(imported(staff, *rows)).count("unchanged") == 39


# --- whole calls


def test_importing_is_for_staff(anonymous: Client, viewer: Client) -> None:
    body = {"movies": [film()]}
    assert anonymous.post("/movies/import", body).status_code == 401
    assert viewer.post("/movies/import", body).status_code == 403
    assert not Movie.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.movies"),
        ([film()], "body"),
        ({"movies": film()}, "body.movies"),
        ({"movies": None}, "body.movies"),
        ({"movies": [], "dry_run": True}, "body.dry_run"),
        (b"", "body"),
        (b"{", "body"),
        (b'{"movies": ' + b"[" * 100_000, "body"),
        (b"\xff\xfe{", "body"),
        ({"movies": [{}] * 1001}, "body.movies"),
    ],
)
def test_a_body_that_is_no_list_of_at_most_a_thousand_is_422(
    staff: Client, body: Any, field: str
) -> None:
    assert refused_fields(staff.post("/movies/import", body))[0].startswith(field)


def test_a_bad_parameter_is_422(staff: Client) -> None:
    answer = staff.send("POST", "/movies/import", {"movies": []}, query={"dry_run": "perhaps"})
    assert refused_fields(answer) == ["query.dry_run"]


def test_an_import_without_rows_is_accepted(staff: Client) -> None:
    assert imported(staff) == {
        "dry_run": False, "created": 0, "updated": 0, "unchanged": 0, "movies": [], "refused": [],
    }  # fmt: skip


def test_a_body_beyond_the_limit_is_413(staff: Client) -> None:
    body = b'{"movies": [' + b" " * 5 * 1024 * 1024 + b"]}"
    assert staff.post("/movies/import", body).status_code == 413


def test_a_dry_run_tells_the_same_and_writes_nothing(staff: Client) -> None:
    posted(staff, name="Film 2")
    rows = [*films(3, genres=["drama"]), film(name="FILM 3"), {"name": "?"}]
    before = every_row()
    dry = imported(staff, *rows, dry_run=True)
    assert every_row() == before
    real = imported(staff, *rows)
    assert outcomes(dry) == outcomes(real)
    assert outcomes(real)[:4] == ["created", "updated", "created", "updated"]
    assert (dry["dry_run"], real["dry_run"]) == (True, False)
    assert [row["id"] is None for row in dry["movies"]] == [True, False, True, True]
    assert {**dry, "movies": 0, "dry_run": 0} == {**real, "movies": 0, "dry_run": 0}


def test_the_statements_are_as_few_for_many_films_as_for_one(staff: Client) -> None:
    def statements(count: int, **fields: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            answer = imported(staff, *films(count, **fields))
        assert answer["refused"] == []
        return len(queries)

    imported(staff, film(name="First", genres=["drama", "music"]))
    created = statements(1, genres=["drama"], start_date="2026-12-04")
    assert statements(300, genres=["drama"], start_date="2026-12-05") == created
    updated = statements(1, genres=["music"], overview="!", start_date="2026-12-04")
    assert statements(300, genres=["music"], overview="!", start_date="2026-12-05") == updated
    unchanged = statements(1, overview="!", start_date="2026-12-04")
    assert statements(300, overview="!", start_date="2026-12-05") == unchanged
    assert max(created, updated, unchanged) < 40


def test_the_catalogues_version_rises_by_the_statement(staff: Client) -> None:
    imported(staff, film(name="First"))
    before = CatalogueVersion.objects.get().version
    imported(staff, *films(300, genres=["drama"]))
    created = CatalogueVersion.objects.get().version
    assert before < created < before + 6
    imported(staff, *films(300))
    assert CatalogueVersion.objects.get().version == created
