"""To take note of what a viewer is shown, and of what the viewer opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recommendations.impressions import waiting


@dataclass(frozen=True)
class Shown:
    """One film in a list, as in `Impression`."""

    position: int
    movie_id: int
    algorithm: str
    source: str
    is_fallback: bool
    experiment_id: int | None = None
    team: str = ""


def note_shown(
    *,
    user_id: int,
    list_id: str,
    scope: str,
    release_id: int | None,
    shown_at: datetime,
    items: Sequence[Shown],
) -> None:
    """Take note of a batch, or a part of it. Of what is noted twice the first counts."""
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "scope": scope,
        "release_id": release_id,
        "shown_at": shown_at,
        # Without names, which would be half of it; `storing.py` knows the order.
        "items": [
            [
                shown.position,
                shown.movie_id,
                shown.algorithm,
                shown.source,
                shown.is_fallback,
                shown.experiment_id,
                shown.team,
            ]
            for shown in items
        ],
    }
    waiting.send("shown", user_id=user_id, entry=entry)


def films_key(user_id: int, list_id: str) -> str:
    """Where the cache has the films of a list: what a click is looked up in before its list is
    stored. Begins as all that is cached for a viewer: `lists.keeping.keys_of`.
    """
    return f"recommendations:{user_id}:films:{list_id}"


def note_click(*, user_id: int, list_id: str, movie_id: int, clicked_at: datetime) -> None:
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "movie_id": movie_id,
        "clicked_at": clicked_at,
    }
    waiting.send("clicked", user_id=user_id, entry=entry)
