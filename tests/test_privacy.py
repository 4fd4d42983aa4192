"""Others see nothing of a viewer, and caches keep nothing, unless the viewer says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from recommendations.models import Release, TrainingRun
from tests.api_document import document
from tests.builders import Client, make_screening, make_user
from users.models import Playlist, Preferences, User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

EMAIL, PASSWORD, WRONG = "agnes-varda@example.org", "cleo from 5 to 7", "the creatures 1966"


# --- consent


def test_viewers_are_invisible_by_default(viewer: Client) -> None:
    assert viewer.get("/users/me/preferences").json()["match_visible"] is False
    Preferences.objects.get_or_create(user=make_user())
    with connection.cursor() as cursor:
        cursor.execute("SELECT bool_or(match_visible) FROM users_preferences")
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize("value", [None, "perhaps", 2, []])
def test_consent_is_a_boolean(viewer: Client, value: Any) -> None:
    given = {"genres": [], "languages": [], "match_visible": value}
    assert viewer.put("/users/me/preferences", given).status_code == 422
    assert not Preferences.objects.filter(match_visible=True).exists()


# --- caches


OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]
NEEDS_SIGN_IN = [(m, p) for m, p, o in OPERATIONS if o.get("security") == [{"Bearer": []}]]
MAY_SIGN_IN = [(m, p) for m, p, o in OPERATIONS if {} in o.get("security", [])]


@pytest.fixture
def things(db: None, home: Any) -> dict[str, int]:
    """Something at the end of each path that leads to one."""
    owner = User.objects.filter(is_staff=True).first() or make_user()
    screening = make_screening()
    release = Release.objects.create(users=1, items=1, interactions=1, training_s=1)
    return {
        "movie_id": screening.movie.pk,
        "screening_id": screening.pk,
        "playlist_id": Playlist.objects.create(user=owner, name="Mine", is_public=True).pk,
        "release_id": release.pk,
        "run_id": TrainingRun.objects.create(state="published").pk,
    }


def ask(client: Client, method: str, path: str, things: dict[str, int]) -> Response:
    filled = re.sub(r"{(\w+)}", lambda found: str(things.get(found[1], 999_999)), path)
    answer = client.send(method, filled, {} if method in ("POST", "PUT", "PATCH") else None)
    if answer.streaming:
        answer.getvalue()  # which closes it
    return answer


@pytest.mark.parametrize(("method", "path"), NEEDS_SIGN_IN, ids=map(" ".join, NEEDS_SIGN_IN))
def test_responses_that_need_a_sign_in_are_not_cached(
    staff: Client, anonymous: Client, things: dict[str, int], method: str, path: str
) -> None:
    """Whatever the answer is, and for whomever: also that somebody may not."""
    for client in (anonymous, Client(make_user()), staff):
        answer = ask(client, method, path, things)
        assert answer.status_code < 500 or answer.status_code == 503, answer
        assert "no-store" in answer["Cache-Control"], answer
        assert "public" not in answer["Cache-Control"]


@pytest.mark.parametrize(("method", "path"), MAY_SIGN_IN, ids=map(" ".join, MAY_SIGN_IN))
def test_cacheable_responses_are_the_same_for_everybody(
    viewer: Client, anonymous: Client, things: dict[str, int], method: str, path: str
) -> None:
    Playlist.objects.create(user=viewer.user, name="My own")
    for client in (anonymous, viewer):
        answer = ask(client, method, path, things)
        if answer.status_code == 200 and "no-store" not in answer["Cache-Control"]:
            assert answer.content == ask(anonymous, method, path, things).content
            assert "Authorization" in answer.get("Vary", "") or client is anonymous, answer


def test_the_lists_of_operations_are_not_empty() -> None:
    assert len(NEEDS_SIGN_IN) > 30
    assert len(MAY_SIGN_IN) > 3


def test_answers_to_sign_ins_are_kept_by_no_cache(anonymous: Client) -> None:
    make_user(email=EMAIL, password=PASSWORD)
    for password in (PASSWORD, WRONG):
        answer = anonymous.post("/auth/login", {"email": EMAIL, "password": password})
        assert answer["Cache-Control"] == "no-store"


def test_answers_of_graphql_are_kept_by_no_cache(viewer: Client) -> None:
    answer = viewer.post("/graphql", {"query": "{ __typename }"})
    assert (answer.status_code, "no-store" in answer["Cache-Control"]) == (200, True)


def test_no_address_holds_what_is_personal() -> None:
    """Paths and queries are in the logs of proxies, in histories, and in `Referer`."""
    words = re.compile(r"mail|password|token|refresh|access|secret")
    allowed = {"GET /api/v1/recommendations refresh"}  # whether to make the list anew
    found = {
        f"{method} {path} {parameter['name']}"
        for method, path, operation in OPERATIONS
        for parameter in operation.get("parameters", [])
        if words.search(parameter["name"])
    }
    assert found <= allowed
