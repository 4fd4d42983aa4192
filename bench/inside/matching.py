"""Matches, timed within the process."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from typing import Any

from recommendations.dataset import load_dataset
from recommendations.lists.list_builder import LIST_LENGTH
from recommendations.matches.selectors import matches_for_movies
from recommendations.matches.services import find_new_matches, match_all, renew_matches
from recommendations.models import Interaction, Neighbour, Release
from recommendations.training import runs
from recommendations.training.fitting import TrainedModels
from users.models import Preferences, User


def agree() -> None:
    """All viewers agree to be seen, or there would be little to do at once."""
    viewers = User.objects.values_list("pk", flat=True)
    Preferences.objects.bulk_create(
        (Preferences(user_id=pk, match_visible=True) for pk in viewers),
        batch_size=5000,
        update_conflicts=True,
        unique_fields=["user"],
        update_fields=["match_visible"],
    )


def match_viewers() -> dict[str, Any]:
    """All of them, as at night."""
    start = time.perf_counter()
    rows = match_all()
    seconds = time.perf_counter() - start
    matched = Neighbour.objects.filter(matched_since__isnull=False)
    return {
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rows": rows,
        "viewers": User.objects.filter(is_active=True).count(),
        "matched": matched.values("user").distinct().count(),
    }


def publish() -> None:
    """A release of today's data without recommenders, which take long."""
    release = Release(
        users=1, items=1, interactions=1, metrics={}, fingerprint="bench", training_s=0
    )
    runs.publish(release, TrainedModels({}, {}), load_dataset())


def measure_at_once(*, viewers: int, seed: int = 1895) -> dict[str, Any]:
    """Milliseconds of each viewer drawn: as if the last film of theirs had just been rated."""
    raters = sorted(Interaction.objects.order_by().values_list("user_id", flat=True).distinct())
    drawn = random.Random(seed).sample(raters, min(viewers, len(raters)))
    films = {pk: _films_of(pk) for pk in drawn}
    for user_id in drawn[:5]:
        find_new_matches(user_id=user_id, movie_id=films[user_id][0])
    calls: dict[str, Callable[[int], object]] = {
        "new matches": lambda pk: find_new_matches(user_id=pk, movie_id=films[pk][0]),
        "beside the films of a list": lambda pk: matches_for_movies(pk, films[pk][:LIST_LENGTH]),
        "all neighbours of one viewer": lambda pk: renew_matches(user_id=pk),
    }
    return {"ms": {what: [_ms(call, pk) for pk in drawn] for what, call in calls.items()}}


def _films_of(user_id: int) -> list[int]:
    mine = Interaction.objects.filter(user_id=user_id).order_by("-updated_at", "pk")
    return list(mine.values_list("movie_id", flat=True))


def _ms(call: Callable[[int], object], user_id: int) -> float:
    start = time.perf_counter()
    call(user_id)
    return (time.perf_counter() - start) * 1000
