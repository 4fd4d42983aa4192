from __future__ import annotations

from typing import Annotated, Literal

from ninja import Field, Schema
from pydantic import StringConstraints

from cinema.schemas import Day, Name, Paginated, Pagination
from movies.schemas import MoviePatch
from movies.types import LocalTime

#: TMDb's terms require this sentence wherever their data are shown.
ATTRIBUTION = (
    "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise "
    "approved by TMDB."
)


class FilmSearch(Schema):
    q: Annotated[Name, StringConstraints(max_length=200)] = Field(
        description="Words of the title.", examples=["cléo"]
    )
    year: int | None = Field(None, ge=1870, le=2200, description="Release year.", examples=[1962])
    page: int = Field(1, ge=1, le=500, description="20 films each, at most 500 pages.")


class FilmOut(Schema):
    """A film as TMDb knows it."""

    tmdb_id: int = Field(examples=[499])
    title: str = Field(examples=["Cléo from 5 to 7"])
    original_title: str = Field(examples=["Cléo de 5 à 7"])
    year: int | None = Field(examples=[1962])
    overview: str
    poster: str | None
    movie_id: int | None = Field(description="The movie in the catalogue, or null.", examples=[42])


class FilmsOut(Schema):
    data: list[FilmOut]
    pagination: Pagination
    attribution: str = Field(ATTRIBUTION, description="A text to show with the data.")


class ListedFilmOut(FilmOut):
    rank: int = Field(examples=[1])
    fetched_at: LocalTime


class Attributed(Paginated):
    """Pages of TMDb's data with the attribution that TMDb's terms require."""

    class Output(Paginated.Output):
        attribution: str = Field(ATTRIBUTION, description="A text to show with the data.")


class FromTmdbIn(MoviePatch):
    """A film of TMDb to create. Other fields override TMDb's, also in later syncs."""

    tmdb_id: int = Field(ge=1, le=2**31 - 1, examples=[499])
    start_date: Day = Field(examples=["2026-12-03"])


class SyncIn(Schema):
    kind: Literal["films", "lists", "genres"] = Field(examples=["films"])


class SyncOut(Schema):
    id: int = Field(examples=[7])
    kind: Literal["films", "lists", "genres"]
    state: Literal["queued", "running", "done", "failed"]
    created_at: LocalTime
    started_at: LocalTime | None
    finished_at: LocalTime | None
    fetched: int = Field(description="Number of films or rows that TMDb returned.", examples=[38])
    created: int = Field(description="Number of new rows.")
    updated: int = Field(description="Number of changed films or rows.")
    unchanged: int
    erased: int = Field(description="Number of rows deleted as too old or no longer listed.")
    failed: int = Field(description="Number of films, lists or tables that could not be fetched.")
    problems: list[str] = Field(examples=[["Movie 7, Cléo: TMDb has no film 499."]])
