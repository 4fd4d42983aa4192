from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema
from pydantic import AfterValidator, ConfigDict, StringConstraints

from cinema.schemas import Line
from movies.types import Language, each_once
from users.preferences.selectors import StatedPreferences

AT_MOST = 20


GenreSlugs = Annotated[
    list[Annotated[Line, StringConstraints(max_length=60)]],
    Field(max_length=AT_MOST),
    AfterValidator(each_once),
]
Languages = Annotated[list[Language], Field(max_length=AT_MOST), AfterValidator(each_once)]


class PreferencesIn(Schema):
    """All of them: what is left out is given up."""

    model_config = ConfigDict(extra="forbid")

    genres: GenreSlugs = Field([], description="By their slugs.", examples=[["drama", "music"]])
    languages: Languages = Field([], description="Original languages.", examples=[["fr", "en"]])
    match_visible: bool = Field(
        False,
        # Consent is given in so many words: no 1 and no "yes".
        strict=True,
        description="Viewers of similar taste may see you, by your name.",
        examples=[False],
    )


class PreferencesOut(Schema):
    genres: list[str] = Field(examples=[["drama", "music"]])
    languages: list[str] = Field(examples=[["fr", "en"]])
    match_visible: bool = Field(examples=[False])

    @staticmethod
    def resolve_genres(stated: StatedPreferences) -> list[str]:
        return [genre.slug for genre in stated.genres]
