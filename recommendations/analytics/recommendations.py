"""How recommendations do: what viewers were shown, what they did with it, and who wins."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from recommendations.analytics.figures import Breakdown, Figures, figures_of
from recommendations.analytics.outcomes import Outcome, outcomes_of
from recommendations.analytics.periods import Period
from recommendations.loading import current_release
from recommendations.models import Experiment, Release

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


def _by_algorithm(figures: dict[str, Figures]) -> list[Row]:
    return [_row(algorithm, figures[algorithm]) for algorithm in sorted(figures)]


def _row(algorithm: str, figures: Figures) -> Row:
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
    shown: dict[int | None, dict[str, Figures]] = defaultdict(dict)
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
    """Trained or shown in the time, the newest first."""
    trained = Q(created_at__gte=period.since, created_at__lt=period.until)
    return Release.objects.filter(trained | Q(pk__in=shown)).order_by("-pk")


def _outcome(outcome: Outcome) -> Row:
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
    """What keeps one that is not over from being tried."""
    if experiment.state_at(timezone.now()) == "ended":
        return []
    served = current_release().recommenders
    teams = (experiment.algorithm_a, experiment.algorithm_b)
    return [algorithm for algorithm in teams if algorithm not in served]
