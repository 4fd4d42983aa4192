"""TMDb's data: fetched into our tables, written into movies, and erased when they are too old."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from cinema.audit.recording import record
from cinema.errors import BackgroundJobsDisabled
from cinema.task_queue import send_task
from movies import selectors as movie_selectors
from movies import services as movies
from movies.errors import MovieExists, broken_constraint
from movies.models import Genre, Movie
from movies.schemas import MovieChanges, NewMovie
from movies.tmdb import client, payloads, selectors
from movies.tmdb.client import Client, ListName
from movies.tmdb.errors import FilmIncomplete, TmdbUnusable
from movies.tmdb.models import FilmDetails, ListedFilm, SyncReport, TmdbGenre
from movies.tmdb.schemas import FromTmdbIn

#: Younger data are not fetched again; less than the day between two nightly syncs.
FRESH_FOR = timedelta(hours=20)
#: A page has 20 films.
PAGES_PER_LIST = 3


@dataclass(frozen=True)
class Fetched:
    details: payloads.Details
    at: datetime


def details_of(tmdb_id: int, tmdb: Client, *, newer_than: datetime | None = None) -> Fetched:
    """Read the details of a film from our table, or from TMDb if they are older than `newer_than`.

    The default of `newer_than` is `FRESH_FOR` ago.

    Raises:
        TmdbLacksFilm, TmdbUnusable, TmdbAway, TmdbRefused: TMDb gave no data.
    """
    row = FilmDetails.objects.filter(
        pk=tmdb_id,
        language=settings.TMDB_LANGUAGE,
        fetched_at__gte=newer_than or timezone.now() - FRESH_FOR,
    ).first()
    if row is not None:
        return Fetched(payloads.Details.model_validate(row.payload), row.fetched_at)
    fetched = Fetched(tmdb.details(tmdb_id), timezone.now())
    FilmDetails.objects.update_or_create(
        tmdb_id=tmdb_id,
        defaults={
            "language": settings.TMDB_LANGUAGE,
            "payload": fetched.details.model_dump(mode="json"),
            "fetched_at": fetched.at,
        },
    )
    return fetched


def fetch_list(name: ListName, tmdb: Client) -> dict[str, int]:
    """Replace our copy of one of TMDb's lists; all or nothing."""
    films: dict[int, payloads.FilmSummary] = {}
    for number in range(1, PAGES_PER_LIST + 1):
        page = tmdb.listed(name, page=number)
        for film in page.results:  # a film may have moved to the next page meanwhile
            films.setdefault(film.id, film)
        if number >= (page.total_pages or 1):
            break
    if not films:  # no real list is empty: the old one is better
        raise TmdbUnusable(f"has nothing in its list {name!r}")
    now = timezone.now()
    rows = [
        ListedFilm(list=name, rank=rank, fetched_at=now, **payloads.summary_fields(film))
        for rank, film in enumerate(films.values(), start=1)
    ]
    with transaction.atomic():
        before = dict(ListedFilm.objects.filter(list=name).values_list("tmdb_id", "rank"))
        ListedFilm.objects.filter(list=name).delete()
        ListedFilm.objects.bulk_create(rows)
    return _compared(before, {row.tmdb_id: row.rank for row in rows})


def fetch_genres(tmdb: Client) -> dict[str, int]:
    """Fetch TMDb's genres and map each to ours of the same name, in our language or in English.

    A mapping that staff have chosen stays.
    """
    names = _genre_names(tmdb, settings.TMDB_LANGUAGE)
    english = names if settings.TMDB_LANGUAGE[:2] == "en" else _genre_names(tmdb, "en")
    if not names:
        raise TmdbUnusable("names no genres")
    now, ours = timezone.now(), _our_genres()
    with transaction.atomic():
        # Every writer locks them in the order of their ids: otherwise a deadlock is possible.
        known = {row.pk: row for row in TmdbGenre.objects.select_for_update().order_by("pk")}
        rows = [
            TmdbGenre(
                tmdb_id=number,
                name=name,
                fetched_at=now,
                genre_id=(known[number].genre_id if number in known else None)
                or ours.get(name.lower())
                or ours.get(english.get(number, name).lower()),
            )
            for number, name in sorted(names.items())
        ]
        TmdbGenre.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["tmdb_id"],
            update_fields=["name", "genre", "fetched_at"],
        )
        TmdbGenre.objects.exclude(pk__in=names).delete()
    before = {number: row.name for number, row in known.items()}
    return _compared(before, names)


