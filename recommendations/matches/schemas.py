from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema

from movies.schemas import MovieOut, MovieReferenceOut
from movies.types import LocalTime

MatchLimit = Annotated[int, Field(ge=1, le=100)]


class MatchedViewerOut(Schema):
    id: int = Field(examples=[7])
    name: str = Field(examples=["Agnès"])


class ListedMatchOut(Schema):
    user: MatchedViewerOut
    similarity: float = Field(description="From the threshold up to 1.", examples=[0.87])
    shared: list[MovieOut] | list[MovieReferenceOut] = Field(
        description="A few films that both of you like best."
    )
    since: LocalTime


class MatchListOut(Schema):
    data: list[ListedMatchOut]
