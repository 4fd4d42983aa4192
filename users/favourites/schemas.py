from __future__ import annotations

from datetime import datetime
from typing import Literal

from ninja import Field, Schema

from cinema.schemas import Line
from movies.schemas import OfMovieOut
from movies.types import LocalTime
from users.models import Favourite


class FavouriteOut(Schema):
    movie_id: int = Field(examples=[42])
    added_at: LocalTime

    @staticmethod
    def resolve_added_at(favourite: Favourite) -> datetime:
        return favourite.created_at


class ListedFavouriteOut(OfMovieOut, FavouriteOut):
    pass


class FavouriteFilters(Schema):
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    sort: Literal["-added_at", "name"] = "-added_at"
