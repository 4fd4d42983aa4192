"""New matches and lists for viewers who have acted, made before they ask again.

Whoever acts is put on a queue in Valkey, and one task for all of them is sent unless one is under
way. Nothing here must succeed: a viewer whom nobody has come round to within PATIENCE_S is made a
list by their own request; within BUSY_PATIENCE_S while the worker is at it for others, as a crowd
that made their own would keep everybody waiting.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import orjson
from redis import Redis

from cinema.cache import shared
from cinema.task_queue import send_task
from movies import catalogue
from recommendations.lists import list_cache
from recommendations.lists.list_builder import LIST_LENGTH, ListQuery, build_lists
from recommendations.lists.list_cache import CachedLists, ListVersion, RecommendationList
from recommendations.matches.services import renew_matches
from users.models import User

#: Viewers by when they acted.
QUEUE = "recommendations:renewing"
#: That a task is under way.
SENT = "recommendations:renewing_sent"
#: How long a list may be older than the viewer's last word.
PATIENCE_S = 3.0
BUSY_PATIENCE_S = 60.0
ASKED_KEPT_S = 60
#: Longer than a task runs. While a worker is away, one message is sent in so long.
SENT_KEPT_S = 40
RUN_AT_MOST_S = 20.0
QUEUE_KEPT_S = 3600
#: Of few viewers, as nothing else runs in the worker while they are computed.
BLOCK = 8


def is_under_way(found: CachedLists) -> bool:
    """Whether a new list may be expected within the patience."""
    if found.asked_at is None:
        return False
    now = time.time()
    is_busy = found.worked_at is not None and now - found.worked_at < PATIENCE_S
    return 0 <= now - found.asked_at < (BUSY_PATIENCE_S if is_busy else PATIENCE_S)


def request_renewal(user_id: int, *, is_patient: bool) -> None:
    """Have the viewer's lists made anew. It goes well whatever is away.

    Args:
        is_patient: Whether the next request may get the kept list without the film, until there
            is another one. Not when a word was taken back: the kept list lacks that film.
    """
    now = time.time()
    cache = shared()
    keys = (QUEUE, list_cache.asked_key(user_id), SENT)
    queue, asked, sent = map(cache.make_and_validate_key, keys)

    def run(server: Redis) -> bool:
        pipeline = server.pipeline(transaction=False)
        pipeline.zadd(queue, {str(user_id): now}, nx=True)
        pipeline.expire(queue, QUEUE_KEPT_S)
        if is_patient:
            # The first of several words counts, or a busy viewer would wait for ever.
            pipeline.set(asked, orjson.dumps(now), nx=True, ex=ASKED_KEPT_S)
        else:
            pipeline.delete(asked)
        pipeline.set(sent, orjson.dumps(now), nx=True, ex=SENT_KEPT_S)
        return bool(pipeline.execute()[-1])

    if cache.ask(run):
        send_task("recommendations.renew_lists", retry=False)


def forget_request(user_id: int) -> None:
    """Take the viewer off the queue."""
    queue = shared().make_and_validate_key(QUEUE)
    shared().ask(lambda server: server.zrem(queue, str(user_id)))


def renew_waiting() -> int:
    """Renew the lists of all who wait, and of who joins them meanwhile; of how many viewers."""
    ends_at, n_viewers = time.monotonic() + RUN_AT_MOST_S, 0
    # Twice: who came after the last look, and before it was said that nobody looks any more, has
    # sent no task.
    for _ in range(2):
        for block in _waiting():
            _renew(block)
            shared().set(list_cache.WORKED_AT, time.time(), ASKED_KEPT_S)
            n_viewers += len(block)
            if time.monotonic() >= ends_at:
                shared().set(SENT, 1, SENT_KEPT_S)
                send_task("recommendations.renew_lists", retry=False)
                return n_viewers
        shared().delete(SENT)
    return n_viewers


def _waiting() -> Iterator[list[int]]:
    """Block by block, who waits for longest first. Whoever is taken is on the queue no more."""
    queue = shared().make_and_validate_key(QUEUE)
    while taken := shared().ask(lambda server: server.zpopmin(queue, BLOCK)):
        yield [int(user_id) for user_id, _ in cast("list[tuple[bytes, float]]", taken)]


def _renew(user_ids: Sequence[int]) -> None:
    # Before the histories are read: a list can only be newer than it says.
    versions, snapshot = _taste_versions(user_ids), catalogue.current().snapshot
    by_question: dict[ListQuery, dict[int, ListVersion]] = defaultdict(dict)
    for user_id, kept in list_cache.newest_lists(list(versions)):
        if kept.taste_version != versions[user_id]:
            circumstances = list_cache.context_key(user_id, kept.question, snapshot)
            basis = ListVersion(versions[user_id], None, circumstances, kept.limit)
            by_question[kept.question][user_id] = basis
    for user_id in versions:
        renew_matches(user_id=user_id)
    for question, bases in by_question.items():
        _make(question, bases)
    for user_id in user_ids:
        shared().delete(list_cache.asked_key(user_id))
    # Who was erased while this was done: nobody else would look for what was just written.
    for user_id in versions.keys() - _taste_versions(user_ids).keys():
        list_cache.forget(user_id)


def _make(question: ListQuery, bases: Mapping[int, ListVersion]) -> None:
    for made in build_lists(bases, question, limit=LIST_LENGTH, with_reasons=True):
        basis = bases[made.user_id]._replace(release=made.release_id)
        list_cache.store_renewed(made.user_id, RecommendationList.of(question, basis, made.items))


def _taste_versions(user_ids: Sequence[int]) -> dict[int, int]:
    """Of those who have not left."""
    active = User.objects.filter(pk__in=user_ids, is_active=True)
    return dict(active.values_list("pk", "taste_version"))
