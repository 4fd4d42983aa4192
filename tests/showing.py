"""Impressions of viewers: those that wait, and those in the table."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.utils import timezone

from cinema.cache import shared
from movies.models import Movie
from recommendations.impressions import stream
from recommendations.impressions.stream import ShownItem, note_shown
from recommendations.models import Impression
from tests.audience import Listed
from users.models import User


def left() -> int:
    """Entries in the stream."""
    key = stream.stream_key()
    return int(str(shared().ask(lambda server: server.xlen(key))))


def stored() -> list[tuple[str, int, int]]:
    rows = Impression.objects.order_by("shown_at", "position").values_list(
        "list_id", "position", "movie_id"
    )
    return [(str(list_id), position, movie_id) for list_id, position, movie_id in rows]


def shown(answer: Listed) -> list[tuple[str, int, int]]:
    return [(answer["list_id"], item["rank"], item["movie"]["id"]) for item in answer["items"]]


def note(user: User, *items: ShownItem, list_id: str = "", **more: Any) -> str:
    """Note the items as shown to the viewer."""
    list_id = list_id or str(uuid4())
    fields = {"scope": "catalogue", "release_id": None, "shown_at": timezone.now(), **more}
    note_shown(user_id=user.pk, list_id=list_id, items=items, **fields)
    return list_id


def item(movie: Movie, position: int = 1, **more: Any) -> ShownItem:
    fields = {"algorithm": "hybrid", "source": "als", "is_fallback": False, **more}
    return ShownItem(position=position, movie_id=movie.pk, **fields)
