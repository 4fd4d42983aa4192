"""The permissions of every route as one table, which is compared with the OpenAPI document.

The things that are asked for are the viewer's, where they are anybody's. `deactivated` is the
viewer with a token that was good until staff closed the account; `expired` is the viewer with one
that ended a minute ago.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from movies.models import Screening
from recommendations.models import Interaction, Release, TrainingRun
from tests.api_document import document
from tests.builders import (
    Client,
    interact,
    make_impression,
    make_movie,
    make_pending,
    make_screening,
    make_user,
)
from tests.emptying import empty_tables
from tests.experimenting import make_experiment
from tests.promoting import make_promotion
from tests.uploads import BOUNDARY, encoded, form, picture, video
from users.models import Favourite, Playlist, PlaylistEntry, User, Viewing
from users.sessions import open_session

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "fresh_and_alone")]

ROLES = ("anonymous", "viewer", "other", "staff", "deactivated", "expired")
PASSWORD = "cleo from 5 to 7"
SHARE_SLUG = secrets.token_urlsafe(32)
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

TABLE = """
# route                                      anonymous viewer other staff deactivated expired
GET    /movies                                     200    200   200   200         200     200
POST   /movies                                     401    403   403   201         401     401
GET    /movies/trending                            200    200   200   200         200     200
GET    /movies/popular                             200    200   200   200         200     200
GET    /movies/feed.atom                           200    200   200   200         200     200
POST   /movies/import                              401    403   403   200         401     401
POST   /movies/from-tmdb                           401    403   403   424         401     401
GET    /movies/by-slug/{slug}                      200    200   200   200         200     200
GET    /movies/{movie_id}                          200    200   200   200         200     200
PATCH  /movies/{movie_id}                          401    403   403   200         401     401
DELETE /movies/{movie_id}                          401    403   403   409         401     401
GET    /movies/{movie_id}/similar                  200    200   200   200         200     200
GET    /movies/{movie_id}/programme.ics            200    200   200   200         200     200
GET    /movies/{movie_id}/programme.jsonld         200    200   200   200         200     200
PUT    /movies/{movie_id}/poster                   401    403   403   200         401     401
DELETE /movies/{movie_id}/poster                   401    403   403   204         401     401
PUT    /movies/{movie_id}/trailer                  401    403   403   200         401     401
DELETE /movies/{movie_id}/trailer                  401    403   403   204         401     401
PUT    /movies/{movie_id}/rating                   401    200   200   200         401     401
DELETE /movies/{movie_id}/rating                   401    204   404   404         401     401
GET    /genres                                     200    200   200   200         200     200
GET    /tmdb/search                                401    403   403   424         401     401
GET    /tmdb/trending                              401    403   403   424         401     401
GET    /tmdb/popular                               401    403   403   424         401     401
GET    /tmdb/now-playing                           401    403   403   424         401     401
GET    /tmdb/syncs                                 401    403   403   200         401     401
POST   /tmdb/syncs                                 401    403   403   424         401     401
GET    /screenings                                 200    200   200   200         401     401
POST   /screenings                                 401    403   403   201         401     401
POST   /screenings/bulk                            401    403   403   201         401     401
POST   /screenings/copy                            401    403   403   201         401     401
GET    /screenings/{screening_id}                  200    200   200   200         401     401
PATCH  /screenings/{screening_id}                  401    403   403   200         401     401
DELETE /screenings/{screening_id}                  401    403   403   204         401     401
GET    /programme                                  200    200   200   200         200     200
GET    /programme.ics                              200    200   200   200         200     200
GET    /programme.jsonld                           200    200   200   200         200     200
POST   /auth/register                              201    201   201   201         201     201
POST   /auth/login                                 200    200   200   200         401     200
POST   /auth/refresh                               401    401   401   401         401     401
GET    /users/me                                   401    200   200   200         401     401
PATCH  /users/me                                   401    200   200   200         401     401
DELETE /users/me                                   401    204   204   204         401     401
POST   /users/me/password                          401    204   204   204         401     401
GET    /users/me/export                            401    200   200   200         401     401
POST   /users/me/import                            401    200   200   200         401     401
GET    /users/me/import/pending                    401    200   200   200         401     401
DELETE /users/me/import/pending                    401    204   204   204         401     401
DELETE /users/me/import/pending/{pending_id}       401    204   404   404         401     401
POST   /auth/password/forgot                       202    202   202   202         202     202
POST   /auth/password/reset                        422    422   422   422         422     422
POST   /auth/email/verification                    401    202   202   202         401     401
POST   /auth/email/verify                          422    422   422   422         422     422
POST   /auth/logout                                204    204   204   204         204     204
GET    /users/me/sessions                          401    200   200   200         401     401
DELETE /users/me/sessions                          401    204   204   204         401     401
DELETE /users/me/sessions/{session_id}             401    204   404   404         401     401
GET    /users/me/preferences                       401    200   200   200         401     401
PUT    /users/me/preferences                       401    200   200   200         401     401
GET    /users/me/favourites                        401    200   200   200         401     401
PUT    /users/me/favourites/{movie_id}             401    200   200   200         401     401
DELETE /users/me/favourites/{movie_id}             401    204   404   404         401     401
GET    /users/me/history                           401    200   200   200         401     401
POST   /users/me/history                           401    201   201   201         401     401
DELETE /users/me/history/{viewing_id}              401    204   404   404         401     401
GET    /users/me/ratings                           401    200   200   200         401     401
GET    /users/me/statistics                        401    200   200   200         401     401
GET    /users/me/preferences/suggestions           401    200   200   200         401     401
GET    /playlists                                  200    200   200   200         401     401
POST   /playlists                                  401    201   201   201         401     401
GET    /playlists/shared/{slug}                    200    200   200   200         401     401
GET    /playlists/{playlist_id}                    404    200   404   404         401     401
PATCH  /playlists/{playlist_id}                    401    200   404   404         401     401
DELETE /playlists/{playlist_id}                    401    204   404   404         401     401
PUT    /playlists/{playlist_id}/movies/{movie_id}  401    200   404   404         401     401
DELETE /playlists/{playlist_id}/movies/{movie_id}  401    204   404   404         401     401
PUT    /playlists/{playlist_id}/order              401    204   404   404         401     401
PUT    /playlists/{playlist_id}/share              401    200   404   404         401     401
DELETE /playlists/{playlist_id}/share              401    204   404   404         401     401
POST   /playlists/{playlist_id}/copy               401    201   404   404         401     401
PUT    /playlists/{playlist_id}/follow             401    409   404   404         401     401
DELETE /playlists/{playlist_id}/follow             401    404   404   404         401     401
POST   /interactions                               401    201   201   201         401     401
DELETE /interactions/{interaction_id}              401    204   404   404         401     401
GET    /recommendations                            401    200   200   200         401     401
GET    /recommendations/next                       401    404   404   404         401     401
GET    /recommendations/onboarding                 401    200   200   200         401     401
POST   /recommendations/{list_id}/clicks           401    204   404   404         401     401
GET    /recommendations/algorithms                 200    200   200   200         200     200
GET    /matches                                    401    200   200   200         401     401
GET    /releases                                   401    403   403   200         401     401
POST   /releases/train                             401    403   403   202         401     401
GET    /releases/runs/{run_id}                     401    403   403   200         401     401
POST   /releases/{release_id}/activate             401    403   403   409         401     401
PUT    /releases/{release_id}/hold                 401    403   403   409         401     401
DELETE /releases/{release_id}/hold                 401    403   403   404         401     401
GET    /promotions                                 401    403   403   200         401     401
POST   /promotions                                 401    403   403   201         401     401
GET    /promotions/{promotion_id}                  401    403   403   200         401     401
PATCH  /promotions/{promotion_id}                  401    403   403   200         401     401
DELETE /promotions/{promotion_id}                  401    403   403   204         401     401
GET    /analytics/audience-fit                     401    403   403   200         401     401
GET    /experiments                                401    403   403   200         401     401
POST   /experiments                                401    403   403   201         401     401
GET    /experiments/{experiment_id}                401    403   403   200         401     401
PATCH  /experiments/{experiment_id}                401    403   403   200         401     401
DELETE /experiments/{experiment_id}                401    403   403   204         401     401
GET    /analytics/recommendations                  401    403   403   200         401     401
GET    /audit                                      401    403   403   200         401     401
GET    /cache/statistics                           401    403   403   200         401     401
"""


@dataclass(frozen=True)
class World:
    """One of each thing that a route can name, and who asks for it."""

    viewer: User
    other: User
    staff: User
    share_slug: str
    ids: dict[str, Any]

    def client(self, role: str) -> Client:
        if role == "anonymous":
            return Client()
        if role == "expired":
            ago_s = settings.ACCESS_TOKEN_LIFETIME_S + 60
            with time_machine.travel(timezone.now() - timedelta(seconds=ago_s), tick=False):
                return Client(self.viewer)
        client = Client(getattr(self, "viewer" if role == "deactivated" else role))
        if role == "deactivated":
            User.objects.filter(pk=self.viewer.pk).update(is_active=False)
        return client


@cache
def password_hash() -> str:
    return make_password(PASSWORD)


def person(**fields: Any) -> User:
    """Somebody with PASSWORD, which takes long to hash and is hashed once."""
    user = make_user(**fields)
    user.password = password_hash()
    user.save()
    return user


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Made once. Each test leaves it as it is."""
    try:
        with django_db_blocker.unblock():
            made = make_world()
        yield made
    finally:
        with django_db_blocker.unblock():
            empty_tables()


