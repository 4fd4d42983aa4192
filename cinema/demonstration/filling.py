"""The demonstration, written to the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from cinema.demonstration import STAFF, VIEWER
from cinema.demonstration.films import Film, load_films
from cinema.demonstration.programme import Run, plan_runs, plan_screenings
from cinema.demonstration.viewers import simulate_interactions
from movies import services as movies
from movies.models import Hall, Movie, Screening
from movies.search.indexing import index_for_search
from recommendations.models import Interaction
from users.models import User

SIMULATED = "simulated-{}@cinema.invalid"


class DatabaseNotEmpty(Exception):
    """The database holds something that is not the demonstration."""


def is_empty() -> bool:
    return not (Movie.objects.exists() or User.objects.exists())


def fill_demonstration(today: date | None = None) -> bool:
    """Write all of it in one transaction; returns False if it is there already.

    Raises:
        DatabaseNotEmpty: There are films or accounts of another origin.
    """
    if not is_empty():
        if User.objects.filter(email=SIMULATED.format(1)).exists():
            return False
        raise DatabaseNotEmpty("The database has films or accounts already; it stays as it is.")
    today = today or timezone.localdate()
    films = load_films()
    runs = plan_runs(films, today)
    with transaction.atomic():
        stored = _write_movies(films, runs)
        _write_screenings(films, runs, stored, today)
        _write_interactions(films, stored)
    index_for_search()
    return True


def _write_movies(films: Sequence[Film], runs: Sequence[Run]) -> list[Movie]:
    """The movies in the order of the films."""
    by_film = {run.film: run for run in runs}
    stored = []
    for index, film in enumerate(films):
        run = by_film[index]
        fields = {
            "name": film.name,
            "protagonists": list(film.protagonists),
            "directors": list(film.directors),
            "overview": film.overview,
            "genres": list(film.genres),
            "start_date": run.starts_on,
            "end_date": run.ends_on,
            "original_language": film.language,
            "release_year": film.release_year,
            "runtime_minutes": film.runtime_minutes,
        }
        stored.append(movies.create_movie(fields=fields))
    return stored


def _write_screenings(
    films: Sequence[Film], runs: Sequence[Run], stored: Sequence[Movie], today: date
) -> None:
    planned = plan_screenings(films, runs, today)
    names = sorted({screening.hall for screening in planned})
    halls = {name: Hall.objects.create(name=name) for name in names}
    Screening.objects.bulk_create(
        Screening(
            movie=stored[screening.film],
            hall=halls[screening.hall],
            starts_at=_local(screening.starts_at),
            ends_at=_local(screening.ends_at),
            version=screening.version,
            language=screening.language,
            subtitles=screening.subtitles,
            tags=list(screening.tags),
            state=screening.state,
        )
        for screening in planned
    )


def _local(wall_time: datetime) -> datetime:
    return timezone.make_aware(wall_time)


def _write_interactions(films: Sequence[Film], stored: Sequence[Movie]) -> None:
    """Viewers who cannot sign in, one who can, and staff."""
    simulated = simulate_interactions(films)
    count = max(interaction.viewer for interaction in simulated) + 1
    nobody_knows = make_password(None)
    viewers = User.objects.bulk_create(
        User(email=SIMULATED.format(n), name=f"Viewer {n}", password=nobody_knows)
        for n in range(1, count + 1)
    )
    User.objects.create_user(VIEWER.email, VIEWER.password, name=VIEWER.name)
    User.objects.create_superuser(STAFF.email, STAFF.password, name=STAFF.name)
    now = timezone.now()
    Interaction.objects.bulk_create(
        Interaction(
            user=viewers[interaction.viewer],
            movie=stored[interaction.film],
            kind=Interaction.Kind[interaction.kind.upper()],
            half_stars=round(interaction.stars * 2) if interaction.stars else 0,
            created_at=(at := now - timedelta(days=interaction.days_ago)),
            updated_at=at,
        )
        for interaction in simulated
    )
