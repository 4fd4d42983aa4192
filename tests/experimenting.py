"""Experiments, and what viewers were shown and did in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from movies.models import Movie
from recommendations.models import Experiment, Impression, Release
from users.models import User


def make_experiment(**fields: Any) -> Experiment:
    """One that has run for a week and has another one to go, with all viewers."""
    now = timezone.now()
    defaults: dict[str, Any] = {
        "name": "Which is better?",
        "algorithm_a": "als",
        "algorithm_b": "popularity",
        "starts_at": now - timedelta(days=7),
        "ends_at": now + timedelta(days=7),
    }
    return Experiment.objects.create(**{**defaults, **fields})


def make_release(**fields: Any) -> Release:
    return Release.objects.create(
        **{"users": 1, "items": 1, "interactions": 1, "training_s": 1, **fields}
    )


def show(
    user: User,
    films: Iterable[Movie],
    *,
    list_id: UUID | None = None,
    at: datetime | None = None,
    opened: Sequence[Movie] = (),
    teams: str = "",
    **fields: Any,
) -> list[Impression]:
    """The films as a list of the viewer, an hour ago; those opened were so a minute later.

    `teams` has a letter for each film, as "abba".
    """
    shown_at, list_id = at or timezone.now() - timedelta(hours=1), list_id or uuid4()
    defaults = {
        "scope": "catalogue",
        "algorithm": "hybrid",
        "source": "als",
        "is_fallback": False,
    }
    return Impression.objects.bulk_create(
        Impression(
            list_id=list_id,
            position=number,
            user=user,
            movie=film,
            shown_at=shown_at,
            clicked_at=shown_at + timedelta(minutes=1) if film in opened else None,
            team=teams[number - 1] if teams else "",
            **{**defaults, **fields},
        )
        for number, film in enumerate(films, start=1)
    )
