from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.throttling.limits import Limit, named_account
from users import services
from users.auth import AuthedRequest
from users.models import User
from users.privacy import erasure
from users.privacy.schemas import ErasureIn
from users.schemas import PasswordIn, ProfileIn, RegisterIn, UserOut

router = Router(tags=["Accounts"])
REGISTER = Limit("THROTTLE_REGISTER")
PASSWORD = Limit("THROTTLE_LOGIN")
# A new address is mailed to, whosever it is.
MAIL = Limit("THROTTLE_MAIL", when=lambda request: bool(named_account(request)))


@router.post("/auth/register", throttle=REGISTER, response={201: UserOut, **problems(403, 422)})
def register(request: HttpRequest, payload: RegisterIn, response: HttpResponse) -> Status[User]:
    """Open a viewer's account. A link to verify the address is mailed."""
    user = services.register_user(**payload.model_dump())
    response["Location"] = "/api/v1/users/me"
    return Status(201, user)


@router.get("/users/me", auth=signed_in, response={200: UserOut, **problems(401)})
def get_me(request: AuthedRequest) -> User:
    """The signed-in user."""
    return request.auth


@router.patch(
    "/users/me",
    throttle=[PASSWORD, MAIL],
    auth=signed_in,
    response={200: UserOut, **problems(401, 422)},
)
def patch_me(request: AuthedRequest, payload: ProfileIn) -> User:
    """Change one's name or e-mail address. A new address needs the password, and is unverified."""
    return services.change_profile(user=request.auth, **payload.model_dump(exclude_unset=True))


@router.delete(
    "/users/me", throttle=PASSWORD, auth=signed_in, response={204: None, **problems(401, 409, 422)}
)
def delete_me(request: AuthedRequest, payload: ErasureIn) -> Status[None]:
    """Erase one's account and all that belongs to it, for good."""
    erasure.erase_account(user=request.auth, password=payload.password)
    return Status(204, None)


@router.post(
    "/users/me/password",
    throttle=PASSWORD,
    auth=signed_in,
    response={204: None, **problems(401, 422)},
)
def change_password(request: AuthedRequest, payload: PasswordIn) -> Status[None]:
    """Change one's password. Every other session ends, this one stays."""
    services.change_password(user=request.auth, **payload.model_dump())
    return Status(204, None)
