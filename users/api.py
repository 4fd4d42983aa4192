from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.http import json_response
from cinema.schemas import Paginated
from cinema.throttling.limits import Limit, account_in_body, client_address
from cinema.throttling.lockout import SignInLimit
from users import erasure, services, sessions
from users.auth import AuthedRequest
from users.export import export_response
from users.models import Session, User
from users.schemas import (
    ErasureIn,
    ExportOut,
    ForgottenIn,
    LoginIn,
    PasswordIn,
    ProfileIn,
    RefreshIn,
    RegisterIn,
    ResetIn,
    SessionOut,
    TokenPairOut,
    UserOut,
    VerifyIn,
    user_fields,
)

router = Router(tags=["Accounts"])
REGISTER = Limit("THROTTLE_REGISTER")
#: The limit of operations that check a password or a token.
LOGIN = Limit("THROTTLE_LOGIN")
SIGN_IN = SignInLimit("THROTTLE_LOGIN")
REFRESH = Limit("THROTTLE_REFRESH")
MAIL = Limit("THROTTLE_MAIL")
#: A change of the address sends a mail to it.
MAIL_TO_NEW_ADDRESS = Limit("THROTTLE_MAIL", when=lambda request: bool(account_in_body(request)))
HEAVY = Limit("THROTTLE_HEAVY")


@router.post("/auth/register", throttle=REGISTER, response={201: UserOut, **problems(403, 422)})
def register(request: HttpRequest, payload: RegisterIn, response: HttpResponse) -> Status[User]:
    """Open a viewer's account. A link to verify the address is mailed."""
    user = services.register_user(**payload.model_dump())
    response["Location"] = "/api/v1/users/me"
    return Status(201, user)


@router.get("/users/me", auth=signed_in, response={200: UserOut, **problems(401)})
def get_me(request: AuthedRequest) -> HttpResponse:
    """The signed-in user."""
    return json_response(user_fields(request.auth))


@router.patch(
    "/users/me",
    throttle=[LOGIN, MAIL_TO_NEW_ADDRESS],
    auth=signed_in,
    response={200: UserOut, **problems(401, 422)},
)
def patch_me(request: AuthedRequest, payload: ProfileIn) -> User:
    """Change the own name or e-mail address. A new address needs the password and is unverified."""
    return services.change_profile(user=request.auth, changes=payload)


@router.delete(
    "/users/me", throttle=LOGIN, auth=signed_in, response={204: None, **problems(401, 409, 422)}
)
def delete_me(request: AuthedRequest, payload: ErasureIn) -> Status[None]:
    """Erase the own account and all its data, for good."""
    erasure.erase_account(user=request.auth, password=payload.password)
    return Status(204, None)


@router.post(
    "/users/me/password", throttle=LOGIN, auth=signed_in, response={204: None, **problems(401, 422)}
)
def change_password(request: AuthedRequest, payload: PasswordIn) -> Status[None]:
    """Change the own password. Every other session ends."""
    services.change_password(user=request.auth, current=payload.current, new=payload.new)
    return Status(204, None)


@router.get(
    "/users/me/export", throttle=HEAVY, auth=signed_in, response={200: ExportOut, **problems(401)}
)
def export_me(request: AuthedRequest) -> HttpResponseBase:
    """All data of the viewer, as one JSON document."""
    return export_response(request.auth)


@router.post("/auth/password/forgot", throttle=MAIL, response={202: None, **problems(422)})
def forgot_password(request: HttpRequest, payload: ForgottenIn) -> Status[None]:
    """Mail a link to choose a new password. The response is the same for every address."""
    services.request_reset(email=payload.email)
    return Status(202, None)


@router.post("/auth/password/reset", throttle=LOGIN, response={204: None, **problems(422)})
def reset_password(request: HttpRequest, payload: ResetIn) -> Status[None]:
    """Choose a new password by the token of a mailed link. All sessions end."""
    services.reset_password(**payload.model_dump(), address=client_address(request))
    return Status(204, None)


@router.post(
    "/auth/email/verification", throttle=MAIL, auth=signed_in, response={202: None, **problems(401)}
)
def request_verification(request: AuthedRequest) -> Status[None]:
    """Mail the link to verify the e-mail address again, unless the address is verified."""
    services.request_verification(user=request.auth)
    return Status(202, None)


@router.post("/auth/email/verify", throttle=LOGIN, response={204: None, **problems(422)})
def verify_email(request: HttpRequest, payload: VerifyIn) -> Status[None]:
    """Verify an e-mail address by the token of a mailed link."""
    services.verify_email(token=payload.token)
    return Status(204, None)


@router.post("/auth/login", throttle=SIGN_IN, response={200: TokenPairOut, **problems(401, 422)})
def login(request: HttpRequest, payload: LoginIn) -> TokenPairOut:
    """Exchange an e-mail address and a password for tokens."""
    device = request.headers.get("User-Agent", "")
    return sessions.sign_in(**payload.model_dump(), address=client_address(request), device=device)


@router.post("/auth/refresh", throttle=REFRESH, response={200: TokenPairOut, **problems(401, 422)})
def refresh(request: HttpRequest, payload: RefreshIn) -> TokenPairOut:
    """Spend a refresh token for a new pair. Using a spent one ends the whole session.

    For a few seconds it is answered with the same successor instead, as an answer may get lost.
    """
    return sessions.refresh(token=payload.refresh)


@router.post("/auth/logout", response={204: None, **problems(422)})
def logout(request: HttpRequest, payload: RefreshIn) -> Status[None]:
    """End the session of a refresh token. Its access tokens stop working at once.

    The response is the same for an unknown, spent or expired token.
    """
    sessions.sign_out(token=payload.refresh)
    return Status(204, None)


@router.get(
    "/users/me/sessions", auth=signed_in, response={200: list[SessionOut], **problems(401, 422)}
)
@paginate(Paginated)
def list_sessions(request: AuthedRequest) -> QuerySet[Session]:
    """The sessions of the viewer, the one used last first."""
    return sessions.list_sessions(user=request.auth)


@router.delete("/users/me/sessions", auth=signed_in, response={204: None, **problems(401)})
def end_other_sessions(request: AuthedRequest) -> Status[None]:
    """End all other sessions of the viewer."""
    sessions.end_other_sessions(user=request.auth)
    return Status(204, None)


@router.delete(
    "/users/me/sessions/{session_id}",
    auth=signed_in,
    response={204: None, **problems(401, 404, 422)},
)
def end_session(request: AuthedRequest, session_id: int) -> Status[None]:
    """End a session of the viewer. Its tokens stop working at once."""
    sessions.end_session(user=request.auth, session_id=session_id)
    return Status(204, None)
