"""What recommendations keep of a viewer where no foreign key shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import orjson
from django.db import transaction

from recommendations.impressions import stream
from recommendations.lists import list_cache
from recommendations.models import Interaction
from recommendations.ratings import summary
from users.models import User


class RecommendationListKeeper:
    """The lists that a viewer was given, while they are in the cache."""

    name = "recommendation_lists"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        return list_cache.lists_of(user.pk)

    def erase(self, user: User) -> None:
        """The lists go after the commit, or a request under way could find them there once more.

        While the cache is away they stay until their lifetime ends, under a number that nobody
        has any more.
        """
        # Before the viewer's row is locked: whoever rates locks the rating, and then the viewer.
        Interaction.objects.filter(user=user).delete()
        transaction.on_commit(partial(list_cache.forget, user.pk))
        transaction.on_commit(partial(list_cache.forget_request, user.pk))


class WaitingImpressionKeeper:
    """What a viewer was shown and opened in the last seconds, on its way to the table."""

    name = "waiting_impressions"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        for entry in stream.of_viewer(user.pk):
            yield {"kind": entry.kind.decode(), "entry": orjson.Fragment(entry.text)}

    def erase(self, user: User) -> None:
        """While Valkey is away they stay, and are left out when they are moved on: they are of
        nobody."""
        transaction.on_commit(partial(stream.forget_viewer, user.pk))


class StatisticsSummaryKeeper:
    """The viewer's figures, in the summary of everybody's."""

    name = "statistics_summary"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        yield from summary.stored_rows(user.pk)

    def erase(self, user: User) -> None:
        """Of a materialized view no row can be deleted: it is made anew without the viewer, soon,
        or within six hours. Until then it has figures under a number that nobody has any more.
        """
        if summary.stored_rows(user.pk):
            transaction.on_commit(summary.refresh_soon)
