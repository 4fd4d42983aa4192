from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import anyone, is_staff, staff
from cinema.errors import problems
from cinema.http import IfMatch, editable, public_by_reader, show_edit
from movies.models import Screening
from movies.screenings import batches, selectors, services
from movies.screenings.batches import Placed
from movies.screenings.pages import ScreeningPages
from movies.screenings.schemas import (
    HallsTakenProblem,
    HallTakenProblem,
    PlacedOut,
    ScreeningCopyIn,
    ScreeningFilters,
    ScreeningIn,
    ScreeningOut,
    ScreeningPatch,
    ScreeningPatternIn,
)

router = Router(tags=["Programme"], auth=staff)
PLACED = {200: PlacedOut, 201: PlacedOut, 409: HallsTakenProblem, **problems(401, 403, 404, 422)}


@router.get("/screenings", auth=anyone, response={200: list[ScreeningOut], **problems(401, 422)})
@public_by_reader
@paginate(ScreeningPages)
def list_screenings(request: HttpRequest, filters: Query[ScreeningFilters]) -> QuerySet[Screening]:
    """Screenings by their start. Staff see the hidden ones too."""
    return selectors.list_screenings(filters, for_staff=is_staff(request))


@router.post(
    "/screenings",
    response={201: ScreeningOut, 409: HallTakenProblem, **problems(401, 403, 404, 422)},
)
@editable
def create_screening(
    request: HttpRequest, payload: ScreeningIn, response: HttpResponse
) -> Status[Screening]:
    """Post a screening. A hall is made on its first use."""
    screening = services.create_screening(screening=payload)
    response["Location"] = f"/api/v1/screenings/{screening.pk}"
    show_edit(response, screening.updated_at)
    return Status(201, screening)


@router.post("/screenings/bulk", response=PLACED)
def post_pattern(request: HttpRequest, payload: ScreeningPatternIn) -> Status[Placed]:
    """Post screenings by pattern, all or none. 200: nothing was written, as in a dry run."""
    placed = batches.post_pattern(pattern=payload)
    return Status(201 if placed.is_written else 200, placed)


@router.post("/screenings/copy", response=PLACED)
def copy_screenings(request: HttpRequest, payload: ScreeningCopyIn) -> Status[Placed]:
    """Copy days to other days, all or none. 200: nothing was written, as in a dry run."""
    placed = batches.copy_screenings(order=payload)
    return Status(201 if placed.is_written else 200, placed)


@router.get(
    "/screenings/{int:screening_id}",
    auth=anyone,
    response={200: ScreeningOut, **problems(401, 404)},
)
@public_by_reader
@editable
def get_screening(request: HttpRequest, screening_id: int, response: HttpResponse) -> Screening:
    """One screening."""
    screening = selectors.get_screening(screening_id, for_staff=is_staff(request))
    show_edit(response, screening.updated_at)
    return screening


@router.patch(
    "/screenings/{int:screening_id}",
    response={200: ScreeningOut, 409: HallTakenProblem, **problems(401, 403, 404, 412, 422)},
)
@editable
def update_screening(
    request: HttpRequest,
    screening_id: int,
    payload: ScreeningPatch,
    response: HttpResponse,
    if_match: IfMatch = None,
) -> Screening:
    """Change a screening. A new start without an end keeps the length."""
    screening = services.update_screening(
        screening_id=screening_id, changes=payload, if_match=if_match
    )
    show_edit(response, screening.updated_at)
    return screening


@router.delete(
    "/screenings/{int:screening_id}", response={204: None, **problems(401, 403, 404, 412)}
)
def delete_screening(
    request: HttpRequest, screening_id: int, if_match: IfMatch = None
) -> Status[None]:
    """Delete a screening. Set its state to `cancelled` to let viewers know instead."""
    services.delete_screening(screening_id=screening_id, if_match=if_match)
    return Status(204, None)
