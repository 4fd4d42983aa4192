"""The import of a viewer's files from another service, and its report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import IO, Any

from django.db import transaction
from django.utils import timezone

from cinema.locks import hold_exclusive, retry_on_deadlock
from cinema.metrics.totals import count_rows
from movies.importing.matching import CatalogueFilm, FilmMatcher, WantedFilm
from recommendations.importing.formats import StatementKind
from recommendations.importing.pending import PendingPlan
from recommendations.importing.plan import ViewerPlan, hold_movies, lock_name
from recommendations.importing.schemas import (
    MAX_CANDIDATES,
    MAX_TOLD,
    AmbiguousRow,
    Candidate,
    Content,
    Counts,
    NotKeptColumns,
    ReadFile,
    UnknownRow,
    ViewerImportOut,
)
from recommendations.importing.statements import StatementRow
from recommendations.importing.uploads import Upload, read_upload
from users.models import User

#: Viewings with and without a day are reported together.
KINDS = {
    "ratings": {StatementKind.RATING},
    "viewings": {StatementKind.VIEWING, StatementKind.SEEN},
    "likes": {StatementKind.LIKE},
    "watchlist": {StatementKind.WATCHLIST},
}

Found = Mapping[WantedFilm, Sequence[CatalogueFilm]]


def import_file(
    *, user: User, file: IO[bytes], name: str, content: Content | None, dry_run: bool = False
) -> ViewerImportOut:
    """Import what a viewer has stored with another service.

    Args:
        name: The client's name of the file.
        content: The kind of the file, where neither its columns nor its name decide.
        dry_run: Report the outcome, and write nothing.

    Raises:
        FileRefused: The file is of no known service, is damaged, or is too large.
    """
    upload = read_upload(file, name, content, timezone.now())
    wanted = {row.film for row in upload.rows}
    matcher = FilmMatcher(wanted)
    found = {each: matcher.find(each) for each in wanted}
    report = _apply(user, upload, matcher, found, dry_run=dry_run)
    if not dry_run:
        counts = report.model_dump(include={"created", "updated", "unchanged"})
        waiting = {"waiting": report.kept_for_later, "refused": report.refused_count}
        count_rows("viewers", {**counts, **waiting})
    return report


@retry_on_deadlock
@transaction.atomic
def _apply(
    user: User, upload: Upload, matcher: FilmMatcher, found: Found, *, dry_run: bool
) -> ViewerImportOut:
    movie_ids = {film.pk for films in found.values() for film in films}
    if not dry_run:
        # The second of two concurrent uploads sees the result of the first.
        hold_exclusive(lock_name(user.pk))
        movie_ids = hold_movies(movie_ids)
        found = {
            wanted: [film for film in films if film.pk in movie_ids]
            for wanted, films in found.items()
        }
    plan = ViewerPlan(user, movie_ids)
    certain = (row for row in upload.rows if len(found[row.film]) == 1)
    plan.apply((row, found[row.film][0].pk) for row in certain)
    uncertain = [row for row in upload.rows if len(found[row.film]) != 1]
    pending = PendingPlan(user, uncertain, matcher)
    if not dry_run:
        plan.write()
        pending.write()
    return _report(upload, found, plan, pending, dry_run=dry_run)


def _report(
    upload: Upload, found: Found, plan: ViewerPlan, pending: PendingPlan, *, dry_run: bool
) -> ViewerImportOut:
    ambiguous = [row for row in upload.rows if len(found[row.film]) > 1]
    unknown = [row for row in upload.rows if not found[row.film]]
    refused = [*upload.refused, *plan.refused, *pending.refused]
    passed_over = [*upload.passed_over, *plan.passed_over]
    by_kind = {
        name: counts for name, kinds in KINDS.items() if (counts := _counts(plan, kinds)).is_any
    }
    has_list = plan.watchlist is not None and "watchlist" in by_kind
    return ViewerImportOut(
        dry_run=dry_run,
        files=[ReadFile(name=name, format=form.name) for name, form in upload.formats.items()],
        rows=upload.size,
        matched=len(upload.rows) - len(ambiguous) - len(unknown),
        **_counts(plan, set(StatementKind)).model_dump(),
        by_kind=by_kind,
        ambiguous_count=len(ambiguous),
        unknown_count=len(unknown),
        kept_for_later=pending.kept,
        refused_count=len(refused),
        passed_over_count=len(passed_over),
        not_films=upload.not_films,
        playlist_id=plan.watchlist.pk if plan.watchlist and has_list else None,
        ambiguous=[
            AmbiguousRow(**_unknown(row), candidates=_candidates(found[row.film]))
            for row in ambiguous[:MAX_TOLD]
        ],
        unknown=[UnknownRow(**_unknown(row)) for row in unknown[:MAX_TOLD]],
        refused=refused[:MAX_TOLD],
        passed_over=passed_over[:MAX_TOLD],
        skipped_file_count=len(upload.skipped),
        skipped_files=upload.skipped[:MAX_TOLD],
        not_kept=[
            NotKeptColumns(file=path, columns=columns)
            for path, columns in list(upload.not_kept.items())[:MAX_TOLD]
        ],
    )


def _counts(plan: ViewerPlan, kinds: Collection[StatementKind]) -> Counts:
    outcomes = ("created", "updated", "unchanged")
    return Counts(**{each: sum(plan.counts[kind, each] for kind in kinds) for each in outcomes})


def _unknown(row: StatementRow) -> dict[str, Any]:
    film = row.film
    return {"file": row.file, "row": row.number, "title": film.title, "year": film.year}


def _candidates(films: Sequence[CatalogueFilm]) -> list[Candidate]:
    shown = films[:MAX_CANDIDATES]
    return [Candidate(id=film.pk, name=film.name, year=film.year) for film in shown]
