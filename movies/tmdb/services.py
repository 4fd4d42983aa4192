"""What is written from TMDb's data: films posted, refreshed and emptied, and syncs asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from cinema.errors import BackgroundJobsDisabled
from movies import selectors as movie_selectors
from movies import services as movies
from movies.constraints import broken_constraint
from movies.errors import MovieExists
from movies.models import Movie
from movies.tmdb import connecting, fetching, filling, selectors
from movies.tmdb.errors import FilmIncomplete
from movies.tmdb.fetching import Fetched
from movies.tmdb.models import FilmDetails, ListedFilm, SyncReport, TmdbGenre
from movies.tmdb.provenance import tmdb_writes

log = logging.getLogger(__name__)


def post_film(*, fields: Mapping[str, Any]) -> Movie:
    """Post the film of `fields["tmdb_id"]`; what else `fields` gives goes before TMDb's word.

    Raises:
        MovieExists: It stands already, by its TMDb id or by name and start date.
        FilmIncomplete: TMDb does not know a field that must be there, and it was not given.
        SlugTaken: Staff gave the slug, and another movie has it.
        TmdbNotConnected, TmdbLacksFilm, TmdbUnusable, TmdbAway, TmdbRefused: No data.
    """
    tmdb_id = fields["tmdb_id"]
    tmdb = connecting.connect()
    if movie_id := selectors.movie_of(tmdb_id):
        raise MovieExists(movie_id)
    fetching.make_sure_of_genres(tmdb)
    fetched = fetching.details_of(tmdb_id, tmdb)
    known = filling.movie_fields(fetched.details)
    taken = {field: value for field, value in known.items() if field not in fields}
    for field in filling.REQUIRED:
        if not taken.get(field, True):
            raise FilmIncomplete(field)
    provenance = {"tmdb_fields": sorted(taken), "tmdb_fetched_at": fetched.at}
    with tmdb_writes():
        return movies.create_movie(fields={**taken, **fields, **provenance})


def refresh_movie(*, movie_id: int, fetched: Fetched) -> bool:
    """Bring TMDb's fields of a movie up to date; returns whether a viewer could see a difference.

    The first time, TMDb gets what is empty; later, what it filled and nobody has edited since.

    Raises:
        MovieNotFound: It was deleted or withdrawn meanwhile.
        MovieExists: Another movie has the name that TMDb now gives this one.
    """
    known = filling.movie_fields(fetched.details)
    with tmdb_writes():
        movie = movie_selectors.get_movie(movie_id, for_update=True)
        fields = movie.tmdb_fields if movie.tmdb_fetched_at else _empty_fields(movie)
        # An uploaded file is the office's, and an address would take its place.
        fields = [field for field in fields if not getattr(movie, f"{field}_upload", "")]
        changes = {
            field: known[field]
            for field in fields
            if field in known
            and (known[field] or field not in filling.REQUIRED)
            and known[field] != _present(movie, field)
        }
        if "genres" in changes and _same_genres(movie, changes["genres"]):
            del changes["genres"]
        if changes:
            movies.update_movie(movie_id=movie_id, fields=changes)
        # Not by the service: it would raise the catalogue's version, each night for each film.
        Movie.objects.filter(pk=movie_id).update(
            tmdb_fields=sorted(fields), tmdb_fetched_at=fetched.at
        )
    return bool(changes)


def _empty_fields(movie: Movie) -> list[str]:
    return [field for field, empty in filling.EMPTY.items() if _present(movie, field) == empty]


def _present(movie: Movie, field: str) -> Any:
    if field == "genres":
        return [genre.slug for genre in movie.genres.all()]
    return getattr(movie, field)


def _same_genres(movie: Movie, names: list[str]) -> bool:
    return set(movies.find_or_create_genres(names)) == set(movie.genres.all())


def erase_old() -> int:
    """Erase what is older than TMDb's terms allow; returns how many rows and films.

    Of a film, all that TMDb filled and that can be empty is emptied. Its name and protagonists
    stay: a programme cannot do without them.
    """
    oldest = timezone.now() - timedelta(days=settings.TMDB_MAX_AGE_DAYS)
    erased = sum(
        model._default_manager.filter(fetched_at__lt=oldest).delete()[0]
        for model in (FilmDetails, ListedFilm, TmdbGenre)
    )
    for movie_id in selectors.movies_older_than(oldest).values_list("pk", flat=True):
        erased += _erase(movie_id, oldest)
    return erased


def _erase(movie_id: int, oldest: datetime) -> bool:
    with tmdb_writes():
        movie = selectors.movies_older_than(oldest).select_for_update().filter(pk=movie_id).first()
        if movie is None:  # refreshed or edited a moment ago
            return False
        fields = set(movie.tmdb_fields) - {*filling.REQUIRED, "genres"}
        for field in fields:
            setattr(movie, field, filling.EMPTY[field])
        if "genres" in movie.tmdb_fields:
            movie.genres.clear()
        movie.tmdb_fields, movie.tmdb_fetched_at = [], None
        movie.save(update_fields=[*fields, "tmdb_fields", "tmdb_fetched_at", "updated_at"])
    return True


def request_sync(*, kind: str) -> SyncReport:
    """Ask for a sync now; while one of the kind waits or runs, it is that one.

    Raises:
        TmdbNotConnected: There is no token.
        BackgroundJobsDisabled: The sync would wait for a worker that is never started.
    """
    connecting.check_token()
    _check_background_jobs()
    report = find_or_create_report(kind=kind, fetched_before=timezone.now())
    transaction.on_commit(send_to_worker)
    return report


def request_refresh(*, movie_ids: Iterable[int]) -> SyncReport:
    """Ask for these movies to be refreshed now, however young their data are.

    Raises:
        TmdbNotConnected: There is no token.
        BackgroundJobsDisabled: The sync would wait for a worker that is never started.
    """
    connecting.check_token()
    _check_background_jobs()
    report = SyncReport.objects.create(
        kind=SyncReport.Kind.FILMS, fetched_before=timezone.now(), movie_ids=sorted(movie_ids)
    )
    transaction.on_commit(send_to_worker)
    return report


def _check_background_jobs() -> None:
    if not settings.ENABLE_BACKGROUND_JOBS:
        raise BackgroundJobsDisabled("Only a worker can fetch from TMDb.")


def find_or_create_report(*, kind: str, fetched_before: datetime) -> SyncReport:
    """The report of this kind that is not finished, or a new one."""
    unfinished = SyncReport.objects.filter(
        state__in=SyncReport.UNFINISHED, kind=kind, movie_ids=None
    )
    while True:
        if (standing := unfinished.first()) is not None:
            return standing
        try:
            with transaction.atomic():
                return SyncReport.objects.create(kind=kind, fetched_before=fetched_before)
        except IntegrityError as error:
            if broken_constraint(error) != SyncReport.ONE_UNFINISHED:
                raise  # otherwise another asked at the same moment


def send_to_worker() -> None:
    """Have the worker look at the reports now, not only with beat's next turn."""
    from movies.tmdb.tasks import resume_syncs

    try:
        resume_syncs.delay()
    except (BrokerAway, OSError) as error:
        log.warning("the sync waits for the broker: %s", error)
