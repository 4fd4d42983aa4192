from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema
from pydantic import ConfigDict

from users.schemas import Password


class ErasureIn(Schema):
    model_config = ConfigDict(extra="forbid")

    password: Password = Field(examples=["cleo from 5 to 7"])


class ExportOut(Schema):
    """The head of the document; then a list for each kind of thing that is kept.

    Such as `sessions`, `favourites`, `viewings`, `interactions`, `playlists` with their `entries`,
    `audit_log`. There will be more: read those that you know.
    """

    model_config = ConfigDict(extra="allow")

    format: str = Field(examples=["cinema-personal-data"])
    version: int = Field(examples=[1])
    made_at: datetime
    cinema: str = Field(examples=["Cinema"])
    left_out: dict[str, str] = Field(
        description="Columns that are not in it, and why.",
        examples=[{"users.User.password": "A hash."}],
    )
    account: dict[str, Any] = Field(
        examples=[{"id": 7, "email": "agnes@example.org", "name": "Agnès"}]
    )
