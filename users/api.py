from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from users import services
from users.auth import AuthedRequest
from users.models import User
from users.schemas import LoginIn, RefreshIn, RegisterIn, TokenPairOut, UserOut
from users.services import TokenPair

router = Router(tags=["Accounts"])


@router.post("/auth/register", response={201: UserOut, **problems(422)})
def register(request: HttpRequest, payload: RegisterIn, response: HttpResponse) -> Status[User]:
    """Open a viewer's account."""
    user = services.register_user(**payload.model_dump())
    response["Location"] = "/api/v1/users/me"
    return Status(201, user)


@router.post("/auth/login", response={200: TokenPairOut, **problems(401, 422)})
def login(request: HttpRequest, payload: LoginIn) -> TokenPairOut:
    """Exchange an e-mail address and a password for tokens."""
    return _token_pair(services.sign_in(**payload.model_dump()))


@router.post("/auth/refresh", response={200: TokenPairOut, **problems(401, 422)})
def refresh(request: HttpRequest, payload: RefreshIn) -> TokenPairOut:
    """Spend a refresh token for a new pair. Using a spent one ends the whole session."""
    return _token_pair(services.refresh(token=payload.refresh))


@router.get("/users/me", auth=signed_in, response={200: UserOut, **problems(401)})
def get_me(request: AuthedRequest) -> User:
    """The signed-in user."""
    return request.auth


def _token_pair(pair: TokenPair) -> TokenPairOut:
    return TokenPairOut(
        access=pair.access,
        refresh=pair.refresh,
        token_type="Bearer",  # noqa: S106 - not a password
        expires_in=settings.ACCESS_TOKEN_LIFETIME_S,
    )
