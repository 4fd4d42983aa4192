"""A viewer of whom all is kept that Cinema ever keeps of anybody, and where it is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone
from django_celery_results.models import TaskResult

from cinema.audit.recording import recording_as
from movies.models import Genre, Movie
from recommendations.models import Neighbour
from recommendations.viewer_figures import refresh_summary
from tests.builders import (
    Client,
    interact,
    make_impression,
    make_movie,
    make_pending,
    make_screening,
    make_user,
)
from users.models import (
    Favourite,
    MailedToken,
    MailRequest,
    Playlist,
    PlaylistEntry,
    PlaylistFollow,
    Preferences,
    RecoveryCode,
    RefreshToken,
    SecondFactor,
    User,
    Viewing,
)
from users.sessions import open_session

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

PASSWORD = "cleo from 5 to 7"
#: Words that are found nowhere else.
EMAIL, NAME, LIST = "agnes-varda@example.org", "Agnès Plage", "Gleaned potatoes"


def make_known_viewer(**fields: Any) -> Client:
    """Signed in, with at least one row wherever something can be kept of somebody."""
    made = {"email": EMAIL, "name": NAME, "password": PASSWORD, **fields}
    user = make_user(**made)
    film = make_movie(name="Vagabond", genres=["drama"])
    _taste(user, film)
    _playlists(user, film)
    _account(user)
    _traces(user)
    viewer = Client(user)
    assert viewer.get("/recommendations").status_code == 200
    refresh_summary()
    return viewer


def _taste(user: User, film: Movie) -> None:
    interact(user, film, "rating", half_stars=9)
    Favourite.objects.create(user=user, movie=film)
    screening = make_screening(film, hall="Rex")
    now = timezone.now()
    Viewing.objects.create(
        user=user, movie=film, screening=screening, checked_in=True, watched_at=now
    )
    preferences = Preferences.objects.create(user=user, languages=["fr"])
    preferences.genres.set(Genre.objects.all())
    other, sums = make_user(), {"product_sum": 9.0, "own_square_sum": 9.0, "other_square_sum": 9.0}
    Neighbour.objects.create(user=user, other=other, similarity=0.9, shared=30, **sums)
    Neighbour.objects.create(user=other, other=user, similarity=0.9, shared=30, **sums)
    make_impression(user, film)
    make_pending(user)


def _playlists(user: User, film: Movie) -> None:
    mine = Playlist.objects.create(user=user, name=LIST, is_public=True)
    PlaylistEntry.objects.create(playlist=mine, movie=film, position=1)
    PlaylistEntry.objects.create(playlist=mine, movie=make_movie(name="Jacquot"), position=2)
    other = Playlist.objects.create(user=make_user(), name="Winter", is_public=True)
    PlaylistFollow.objects.create(playlist=other, user=user)
    PlaylistFollow.objects.create(playlist=mine, user=other.user)


def _account(user: User) -> None:
    factor = SecondFactor.objects.create(user=user, secret="SECRET", last_step=0)
    RecoveryCode.objects.create(factor=factor, code_hash=b"known")
    soon = timezone.now() + timedelta(hours=1)
    session = open_session(user=user, device="Agnès' telephone")
    RefreshToken.objects.create(session=session, token_hash=b"2" * 32, expires_at=soon)
    MailedToken.objects.create(
        user=user, purpose="reset-password", email=user.email, token_hash=b"1" * 32, expires_at=soon
    )
    MailRequest.objects.create(kind="password-changed", user=user, email=user.email)
    MailRequest.objects.create(kind="reset-password", email=user.email)
    user.groups.add(Group.objects.create(name="Projectionists"))
    user.user_permissions.add(Permission.objects.order_by("pk")[0])


def _traces(user: User) -> None:
    LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(User),
        object_repr=user.email,
        action_flag=CHANGE,
    )
    Browser().force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    done = {"task_name": "users.something", "status": "SUCCESS"}
    by_id = f"\"{{'user_id': {user.pk}}}\""
    TaskResult.objects.create(task_id="by id", task_kwargs=by_id, **done)
    TaskResult.objects.create(task_id="by address", traceback=f"550 <{user.email}>", **done)
    boss = make_user(is_staff=True)
    with recording_as(via="admin", path="POST /admin/", user_id=boss.pk):
        user.name += " "
        user.save(update_fields=["name"])
        open_session(user=user).delete()


def leave(client: Client, password: str = PASSWORD) -> Response:
    return client.send("DELETE", "/users/me", {"password": password})


def counted(movie: Movie) -> tuple[int, float | None, float | None]:
    movie.refresh_from_db()
    return movie.rating_count, movie.rating_average, movie.community_score


# --- what Postgres has, whatever Django knows of it


def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [*cursor.fetchall()]


def tables() -> list[str]:
    found = rows(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'm') AND NOT relispartition "
        "AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    return [name for (name,) in found]


def personal_tables() -> set[str]:
    """The tables with a foreign key to a viewer or to a row of such a table, and those with a
    column whose name stands for an id or address."""
    named = rows(
        "SELECT DISTINCT table_name FROM information_schema.columns JOIN pg_class "
        "ON relname = table_name AND relkind IN ('r', 'p') AND NOT relispartition "
        "WHERE table_schema = 'public' AND "
        r"column_name ~ '(^|_)(user|viewer|owner|author|member|person|by)(_id)?$|mail|(^|_)ip(_|$)'"
    )
    found = {"users_user", *(name for (name,) in named)}
    while True:
        more = rows(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
            "AND confrelid::regclass::text = ANY (%s) AND conparentid = 0",
            sorted(found),
        )
        if found >= {name for (name,) in more}:
            return found
        found |= {name for (name,) in more}


def columns(table: str) -> set[str]:
    found = rows("SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
    return {name for (name,) in found}


def tables_that_say(text: str) -> Iterator[str]:
    """The tables in any of whose rows, in any of whose columns, the text stands."""
    for table in tables():
        found = rows(f'SELECT count(*) FROM "{table}" t WHERE t::text ILIKE %s', f"%{text}%")  # noqa: S608
        if found[0][0]:
            yield table
