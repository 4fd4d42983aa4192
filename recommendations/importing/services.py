"""What is told of an import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from django.db import transaction
from django.utils import timezone

from cinema.locks import again_after_deadlock, hold_alone
from recommendations.importing.formats import Deed
from recommendations.importing.matching import Film, Matching
from recommendations.importing.pending import PendingPlan
from recommendations.importing.plan import (
    Plan,
    Statement,
    belongings_of,
    hold_movies,
    lock_name,
    watchlist_of,
    write,
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
from recommendations.importing.statements import Refused, Row, Wanted
from recommendations.importing.uploads import Upload, read
from users.models import Playlist, User


def import_file(
    *, user: User, file: IO[bytes], name: str, content: Content | None, dry_run: bool = False
) -> ViewerImportOut:
    """Take over what a viewer has kept with another service.

    Args:
        name: As the client calls the file.
        content: What it is, where neither its columns nor its name say so.
        dry_run: Only report what would become of it.

    Raises:
        FileRefused: It is no file of a service that is known, is damaged, or is too large.
    """
    upload = read(file, name, content, timezone.now())
    wanted = {row.film for row in upload.rows}
    matching = Matching(wanted)
    films = {each: matching.find(each) for each in wanted}
    if dry_run:
        return _imagine(user, upload, films, matching)
    return _carry_out(user, upload, films, matching)


def _imagine(
    user: User, upload: Upload, films: Mapping[Wanted, Sequence[Film]], matching: Matching
) -> ViewerImportOut:
    matched = Matched(films, upload.rows)
    watchlist = watchlist_of(user)
    plan = Plan(belongings_of(user, _movie_ids(films), watchlist), timezone.now())
    plan.take(_statements(matched))
    pending = PendingPlan(user, matched.uncertain, matching)
    return report_of(upload, matched, plan, pending, watchlist, dry_run=True)


@again_after_deadlock
@transaction.atomic
def _carry_out(
    user: User, upload: Upload, films: Mapping[Wanted, Sequence[Film]], matching: Matching
) -> ViewerImportOut:
    # Of two uploads at once the second one finds what the first has left.
    hold_alone(lock_name(user.pk))
    movie_ids = hold_movies(_movie_ids(films))
    published = {
        wanted: [film for film in found if film.pk in movie_ids] for wanted, found in films.items()
    }
    matched = Matched(published, upload.rows)
    watchlist = watchlist_of(user)
    plan = Plan(belongings_of(user, movie_ids, watchlist), timezone.now())
    plan.take(_statements(matched))
    pending = PendingPlan(user, matched.uncertain, matching)
    watchlist = write(user, plan) or watchlist
    pending.write()
    return report_of(upload, matched, plan, pending, watchlist, dry_run=False)


def _movie_ids(films: Mapping[Wanted, Sequence[Film]]) -> list[int]:
    return sorted({film.pk for found in films.values() for film in found})


def _statements(matched: Matched) -> list[Statement]:
    return [
        Statement(row.place, matched.films[row.film][0].pk, said)
        for row in matched.certain
        for said in row.said
    ]


#: Under one name: a viewing, with a day or without.
KINDS = {
    "ratings": {Deed.RATED},
    "viewings": {Deed.WATCHED, Deed.SEEN},
    "likes": {Deed.LIKED},
    "watchlist": {Deed.LISTED},
}


@dataclass(frozen=True)
class Matched:
    """Rows, and what was found for them."""

    films: Mapping[Wanted, Sequence[Film]]
    rows: Sequence[Row]

    @property
    def certain(self) -> list[Row]:
        return [row for row in self.rows if len(self.films[row.film]) == 1]

    @property
    def ambiguous(self) -> list[Row]:
        return [row for row in self.rows if len(self.films[row.film]) > 1]

    @property
    def uncertain(self) -> list[Row]:
        """Rows without a film, in the file's order."""
        return [row for row in self.rows if len(self.films[row.film]) != 1]

    @property
    def unknown(self) -> list[Row]:
        return [row for row in self.rows if not self.films[row.film]]


def report_of(
    upload: Upload,
    matched: Matched,
    plan: Plan,
    pending: PendingPlan,
    watchlist: Playlist | None,
    *,
    dry_run: bool,
) -> ViewerImportOut:
    ambiguous, unknown = matched.ambiguous, matched.unknown
    refused = [*upload.refused, *plan.refused, *pending.refused]
    passed_over = [*upload.passed_over, *plan.passed_over]
    total = _counts(plan, set(Deed))
    by_kind = {kind: _counts(plan, deeds) for kind, deeds in KINDS.items()}
    return ViewerImportOut(
        dry_run=dry_run,
        files=[ReadFile(name=name, format=form.name) for name, form in upload.formats.items()],
        rows=upload.size,
        matched=len(matched.certain),
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
        ambiguous=[_ambiguous(row, matched.films[row.film]) for row in ambiguous[:MAX_TOLD]],
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


def _counts(plan: Plan, deeds: Collection[Deed]) -> Counts:
    count: Counter[str] = Counter()
    for (deed, outcome), number in plan.counts.items():
        if deed in deeds:
            count[outcome] += number
    return Counts(created=count["created"], updated=count["updated"], unchanged=count["unchanged"])


def _is_any(counts: Counts) -> bool:
    return bool(counts.created or counts.updated or counts.unchanged)


def _unknown(row: Row) -> UnknownRow:
    place, film = row.place, row.film
    return UnknownRow(file=place.file, row=place.row, title=film.title, year=film.year)


def _ambiguous(row: Row, films: Sequence[Film]) -> AmbiguousRow:
    candidates = [
        Candidate(id=film.pk, name=film.name, year=film.year) for film in films[:MAX_CANDIDATES]
    ]
    return AmbiguousRow(**_unknown(row).model_dump(), candidates=candidates)


def _refused(each: Refused) -> RefusedFileRow:
    return RefusedFileRow(file=each.place.file, row=each.place.row, reason=each.reason)
