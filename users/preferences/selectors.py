from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from movies.models import Genre
from users.models import Preferences


@dataclass(frozen=True)
class StatedPreferences:
    """What a viewer says of their taste; `genres` by their slugs."""

    genres: Sequence[Genre] = ()
    languages: Sequence[str] = ()
    match_visible: bool = False


def get_preferences(user_id: int) -> StatedPreferences:
    """What the viewer has said last; who has said nothing has no preferences.

    By one statement: of two, the second could see what somebody has written in between.
    """
    rows = list(
        Preferences.objects.filter(pk=user_id)
        .order_by("genres__slug")
        .values_list("languages", "match_visible", "genres__pk", "genres__slug", "genres__name")
    )
    if not rows:
        return StatedPreferences()
    genres = [Genre(pk=pk, slug=slug, name=name) for *_, pk, slug, name in rows if pk is not None]
    languages, match_visible, *_ = rows[0]
    return StatedPreferences(tuple(genres), tuple(languages), match_visible)
