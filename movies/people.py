"""Who acts in a film and who directs it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import dropwhile

#: Stands among the protagonists of a film whose people are not known: the list cannot be empty.
UNKNOWN = "Unknown"


def actors_of(protagonists: Sequence[str], directors: Collection[str]) -> list[str]:
    """The protagonists without the directors who stand first.

    Many lists name the directors, then the cast. A director acts too who stands behind an actor.
    """
    cast = dropwhile(lambda name: name in directors, protagonists)
    return [name for name in cast if name != UNKNOWN]


def as_protagonists(cast: Sequence[str], directors: Collection[str]) -> list[str]:
    """The cast in its order; but an actor before a director who acts, as `actors_of` needs it."""
    leading = next((name for name in cast if name not in directors), None)
    return list(dict.fromkeys([*([leading] if leading else []), *cast]))
