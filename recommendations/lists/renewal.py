"""The worker's half of renewal: matches and lists for viewers who have acted."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import cast

from cinema.cache import shared
from movies import catalogue
from recommendations.lists import list_cache
from recommendations.lists.list_builder import ListQuery, build_lists
from recommendations.lists.list_cache import ListVersion, RecommendationList
from recommendations.matches.services import renew_matches
from users.models import User

RUN_AT_MOST_S = 20.0
#: Viewers at once; few, as the worker runs nothing else while their lists are computed.
BLOCK = 8


def renew_waiting() -> int:
    """Renew the lists of all viewers on the queue; returns how many viewers there were."""
    ends_at, n_viewers = time.monotonic() + RUN_AT_MOST_S, 0
    # Twice: a viewer who came after the last look and before SENT was deleted has sent no task.
    for _ in range(2):
        for block in _waiting():
            _renew(block)
            shared().set(list_cache.WORKED_AT, time.time(), list_cache.ASKED_KEPT_S)
            n_viewers += len(block)
            if time.monotonic() >= ends_at:
                shared().set(list_cache.SENT, 1, list_cache.SENT_KEPT_S)
                list_cache.send_renewal()
                return n_viewers
        shared().delete(list_cache.SENT)
    return n_viewers


def _waiting() -> Iterator[list[int]]:
    """Take viewers off the queue block by block, those who have waited longest first."""
    queue = shared().make_and_validate_key(list_cache.QUEUE)
    while taken := shared().ask(lambda server: server.zpopmin(queue, BLOCK)):
        yield [int(user_id) for user_id, _ in cast("list[tuple[bytes, float]]", taken)]


def _renew(user_ids: Sequence[int]) -> None:
    # Before the histories are read: a list can only be newer than its version.
    taste_versions, snapshot = _taste_versions(user_ids), catalogue.current().snapshot
    by_query: dict[ListQuery, dict[int, ListVersion]] = defaultdict(dict)
    for user_id, newest in list_cache.newest_lists(list(taste_versions)):
        if newest.taste_version != taste_versions[user_id]:
            context = list_cache.context_key(user_id, newest.query, snapshot)
            version = ListVersion(taste_versions[user_id], None, context, newest.limit)
            by_query[newest.query][user_id] = version
    for user_id in taste_versions:
        renew_matches(user_id=user_id)
    for query, versions in by_query.items():
        for built in build_lists(versions, query):
            version = versions[built.user_id]._replace(release=built.release_id)
            renewed = RecommendationList.of(query, version, built.items)
            list_cache.store_renewed(built.user_id, renewed)
    for user_id in user_ids:
        shared().delete(list_cache.asked_key(user_id))
    # The erasure of a viewer who left meanwhile may have missed the lists just stored.
    for user_id in taste_versions.keys() - _taste_versions(user_ids).keys():
        list_cache.forget(user_id)


def _taste_versions(user_ids: Sequence[int]) -> dict[int, int]:
    """The taste versions of open accounts by their ids."""
    active = User.objects.filter(pk__in=user_ids, is_active=True)
    return dict(active.values_list("pk", "taste_version"))
