from django.http import HttpRequest
from ninja import Query, Router

from cinema.auth import staff
from cinema.errors import problems
from cinema.throttling.limits import Limit
from recommendations.analytics.audience_fit import audience_fit
from recommendations.analytics.schemas import AudienceFitFilters, AudienceFitOut

router = Router(tags=["Analytics"])


@router.get(
    "/analytics/audience-fit",
    auth=staff,
    throttle=Limit("THROTTLE_HEAVY"),
    response={200: AudienceFitOut, **problems(401, 403, 404, 422)},
)
def get_audience_fit(request: HttpRequest, filters: Query[AudienceFitFilters]) -> AudienceFitOut:
    """What to screen next: how many members each film suits, and whom it would reach anew."""
    return audience_fit(movie_ids=filters.ids, days=filters.days, limit=filters.limit)
