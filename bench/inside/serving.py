"""The default list, timed within the process."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import fmean
from typing import Any

import psutil
from django.conf import settings
from django.db import connection
from django.utils import timezone

from movies import catalogue
from movies.models import Hall, Movie, Screening
from recommendations.dataset import load_dataset, load_histories
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.lists.list_builder import (
    LIST_LENGTH,
    ListBuilder,
    ListQuery,
    Rankings,
    build_items,
    build_lists,
)
from recommendations.lists.ranking import HYBRID
from recommendations.lists.scores import ReleaseScorer, candidates_for
from recommendations.matches.selectors import matches_for_movies
from recommendations.matches.services import find_new_matches, match_all, renew_matches
from recommendations.models import Interaction, Neighbour, Release, TrainingRun
from recommendations.releases import LoadedRelease, loaded_release
from recommendations.training import runs
from recommendations.training.fitting import TrainedModels
from recommendations.training.runs import run_training
from users.models import Preferences, User

SHOWING = 60
APART = timedelta(hours=2, minutes=30)
LIMIT = 10
CATALOGUE = ListQuery("catalogue", HYBRID, days=7)
PROGRAMME = ListQuery("programme", HYBRID, days=7)


def train_hybrid(*, gated: bool = True) -> None:
    """A release of the hybrid and its parts, with the defaults; and films that are showing.

    Args:
        gated: Leave out a model that is worse than popularity, as most are with few made-up
            ratings: lists of fallbacks would be fast and say little.
    """
    if not gated:
        for recommender in ALGORITHMS.values():
            recommender.must_beat_popularity = False
    settings.TRAINING_ALGORITHMS, settings.TUNING_BUDGET_S = [HYBRID], 0
    run = run_training(TrainingRun.objects.create(), force=True)
    assert run.state == TrainingRun.State.PUBLISHED, run.message
    _show_films()


def _show_films() -> None:
    """Some of all kinds, one after another in one hall."""
    hall, is_new = Hall.objects.get_or_create(name="Bench")
    if not is_new:
        return
    films = list(Movie.objects.published().order_by("pk").values_list("pk", flat=True))
    first = timezone.now() + timedelta(hours=1)
    starts = [first + APART * number for number in range(min(SHOWING, len(films)))]
    Screening.objects.bulk_create(
        Screening(hall=hall, movie_id=film, starts_at=at, ends_at=at + timedelta(hours=2))
        for film, at in zip(films[:: max(1, len(films) // SHOWING)], starts, strict=False)
    )
    catalogue.raise_version()


def measure_hybrid(*, viewers: int, rounds: int, seed: int = 1895) -> dict[str, Any]:
    """CPU milliseconds of each viewer, and lists a second of each round over all of them."""
    raters = Interaction.objects.order_by().values("user_id").distinct()
    ids = sorted(User.objects.filter(pk__in=raters, is_active=True).values_list("pk", flat=True))
    drawn = random.Random(seed).sample(ids, min(viewers, len(ids)))
    release = loaded_release()
    for user_id in drawn:  # what is known of films is then in memory, as in a server that runs
        _time_one(user_id, release)
    found = [_time_one(user_id, release) for user_id in drawn]

    def batch(*, with_reasons: bool) -> dict[str, list[float]]:
        """Lists a second, and a second of CPU of this process and of Postgres, in each round."""
        lists = partial(build_lists, drawn, PROGRAMME, limit=LIMIT, with_reasons=with_reasons)
        found: dict[str, list[float]] = {"a second": [], "a CPU second": []}
        for number in range(rounds + 1):
            started_at, cpu_before_s = time.perf_counter(), _cpu_s()
            list(lists())
            if number:  # the first one warms up
                found["a second"].append(len(drawn) / (time.perf_counter() - started_at))
                found["a CPU second"].append(len(drawn) / (_cpu_s() - cpu_before_s))
        return found

    films = candidates_for("catalogue", 7, catalogue.current().snapshot, release)
    parts = sum((parts for *_, parts in found), Counter[str]())
    return {
        "films": len(films.ids),
        "showing": len(catalogue.current().snapshot.upcoming.showing(7)),
        "viewers": len(drawn),
        "history": fmean(size for _, size, _ in found),
        "parts": ", ".join(f"{name} ({n:,})" for name, n in parts.most_common()),
        "ms": {what: [ms[what] for ms, *_ in found] for what in found[0][0]},
        "batches": {
            "batch lists": batch(with_reasons=False),
            "batch lists with reasons": batch(with_reasons=True),
        },
    }


def _cpu_s() -> float:
    """CPU seconds of this process and of its process in Postgres."""
    connection.ensure_connection()
    backend = psutil.Process(connection.connection.info.backend_pid)
    return time.process_time() + sum(backend.cpu_times()[:2])


def _time_one(user_id: int, release: LoadedRelease) -> tuple[dict[str, float], int, Counter[str]]:
    """CPU milliseconds, the length of the history, and from where the list is."""
    snapshot = catalogue.current().snapshot
    films = candidates_for("catalogue", 7, snapshot, release)
    in_history, [history] = _cpu_seconds(lambda: load_histories([user_id], with_unopened=True))

    def choose(*, with_reasons: bool) -> Any:
        models = ReleaseScorer(release, films, [history])
        choice = ListBuilder(Rankings([user_id], CATALOGUE, snapshot, models), 0)
        return choice.items(with_reasons=with_reasons)

    ranked, items = _cpu_seconds(lambda: choose(with_reasons=False))
    explained, _ = _cpu_seconds(lambda: choose(with_reasons=True))
    whole, _ = _cpu_seconds(lambda: build_items(user_id, CATALOGUE, release))
    seconds = {
        "ranked": ranked,
        "with reasons": explained,
        "history": in_history,
        "a whole list": whole,
    }
    ms = {what: value * 1000 for what, value in seconds.items()}
    return ms, len(history.movie_ids), Counter(item.source for item in items)


def _cpu_seconds(action: Any) -> tuple[float, Any]:
    """Those of this process: a machine that does other work beside distorts them less."""
    started_at = time.process_time()
    result = action()
    return time.process_time() - started_at, result


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


def publish_release() -> None:
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
    return {"ms": {what: [_call_ms(call, pk) for pk in drawn] for what, call in calls.items()}}


def _films_of(user_id: int) -> list[int]:
    mine = Interaction.objects.filter(user_id=user_id).order_by("-updated_at", "pk")
    return list(mine.values_list("movie_id", flat=True))


def _call_ms(call: Callable[[int], object], user_id: int) -> float:
    start = time.perf_counter()
    call(user_id)
    return (time.perf_counter() - start) * 1000
