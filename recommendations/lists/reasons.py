"""Why a movie stands in a list, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REASONS_EACH = 2


@dataclass(frozen=True)
class Reason:
    kind: str
    text: str
    movie_id: int | None = None


NEW = Reason("new", "New here")
SHOWING = Reason("showing", "Showing soon")
POPULAR = Reason("popular", "Many viewers here like it")
LIKED_HERE = Reason("popular", "Liked here")
STAFF = Reason("staff", "The cinema recommends it")
FITS = Reason("taste", "Fits what you have liked")


def with_matches(reasons: Sequence[Reason], n_matches: int) -> Sequence[Reason]:
    """What viewers of the same taste do comes second; `n_matches` of them like it.

    It is no part of a list that is kept: they may stop being shown at any moment.
    """
    if not n_matches:
        return reasons
    some = "A viewer" if n_matches == 1 else f"{n_matches} viewers"
    liked = Reason("matches", f"{some} of your taste like{'s' if n_matches == 1 else ''} it")
    return [*reasons[:1], liked, *reasons[1:]][:REASONS_EACH]


def in_words(names: Sequence[str]) -> str:
    """Such as "Drama, Music and War"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
