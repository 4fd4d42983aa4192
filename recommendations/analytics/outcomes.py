"""Who wins an experiment: the algorithm from which more viewers chose more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from recommendations.analytics.liking import LIKED, liking
from recommendations.analytics.periods import Period
from recommendations.engine.interleaving import Preference, preference
from recommendations.models import Experiment

#: So many of a period, the latest ones.
MOST_EXPERIMENTS = 50

# A viewer's credit is what was opened of a team's films, and what was liked after.
OUTCOMES = f"""
WITH liked AS (
    {LIKED.format(each="shown.experiment_id,", where="experiment_id = ANY (%(experiments)s)")}
), teams AS (
    SELECT experiment_id, user_id, team, count(*) AS impressions, count(clicked_at) AS clicks,
           0 AS likes
    FROM recommendations_impression
    WHERE experiment_id = ANY (%(experiments)s) GROUP BY 1, 2, 3
    UNION ALL
    SELECT experiment_id, user_id, team, 0, 0, count(*) FROM liked GROUP BY 1, 2, 3
), viewers AS (
    SELECT experiment_id,
           COALESCE(sum(impressions) FILTER (WHERE team = 'a'), 0) AS impressions_a,
           COALESCE(sum(impressions) FILTER (WHERE team = 'b'), 0) AS impressions_b,
           COALESCE(sum(clicks) FILTER (WHERE team = 'a'), 0) AS clicks_a,
           COALESCE(sum(clicks) FILTER (WHERE team = 'b'), 0) AS clicks_b,
           COALESCE(sum(likes) FILTER (WHERE team = 'a'), 0) AS likes_a,
           COALESCE(sum(likes) FILTER (WHERE team = 'b'), 0) AS likes_b
    FROM teams GROUP BY experiment_id, user_id
)
SELECT experiment_id, count(*), sum(impressions_a)::bigint, sum(impressions_b)::bigint,
       sum(clicks_a)::bigint, sum(clicks_b)::bigint, sum(likes_a)::bigint, sum(likes_b)::bigint,
       count(*) FILTER (WHERE clicks_a + likes_a > clicks_b + likes_b),
       count(*) FILTER (WHERE clicks_a + likes_a < clicks_b + likes_b)
FROM viewers GROUP BY experiment_id
"""  # noqa: S608 - our own names


class Counts(NamedTuple):
    """Of an experiment; `wins_a` are viewers whose credit is more A's than B's."""

    viewers: int = 0
    impressions_a: int = 0
    impressions_b: int = 0
    clicks_a: int = 0
    clicks_b: int = 0
    likes_after_a: int = 0
    likes_after_b: int = 0
    wins_a: int = 0
    wins_b: int = 0

    @property
    def ties(self) -> int:
        return self.viewers - self.wins_a - self.wins_b


@dataclass(frozen=True)
class Outcome:
    experiment: Experiment
    counts: Counts

    @cached_property
    def preference(self) -> Preference:
        return preference(self.counts.wins_a, self.counts.wins_b)


def outcomes_of(period: Period) -> list[Outcome]:
    """Of the experiments that ran in it, each over all of its time, the latest start first."""
    experiments = list(_running_in(period)[:MOST_EXPERIMENTS])
    counts = _counts(experiments) if experiments else {}
    return [Outcome(one, counts.get(one.pk, Counts())) for one in experiments]


def _running_in(period: Period) -> QuerySet[Experiment]:
    found = Experiment.objects.filter(starts_at__lt=period.until, ends_at__gt=period.since)
    return found.order_by("-starts_at")


def _counts(experiments: Sequence[Experiment]) -> dict[int, Counts]:
    since = min(experiment.starts_at for experiment in experiments)
    until = max(experiment.ends_at for experiment in experiments)
    ids = [experiment.pk for experiment in experiments]
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, {**liking(since, until), "experiments": ids})
        return {row[0]: Counts(*row[1:]) for row in cursor.fetchall()}
