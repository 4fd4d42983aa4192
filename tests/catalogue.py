"""Builders and readers for what goes to and comes from the catalogue's addresses, and for the
MovieLens folders that fill it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management import call_command
from django.db import connection, transaction

from movies.models import Movie
from recommendations.models import Interaction
from tests.builders import Client

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

EVENING = "2026-12-03T20:00:00+01:00"


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


def show(movie: Movie, **fields: Any) -> dict[str, Any]:
    """The least that a screening needs, and `fields`."""
    return {"movie_id": movie.pk, "hall": "Hall 1", "starts_at": EVENING, **fields}


def posted_screening(staff: Client, movie: Movie, **fields: Any) -> dict[str, Any]:
    """A screening posted through the API, as it was answered."""
    answer = staff.post("/screenings", show(movie, **fields))
    assert answer.status_code == 201, answer.content
    screening: dict[str, Any] = answer.json()
    return screening


def programme(client: Client, **query: Any) -> dict[str, Any]:
    """The programme as it was answered."""
    answer = client.get("/programme", **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def shown(client: Client, **query: Any) -> dict[str, list[str]]:
    """The names of the movies in the programme by date, without the days that have none."""
    days = programme(client, **query)["days"]
    return {
        day["date"]: [movie["name"] for movie in day["movies"]] for day in days if day["movies"]
    }


def refused_fields(answer: Response) -> list[str]:
    """The fields that a 422 names; the elements of a list count as the list."""
    assert answer.status_code == 422, answer.content
    named = (error["field"].split(".") for error in answer.json()["errors"])
    return list(dict.fromkeys(".".join(parts[:2]) for parts in named))


def while_uncommitted(change: Callable[[], object], call: Callable[[], Response]) -> Response:
    """The answer to a call that arrives after a change has been made and before its commit."""
    answers: list[Response] = []

    def run() -> None:
        answers.append(call())
        connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        change()
        thread.start()
        thread.join(timeout=0.3)
    thread.join()
    return answers[0]


# --- folders for `manage.py import_movielens`

MOVIES = (
    "1,Toy Story (1995),Adventure|Children|Sci-Fi",
    '2,"Matrix, The (1999)",Sci-Fi',
    "3,Misérables (1998),(no genres listed)",
)
RATINGS = ("1,1,4.0,964982703", "1,2,0.5,964981247", "7,2,5.0,1147880044")


def write_csv(
    folder: Path,
    *ratings: str | bytes,
    movies: tuple[str | bytes, ...] = MOVIES,
    links: tuple[str, ...] | None = None,
) -> Path:
    """A folder as those since ml-20m are."""
    _write(folder / "movies.csv", "movieId,title,genres", *movies)
    _write(folder / "ratings.csv", "userId,movieId,rating,timestamp", *(ratings or RATINGS))
    if links is not None:
        _write(folder / "links.csv", "movieId,imdbId,tmdbId", *links)
    return folder


def _write(path: Path, *lines: str | bytes) -> None:
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    path.write_bytes(b"\n".join([*encoded, b""]))


def run(folder: Path, *options: str) -> tuple[str, str]:
    """What the command prints, and what it complains about."""
    out, err = io.StringIO(), io.StringIO()
    call_command("import_movielens", str(folder), *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def ratings() -> dict[tuple[str, str], tuple[float | None, int]]:
    """Stars and Unix seconds by the viewer's e-mail address and the movie's name."""
    rows = Interaction.objects.select_related("user", "movie")
    return {
        (row.user.email, row.movie.name): (row.stars, int(row.updated_at.timestamp()))
        for row in rows
    }


def viewer(number: int) -> str:
    return f"movielens-{number}@cinema.invalid"


def every_row() -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables concerned; `ctid` and `xmax` show an update to the same values."""
    tables = ["movies_movie", "movies_movie_genres", "movies_genre", "users_user"]
    tables += ["recommendations_interaction", "movies_catalogueversion"]
    with connection.cursor() as cursor:
        rows = {}
        for table in tables:
            cursor.execute(f"SELECT ctid, xmax::text, t.* FROM {table} t ORDER BY t.id")  # noqa: S608
            rows[table] = cursor.fetchall()
    return rows
