"""A week's programme to serve: 60 screenings of 20 films in three halls, and ten films to come."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.utils import timezone

from cinema.development.simulated_programme import DemonstrationFilm, load_films
from movies import services
from movies.models import Movie
from movies.screenings import services as screenings

DAYS, SCREENINGS, RUNNING, TO_COME = 7, 60, 20, 10
HALLS = ("Lumière", "Méliès", "Varda")
STARTS = (time(15), time(18), time(21))
#: Long enough for every film, and short enough that the next one in the hall can start.
LENGTH = timedelta(hours=2, minutes=45)


def fill_programme() -> int:
    """Returns the number of screenings."""
    today = timezone.localdate()
    films = load_films()[: RUNNING + TO_COME]
    running = [_create(film, today - timedelta(days=30)) for film in films[:RUNNING]]
    for film in films[RUNNING:]:
        _create(film, today + timedelta(days=14))
    for number in range(SCREENINGS):
        slot, day = divmod(number, DAYS)
        start, hall = divmod(slot, len(HALLS))
        starts_at = timezone.make_aware(
            datetime.combine(today + timedelta(days=day), STARTS[start])
        )
        screenings.create_screening(
            fields={
                "movie_id": running[number % RUNNING].pk,
                "hall": HALLS[hall],
                "starts_at": starts_at,
                "ends_at": starts_at + LENGTH,
            }
        )
    return SCREENINGS


def _create(film: DemonstrationFilm, start_date: object) -> Movie:
    return services.create_movie(
        fields={
            "name": film.name,
            "protagonists": list(film.protagonists),
            "overview": film.overview,
            "genres": list(film.genres),
            "start_date": start_date,
            "original_language": film.language,
            "release_year": film.release_year,
            "runtime_minutes": film.runtime_minutes,
        }
    )
