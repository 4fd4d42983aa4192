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
FITS = Reason("taste", "Fits what you have liked")


def in_words(names: Sequence[str]) -> str:
    """Such as "Drama, Music and War"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
