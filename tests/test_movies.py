"""The catalogue through HTTP: what can be posted, changed, found and taken away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone

from movies.models import Genre, Movie
from recommendations.models import Interaction
from tests.builders import Client, interact, make_movie, make_screening, make_user

pytestmark = pytest.mark.django_db

TOO_LONG = "a" * 5_000


def film(**fields: Any) -> dict[str, Any]:
    """The least that a movie needs, and `fields`."""
    needed = {"name": "Cléo", "protagonists": ["Corinne Marchand"], "start_date": "2026-12-03"}
    return {**needed, **fields}


def posted(staff: Client, **fields: Any) -> dict[str, Any]:
    """A movie posted through the API, as it was answered."""
    answer = staff.post("/movies", film(**fields))
    assert answer.status_code == 201, answer.content
    movie: dict[str, Any] = answer.json()
    return movie


def names(answer: HttpResponse) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


def refused_fields(answer: HttpResponse) -> list[str]:
    assert answer.status_code == 422, answer.content
    return [error["field"] for error in answer.json()["errors"]]


def at_once(*calls: Callable[[], HttpResponse]) -> list[HttpResponse]:
    """The answers to calls that start together, each in a thread with a connection of its own."""
    answers: list[HttpResponse] = []
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], HttpResponse]) -> None:
        try:
            together.wait(timeout=5)
            answers.append(call())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


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
    now = timezone.now().isoformat()[:16]
    assert movie.pop("id") > 0
    assert all(moment.endswith(("+01:00", "+02:00")) for moment in (movie["created_at"],))
    assert now[:13] != "" and movie.pop("created_at") and movie.pop("updated_at")
    assert movie == {
        "name": "Cléo",
        "slug": "cleo",
        "protagonists": ["Corinne Marchand"],
        "overview": "",
        "genres": [],
        "poster": None,
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
    }


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
def test_writing_is_for_staff(
    anonymous: Client, viewer: Client, method: str, path: str
) -> None:
    assert anonymous.send(method, path, film()).status_code == 401
    assert viewer.send(method, path, film()).status_code == 403
    forged = {"Authorization": "Bearer not.a.token"}
    assert anonymous.send(method, path, film(), headers=forged).status_code == 401
    assert not Movie.objects.exists()


# --- good and bad values


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Cléo \t from\n5 to 7 ", "Cléo from 5 to 7"),
        ("Cle\u0301o", "Cléo"),
        ("Alien\x00 \x07 3", "Alien 3"),
        ("🎬 Emoji 👩🏽‍🚀", "🎬 Emoji 👩🏽‍🚀"),
        ("שלום \u200fעולם", "שלום \u200fעולם"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE movies_movie; --", "'; DROP TABLE movies_movie; --"),
        ("%s %(x)s {0} \\", "%s %(x)s {0} \\"),
        ("!!!", "!!!"),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_name_is_kept_as_people_read_it(staff: Client, sent: str, kept: str) -> None:
    assert posted(staff, name=sent)["name"] == kept


@pytest.mark.parametrize(
    "name",
    ["", "   ", "\t\n", "\x00", "\u200b\u200f", "\u0301", TOO_LONG, "x" * 301, None, 7, ["x"], {}],
)
def test_a_name_that_says_nothing_or_too_much_is_refused(staff: Client, name: object) -> None:
    assert refused_fields(staff.post("/movies", film(name=name))) == ["body.name"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protagonists", []),
        ("protagonists", ["Somebody"] * 101),
        ("protagonists", [""]),
        ("protagonists", ["x" * 201]),
        ("protagonists", [None]),
        ("protagonists", "Corinne Marchand"),
        ("protagonists", None),
        ("overview", "x" * 10_001),
        ("overview", None),
        ("start_date", "2026-02-30"),
        ("start_date", "03.12.2026"),
        ("start_date", "0001-01-01"),
        ("start_date", "9999-12-31"),
        ("start_date", 20261203),
        ("start_date", "20261203"),
        ("start_date", 1.5),
        ("start_date", True),
        ("start_date", None),
        ("end_date", "tomorrow"),
        ("end_date", 0),
        ("status", "cancelled"),
        ("original_language", "French"),
        ("original_language", "fr\n"),
        ("original_language", "\x00"),
        ("release_year", 1869),
        ("release_year", 2201),
        ("release_year", "MCMLXII"),
        ("release_year", 1962.5),
        ("runtime_minutes", 0),
        ("runtime_minutes", -1),
        ("runtime_minutes", 6001),
        ("runtime_minutes", 10**30),
        ("tmdb_id", 0),
        ("tmdb_id", 2**31),
        ("tmdb_id", 10**30),
        ("poster", "javascript:alert(1)"),
        ("poster", "java\nscript:alert(1)"),
        ("poster", "data:text/html,hello"),
        ("poster", "//example.org/a.jpg"),
        ("poster", "https://"),
        ("poster", "http://[::1"),
        ("poster", "https://example.org/a b"),
        ("poster", "https://example.org/" + "a" * 500),
        ("poster", "https://example.org/" + "\U0001d15f" * 400),
        ("trailer", "JavaScript:alert(1)"),
        ("trailer", ""),
        ("slug", ""),
        ("slug", "a/b"),
        ("slug", "-a"),
        ("slug", "a b"),
        ("slug", "a\x00"),
        ("slug", "a\n"),
        ("slug", "x" * 121),
        ("slug", None),
        ("genres", ["x" * 61]),
        ("genres", ["drama"] * 21),
        ("genres", [""]),
        ("genres", ["!!!"]),
        ("genres", [{}]),
        ("genres", [{"slug": ["drama"]}]),
        ("genres", [7]),
        ("genres", "drama"),
        ("genres", None),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    staff: Client, field: str, value: object
) -> None:
    standing = make_movie()
    for answer in (
        staff.post("/movies", film(**{field: value})),
        staff.patch(f"/movies/{standing.pk}", {field: value}),
    ):
        assert {".".join(name.split(".")[:2]) for name in refused_fields(answer)} == {
            f"body.{field}"
        }
    assert Movie.objects.count() == 1


@pytest.mark.parametrize(
    "field",
    [
        "id",
        "ranking",
        "rating_average",
        "rating_count",
        "rating_sum",
        "created_at",
        "withdrawn_at",
        "status_is_manual",
        "unheard_of",
    ],
)
def test_a_field_that_is_computed_or_unknown_is_refused(staff: Client, field: str) -> None:
    movie = make_movie()
    assert refused_fields(staff.post("/movies", film(**{field: 1}))) == [f"body.{field}"]
    assert refused_fields(staff.patch(f"/movies/{movie.pk}", {field: 1})) == [f"body.{field}"]


@pytest.mark.parametrize("body", [[], "text", 7, None, True, [film()]])
def test_a_body_that_is_no_object_is_refused(staff: Client, body: object) -> None:
    assert staff.post("/movies", body).status_code == 422
    assert staff.patch(f"/movies/{make_movie().pk}", body).status_code == 422


def test_a_number_written_as_text_is_read_as_a_number(staff: Client) -> None:
    movie = posted(staff, runtime_minutes="90", release_year="1962")
    assert (movie["runtime_minutes"], movie["release_year"]) == (90, 1962)


def test_control_characters_leave_an_overview_but_its_lines_stay(staff: Client) -> None:
    assert posted(staff, overview="a\x00b\r\nc\x1b[31m")["overview"] == "ab\nc[31m"


@pytest.mark.parametrize(
    ("start", "end"), [("2026-12-03", "2026-12-02"), ("2026-12-03", "1990-01-01")]
)
def test_a_movie_does_not_end_before_it_starts(staff: Client, start: str, end: str) -> None:
    assert staff.post("/movies", film(start_date=start, end_date=end)).status_code == 422
    movie = posted(staff, start_date=start)
    path = f"/movies/{movie['id']}"
    assert refused_fields(staff.patch(path, {"end_date": end})) == ["body.end_date"]
    assert staff.get(path).json()["end_date"] is None


def test_a_start_after_the_standing_end_is_refused(staff: Client) -> None:
    movie = posted(staff, end_date="2026-12-30")
    assert staff.patch(f"/movies/{movie['id']}", {"start_date": "2026-12-31"}).status_code == 422


# --- slugs


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Amélie", "amelie"),
        ("七人の侍", "七人の侍"),
        ("Ὀδύσσεια", "ὀδύσσεια"),
        ("七人の侍 (1954)", "七人の侍-1954"),
        ("Straße", "straße"),
        ("1917", "1917"),
        ("!!!", "movie"),
        ("🎬", "movie"),
        ("../../etc/passwd", "etcpasswd"),
    ],
)
def test_the_address_of_a_movie_follows_from_its_name(
    staff: Client, anonymous: Client, name: str, slug: str
) -> None:
    movie = posted(staff, name=name)
    assert movie["slug"] == slug
    assert anonymous.get(f"/movies/by-slug/{slug}").json()["id"] == movie["id"]


def test_movies_of_one_name_get_addresses_by_year_and_then_by_number(staff: Client) -> None:
    slugs = [
        posted(staff, name="Dune", start_date=f"2026-12-0{n}", release_year=2021)["slug"]
        for n in range(1, 5)
    ]
    assert slugs == ["dune", "dune-2021", "dune-2", "dune-3"]


def test_the_longest_name_still_gets_an_address_of_its_own(staff: Client) -> None:
    first = posted(staff, name="x" * 300)
    second = posted(staff, name="x" * 299)
    assert first["slug"] != second["slug"]


def test_a_new_name_leaves_the_address(staff: Client) -> None:
    movie = posted(staff, name="Working Title")
    answer = staff.patch(f"/movies/{movie['id']}", {"name": "Final Title"})
    assert answer.json()["slug"] == "working-title"


def test_an_address_that_another_movie_has_is_a_conflict(staff: Client) -> None:
    posted(staff, slug="taken")
    other = posted(staff, name="Another")
    assert staff.post("/movies", film(name="Third", slug="taken")).status_code == 409
    assert staff.patch(f"/movies/{other['id']}", {"slug": "taken"}).status_code == 409
    assert staff.patch(f"/movies/{other['id']}", {"slug": other["slug"]}).status_code == 200


# --- the same movie again


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("Cléo", "CLÉO"),
        ("Cléo", "cle\u0301o "),
        ("Straße", "STRAẞE"),
        ("Ὀδύσσεια", "ὈΔΎΣΣΕΙΑ"),
        ("İstanbul", "istanbul"),
    ],
)
def test_the_same_name_and_start_again_names_the_standing_movie(
    staff: Client, first: str, again: str
) -> None:
    standing = posted(staff, name=first)
    same = _sees_as_one(first, again)
    answer = staff.post("/movies", film(name=again))
    assert answer.status_code == (409 if same else 201)
    if same:
        assert answer.json()["movie_id"] == standing["id"]


def _sees_as_one(*texts: str) -> bool:
    """Whether the database's own lower case makes no difference between the texts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT lower(t)) FROM unnest(%s) t", [[*texts]])
        return bool(cursor.fetchone() == (1,))
