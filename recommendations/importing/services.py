"""The import of a viewer's files from another service, and its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import IO

from django.db import transaction
from django.utils import timezone

from cinema.locks import hold_exclusive, retry_on_deadlock
from movies.importing.matching import CatalogueFilm, FilmMatcher, WantedFilm
from movies.importing.tables import RefusedRow
from recommendations.importing.formats import StatementKind
from recommendations.importing.pending import PendingPlan
from recommendations.importing.plan import (
    BelongingsPlan,
    MatchedStatement,
    belongings_of,
    hold_movies,
    lock_name,
    watchlist_of,
    write_plan,
)
from recommendations.importing.schemas import (
    MAX_CANDIDATES,
    MAX_TOLD,
    AmbiguousRow,
    Candidate,
    Content,
    Counts,
    NotKeptColumns,
    ReadFile,
    RefusedFileRow,
    SkippedFile,
    UnknownRow,
    ViewerImportOut,
)
from recommendations.importing.statements import StatementRow
from recommendations.importing.uploads import Upload, read_upload
from users.models import Playlist, User

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
    return _apply(user, upload, matcher, found, dry_run=dry_run)


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
    certain = [row for row in upload.rows if len(found[row.film]) == 1]
    uncertain = [row for row in upload.rows if len(found[row.film]) != 1]
    watchlist = watchlist_of(user)
    plan = BelongingsPlan(belongings_of(user, movie_ids, watchlist), timezone.now())
    plan.apply(
        MatchedStatement(row.file, row.number, found[row.film][0].pk, statement)
        for row in certain
        for statement in row.statements
    )
    pending = PendingPlan(user, uncertain, matcher)
    if not dry_run:
        watchlist = write_plan(user, plan) or watchlist
        pending.write()
    return _report(upload, found, plan, pending, watchlist, dry_run=dry_run)


def _report(
    upload: Upload,
    found: Found,
    plan: BelongingsPlan,
    pending: PendingPlan,
    watchlist: Playlist | None,
    *,
    dry_run: bool,
) -> ViewerImportOut:
    ambiguous = [row for row in upload.rows if len(found[row.film]) > 1]
    unknown = [row for row in upload.rows if not found[row.film]]
    refused = [*upload.refused, *plan.refused, *pending.refused]
    passed_over = [*upload.passed_over, *plan.passed_over]
    total = _counts(plan, set(StatementKind))
    by_kind = {kind: _counts(plan, kinds) for kind, kinds in KINDS.items()}
    return ViewerImportOut(
        dry_run=dry_run,
        files=[ReadFile(name=name, format=form.name) for name, form in upload.formats.items()],
        rows=upload.size,
        matched=len(upload.rows) - len(ambiguous) - len(unknown),
        created=total.created,
        updated=total.updated,
        unchanged=total.unchanged,
        by_kind={kind: counts for kind, counts in by_kind.items() if _is_any(counts)},
        ambiguous_count=len(ambiguous),
        unknown_count=len(unknown),
        kept_for_later=pending.kept,
        refused_count=len(refused),
        passed_over_count=len(passed_over),
        not_films=upload.not_films,
        playlist_id=watchlist.pk if watchlist and _is_any(by_kind["watchlist"]) else None,
        ambiguous=[_ambiguous(row, found[row.film]) for row in ambiguous[:MAX_TOLD]],
        unknown=[_unknown(row) for row in unknown[:MAX_TOLD]],
        refused=[_refused(each) for each in refused[:MAX_TOLD]],
        passed_over=[_refused(each) for each in passed_over[:MAX_TOLD]],
        skipped_file_count=len(upload.skipped),
        skipped_files=[
            SkippedFile(name=each.path, reason=each.reason) for each in upload.skipped[:MAX_TOLD]
        ],
        not_kept=[
            NotKeptColumns(file=path, columns=columns)
            for path, columns in list(upload.not_kept.items())[:MAX_TOLD]
        ],
    )


def _counts(plan: BelongingsPlan, kinds: Collection[StatementKind]) -> Counts:
    count: Counter[str] = Counter()
    for (kind, outcome), number in plan.counts.items():
        if kind in kinds:
            count[outcome] += number
    return Counts(created=count["created"], updated=count["updated"], unchanged=count["unchanged"])


def _is_any(counts: Counts) -> bool:
    return bool(counts.created or counts.updated or counts.unchanged)


def _unknown(row: StatementRow) -> UnknownRow:
    return UnknownRow(file=row.file, row=row.number, title=row.film.title, year=row.film.year)


def _ambiguous(row: StatementRow, films: Sequence[CatalogueFilm]) -> AmbiguousRow:
    candidates = [
        Candidate(id=film.pk, name=film.name, year=film.year) for film in films[:MAX_CANDIDATES]
    ]
    return AmbiguousRow(**_unknown(row).model_dump(), candidates=candidates)


def _refused(each: RefusedRow) -> RefusedFileRow:
    return RefusedFileRow(file=each.file, row=each.number, reason=each.reason)
