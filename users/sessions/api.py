from django.conf import settings
from django.http import HttpRequest
from ninja import Router

from cinema.errors import problems
from users.sessions import services
from users.sessions.schemas import LoginIn, RefreshIn, TokenPairOut
from users.sessions.services import TokenPair

router = Router(tags=["Accounts"])


@router.post("/auth/login", response={200: TokenPairOut, **problems(401, 422)})
def login(request: HttpRequest, payload: LoginIn) -> TokenPairOut:
    """Exchange an e-mail address and a password for tokens."""
    device = request.headers.get("User-Agent", "")
    return _token_pair(services.sign_in(**payload.model_dump(), device=device))


@router.post("/auth/refresh", response={200: TokenPairOut, **problems(401, 422)})
def refresh(request: HttpRequest, payload: RefreshIn) -> TokenPairOut:
    """Spend a refresh token for a new pair. Using a spent one ends the whole session."""
    return _token_pair(services.refresh(token=payload.refresh))


def _token_pair(pair: TokenPair) -> TokenPairOut:
    return TokenPairOut(
        access=pair.access,
        refresh=pair.refresh,
        token_type="Bearer",  # noqa: S106 - not a password
        expires_in=settings.ACCESS_TOKEN_LIFETIME_S,
    )
