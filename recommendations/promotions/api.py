from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Paginated
from recommendations.models import Promotion
from recommendations.promotions import services
from recommendations.promotions.schemas import (
    AlreadyPinnedProblem,
    PromotionFilters,
    PromotionIn,
    PromotionOut,
    PromotionPatch,
)

router = Router(tags=["Promotions"])


@router.get(
    "/promotions", auth=staff, response={200: list[PromotionOut], **problems(401, 403, 422)}
)
@paginate(Paginated)
def list_promotions(request: HttpRequest, filters: Query[PromotionFilters]) -> QuerySet[Promotion]:
    """Films that staff have pinned or boosted in viewers' lists, the latest end first."""
    return services.list_promotions(filters.state)


@router.post(
    "/promotions",
    auth=staff,
    response={201: PromotionOut, 409: AlreadyPinnedProblem, **problems(401, 403, 404, 422)},
)
def create_promotion(
    request: HttpRequest, payload: PromotionIn, response: HttpResponse
) -> Status[Promotion]:
    """Pin a film to a place of viewers' lists for a time, or boost it by a strength."""
    promotion = services.create_promotion(payload)
    response["Location"] = f"/api/v1/promotions/{promotion.pk}"
    return Status(201, promotion)


@router.get(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={200: PromotionOut, **problems(401, 403, 404)},
)
def get_promotion(request: HttpRequest, promotion_id: int) -> Promotion:
    """One promotion."""
    return services.get_promotion(promotion_id)


@router.patch(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={200: PromotionOut, 409: AlreadyPinnedProblem, **problems(401, 403, 404, 422)},
)
def update_promotion(request: HttpRequest, promotion_id: int, payload: PromotionPatch) -> Promotion:
    """Change a promotion. To end it and keep it, set `ends_at` to the present."""
    return services.update_promotion(promotion_id, payload)


@router.delete(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={204: None, **problems(401, 403, 404)},
)
def delete_promotion(request: HttpRequest, promotion_id: int) -> Status[None]:
    """Delete a promotion. Lists change at once."""
    services.delete_promotion(promotion_id)
    return Status(204, None)
