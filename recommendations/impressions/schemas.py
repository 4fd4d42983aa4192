from __future__ import annotations

from ninja import Field, Schema
from pydantic import ConfigDict

from cinema.schemas import RowId


class ClickIn(Schema):
    model_config = ConfigDict(extra="forbid")

    movie_id: RowId = Field(description="The film that was opened.", examples=[42])
