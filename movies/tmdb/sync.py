"""Syncs: one of a kind at a time, in pieces that each continue where the last one ended.

The progress is in the rows themselves (`fetched_at`, `tmdb_fetched_at`) and in the report's
`cursor`: a crash costs at most one film in the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from time import monotonic

from django.db import DataError, IntegrityError
from django.utils import timezone

from cinema.errors import ApiError
from movies.models import Movie
from movies.tmdb import client, selectors, services
from movies.tmdb.client import IN_BACKGROUND, PATHS, Client
from movies.tmdb.errors import TmdbAway, TmdbBusy, TmdbNotConnected, TmdbRefused
from movies.tmdb.models import SyncReport

log = logging.getLogger(__name__)

Kind, State = SyncReport.Kind, SyncReport.State

#: The length of a piece: well below the time limit of a task.
PIECE_S = 120.0
MAX_ATTEMPTS = 5
#: The run ends after this number of films in a row for which TMDb is away.
MAX_AWAY_IN_A_ROW = 3
PROBLEMS_KEPT = 50
REPORTS_KEPT_FOR = timedelta(days=30)

#: Errors after which the next film would fail too.
FATAL = (TmdbNotConnected, TmdbRefused, TmdbBusy)


def begin(kind: str) -> None:
    """Create the scheduled sync, or erase old data where there is nothing to fetch."""
    fetched_before = timezone.now() - services.FRESH_FOR
    if client.is_connected() and (
        kind != Kind.FILMS or selectors.movies_to_refresh(fetched_before, None).exists()
    ):
        services.find_or_create_report(kind=kind, fetched_before=fetched_before)
    elif kind == Kind.FILMS and (erased := services.erase_old()):
        log.info("%d rows of TMDb's data erased, being too old", erased)


def start_missing_syncs() -> None:
    """Create the first syncs of lists and genres: their scheduled time may be a week away."""
    if client.is_connected():
        known = set(SyncReport.objects.values_list("kind", flat=True).distinct())
        for kind in {Kind.LISTS, Kind.GENRES} - known:
            begin(kind)


def carry_out(report: SyncReport) -> bool:
    """Work on the report for one piece; returns whether more is left to do.

    The caller holds the lock of the kind.
    """
    if report.attempts >= MAX_ATTEMPTS:
        _finish(report, State.FAILED, f"Begun {report.attempts} times and never brought to an end.")
        return False
    report.state, report.attempts = State.RUNNING, report.attempts + 1
    report.started_at = report.started_at or timezone.now()
    report.save()
    try:
        work = _sync_films if report.kind == Kind.FILMS else _sync_rows
        is_done = work(report, client.connect(IN_BACKGROUND))
    except FATAL as error:
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
    away_in_a_row = 0
    due = selectors.movies_to_refresh(report.fetched_before, report.movie_ids)
    while (movie := due.filter(pk__gt=report.cursor).first()) is not None:
        if monotonic() > ends:
            return False
        away_in_a_row = 0 if _sync_film(report, movie, tmdb) else away_in_a_row + 1
        report.cursor = movie.pk
        report.save()
        if away_in_a_row == MAX_AWAY_IN_A_ROW:
            raise TmdbBusy(f"failed for {away_in_a_row} films in a row and is left alone")
    return True


def _sync_film(report: SyncReport, movie: Movie, tmdb: Client) -> bool:
    """Refresh one film; returns whether TMDb answered."""
    try:
        fetched = services.details_of(movie.tmdb_id or 0, tmdb, newer_than=report.fetched_before)
        report.fetched += 1
        is_changed = services.refresh_movie(movie_id=movie.pk, fetched=fetched)
    except FATAL:
        raise
    except (ApiError, DataError, IntegrityError) as error:
        reason = error.detail if isinstance(error, ApiError) else "It could not be stored."
        log.warning("movie %d cannot be refreshed: %s", movie.pk, error)
        report.failed += 1
        _note(report, f"Movie {movie.pk}, {movie.name}: {reason}")
        return not isinstance(error, TmdbAway)
    report.updated += is_changed
    report.unchanged += not is_changed
    return True


def _sync_rows(report: SyncReport, tmdb: Client) -> bool:
    """Fetch the lists, or the genres; one that fails stops no other."""
    fetches: dict[str, Callable[[Client], dict[str, int]]] = {"Genres": services.fetch_genres}
    if report.kind == Kind.LISTS:
        fetches = {f"List {name}": partial(services.fetch_list, name) for name in PATHS}
    for subject, fetch in fetches.items():
        try:
            changes = fetch(tmdb)
        except FATAL:
            raise
        except ApiError as error:
            report.failed += 1
            _note(report, f"{subject}: {error.detail}")
            continue
        for name, count in changes.items():
            setattr(report, name, getattr(report, name) + count)
    return True


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
