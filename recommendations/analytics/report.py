"""The report on recommendations: figures of lists, of releases, and of experiments."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet

from recommendations.analytics.list_figures import (
    LIKED,
    Breakdown,
    ListFigures,
    Period,
    figures_of,
    like_parameters,
)
from recommendations.engine.ranking.exploration import InterleavingPreference, preference_share
from recommendations.models import Experiment, Release
from recommendations.releases import loaded_release

MOST_EXPERIMENTS = 50

# A viewer's credit of a team is the clicks and likes of its movies.
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


class ExperimentCounts(NamedTuple):
    """Counts of an experiment; `wins_a` are viewers who credit A with more than B."""

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
class ExperimentOutcome:
    experiment: Experiment
    counts: ExperimentCounts

    @cached_property
    def preference(self) -> InterleavingPreference:
        return preference_share(self.counts.wins_a, self.counts.wins_b)


def outcomes_of(period: Period) -> list[ExperimentOutcome]:
    """Experiments that ran in the period, each over all of its time, the latest start first."""
    experiments = list(_running_in(period)[:MOST_EXPERIMENTS])
    counts = _counts(experiments) if experiments else {}
    return [ExperimentOutcome(one, counts.get(one.pk, ExperimentCounts())) for one in experiments]


def _running_in(period: Period) -> QuerySet[Experiment]:
    found = Experiment.objects.filter(starts_at__lt=period.until, ends_at__gt=period.since)
    return found.order_by("-starts_at")


def _counts(experiments: Sequence[Experiment]) -> dict[int, ExperimentCounts]:
    since = min(experiment.starts_at for experiment in experiments)
    until = max(experiment.ends_at for experiment in experiments)
    ids = [experiment.pk for experiment in experiments]
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, {**like_parameters(since, until), "experiments": ids})
        return {row[0]: ExperimentCounts(*row[1:]) for row in cursor.fetchall()}


MOST_RELEASES = 50

Row = dict[str, Any]


def recommendation_analytics(period: Period) -> Row:
    """In the form of `RecommendationAnalyticsOut`."""
    found = figures_of(period)
    return {
        "from": period.first,
        "to": period.last,
        "total": found.total,
        "algorithms": _by_algorithm(found.algorithms),
        "days": [
            {"date": day, **_row(algorithm, figures)}
            for (day, algorithm), figures in sorted(found.days.items(), key=lambda item: item[0])
        ],
        "releases": _releases(period, found),
        "experiments": [_outcome(outcome) for outcome in outcomes_of(period)],
    }


def _by_algorithm(figures: dict[str, ListFigures]) -> list[Row]:
    return [_row(algorithm, figures[algorithm]) for algorithm in sorted(figures)]


def _row(algorithm: str, figures: ListFigures) -> Row:
    return {
        "algorithm": algorithm,
        "lists": figures.lists,
        "viewers": figures.viewers,
        "impressions": figures.impressions,
        "clicks": figures.clicks,
        "click_rate": figures.click_rate,
        "likes_after": figures.likes_after,
        "coverage": figures.coverage,
        "fallback_share": figures.fallback_share,
    }


def _releases(period: Period, found: Breakdown) -> list[Row]:
    shown: dict[int | None, dict[str, ListFigures]] = defaultdict(dict)
    for (release_id, algorithm), figures in found.releases.items():
        shown[release_id][algorithm] = figures
    ids = [pk for pk in shown if pk is not None]
    return [
        {
            "id": release.pk,
            "created_at": release.created_at,
            "is_current": release.is_current,
            "quality": release.metrics,
            "algorithms": _by_algorithm(shown[release.pk]),
        }
        for release in _releases_of(period, ids)[:MOST_RELEASES]
    ]


def _releases_of(period: Period, shown: Collection[int]) -> QuerySet[Release]:
    """Trained or shown in the period, the newest first."""
    trained = Q(created_at__gte=period.since, created_at__lt=period.until)
    return Release.objects.filter(trained | Q(pk__in=shown)).order_by("-pk")


def _outcome(outcome: ExperimentOutcome) -> Row:
    preference = outcome.preference
    return {
        **outcome.counts._asdict(),
        "ties": outcome.counts.ties,
        "missing": _missing(outcome.experiment),
        "preference": None if math.isnan(preference.share) else preference.share,
        "preference_low": preference.low,
        "preference_high": preference.high,
        "winner": preference.winner,
        "experiment": outcome.experiment,
    }


def _missing(experiment: Experiment) -> list[str]:
    """The algorithms of an experiment that the release lacks, so that it cannot run."""
    if experiment.state == "ended":
        return []
    served = loaded_release().recommenders
    teams = (experiment.algorithm_a, experiment.algorithm_b)
    return [algorithm for algorithm in teams if algorithm not in served]
