from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from cinema.auth import staff
from cinema.errors import problems
from cinema.throttling.limits import Limit
from recommendations.analytics.audience_fit import audience_fit
from recommendations.analytics.report import recommendation_analytics
from recommendations.analytics.schemas import (
    AnalyticsFilters,
    AudienceFitFilters,
    AudienceFitOut,
    RecommendationAnalyticsOut,
)

router = Router(tags=["Analytics"])
HEAVY = Limit("THROTTLE_HEAVY")


@router.get(
    "/analytics/recommendations",
    auth=staff,
    throttle=HEAVY,
    response={200: RecommendationAnalyticsOut, **problems(401, 403, 422)},
    by_alias=True,
)
def get_recommendation_analytics(
    request: HttpRequest, filters: Query[AnalyticsFilters]
) -> dict[str, Any]:
    """Impressions, clicks and likes, the quality of releases, and results of experiments."""
    return recommendation_analytics(filters.period())


@router.get(
    "/analytics/audience-fit",
    auth=staff,
    throttle=HEAVY,
    response={200: AudienceFitOut, **problems(401, 403, 404, 422)},
)
def get_audience_fit(request: HttpRequest, filters: Query[AudienceFitFilters]) -> AudienceFitOut:
    """What to screen next: how many members each film suits, and how many it would add."""
    return audience_fit(movie_ids=filters.ids, days=filters.days, limit=filters.limit)
