from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema

from cinema.schemas import Moment

Via = Literal["api", "admin", "command", "task", "database"]
Action = Literal["create", "update", "delete"]
Model = Literal[
    "movie",
    "screening",
    "hall",
    "genre",
    "user",
    "session",
    "second-factor",
    "release",
    "training-run",
    "tmdb-sync",
    "tmdb-genre",
    "promotion",
    "experiment",
]
ID = Annotated[int, Field(ge=1, le=2**63 - 1)]


class AuditEntryOut(Schema):
    id: int = Field(examples=[918])
    at: datetime
    user_id: int | None = Field(
        description="Null where nobody in particular writes, as in a nightly task.", examples=[7]
    )
    via: Via
    action: Action
    model: Model
    object_id: int = Field(examples=[310])
    movie_id: int | None = Field(description="The film that it belongs to.", examples=[42])
    before: dict[str, Any] | None = Field(
        description="By column; of an update, the changed columns. Null on creation.",
        examples=[{"state": "scheduled"}],
    )
    after: dict[str, Any] | None = Field(
        description="By column. Null on deletion.", examples=[{"state": "cancelled"}]
    )
    request_id: str = Field(examples=["0f6c2f4e1f6b4f0d9a4d1d9a4f5c1e77"])
    path: str = Field(examples=["PATCH /api/v1/screenings/310"])


class AuditFilters(Schema):
    model: Model | None = None
    object_id: ID | None = None
    movie_id: ID | None = Field(None, description="A film, its screenings, its promotions.")
    user_id: ID | None = None
    via: Via | None = None
    action: Action | None = None
    since: Moment | None = Field(None, alias="from", description="At or after.")
    until: Moment | None = Field(None, alias="to", description="Before.")