def make_world() -> World:
    viewer = person(email="agnes@example.org")
    movie = make_movie(
        name="Cléo",
        genres=["drama"],
        poster="https://example.org/poster.jpg",
        trailer="https://example.org/trailer",
    )
    first_day()
    screening: Screening = make_screening(movie)
    release = Release.objects.create(users=1, items=1, interactions=1, training_s=1)
    interact(viewer, movie, "rating", half_stars=8)
    liked: Interaction = interact(viewer, make_movie(), "like")
    Favourite.objects.create(user=viewer, movie=movie)
    watched = Viewing.objects.create(user=viewer, movie=movie, watched_at=timezone.now())
    playlist = Playlist.objects.create(user=viewer, name="Mine", share_slug=SHARE_SLUG)
    PlaylistEntry.objects.create(playlist=playlist, movie=movie, position=1)
    return World(
        viewer=viewer,
        other=person(),
        staff=person(is_staff=True),
        share_slug=SHARE_SLUG,
        ids={
            "movie_id": movie.pk,
            "slug": movie.slug,
            "screening_id": screening.pk,
            "interaction_id": liked.pk,
            "release_id": release.pk,
            "promotion_id": make_promotion(movie).pk,
            "experiment_id": make_experiment().pk,
            "run_id": TrainingRun.objects.create(release=release).pk,
            "session_id": open_session(user=viewer).pk,
            "viewing_id": watched.pk,
            "pending_id": make_pending(viewer).pk,
            "playlist_id": playlist.pk,
            "list_id": make_impression(viewer, movie).list_id,
        },
    )


