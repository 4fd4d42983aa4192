"""Promotions, and where they stand in viewers' lists."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from movies.models import Movie
from recommendations.models import Promotion
from recommendations.promotions import PromotionIn, add_promotion
from tests.audience import ids, listed
from tests.builders import Client

PATH = "/promotions"


def ahead(**parts: float) -> datetime:
    return timezone.now() + timedelta(**parts)


def payload(movie: Movie, **fields: Any) -> dict[str, Any]:
    """The payload of a promotion of a week: a pin to the first place, or a boost."""
    what = {"kind": "boost"} if "strength" in fields else {"kind": "pin", "place": 1}
    needed = {"movie_id": movie.pk, **what, "ends_at": ahead(days=7).isoformat()}
    return {**needed, **fields}


def make_promotion(movie: Movie, **fields: Any) -> Promotion:
    return add_promotion(PromotionIn(**payload(movie, **fields)))


def promoted(staff: Client, movie: Movie, **fields: Any) -> dict[str, Any]:
    """A promotion made through the API, as it was answered."""
    answer = staff.post(PATH, payload(movie, **fields))
    assert answer.status_code == 201, answer.content
    promotion: dict[str, Any] = answer.json()
    return promotion


def pinned(client: Client, **query: Any) -> dict[int, int]:
    """The pinned films of the viewer's new list, by place."""
    answer = listed(client, **{"limit": 40, "refresh": True, **query})
    assert len(set(ids(answer))) == len(ids(answer))
    found = [item for item in answer["items"] if item["source"] == "pin"]
    return {item["rank"]: item["movie"]["id"] for item in found}