def _genre_names(tmdb: Client, language: str) -> dict[int, str]:
    found = tmdb.genres(language=language).genres
    return {genre.id: genre.name for genre in found if genre.id and genre.name}


def _our_genres() -> dict[str, int]:
    """Return the ids of our genres, by slug and by name in lower case."""
    genres = list(Genre.objects.all())
    by_name = {genre.name.lower(): genre.pk for genre in genres}
    return {genre.slug: genre.pk for genre in genres} | by_name


def _compared(before: Mapping[int, object], after: Mapping[int, object]) -> dict[str, int]:
    """Count the differences by field of the report; both mappings are by TMDb's id."""
    both = after.keys() & before.keys()
    updated = sum(before[key] != after[key] for key in both)
    return {
        "fetched": len(after),
        "created": len(after.keys() - both),
        "updated": updated,
        "unchanged": len(both) - updated,
        "erased": len(before.keys() - both),
    }


def ensure_genres(tmdb: Client) -> None:
    """Fetch the genres if there are none: the weekly sync may be days away."""
    if not TmdbGenre.objects.exists():
        fetch_genres(tmdb)


def post_film(*, film: FromTmdbIn) -> Movie:
    """Create the movie of `film.tmdb_id`; the other given fields override TMDb's.

    Raises:
        MovieExists: The catalogue has it, by its TMDb id or by name and start date.
        FilmIncomplete: A required field is neither known to TMDb nor given.
        SlugTaken: Another movie has the given slug.
        TmdbNotConnected, TmdbLacksFilm, TmdbUnusable, TmdbAway, TmdbRefused: TMDb gave no data.
    """
    fields = film.model_dump(exclude_unset=True)
    tmdb = client.connect()
    if movie_id := selectors.movies_of([film.tmdb_id]).get(film.tmdb_id):
        raise MovieExists(movie_id)
    ensure_genres(tmdb)
    fetched = details_of(film.tmdb_id, tmdb)
    known = payloads.movie_fields(fetched.details)
    taken = {field: value for field, value in known.items() if field not in fields}
    for field in payloads.REQUIRED:
        if not taken.get(field, True):
            raise FilmIncomplete(field)
    with transaction.atomic():
        movie = movies.create_movie(movie=NewMovie.model_validate({**taken, **fields}))
        _set_provenance(movie.pk, taken, fetched.at)
    return movie


def _set_provenance(movie_id: int, fields: Iterable[str], fetched_at: datetime) -> None:
    """Note which fields are TMDb's. Last, as a trigger takes each changed field off the list.

    Not by `update_movie`, which would raise the catalogue version for each film each night.
    """
    Movie.objects.filter(pk=movie_id).update(tmdb_fields=sorted(fields), tmdb_fetched_at=fetched_at)


def refresh_movie(*, movie_id: int, fetched: Fetched) -> bool:
    """Update the fields of a movie that are TMDb's; returns whether any changed.

    The first refresh fills the empty fields; later ones update those that TMDb has filled and no
    one has edited since.

    Raises:
        MovieNotFound: The movie was deleted or withdrawn meanwhile.
        MovieExists: Another movie has the name that TMDb now gives this one.
    """
    known = payloads.movie_fields(fetched.details)
    with transaction.atomic():
        movie = movie_selectors.get_movie(movie_id, for_update=True)
        fields = movie.tmdb_fields if movie.tmdb_fetched_at else _empty_fields(movie)
        # An address would replace an uploaded file, which is never TMDb's.
        fields = [field for field in fields if not getattr(movie, f"{field}_upload", "")]
        changes = {
            field: known[field]
            for field in fields
            if field in known
            and (known[field] or field not in payloads.REQUIRED)
            and known[field] != _present(movie, field)
        }
        if "genres" in changes and _same_genres(movie, changes["genres"]):
            del changes["genres"]
        if changes:
            movies.update_movie(movie_id=movie_id, changes=MovieChanges.model_validate(changes))
        _set_provenance(movie_id, fields, fetched.at)
    return bool(changes)


