from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from users import services
from users.auth import AuthedRequest
from users.models import User
from users.schemas import RegisterIn, UserOut

router = Router(tags=["Accounts"])


@router.post("/auth/register", response={201: UserOut, **problems(422)})
def register(request: HttpRequest, payload: RegisterIn, response: HttpResponse) -> Status[User]:
    """Open a viewer's account."""
    user = services.register_user(**payload.model_dump())
    response["Location"] = "/api/v1/users/me"
    return Status(201, user)


@router.get("/users/me", auth=signed_in, response={200: UserOut, **problems(401)})
def get_me(request: AuthedRequest) -> User:
    """The signed-in user."""
    return request.auth
