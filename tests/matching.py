"""Viewers of similar taste: with MATCH_SHRINKAGE = 1 four shared films can make a match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movies.models import Movie
from recommendations.models import Interaction, Neighbour
from tests.builders import Client, make_movie, make_user
from users.models import Preferences, User


def make_visible(user: User, *, visible: bool = True) -> None:
    """Whether the viewer agreed to be seen by others."""
    Preferences.objects.update_or_create(user=user, defaults={"match_visible": visible})


def make_viewer(name: str, *, visible: bool = True) -> User:
    user = make_user(name=name)
    make_visible(user, visible=visible)
    return user


def make_films(count: int) -> list[Movie]:
    return [make_movie() for _ in range(count)]


def like(
    user: User, films: Sequence[Movie], kind: Interaction.Kind = Interaction.Kind.LIKE
) -> None:
    Interaction.objects.bulk_create(Interaction(user=user, movie=film, kind=kind) for film in films)
    # The trigger has raised the taste version.
    user.refresh_from_db()


def matches(user: User) -> dict[int, float]:
    """The similarity of each match, as the API shows it to the viewer."""
    found = Client(user).get("/matches", limit=100).json()["data"]
    return {match["user"]["id"]: match["similarity"] for match in found}


def neighbours(user: User) -> dict[int, Neighbour]:
    return {row.other_id: row for row in Neighbour.objects.filter(user=user)}


Figures = tuple[int, float, float, float]


def quadratic(weights: NDArray[np.floating]) -> dict[tuple[int, int], Figures]:
    """The similarity of all pairs by the formula, pair by pair; a weight of 0 is no interaction."""
    said = weights != 0
    centres = 0.5 * weights.sum(axis=0) / (said.sum(axis=0) + 5)
    found = {}
    for one in range(len(weights)):
        for two in range(len(weights)):
            both = said[one] & said[two]
            a, b = (weights[one] - centres)[both], (weights[two] - centres)[both]
            found[one, two] = (int(both.sum()), float(a @ b), float(a @ a), float(b @ b))
    return found


def similarity(figures: Figures, shrinkage: float) -> float:
    shared, product, own, other = figures
    if not shared or own * other == 0:
        return 0.0
    return float(product / (own * other) ** 0.5 * shared / (shared + shrinkage))
