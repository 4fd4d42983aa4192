"""Builders for what viewers bring along: exports of Letterboxd, IMDb and Trakt."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.builders import Client, make_movie
from tests.uploads import BOUNDARY, form

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

RATINGS = "Date,Name,Year,Letterboxd URI,Rating"
PLAIN = "Date,Name,Year,Letterboxd URI"
DIARY = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date"
IMDB_RATINGS = (
    "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),"
    "Year,Genres,Num Votes,Release Date,Directors"
)
IMDB_LIST = (
    "Position,Const,Created,Modified,Description,Title,Original Title,URL,Title Type,IMDb Rating,"
    "Runtime (mins),Year,Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated"
)
TRAKT_RATINGS = (
    "rated_at,type,title,year,trakt_rating,trakt_id,imdb_id,tmdb_id,tvdb_id,url,released,"
    "season_number,episode_number,episode_title,episode_released,episode_trakt_rating,"
    "episode_trakt_id,episode_imdb_id,episode_tmdb_id,episode_tvdb_id,genres,rating"
)
TRAKT_HISTORY = "watched_at,action,type,title,year,trakt_rating,trakt_id,imdb_id,tmdb_id,tvdb_id"
TRAKT_WATCHLIST = "rank,listed_at,type,title,year,trakt_id,imdb_id,tmdb_id,tvdb_id,url,released"

CLEO = "2024-03-01,Cléo from 5 to 7,1962,https://boxd.it/29Qc"


def csv(header: str, *rows: str) -> bytes:
    return "\r\n".join([header, *rows, ""]).encode()


def cells(header: str, **values: object) -> str:
    """A row of the header, in which only these columns have something: `Your_Rating="9"`."""
    named = {name.replace("_", " "): str(value) for name, value in values.items()}
    found = [named.get(name.replace("_", " "), "") for name in header.split(",")]
    return ",".join(f'"{cell}"' for cell in found)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def send(client: Client, file: bytes, *, filename: str = "file", **query: Any) -> Response:
    return client.send(
        "POST",
        "/users/me/import",
        form(file, filename=filename),
        query=query,
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
    )


def imported(
    client: Client, file: bytes, *, filename: str = "file", **query: Any
) -> dict[str, Any]:
    answer = send(client, file, filename=filename, **query)
    assert answer.status_code == 200, answer.content
    report: dict[str, Any] = answer.json()
    return report


def refusal(client: Client, file: bytes, *, filename: str = "file", **query: Any) -> str:
    """Why the file as a whole was refused."""
    answer = send(client, file, filename=filename, **query)
    assert answer.status_code == 422, answer.content
    [error] = answer.json()["errors"]
    assert error["field"] == "body.file"
    return str(error["message"])


def make_cleo(**fields: Any) -> Any:
    return make_movie(**{"name": "Cléo from 5 to 7", "release_year": 1962, **fields})


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["created"], report["updated"], report["unchanged"]


def make_films(number: int) -> list[str]:
    """Rows of a watchlist, of new films."""
    return [f"2024-01-01,{make_movie(release_year=2001).name},2001,x" for _ in range(number)]
