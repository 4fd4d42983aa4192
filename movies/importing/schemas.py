from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from ninja import Field, Schema
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    SkipValidation,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from cinema.errors import FieldError
from cinema.schemas import Name
from movies.models import MAX_KEYWORDS
from movies.schemas import GenreName, MovieIn
from movies.types import SeriesName

#: In one call, and in one transaction.
MAX_ROWS = 1_000

Keyword = Annotated[Name, StringConstraints(max_length=80)]


class GenreKey(BaseModel):
    """A genre by its name or slug in `name`; or, as the API shows it, by both.

    With a slug it is that genre or a new one, and never another of the same name: so what was
    exported comes back as it was.
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
    """A movie as `POST /movies` takes it. Of one that stands, what is left out stays."""

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
        """In place of Ninja's, which looks at everything twice: a third of a whole import."""
        return handler(values)


class ImportIn(Schema):
    model_config = ConfigDict(extra="forbid")

    #: Looked at one by one later: a bad one stops no other.
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
    row: int = Field(description="Its place in the list, from 1.", examples=[1])
    id: int | None = Field(description="The movie; null of one to create in a dry run.")
    outcome: Literal["created", "updated", "unchanged"]
    changed: list[str] = Field(description="The fields that got another value.", examples=[[]])


class RefusedMovieRow(Schema):
    row: int = Field(examples=[3])
    reason: str = Field(examples=["body.start_date: expected a date as in 2026-12-03"])
    errors: list[FieldError]
    movie_id: int | None = Field(description="The movie that stands in its way.")


class ImportOut(Schema):
    """What became of the rows, or with `dry_run` what would."""

    dry_run: bool
    created: int = Field(examples=[1])
    updated: int = Field(examples=[0])
    unchanged: int = Field(examples=[1])
    movies: list[ImportedRow]
    refused: list[RefusedMovieRow]