def _empty_fields(movie: Movie) -> list[str]:
    return [field for field, empty in payloads.EMPTY.items() if _present(movie, field) == empty]


def _present(movie: Movie, field: str) -> Any:
    if field == "genres":
        return [genre.slug for genre in movie.genres.all()]
    return getattr(movie, field)


def _same_genres(movie: Movie, names: list[str]) -> bool:
    return set(movies.find_or_create_genres(names)) == set(movie.genres.all())


def erase_old() -> int:
    """Erase data older than TMDb's terms allow; returns the number of rows and movies.

    In a movie all fields that TMDb has filled are emptied, except the required ones: name and
    protagonists stay.
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
    with transaction.atomic():
        movie = selectors.movies_older_than(oldest).select_for_update().filter(pk=movie_id).first()
        if movie is None:  # refreshed or edited a moment ago
            return False
        fields = set(movie.tmdb_fields) - {*payloads.REQUIRED, "genres"}
        for field in fields:
            setattr(movie, field, payloads.EMPTY[field])
        if "genres" in movie.tmdb_fields:
            movie.genres.clear()
        movie.tmdb_fields, movie.tmdb_fetched_at = [], None
        movie.save(update_fields=[*fields, "tmdb_fields", "tmdb_fetched_at", "updated_at"])
    return True


def request_sync(*, kind: str) -> SyncReport:
    """Create a sync now, or return the unfinished one of the kind.

    Raises:
        TmdbNotConnected: There is no token.
        BackgroundJobsDisabled: There is no worker.
    """
    _check_can_fetch()
    report = find_or_create_report(kind=kind, fetched_before=timezone.now())
    transaction.on_commit(send_to_worker)
    return report


def request_refresh(*, movie_ids: Iterable[int]) -> SyncReport:
    """Create a sync that refreshes these movies, whatever the age of their data.

    Raises:
        TmdbNotConnected: There is no token.
        BackgroundJobsDisabled: There is no worker.
    """
    _check_can_fetch()
    report = _create_report(
        kind=SyncReport.Kind.FILMS, fetched_before=timezone.now(), movie_ids=sorted(movie_ids)
    )
    transaction.on_commit(send_to_worker)
    return report


def _check_can_fetch() -> None:
    client.check_token()
    if not settings.ENABLE_BACKGROUND_JOBS:
        raise BackgroundJobsDisabled("Only a worker can fetch from TMDb.")


def find_or_create_report(*, kind: str, fetched_before: datetime) -> SyncReport:
    """Return the unfinished report of this kind, or a new one."""
    unfinished = SyncReport.objects.filter(
        state__in=SyncReport.UNFINISHED, kind=kind, movie_ids=None
    )
    while True:
        if (report := unfinished.first()) is not None:
            return report
        try:
            with transaction.atomic():
                return _create_report(kind=kind, fetched_before=fetched_before)
        except IntegrityError as error:
            if broken_constraint(error) != SyncReport.ONE_UNFINISHED:
                raise  # otherwise another request created it at the same moment


def _create_report(
    *, kind: str, fetched_before: datetime, movie_ids: list[int] | None = None
) -> SyncReport:
    report = SyncReport.objects.create(
        kind=kind, fetched_before=fetched_before, movie_ids=movie_ids
    )
    record("create", "tmdb-sync", report.pk, after={"kind": kind, "movie_ids": movie_ids})
    return report


def send_to_worker() -> None:
    """Wake the worker now, instead of at the next scheduled time."""
    send_task("tmdb.resume_syncs")
