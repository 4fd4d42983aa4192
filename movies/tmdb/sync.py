"""Carries syncs out: one of a kind at a time, in pieces, each going on where the last one ended.

What is done is in the rows themselves (`fetched_at`, `tmdb_fetched_at`) and in the report's
`cursor`: a crash costs no more than one film's place in the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from django.conf import settings
from django.db import DataError, IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from cinema.errors import ApiError
from movies.models import Movie
from movies.tmdb import client, selectors, services
from movies.tmdb.client import IN_BACKGROUND, PATHS, Client
from movies.tmdb.errors import TmdbBusy, TmdbNotConnected, TmdbRefused
from movies.tmdb.models import SyncReport
from movies.tmdb.services import Changes

log = logging.getLogger(__name__)

Kind, State = SyncReport.Kind, SyncReport.State

#: A piece ends after so long, well below the time limit of a task, and the next one goes on.
PIECE_S = 120.0
#: Finished films are refreshed in the last sixth of the time that their data may stand, so that a
#: month of nights can fail before anything is erased.
LAST_PART = 1 / 6
MAX_ATTEMPTS = 5
PROBLEMS_KEPT = 50
REPORTS_KEPT_FOR = timedelta(days=30)

#: With these, the next film would fare no better.
HOPELESS = (TmdbNotConnected, TmdbRefused, TmdbBusy)


def is_connected() -> bool:
    try:
        client.check_token()
    except TmdbNotConnected:
        return False
    return True


def begin(kind: str) -> None:
    """What the clock asks for. Where nothing can be or is to be fetched, what is too old goes."""
    fetched_before = timezone.now() - services.FRESH_FOR
    if is_connected() and (kind != Kind.FILMS or _films_due(fetched_before).exists()):
        services.find_or_create_report(kind=kind, fetched_before=fetched_before)
    elif kind == Kind.FILMS and (erased := services.erase_old()):
        log.info("%d rows of TMDb's data erased, being too old", erased)


def start_missing_syncs() -> None:
    """The first lists and genres: their turn by the clock may be a week away."""
    if is_connected():
        known = set(SyncReport.objects.values_list("kind", flat=True).distinct())
        for kind in {Kind.LISTS, Kind.GENRES} - known:
            begin(kind)


def carry_out(report: SyncReport) -> bool:
    """Work on the report for a piece of time; returns whether more is left to do.

    The caller holds the lock of the kind.
    """
    if report.attempts >= MAX_ATTEMPTS:
        _finish(report, State.FAILED, f"Begun {report.attempts} times and never brought to an end.")
        return False
    report.state, report.attempts = State.RUNNING, report.attempts + 1
    report.started_at = report.started_at or timezone.now()
    report.save()
    try:
        is_done = _WORK[Kind(report.kind)](report, client.connect(IN_BACKGROUND))
    except HOPELESS as error:
        _finish(report, State.FAILED, error.detail)
        return False
    if is_done:
        _finish(report, State.DONE)
    else:
        report.attempts = 0
        report.save()
    return not is_done


def _sync_films(report: SyncReport, tmdb: Client) -> bool:
    ends = monotonic() + PIECE_S
    due = _films_due(report.fetched_before, report.movie_ids)
    while (movie := due.filter(pk__gt=report.cursor).first()) is not None:
        if monotonic() > ends:
            return False
        _sync_film(report, movie, tmdb)
        report.cursor = movie.pk
        report.save()
    return True


def _films_due(fetched_before: datetime, movie_ids: list[int] | None = None) -> QuerySet[Movie]:
    expiring = timezone.now() - timedelta(days=settings.TMDB_MAX_AGE_DAYS * (1 - LAST_PART))
    return selectors.movies_to_refresh(
        fetched_before=fetched_before, expiring=expiring, movie_ids=movie_ids
    )


def _sync_film(report: SyncReport, movie: Movie, tmdb: Client) -> None:
    try:
        fetched = services.details_of(movie.tmdb_id or 0, tmdb, newer_than=report.fetched_before)
        report.fetched += 1
        is_changed = services.refresh_movie(movie_id=movie.pk, fetched=fetched)
    except HOPELESS:
        raise
    except (ApiError, DataError, IntegrityError) as error:  # of this film alone
        reason = error.detail if isinstance(error, ApiError) else "It could not be stored."
        log.warning("movie %d cannot be refreshed: %s", movie.pk, error)
        report.failed += 1
        _note(report, f"Movie {movie.pk}, {movie.name}: {reason}")
    else:
        report.updated += is_changed
        report.unchanged += not is_changed


def _sync_lists(report: SyncReport, tmdb: Client) -> bool:
    for name in PATHS:
        _sync_rows(report, f"List {name}", partial(services.fetch_list, name, tmdb))
    return True


def _sync_genres(report: SyncReport, tmdb: Client) -> bool:
    _sync_rows(report, "Genres", partial(services.fetch_genres, tmdb))
    return True


def _sync_rows(report: SyncReport, what: str, fetch: Callable[[], Changes]) -> None:
    try:
        changes = fetch()
    except HOPELESS:
        raise
    except ApiError as error:
        report.failed += 1
        _note(report, f"{what}: {error.detail}")
        return
    for name, count in asdict(changes).items():
        setattr(report, name, getattr(report, name) + count)


def _finish(report: SyncReport, state: str, problem: str = "") -> None:
    if problem:
        _note(report, problem)
    if report.kind == Kind.FILMS:
        report.erased += services.erase_old()
    report.state, report.finished_at = state, timezone.now()
    report.save()
    old = SyncReport.objects.filter(created_at__lt=timezone.now() - REPORTS_KEPT_FOR)
    old.exclude(pk=report.pk).exclude(state__in=SyncReport.UNFINISHED).delete()
    log.log(
        logging.INFO if state == State.DONE else logging.WARNING,
        "TMDb, %s: %s; fetched %d, updated %d, failed %d, erased %d",
        *(report.kind, state, report.fetched, report.updated, report.failed, report.erased),
    )


def _note(report: SyncReport, problem: str) -> None:
    if len(report.problems) < PROBLEMS_KEPT:
        report.problems.append(problem)
    elif len(report.problems) == PROBLEMS_KEPT:
        report.problems.append("… and more.")


_WORK: dict[SyncReport.Kind, Callable[[SyncReport, Client], bool]] = {
    Kind.FILMS: _sync_films,
    Kind.LISTS: _sync_lists,
    Kind.GENRES: _sync_genres,
}
