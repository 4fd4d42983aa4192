from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from movies.models import Genre
from users.models import Preferences


@dataclass(frozen=True)
class StatedPreferences:
    """What a viewer says of their taste; `genres` by their slugs."""

    genres: Sequence[Genre] = ()
    languages: Sequence[str] = ()
    match_visible: bool = False


def get_preferences(user_id: int) -> StatedPreferences:
    """What the viewer has said last; who has said nothing has no preferences."""
    return preferences_of([user_id]).get(user_id, StatedPreferences())


def preferences_of(user_ids: Sequence[int]) -> dict[int, StatedPreferences]:
    """By viewer what each has said last; without those who have said nothing.

    By one statement: of two, the second could see what somebody has written in between.
    """
    rows = (
        Preferences.objects.filter(pk__in=user_ids)
        .order_by("pk", "genres__slug")
        .values_list(
            "pk", "languages", "match_visible", "genres__pk", "genres__slug", "genres__name"
        )
    )
    found = {}
    for user_id, of_viewer in groupby(rows, key=itemgetter(0)):
        said = list(of_viewer)
        genres = [Genre(pk=pk, slug=slug, name=name) for *_, pk, slug, name in said if pk]
        _, languages, match_visible, *_ = said[0]
        found[user_id] = StatedPreferences(tuple(genres), tuple(languages), match_visible)
    return found
