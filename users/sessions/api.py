from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.schemas import Paginated
from cinema.throttling.addresses import client_address
from cinema.throttling.limits import Limit
from users.auth import AuthedRequest
from users.models import Session
from users.sessions import refreshing, selectors, services
from users.sessions.refreshing import TokenPair
from users.sessions.schemas import LoginIn, RefreshIn, SessionOut, TokenPairOut

router = Router(tags=["Accounts"])
LOGIN = Limit("THROTTLE_LOGIN")
REFRESH = Limit("THROTTLE_REFRESH")


@router.post("/auth/login", throttle=LOGIN, response={200: TokenPairOut, **problems(401, 422)})
def login(request: HttpRequest, payload: LoginIn) -> TokenPairOut:
    """Exchange an e-mail address and a password for tokens."""
    address, device = client_address(request), request.headers.get("User-Agent", "")
    return _token_pair(services.sign_in(**payload.model_dump(), address=address, device=device))


@router.post("/auth/refresh", throttle=REFRESH, response={200: TokenPairOut, **problems(401, 422)})
def refresh(request: HttpRequest, payload: RefreshIn) -> TokenPairOut:
    """Spend a refresh token for a new pair. Using a spent one ends the whole session.

    For a few seconds it is answered with the same successor instead, as an answer may get lost.
    """
    return _token_pair(refreshing.refresh(token=payload.refresh))


@router.post("/auth/logout", response={204: None, **problems(422)})
def logout(request: HttpRequest, payload: RefreshIn) -> Status[None]:
    """End the session of a refresh token. Its access tokens stop counting at once.

    Also where the token is unknown, spent or expired: then nobody is signed in by it either.
    """
    services.sign_out(token=payload.refresh)
    return Status(204, None)


@router.get(
    "/users/me/sessions",
    auth=signed_in,
    response={200: list[SessionOut], **problems(401, 422)},
)
@paginate(Paginated)
def list_sessions(request: AuthedRequest) -> QuerySet[Session]:
    """Where the viewer is signed in, the session that was used last first."""
    return selectors.list_sessions(user=request.auth)


@router.delete("/users/me/sessions", auth=signed_in, response={204: None, **problems(401)})
def end_other_sessions(request: AuthedRequest) -> Status[None]:
    """Sign out everywhere else. The session that asks goes on."""
    services.end_other_sessions(user=request.auth)
    return Status(204, None)


@router.delete(
    "/users/me/sessions/{session_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404, 422)},
)
def end_session(request: AuthedRequest, session_id: int) -> Status[None]:
    """End one of the viewer's sessions, this one or another. Its tokens stop counting at once."""
    services.end_session(user=request.auth, session_id=session_id)
    return Status(204, None)


def _token_pair(pair: TokenPair) -> TokenPairOut:
    return TokenPairOut(
        access=pair.access,
        refresh=pair.refresh,
        token_type="Bearer",  # noqa: S106 - not a password
        expires_in=settings.ACCESS_TOKEN_LIFETIME_S,
    )
