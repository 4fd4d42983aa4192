from django.http import HttpRequest
from ninja import Router
from ninja.responses import Status

from cinema.auth import signed_in
from cinema.errors import problems
from cinema.throttling.addresses import client_address
from cinema.throttling.limits import Limit
from users.auth import AuthedRequest
from users.recovery import services
from users.recovery.schemas import ForgottenIn, ResetIn, VerifyIn

router = Router(tags=["Accounts"])
MAIL = Limit("THROTTLE_MAIL")
TOKEN = Limit("THROTTLE_LOGIN")


@router.post("/auth/password/forgot", throttle=MAIL, response={202: None, **problems(422)})
def forgot_password(request: HttpRequest, payload: ForgottenIn) -> Status[None]:
    """Have a link to choose a new password mailed. The answer is the same for every address."""
    services.request_reset(email=payload.email)
    return Status(202, None)


@router.post("/auth/password/reset", throttle=TOKEN, response={204: None, **problems(422)})
def reset_password(request: HttpRequest, payload: ResetIn) -> Status[None]:
    """Choose a new password by the token of a mailed link. All sessions end."""
    services.reset_password(**payload.model_dump(), address=client_address(request))
    return Status(204, None)


@router.post(
    "/auth/email/verification", throttle=MAIL, auth=signed_in, response={202: None, **problems(401)}
)
def request_verification(request: AuthedRequest) -> Status[None]:
    """Have a link to verify one's e-mail address mailed again. A verified one gets none."""
    services.request_verification(user=request.auth)
    return Status(202, None)


@router.post("/auth/email/verify", throttle=TOKEN, response={204: None, **problems(422)})
def verify_email(request: HttpRequest, payload: VerifyIn) -> Status[None]:
    """Verify an e-mail address by the token of a mailed link."""
    services.verify_email(token=payload.token)
    return Status(204, None)
