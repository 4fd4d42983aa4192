"""Small builders: each makes one valid thing, of which a test says only what matters to it."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.test import Client as DjangoClient
from django.utils import timezone

from movies import services as movies
from movies.models import Movie, Screening
from movies.schemas import MovieChanges, NewMovie
from movies.screenings import services as screenings
from movies.screenings.schemas import ScreeningIn
from recommendations.models import Impression, Interaction, PendingImport
from users.models import User
from users.sessions import open_session
from users.tokens import issue_access_token

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

API = "/api/v1"
#: Paths that are meant as they are; to others `API` is added.
OUTSIDE = ("/account", "/api", "/graphql", "/health", "/media", "/metrics")
#: From where no title seems to count a series: "Movie 2" would be one with "Movie 3".
_numbers = itertools.count(101)


class Client:
    """Speaks JSON to the API through all of Django, as one user or as nobody."""

    def __init__(self, user: User | None = None) -> None:
        self._client = DjangoClient(raise_request_exception=False)
        self._user = user
        self.headers = {"Authorization": f"Bearer {access_token(user)}"} if user else {}

    @property
    def user(self) -> User:
        assert self._user is not None
        self._user.refresh_from_db()
        return self._user

    def get(self, path: str, **query: Any) -> Response:
        return self.send("GET", path, query=query)

    def post(self, path: str, payload: Any = None) -> Response:
        return self.send("POST", path, payload)

    def put(self, path: str, payload: Any = None) -> Response:
        return self.send("PUT", path, payload)

    def patch(self, path: str, payload: Any = None) -> Response:
        return self.send("PATCH", path, payload)

    def delete(self, path: str, **query: Any) -> Response:
        return self.send("DELETE", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Response:
        """`payload` is sent as JSON, or as it is if it is bytes."""
        path = path if path.startswith(OUTSIDE) or path == "/" else API + path
        return self._client.generic(
            method,
            path,
            payload if isinstance(payload, bytes) else _json(payload),
            content_type=content_type,
            query_params=query,
            headers={**self.headers, **(headers or {})},
        )


def _json(payload: Any) -> bytes:
    import orjson

    return b"" if payload is None else orjson.dumps(payload)


def access_token(user: User) -> str:
    """The access token of a new session."""
    return issue_access_token(open_session(user=user))


def make_user(**fields: Any) -> User:
    """A viewer; the password hash is made only for a password that the test knows."""
    password = fields.pop("password", None)
    fields.setdefault("email", f"viewer-{next(_numbers)}@example.org")
    return User.objects.create(password=make_password(password), **fields)


def make_movie(**fields: Any) -> Movie:
    """A movie that runs since a month ago, through the service that the API uses."""
    number = next(_numbers)
    today = timezone.localdate()
    defaults: dict[str, Any] = {
        "name": f"Movie {number}",
        "protagonists": ["Agnès Varda"],
        "start_date": min(today, fields.get("end_date") or today) - timedelta(days=30),
        "runtime_minutes": 90,
        "original_language": "fr",
        "release_year": 1962,
    }
    return movies.create_movie(movie=NewMovie.model_validate(defaults | fields))


def change_movie(movie: Movie, **fields: Any) -> Movie:
    """Change the movie through the service that the API uses."""
    return movies.update_movie(movie_id=movie.pk, changes=MovieChanges.model_validate(fields))


def make_screening(movie: Movie | None = None, **fields: Any) -> Screening:
    """A screening tomorrow at 20:00 in a hall of its own."""
    movie = movie or make_movie()
    defaults: dict[str, Any] = {
        "movie_id": movie.pk,
        "hall": f"Hall {next(_numbers)}",
        "starts_at": at(timezone.localdate() + timedelta(days=1), 20),
    }
    return screenings.create_screening(screening=ScreeningIn.model_validate(defaults | fields))


def interact(user: User, movie: Movie, kind: str = "like", **fields: Any) -> Interaction:
    return Interaction.objects.create(
        user=user, movie=movie, kind=Interaction.Kind[kind.upper()], **fields
    )


def make_pending(user: User, **fields: Any) -> PendingImport:
    """A statement of the viewer elsewhere on a film that is not here."""
    return PendingImport.objects.create(
        **{"user": user, "title": "Jacquot de Nantes", "year": 1991, "kind": 1, "half_stars": 8}
        | {"film": next(_numbers)}
        | fields
    )


def make_impression(user: User, movie: Movie, **fields: Any) -> Impression:
    """That the film stood first in a list of its own."""
    defaults: dict[str, Any] = {
        "list_id": uuid4(),
        "position": 1,
        "scope": "catalogue",
        "algorithm": "hybrid",
        "source": "als",
        "is_fallback": False,
        "shown_at": timezone.now(),
    }
    return Impression.objects.create(user=user, movie=movie, **{**defaults, **fields})


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A moment by the cinema's clock."""
    return timezone.make_aware(datetime(day.year, day.month, day.day, hour, minute))
