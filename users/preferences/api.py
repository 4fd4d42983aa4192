from ninja import Router

from cinema.auth import signed_in
from cinema.errors import problems
from users.auth import AuthedRequest
from users.preferences import selectors, services
from users.preferences.schemas import PreferencesIn, PreferencesOut
from users.preferences.selectors import StatedPreferences

router = Router(tags=["Accounts"])


@router.get(
    "/users/me/preferences", auth=signed_in, response={200: PreferencesOut, **problems(401)}
)
def get_preferences(request: AuthedRequest) -> StatedPreferences:
    """Your preferences. Empty until you say something."""
    return selectors.get_preferences(request.auth.pk)


@router.put(
    "/users/me/preferences", auth=signed_in, response={200: PreferencesOut, **problems(401, 422)}
)
def put_preferences(request: AuthedRequest, payload: PreferencesIn) -> StatedPreferences:
    """Replace your preferences. The next list of recommendations goes by them."""
    return services.put_preferences(user=request.auth, **payload.model_dump())