@cache
def first_day() -> date:
    """The day on which the world is made; midnight may pass before the last test."""
    return timezone.localdate()


def day(number: int) -> str:
    """The day `number` days after the first one."""
    return (first_day() + timedelta(days=number)).isoformat()


#: The payloads, for the routes whose answer in the table needs a good one.
BODIES: dict[str, Callable[[World], Any]] = {
    "POST /movies": lambda w: {"name": "New", "protagonists": ["X"], "start_date": "2026-12-03"},
    "POST /movies/import": lambda w: {"movies": []},
    "POST /movies/from-tmdb": lambda w: {"tmdb_id": 499, "start_date": "2026-12-03"},
    "PATCH /movies/{movie_id}": lambda w: {"overview": "New."},
    "PUT /movies/{movie_id}/poster": lambda w: form(encoded(picture())),
    "PUT /movies/{movie_id}/trailer": lambda w: form(video()),
    "PUT /movies/{movie_id}/rating": lambda w: {"stars": 4},
    "POST /tmdb/syncs": lambda w: {"kind": "genres"},
    "POST /screenings": lambda w: {
        "movie_id": w.ids["movie_id"],
        "hall": "Another",
        "starts_at": f"{day(1)}T20:00:00+01:00",
    },
    "POST /screenings/bulk": lambda w: {
        "movie_id": w.ids["movie_id"],
        "hall": "Another",
        "from": day(1),
        "to": day(2),
        "times": ["18:00"],
    },
    "POST /screenings/copy": lambda w: {"from": day(1), "to": day(2)},
    "PATCH /screenings/{screening_id}": lambda w: {"state": "sold-out"},
    "POST /auth/register": lambda w: {"email": "new@example.org", "password": PASSWORD},
    "POST /auth/login": lambda w: {"email": w.viewer.email, "password": PASSWORD},
    "POST /auth/refresh": lambda w: {"refresh": "unknown"},
    "POST /interactions": lambda w: {"movie_id": w.ids["movie_id"], "kind": "like"},
    "PATCH /users/me": lambda w: {"name": "New"},
    "DELETE /users/me": lambda w: {"password": PASSWORD},
    "POST /users/me/password": lambda w: {"current": PASSWORD, "new": "cleo from 7 to 9"},
    "POST /users/me/import": lambda w: form(b"Date,Name,Year,Letterboxd URI,Rating\n"),
    "POST /auth/password/forgot": lambda w: {"email": w.viewer.email},
    "POST /auth/password/reset": lambda w: {"token": "x" * 43, "password": "cleo from 7 to 9"},
    "POST /auth/email/verify": lambda w: {"token": "x" * 43},
    "POST /auth/logout": lambda w: {"refresh": "unknown"},
    "PUT /users/me/preferences": lambda w: {
        "genres": ["drama"],
        "languages": ["fr"],
        "match_visible": True,
    },
    "POST /users/me/history": lambda w: {
        "movie_id": w.ids["movie_id"],
        "watched_at": f"{day(-9)}T20:00:00+01:00",
    },
    "POST /recommendations/{list_id}/clicks": lambda w: {"movie_id": w.ids["movie_id"]},
    "POST /promotions": lambda w: {
        "movie_id": w.ids["movie_id"],
        "kind": "boost",
        "strength": 0.2,
        "ends_at": f"{day(7)}T00:00:00+01:00",
    },
    "PATCH /promotions/{promotion_id}": lambda w: {"note": "New"},
    "POST /experiments": lambda w: {
        "name": "New",
        "algorithm_a": "hybrid",
        "algorithm_b": "als",
        "starts_at": f"{day(70)}T00:00:00+01:00",
        "ends_at": f"{day(77)}T00:00:00+01:00",
    },
    "PATCH /experiments/{experiment_id}": lambda w: {"share": 0.5},
    "POST /playlists": lambda w: {"name": "New"},
    "PATCH /playlists/{playlist_id}": lambda w: {"name": "New"},
    "PUT /playlists/{playlist_id}/order": lambda w: {"movie_ids": [w.ids["movie_id"]]},
}
QUERIES = {"GET /tmdb/search": {"q": "cleo"}}


