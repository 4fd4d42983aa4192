from uuid import UUID

from ninja import Router
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from recommendations import services
from recommendations.schemas import ClickIn
from users.auth import AuthedRequest

router = Router(tags=["Recommendations"])


@router.post(
    "/recommendations/{uuid:list_id}/clicks",
    auth=signed_in,
    response={204: None, **problems(401, 404, 422)},
)
def create_click(request: AuthedRequest, list_id: UUID, payload: ClickIn) -> Status[None]:
    """Say that you opened a film of a list that you were given. Once more changes nothing."""
    services.record_click(user=request.auth, list_id=list_id, movie_id=payload.movie_id)
    return Status(204, None)
