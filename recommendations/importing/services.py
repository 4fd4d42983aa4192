from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO

from django.db import transaction
from django.utils import timezone

from cinema.locks import again_after_deadlock, hold_alone
from movies.answers import rating_changed
from recommendations.importing.matching import Film, Matching
from recommendations.importing.pending import PendingPlan
from recommendations.importing.planning import Plan, Statement
from recommendations.importing.reading import Upload, read
from recommendations.importing.reporting import Matched, report_of
from recommendations.importing.rows import Wanted
from recommendations.importing.schemas import Content, ViewerImportOut
from recommendations.importing.writing import (
    belongings_of,
    hold_movies,
    lock_name,
    watchlist_of,
    write,
)
from users.models import User


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
    plan, report = _carry_out(user, upload, films, matching)
    if plan.ratings:
        rating_changed(*plan.ratings)
    return report


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
) -> tuple[Plan, ViewerImportOut]:
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
    return plan, report_of(upload, matched, plan, pending, watchlist, dry_run=False)


def _movie_ids(films: Mapping[Wanted, Sequence[Film]]) -> list[int]:
    return sorted({film.pk for found in films.values() for film in found})


def _statements(matched: Matched) -> list[Statement]:
    return [
        Statement(row.place, matched.films[row.film][0].pk, said)
        for row in matched.certain
        for said in row.said
    ]
