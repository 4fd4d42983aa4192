from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from cinema.auth import staff
from cinema.errors import problems
from cinema.throttling.limits import Limit
from recommendations.analytics.report import recommendation_analytics
from recommendations.analytics.schemas import AnalyticsFilters, RecommendationAnalyticsOut

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
    """What viewers were shown and did with it, how good releases are, who wins experiments."""
    return recommendation_analytics(filters.period())
