from django.http.response import HttpResponseBase
from ninja import Router

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.throttling.limits import Limit
from users.auth import AuthedRequest
from users.privacy.answers import download
from users.privacy.export import write_export
from users.privacy.schemas import ExportOut

router = Router(tags=["Accounts"])
HEAVY = Limit("THROTTLE_HEAVY")


@router.get(
    "/users/me/export", throttle=HEAVY, auth=signed_in, response={200: ExportOut, **problems(401)}
)
def export_me(request: AuthedRequest) -> HttpResponseBase:
    """Everything that is kept about the viewer, as one JSON document to be saved."""
    return download(write_export(request.auth), name="cinema-export.json")
