"""The report on recommendations: figures of lists, of releases, and of experiments."""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from cinema import replicas
from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Day
from cinema.throttling.limits import Limit
from movies.types import LocalTime
from recommendations.analytics.list_figures import (
    DEFAULT_PERIOD_DAYS,
    LIKED,
    MAX_PERIOD_DAYS,
    Breakdown,
    ListFigures,
    Period,
    figures_of,
    like_parameters,
)
from recommendations.engine.ranking.exploration import Team, preference_share
from recommendations.experiments import ExperimentOut
from recommendations.models import Experiment, Release
from recommendations.releases import loaded_release
from recommendations.schemas import QualityOut

router = Router(tags=["Analytics"])

Row = dict[str, Any]

MAX_EXPERIMENTS = MAX_RELEASES = 50

OF_EXPERIMENTS = "experiment_id = ANY (%(experiments)s) AND shown_at >= %(since)s"

# A viewer's credit of a team is the clicks and likes of its movies.
OUTCOMES = f"""
WITH liked AS (
    {LIKED.format(each="shown.experiment_id,", where=OF_EXPERIMENTS)}
), teams AS (
    SELECT experiment_id, user_id, team, count(*) AS impressions, count(clicked_at) AS clicks,
           0 AS likes
    FROM recommendations_impression
    WHERE {OF_EXPERIMENTS} GROUP BY 1, 2, 3
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


class AnalyticsFilters(Schema):
    from_: Day | None = Field(
        None, alias="from", description=f"Default: {DEFAULT_PERIOD_DAYS} days that end with `to`."
    )
    to: Day | None = Field(
        None, description=f"Included, at most {MAX_PERIOD_DAYS} days in all. Default: today."
    )

    def period(self) -> Period:
        """Raises Unprocessable if it ends before it begins, or is too long."""
        return Period.of(self.from_, self.to)


class FiguresOut(Schema):
    """Shares are null without lists."""

    lists: int = Field(
        description="Lists shown; one of an experiment counts for both algorithms.", examples=[1200]
    )
    viewers: int = Field(examples=[310])
    impressions: int = Field(description="Number of films shown in lists.", examples=[24000])
    clicks: int = Field(description="Number of impressions that were opened.", examples=[940])
    click_rate: float | None = Field(examples=[0.039])
    likes_after: int = Field(
        description="Films that the viewer liked, rated well, made a favourite or came to see "
        "within a week of being shown. Each counts for the last list that showed it.",
        examples=[180],
    )
    coverage: float | None = Field(
        description="Share of the published films that were shown.", examples=[0.41]
    )
    fallback_share: float | None = Field(
        description="Impressions of films chosen by a fallback, for lack of a score.",
        examples=[0.12],
    )


class AlgorithmFiguresOut(FiguresOut):
    algorithm: str = Field(examples=["hybrid"])


class DayFiguresOut(AlgorithmFiguresOut):
    date: date


class ReleaseFiguresOut(Schema):
    id: int = Field(examples=[3])
    created_at: LocalTime
    is_current: bool
    quality: dict[str, QualityOut] = Field(description="By algorithm, as measured in training.")
    algorithms: list[AlgorithmFiguresOut] = Field(description="Figures in this period.")


class ExperimentOutcomeOut(Schema):
    """The result of an experiment since its start."""

    experiment: ExperimentOut
    missing: list[str] = Field(
        description="Algorithms of the experiment that the current release does not have. Viewers "
        "get the default while there is one. Empty after the end.",
        examples=[[]],
    )
    viewers: int = Field(description="Viewers who were shown its lists.", examples=[412])
    impressions_a: int = Field(examples=[9000])
    impressions_b: int = Field(examples=[9001])
    clicks_a: int = Field(examples=[420])
    clicks_b: int = Field(examples=[350])
    likes_after_a: int = Field(examples=[90])
    likes_after_b: int = Field(examples=[71])
    wins_a: int = Field(
        description="Viewers with more clicks and likes of A's films than of B's.", examples=[130]
    )
    wins_b: int = Field(examples=[91])
    ties: int = Field(description="Viewers with as many of both, mostly none.", examples=[191])
    preference: float | None = Field(
        description="Share of viewers who preferred A among those with a preference.",
        examples=[0.588],
    )
    preference_low: float = Field(description="Lower end of its 95% interval.", examples=[0.52])
    preference_high: float = Field(
        description="Upper end of its 95% interval.",
        examples=[0.654],
    )
    winner: Team | None = Field(
        description="Null while the interval contains one half.", examples=["a"]
    )


class RecommendationAnalyticsOut(Schema):
    from_: date = Field(alias="from")
    to: date
    total: FiguresOut
    algorithms: list[AlgorithmFiguresOut] = Field(description="Figures of each algorithm, by name.")
    days: list[DayFiguresOut] = Field(description="Figures of each cinema day with lists.")
    releases: list[ReleaseFiguresOut] = Field(
        description="Releases trained or shown in the period, newest first, at most 50."
    )
    experiments: list[ExperimentOutcomeOut] = Field(
        description="Experiments that ran in the period, latest start first, at most 50."
    )


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


@router.get(
    "/analytics/recommendations",
    auth=staff,
    throttle=Limit("THROTTLE_HEAVY"),
    response={200: RecommendationAnalyticsOut, **problems(401, 403, 422)},
    by_alias=True,
)
def get_recommendation_analytics(request: HttpRequest, filters: Query[AnalyticsFilters]) -> Row:
    """Impressions, clicks and likes, the quality of releases, and results of experiments."""
    return recommendation_analytics(filters.period())


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
        "experiments": _experiments(period),
    }


def _by_algorithm(figures: dict[str, ListFigures]) -> list[Row]:
    return [_row(algorithm, figures[algorithm]) for algorithm in sorted(figures)]


def _row(algorithm: str, figures: ListFigures) -> Row:
    return {"algorithm": algorithm, **FiguresOut.model_validate(figures).model_dump()}


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
        for release in _releases_of(period, ids)[:MAX_RELEASES]
    ]


def _releases_of(period: Period, shown: Collection[int]) -> QuerySet[Release]:
    """Trained or shown in the period, the newest first."""
    trained = Q(created_at__gte=period.since, created_at__lt=period.until)
    return Release.objects.filter(trained | Q(pk__in=shown)).order_by("-pk")


def _experiments(period: Period) -> list[Row]:
    """Experiments that ran in the period, each over all of its time, the latest start first."""
    found = Experiment.objects.filter(starts_at__lt=period.until, ends_at__gt=period.since)
    experiments = list(found.order_by("-starts_at")[:MAX_EXPERIMENTS])
    counts = _counts(experiments) if experiments else {}
    return [_outcome(one, counts.get(one.pk, ExperimentCounts())) for one in experiments]


def _counts(experiments: Sequence[Experiment]) -> dict[int, ExperimentCounts]:
    since = min(experiment.starts_at for experiment in experiments)
    until = max(experiment.ends_at for experiment in experiments)
    ids = [experiment.pk for experiment in experiments]
    with replicas.cursor() as cursor:
        cursor.execute(OUTCOMES, {**like_parameters(since, until), "experiments": ids})
        return {row[0]: ExperimentCounts(*row[1:]) for row in cursor.fetchall()}


def _outcome(experiment: Experiment, counts: ExperimentCounts) -> Row:
    preference = preference_share(counts.wins_a, counts.wins_b)
    return {
        **counts._asdict(),
        "ties": counts.viewers - counts.wins_a - counts.wins_b,
        "missing": _missing(experiment),
        "preference": None if math.isnan(preference.share) else preference.share,
        "preference_low": preference.low,
        "preference_high": preference.high,
        "winner": preference.winner,
        "experiment": experiment,
    }


def _missing(experiment: Experiment) -> list[str]:
    """The algorithms of an experiment that the release lacks, so that it cannot run."""
    if experiment.state == "ended":
        return []
    served = loaded_release().recommenders
    teams = (experiment.algorithm_a, experiment.algorithm_b)
    return [algorithm for algorithm in teams if algorithm not in served]
