"""Personal data of recommendations that no foreign key leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import orjson
import pgtrigger
from django.db import transaction

from recommendations import viewer_figures
from recommendations.impressions import stream
from recommendations.lists import list_cache
from recommendations.models import Interaction
from users import personal_data
from users.models import User
from users.preferences import mark_visibility_changed


class RecommendationListKeeper:
    """The lists of a viewer in the cache."""

    name = "recommendation_lists"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        return list_cache.lists_of(user.pk)

    def erase(self, user: User) -> None:
        """Delete the lists after the commit, or a concurrent request could store them again.

        While the cache is away they stay until they expire, under the id of no account.
        """
        # The films' counts of ratings stay. This comes before the lock of the viewer's row, as a
        # rating locks its own row first, and then the viewer.
        with pgtrigger.ignore("recommendations.Interaction:counts_delete"), transaction.atomic():
            Interaction.objects.filter(user=user).delete()
        transaction.on_commit(partial(list_cache.forget, user.pk))
        transaction.on_commit(mark_visibility_changed)


class WaitingImpressionKeeper:
    """Impressions and clicks of the last seconds that are not in the table yet."""

    name = "waiting_impressions"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        for entry in stream.of_viewer(user.pk):
            yield {"kind": entry.kind.decode(), "entry": orjson.Fragment(entry.text)}

    def erase(self, user: User) -> None:
        """Delete the waiting entries. Without Valkey they stay; the next storing skips them."""
        transaction.on_commit(partial(stream.forget_viewer, user.pk))


class StatisticsSummaryKeeper:
    """The viewer's row of the summary of statistics."""

    name = "statistics_summary"

    def export(self, user: User) -> Iterator[Mapping[str, Any]]:
        yield from viewer_figures.stored_rows(user.pk)

    def erase(self, user: User) -> None:
        """Refresh the view soon, or within six hours: no row of a view can be deleted.

        Until then it has the figures under the id of the erased account.
        """
        if viewer_figures.stored_rows(user.pk):
            transaction.on_commit(viewer_figures.refresh_soon)


personal_data.register(
    RecommendationListKeeper(), WaitingImpressionKeeper(), StatisticsSummaryKeeper()
)
