"""All viewers held against each other, once a night."""

from __future__ import annotations

import logging

import numpy as np
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from cinema.locks import again_after_deadlock
from recommendations.data import load_dataset
from recommendations.engine.ids import IdMap
from recommendations.engine.matching import Sums, deviations
from recommendations.engine.pairing import SUMS, Pairs, alike
from recommendations.matches.measuring import MOST_NEIGHBOURS, current_rule
from recommendations.matches.writing import Rows, replace_all
from users.models import Preferences, User

log = logging.getLogger(__name__)

#: Viewers whose rows are written in one transaction: each sees all of one night or of the other.
PORTION = 2000
#: Of a portion with viewers who leave meanwhile.
ATTEMPTS = 3
LAST_ID = 2**63 - 1


def match_all() -> int:
    """Find everybody's neighbours anew; returns how many rows there are.

    Who has acted since the data were read keeps the rows that stand: `services.renew_matches` has
    brought them up to date, or will.
    """
    versions = _taste_versions()
    dataset = load_dataset()
    users, interactions = dataset.users, dataset.interactions
    del dataset
    agreed = Preferences.objects.filter(match_visible=True).values_list("pk", flat=True)
    preferred = np.isin(users.ids, np.fromiter(agreed, dtype=np.int64))
    rule = current_rule()
    pairs = alike(deviations(interactions), rule, at_most=MOST_NEIGHBOURS, preferred=preferred)
    for start in range(0, max(1, len(users)), PORTION):
        _write_portion(pairs, users, start, versions)
    return len(pairs)


def _write_portion(pairs: Pairs, users: IdMap, start: int, versions: dict[int, int]) -> None:
    """The rows of so many viewers from the `start`-th on; of ids between theirs, none stay."""
    stop = start + PORTION
    first = int(users.ids[start]) if start else 0
    last = int(users.ids[stop]) - 1 if stop < len(users) else LAST_ID
    here = slice(*np.searchsorted(pairs["user"], [start, stop]))
    rows = _rows(pairs[here], users.ids)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _replace(rows, first, last, versions)
        except IntegrityError:  # an account was closed before the commit
            if attempt == ATTEMPTS:
                raise
        else:
            return


@again_after_deadlock
@transaction.atomic
def _replace(rows: Rows, first: int, last: int, versions: dict[int, int]) -> None:
    acted = [pk for pk, version in _taste_versions().items() if versions.get(pk) != version]
    with connection.cursor() as cursor:
        replace_all(cursor, rows, first=first, last=last, besides=acted, now=timezone.now())


def _taste_versions() -> dict[int, int]:
    return dict(User.objects.filter(is_active=True).values_list("pk", "taste_version"))


def _rows(pairs: Pairs, ids: NDArray[np.int64]) -> Rows:
    return Rows(
        ids[pairs["user"]],
        ids[pairs["other"]],
        pairs["similarity"].astype(np.float64),
        Sums(*(pairs[name] for name in SUMS)),
    )
