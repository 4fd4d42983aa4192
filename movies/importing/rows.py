"""The rows of an import: what one asks for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from cinema.errors import FieldError
from movies.importing.schemas import ImportedMovie
from movies.models import Movie

#: Of one row: who sends a hundred bad names learns enough from the first ones.
ERRORS_TOLD = 10


@dataclass(frozen=True)
class Row:
    """A row that says what it must. `number` is its place in the list, or its line in the file."""

    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Refused:
    """A row that changes nothing. `movie_id` is what stands in its way, if it is that."""

    number: int
    errors: list[FieldError]
    movie_id: int | None = None

    @property
    def reason(self) -> str:
        return "; ".join(f"{error.field}: {error.message}" for error in self.errors)


@dataclass(frozen=True)
class Done:
    """A row that was taken. The movie has no id if it was to be made and nothing is written.

    Attributes:
        name: After this row; another one may change it again.
        changes: Old and new value by field, of a movie that stood.
    """

    number: int
    outcome: Literal["created", "updated", "unchanged"]
    movie: Movie
    name: str
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


Result = Done | Refused


def refused(number: int, field: str, message: str, movie_id: int | None = None) -> Refused:
    """For a single reason."""
    return Refused(number, [FieldError(field=field, message=message)], movie_id)


def checked(number: int, raw: object) -> Row | Refused:
    """The row as `POST /movies` would take it."""
    try:
        movie = ImportedMovie.model_validate(raw)
    except ValidationError as error:
        return Refused(number, [_field_error(item) for item in error.errors()[:ERRORS_TOLD]])
    given = movie.model_fields_set
    return Row(
        number, {name: getattr(movie, name) for name in ImportedMovie.model_fields if name in given}
    )


def _field_error(item: Mapping[str, Any]) -> FieldError:
    return FieldError(
        field=".".join(["body", *map(str, item["loc"])]),
        message=str(item["msg"]).removeprefix("Value error, "),
    )
