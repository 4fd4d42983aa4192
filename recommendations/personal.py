"""What recommendations keep of a viewer: interactions, and lists in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.db import transaction

from cinema.cache import shared
from recommendations.lists import serving
from recommendations.models import Interaction
from users.models import User


class Recommendations:
    """The lists that a viewer was given, while they are in the cache."""

    name = "recommendation_lists"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        cache = shared()
        for key in cache.keys_below(serving.keys_of(user.pk)):
            if isinstance(found := cache.get(key), dict):
                yield found

    def erase(self, user: User) -> None:
        """The lists go after the commit, or a request under way could find them there once more.

        While the cache is away they stay until their lifetime ends, under a number that nobody
        has any more.
        """
        # Before the viewer's row is locked: whoever rates locks the rating, and then the viewer.
        Interaction.objects.filter(user=user).delete()
        transaction.on_commit(partial(_forget, serving.keys_of(user.pk)))


def _forget(prefix: str) -> None:
    cache = shared()
    for key in cache.keys_below(prefix):
        cache.delete(key)
