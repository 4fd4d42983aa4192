"""The rows of an import of movies: as a request or a file gives them, validated, and reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from ninja import Field, Schema
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    SkipValidation,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from cinema.errors import FieldError
from cinema.schemas import Name
from movies.models import MAX_KEYWORDS, Movie
from movies.schemas import GenreName, MovieIn
from movies.types import SeriesName

#: The limit of a request, and of a transaction.
MAX_ROWS = 1_000

Keyword = Annotated[Name, StringConstraints(max_length=80)]


class GenreKey(BaseModel):
    """A genre by its name or slug in `name`, or by both as the API shows it.

    With a slug it is the genre of that slug, and never another one of the same name: so an export
    can be imported unchanged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: GenreName
    slug: Annotated[str, StringConstraints(max_length=60, pattern=r"^[-\w]*$")] = ""


def _genre_key(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and value.keys() == {"slug"}:
        return {"name": value["slug"]}
    return value


GENRE_SHOWN = {
    "anyOf": [
        {"type": "string", "maxLength": 60},
        {
            "type": "object",
            "properties": {
                "slug": {"type": "string", "maxLength": 60},
                "name": {"type": "string", "maxLength": 60},
            },
        },
    ]
}
Genre = Annotated[GenreKey, BeforeValidator(_genre_key), WithJsonSchema(GENRE_SHOWN)]


class ImportedMovie(MovieIn):
    """A movie as `POST /movies` takes it. An existing movie keeps the fields that are left out."""

    genres: list[Genre] = Field([], max_length=20, examples=[["drama", "music"]])  # type: ignore[assignment]
    keywords: list[Keyword] = Field(
        [], max_length=MAX_KEYWORDS, description="Searched, not shown.", examples=[["paris"]]
    )
    series: SeriesName = Field("", description="Searched, not shown.", examples=["Toy Story"])

    @model_validator(mode="wrap")
    @classmethod
    def _run_root_validator(
        cls, values: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Replace Ninja's validator, which validates twice: a third of the time of an import."""
        return handler(values)


class ImportIn(Schema):
    model_config = ConfigDict(extra="forbid")

    #: Validated one by one later, so that a bad row does not stop the others.
    movies: list[SkipValidation[ImportedMovie]] = Field(
        max_length=MAX_ROWS,
        examples=[
            [
                {
                    "name": "Cléo from 5 to 7",
                    "protagonists": ["Corinne Marchand"],
                    "directors": ["Agnès Varda"],
                    "start_date": "2026-12-03",
                }
            ]
        ],
    )


class ImportedRow(Schema):
    row: int = Field(description="Position of the movie in the request, from 1.", examples=[1])
    id: int | None = Field(description="Id of the movie; null for a new movie in a dry run.")
    outcome: Literal["created", "updated", "unchanged"]
    changed: list[str] = Field(description="Names of the changed fields.", examples=[[]])


class RefusedMovieRow(Schema):
    row: int = Field(examples=[3])
    reason: str = Field(examples=["body.start_date: expected a date as in 2026-12-03"])
    errors: list[FieldError]
    movie_id: int | None = Field(description="The movie that the row conflicts with.")


class ImportOut(Schema):
    """The outcome of each row; with `dry_run` nothing is written."""

    dry_run: bool
    created: int = Field(examples=[1])
    updated: int = Field(examples=[0])
    unchanged: int = Field(examples=[1])
    movies: list[ImportedRow]
    refused: list[RefusedMovieRow]


# --- rows in work

#: The limit of the errors of one row.
MAX_ERRORS = 10


@dataclass(frozen=True)
class MovieRow:
    """A valid row. `number` is its position in the list, or its line in the file."""

    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class AppliedRow:
    """A row that was not refused. The movie has no id while nothing is written.

    Attributes:
        name: The movie's name after this row; a later row may change it.
        changes: Old and new value by field, of a movie that existed before.
    """

    row: int
    outcome: Literal["created", "updated", "unchanged"]
    movie: Movie
    name: str
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def report(self) -> ImportedRow:
        changed = list(self.changes)
        return ImportedRow(row=self.row, id=self.movie.pk, outcome=self.outcome, changed=changed)


Result = AppliedRow | RefusedMovieRow


def refused(number: int, *errors: FieldError, movie_id: int | None = None) -> RefusedMovieRow:
    reason = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return RefusedMovieRow(row=number, reason=reason, errors=list(errors), movie_id=movie_id)


def refused_body(number: int, message: str) -> RefusedMovieRow:
    """Refuse a row for a reason that concerns no single field."""
    return refused(number, FieldError(field="body", message=message))


def validated(number: int, raw: object) -> MovieRow | RefusedMovieRow:
    """Validate a row as `POST /movies` would."""
    try:
        movie = ImportedMovie.model_validate(raw)
    except ValidationError as error:
        return refused(number, *(_field_error(item) for item in error.errors()[:MAX_ERRORS]))
    given = movie.model_fields_set
    return MovieRow(
        number, {name: getattr(movie, name) for name in ImportedMovie.model_fields if name in given}
    )


def _field_error(item: Mapping[str, Any]) -> FieldError:
    return FieldError(
        field=".".join(["body", *map(str, item["loc"])]),
        message=str(item["msg"]).removeprefix("Value error, "),
    )
