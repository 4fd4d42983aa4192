"""Files, functions and SQL statements that one warm request or training passes through."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.homes import REPOSITORY
from movies.models import Genre, Movie
from recommendations.models import Interaction, TrainingRun
from recommendations.training.runs import run_training
from users.models import User
from users.sessions import open_session
from users.tokens import issue_access_token

API = "/api/v1"
PACKAGES = ("cinema", "movies", "users", "recommendations")
WARM_UPS = 3
#: Longer than a process goes without a look at the catalogue's version and at the release.
PAUSE_S = 1.5


@dataclass
class Journey:
    """Distinct project files and functions in the order of their first call.

    Attributes:
        functions: Named ones, as `file:qualified name`; no lambdas and comprehensions.
        endpoint: The name of the endpoint's function.
        files_before: Files that ran before the endpoint's.
        queries: SQL statements of the request's own connection, transactions included.
    """

    name: str
    endpoint: str = ""
    files: dict[str, None] = field(default_factory=dict)
    functions: dict[str, None] = field(default_factory=dict)
    files_before: int | None = None
    queries: int = 0

    def note(self, code: CodeType) -> None:
        path = Path(code.co_filename)
        if not path.is_relative_to(REPOSITORY) or code.co_name == "<module>":
            return
        file = path.relative_to(REPOSITORY).as_posix()
        if not file.startswith(PACKAGES):
            return
        if self.files_before is None and code.co_name == self.endpoint and path.stem == "api":
            self.files_before = len(self.files)
        self.files.setdefault(file)
        if not code.co_name.startswith("<"):
            self.functions.setdefault(f"{file}:{code.co_qualname}")

    @contextmanager
    def recorded(self) -> Iterator[None]:
        seen: set[CodeType] = set()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code not in seen:
                seen.add(frame.f_code)
                self.note(frame.f_code)

        with CaptureQueriesContext(connection) as queries:
            threading.setprofile(note)
            sys.setprofile(note)
            try:
                yield
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
        self.queries = len(queries)


def trace_catalogue() -> list[dict[str, Any]]:
    """`POST /movies`, and `GET /programme` after a change."""
    staff = _client(User.objects.create(email="staff@example.org", is_staff=True))
    genre = Genre.objects.values_list("slug", flat=True).first()
    numbers = iter(range(1, 1000))

    def post() -> Any:
        body = {
            "name": f"Film {next(numbers)}",
            "protagonists": ["Anna Karina"],
            "genres": [genre],
            "start_date": "2030-01-01",
        }
        return staff.post(f"{API}/movies", body, content_type="application/json")

    anyone = Client(headers={"Host": "localhost"})
    get = partial(anyone.get, f"{API}/programme")
    return [
        _trace("POST /movies", post, endpoint="create_movie", expected=201),
        _trace("GET /programme, made anew", get, prepare=post, endpoint="get_programme"),
    ]


def trace_recommendations() -> list[dict[str, Any]]:
    """Train; then one viewer rates a movie, gets a new list, and gets the same list again."""
    training = _trace_training()
    raters = Interaction.objects.order_by().values("user_id").distinct()
    viewer = _client(User.objects.filter(pk__in=raters).earliest("pk"))
    movie = Movie.objects.published().earliest("pk")
    stars = iter([1, 2, 3, 4, 5] * 10)

    def rate() -> Any:
        path = f"{API}/movies/{movie.pk}/rating"
        return viewer.put(path, {"stars": next(stars)}, content_type="application/json")

    get = partial(viewer.get, f"{API}/recommendations")
    return [
        _trace("PUT /movies/{id}/rating", rate, endpoint="put_rating"),
        _trace("GET /recommendations, new list", get, prepare=rate, endpoint="get_recommendations"),
        _trace("GET /recommendations, kept list", get, endpoint="get_recommendations"),
        training,
    ]


def _client(user: User) -> Client:
    token = issue_access_token(open_session(user=user))
    return Client(headers={"Host": "localhost", "Authorization": f"Bearer {token}"})


def _trace(
    name: str,
    ask: Callable[[], Any],
    *,
    endpoint: str,
    prepare: Callable[[], Any] | None = None,
    expected: int = 200,
) -> dict[str, Any]:
    journey = Journey(name, endpoint)
    for _ in range(WARM_UPS):
        if prepare:
            prepare()
        ask()
    time.sleep(PAUSE_S)
    if prepare:
        prepare()
    with journey.recorded():
        answer = ask()
    assert answer.status_code == expected, answer.content
    return _shown(journey)


def _trace_training() -> dict[str, Any]:
    journey = Journey("train()")
    with journey.recorded():
        run = run_training(TrainingRun.objects.create(), force=True, tuning_budget_s=0)
    assert run.state == TrainingRun.State.PUBLISHED, run.message
    return _shown(journey)


def _shown(journey: Journey) -> dict[str, Any]:
    return {**asdict(journey), "files": [*journey.files], "functions": [*journey.functions]}