def rows() -> dict[str, dict[str, int]]:
    found = {}
    for line in TABLE.strip().splitlines()[1:]:
        method, path, *statuses = line.split()
        assert len(statuses) == len(ROLES), line
        found[f"{method} {path}"] = dict(zip(ROLES, map(int, statuses), strict=True))
    return found


ROWS = rows()


def routes() -> set[str]:
    """All but health, which looks at no token: tests/test_addresses.py."""
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in document()["paths"].items()
        for method in operations
        if not path.startswith("/api/v1/health")
    }


def test_the_table_has_a_row_for_each_route() -> None:
    assert routes() - ROWS.keys() == set(), "say in TABLE who may call it"
    assert ROWS.keys() - routes() == set(), "no such route"


@pytest.mark.parametrize("route", ROWS)
def test_each_operation_answers_each_role_as_the_table_says(world: World, route: str) -> None:
    answered = {role: status(world, route, role) for role in ROLES}
    assert answered == ROWS[route]


def status(world: World, route: str, role: str) -> int:
    """The response to the role; its writes are undone before the next one."""
    method, path = route.split()
    own = path.replace("shared/{slug}", f"shared/{world.share_slug}")
    filled = re.sub(r"{(\w+)}", lambda match: str(world.ids[match[1]]), own)
    body = BODIES[route](world) if route in BODIES else None
    is_form = isinstance(body, bytes)
    with transaction.atomic():
        answer = world.client(role).send(
            method,
            filled,
            body,
            query=QUERIES.get(route),
            content_type=MULTIPART if is_form else "application/json",
        )
        for _ in answer if answer.streaming else ():
            pass
        transaction.set_rollback(True)
    return int(answer.status_code)
