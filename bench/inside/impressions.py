"""Impressions and clicks within the process: to note them, and to store them."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from unittest.mock import patch
from uuid import uuid4

from django.utils import timezone

from movies.models import Movie
from recommendations.impressions import storage, stream
from recommendations.impressions.stream import ShownItem
from recommendations.lists import serving
from recommendations.models import Impression, Interaction
from users.models import User

TIMES = 200
BATCHES = 2000


def measure_requests(*, rounds: int) -> dict[str, list[float]]:
    """Median milliseconds of each round, all cases in turn."""
    raters = Interaction.objects.order_by().values("user_id").distinct()
    user = User.objects.filter(pk__in=raters).earliest("pk")
    shown = _shown()
    list_id, now = str(uuid4()), timezone.now()

    def note() -> None:
        stream.note_shown(
            user_id=user.pk,
            list_id=list_id,
            scope="catalogue",
            release_id=None,
            shown_at=now,
            items=shown,
        )

    def click() -> None:
        movie_id = shown[0].movie_id
        stream.note_click(user_id=user.pk, list_id=list_id, movie_id=movie_id, clicked_at=now)

    def recommend() -> None:
        serving.recommend(
            user=user, scope="catalogue", algorithm="hybrid", limit=20, days=7, refresh=True
        )

    def without() -> None:
        with patch.object(serving, "note_shown"):
            recommend()

    cases = {
        "a new list, noted": recommend,
        "a new list, not noted": without,
        "a batch": note,
        "a click": click,
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            found[name].append(_median_ms(case))
    storage.store_waiting()
    return found


def measure_storing(*, rounds: int) -> list[float]:
    """Impressions a second that the task moves into the table."""
    users = list(User.objects.order_by("pk").values_list("pk", flat=True))
    shown, now, rates = _shown(), timezone.now(), []
    for _ in range(rounds):
        for number in range(BATCHES):
            stream.note_shown(
                user_id=users[number % len(users)],
                list_id=str(uuid4()),
                scope="catalogue",
                release_id=None,
                shown_at=now,
                items=shown,
            )
        before, began_at = Impression.objects.count(), time.perf_counter()
        assert storage.store_waiting() == BATCHES < stream.MOST_WAITING
        took_s = time.perf_counter() - began_at
        rates.append((Impression.objects.count() - before) / took_s)
    return rates


def _shown() -> list[ShownItem]:
    films = Movie.objects.published().order_by("pk").values_list("pk", flat=True)[:20]
    return [ShownItem(place, pk, "hybrid", "als", False) for place, pk in enumerate(films, start=1)]


def _median_ms(case: Callable[[], None]) -> float:
    took = []
    for _ in range(TIMES):
        began_at = time.perf_counter()
        case()
        took.append(time.perf_counter() - began_at)
    return median(took) * 1000
