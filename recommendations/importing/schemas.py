from __future__ import annotations

from typing import Literal

from ninja import Field, Schema

from movies.types import LocalTime
from recommendations.models import PendingImport

#: The limit of each list of rows in the report; all rows are counted.
MAX_TOLD = 200
MAX_CANDIDATES = 10

#: The kind of a file, where three kinds have the same columns.
Content = Literal["watched", "watchlist", "likes"]


class ReadFile(Schema):
    name: str = Field(description="Name in the zip; else empty.", examples=["diary.csv"])
    format: str = Field(examples=["letterboxd-diary"])


class SkippedFile(Schema):
    name: str = Field(examples=["comments.csv"])
    reason: str = Field(examples=["It is empty."])


class NotKeptColumns(Schema):
    file: str = Field(examples=["diary.csv"])
    columns: list[str] = Field(examples=[["Rewatch", "Tags"]])


class PendingImportOut(Schema):
    id: int
    title: str = Field(examples=["Cléo from 5 to 7"])
    year: int | None = Field(examples=[1962])
    tmdb_id: int | None = Field(examples=[499])
    imdb_id: str = Field(examples=["tt0055852"])
    kind: Literal["rating", "viewing", "seen", "like", "watchlist"] = Field(examples=["rating"])
    stars: float | None = Field(examples=[4.5])
    said_at: LocalTime | None

    @staticmethod
    def resolve_kind(pending: PendingImport) -> str:
        return str(pending.get_kind_display())


class Counts(Schema):
    created: int = Field(examples=[120])
    updated: int = Field(examples=[3])
    unchanged: int = Field(examples=[5])

    @property
    def is_any(self) -> bool:
        return bool(self.created or self.updated or self.unchanged)


class RowOut(Schema):
    file: str = Field(examples=["diary.csv"])
    row: int = Field(
        description="Number of the line, where the header is 1, or of the entry of a JSON file.",
        examples=[7],
    )


class Candidate(Schema):
    id: int = Field(examples=[7])
    name: str = Field(examples=["Hamlet"])
    year: int = Field(examples=[1990])


class UnknownRow(RowOut):
    title: str = Field(examples=["Cléo from 5 to 7"])
    year: int | None = Field(examples=[1962])


class AmbiguousRow(UnknownRow):
    candidates: list[Candidate] = Field(description=f"At most {MAX_CANDIDATES}.")


class RefusedFileRow(RowOut):
    reason: str = Field(examples=["The rating “11” is not one of 1 to 10."])


class ViewerImportOut(Counts):
    """The outcome of an import. `created`, `updated` and `unchanged` count the statements of the
    matched rows; a row of a diary can have two. Each list has the first 200 rows.
    """

    dry_run: bool
    files: list[ReadFile]
    rows: int = Field(description="Number of rows of all files.", examples=[140])
    matched: int = Field(examples=[128])
    by_kind: dict[str, Counts] = Field(
        description="The same counts for ratings, viewings, likes and watchlist.",
        examples=[{"ratings": {"created": 120, "updated": 3, "unchanged": 5}}],
    )
    kept_for_later: int = Field(
        description="Rows about films that are not in the catalogue, or that several films match. "
        "They take effect once one film matches: `GET /users/me/import/pending`.",
        examples=[10],
    )
    ambiguous_count: int = Field(examples=[1])
    unknown_count: int = Field(examples=[9])
    refused_count: int = Field(examples=[2])
    passed_over_count: int = Field(
        description="Rows of a kind that is not kept: about series, games and the like, or with a "
        "status such as “dropped”.",
        examples=[4],
    )
    not_films: int = Field(
        description="How many of these are about series, games and the like.", examples=[4]
    )
    skipped_file_count: int = Field(description="Files of the zip that are not read.", examples=[2])
    playlist_id: int | None = Field(
        description="The private playlist “Watchlist”, if films were added to it.", examples=[3]
    )
    ambiguous: list[AmbiguousRow]
    unknown: list[UnknownRow]
    refused: list[RefusedFileRow]
    passed_over: list[RefusedFileRow]
    skipped_files: list[SkippedFile]
    not_kept: list[NotKeptColumns] = Field(
        description="Columns with content that is not kept, such as tags and reviews."
    )
