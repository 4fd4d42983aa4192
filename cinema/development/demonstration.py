"""Fills an empty database with the demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from cinema.development import STAFF, VIEWER
from cinema.development.simulated_programme import (
    DemonstrationFilm,
    Run,
    load_films,
    plan_runs,
    plan_screenings,
)
from cinema.development.simulated_viewers import (
    SimulatedInteraction,
    simulate_club,
    simulate_interactions,
)
from movies import services as movies
from movies.models import Hall, Movie, Screening
from movies.schemas import MovieIn
from movies.search.index import index_stale_movies
from recommendations.models import Interaction
from recommendations.promotions import PromotionIn, add_promotion
from users.models import Preferences, User

SIMULATED = "simulated-{}@cinema.invalid"
#: The time from its first day to the end of its pin.
PINNED_FOR = timedelta(days=14)


class DatabaseNotEmpty(Exception):
    """The database has other data than the demonstration."""


def is_empty() -> bool:
    return not (Movie.objects.exists() or User.objects.exists())


def fill_demonstration(today: date | None = None) -> bool:
    """Write the demonstration in one transaction; returns False if it is there already.

    The caller holds the lock `cinema.prepare`.

    Raises:
        DatabaseNotEmpty: There are other films or accounts.
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
        _write_viewers(films, stored)
        User.objects.create_superuser(STAFF.email, STAFF.password, name=STAFF.name)
        _pin_a_film(runs, stored, today)
    index_stale_movies()
    return True


def _write_movies(films: Sequence[DemonstrationFilm], runs: Sequence[Run]) -> list[Movie]:
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
        stored.append(movies.create_movie(movie=MovieIn.model_validate(fields)))
    return stored


def _write_screenings(
    films: Sequence[DemonstrationFilm], runs: Sequence[Run], stored: Sequence[Movie], today: date
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


def _write_viewers(films: Sequence[DemonstrationFilm], stored: Sequence[Movie]) -> None:
    """Write viewers who cannot sign in, and one who can. Some are members of a film club."""
    simulated, club = simulate_interactions(films), simulate_club(films)
    others, members = _count(simulated), _count(club)
    unusable = make_password(None)
    first = User.objects.create_user(VIEWER.email, VIEWER.password, name=VIEWER.name)
    strangers = User.objects.bulk_create(
        User(email=SIMULATED.format(n), name=f"Viewer {n}", password=unusable)
        for n in range(1, others + members)
    )
    _write_interactions(simulated, strangers[:others], stored)
    _write_interactions(club, [first, *strangers[others:]], stored)
    # Most agree to be shown to viewers of similar taste.
    Preferences.objects.bulk_create(
        Preferences(user=viewer, match_visible=True)
        for n, viewer in enumerate([first, *strangers])
        if n % 4 != 3
    )


def _count(simulated: Sequence[SimulatedInteraction]) -> int:
    """The number of viewers."""
    return max(interaction.viewer for interaction in simulated) + 1


def _write_interactions(
    simulated: Sequence[SimulatedInteraction], viewers: Sequence[User], stored: Sequence[Movie]
) -> None:
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


def _pin_a_film(runs: Sequence[Run], stored: Sequence[Movie], today: date) -> None:
    """Pin the next film to come that the viewer has not rated to the third place of all lists."""
    rated = set(Movie.objects.filter(interactions__user__email=VIEWER.email))
    coming = [run for run in runs if run.starts_on > today and stored[run.film] not in rated]
    opening = min(coming, key=lambda run: run.starts_on)
    pin = {
        "movie_id": stored[opening.film].pk,
        "kind": "pin",
        "place": 3,
        "note": "Opens soon",
        "ends_at": _local(datetime.combine(opening.starts_on + PINNED_FOR, time())),
    }
    add_promotion(PromotionIn.model_validate(pin))
