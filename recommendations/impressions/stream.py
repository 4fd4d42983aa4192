"""What viewers were shown and opened, on its way to Postgres: a stream in Valkey.

A request adds one entry to it, and a task moves the entries on every ten seconds. While Valkey is
away entries stay in this process, and go with the next ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, cast

import orjson
from redis import Redis
from redis.typing import EncodableT

from cinema.cache import shared

STREAM = "recommendations:impressions"
#: If nobody moves them on, the oldest entries go: about a kilobyte each.
MOST_WAITING = 50_000
#: In this process, while Valkey is away.
MOST_HELD = 1_000
#: With one request; so those that were held back make no single one slow.
MOST_SENT = 100
BLOCK = 500

Kind = Literal["shown", "clicked"]
Fields = Mapping[bytes, bytes]
#: As redis-py takes it; a dictionary's type of keys must be the very same.
Message = dict[EncodableT, EncodableT]

_held: deque[Message] = deque(maxlen=MOST_HELD)


class StreamEntry(NamedTuple):
    """One batch that was shown, or one click.

    Attributes:
        text: JSON, as it was sent. Only Postgres looks whether it makes sense.
    """

    id: bytes
    kind: bytes
    user_id: bytes
    text: bytes


def send(kind: Kind, *, user_id: int, entry: Mapping[str, object]) -> None:
    """Add an entry, after those that could not be sent before."""
    _held.append({"kind": kind.encode(), "user": user_id, "text": orjson.dumps(entry)})
    entries = [*_taken()]
    if not _add(entries):
        _held.extendleft(reversed(entries))


def _taken() -> Iterator[Message]:
    """One by one, as other threads take theirs at the same time."""
    for _ in range(MOST_SENT):
        try:
            yield _held.popleft()
        except IndexError:
            return


def _add(entries: Sequence[Message]) -> bool:
    key = stream_key()

    def run(server: Redis) -> bool:
        pipeline = server.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(key, entry, maxlen=MOST_WAITING, approximate=True)
        pipeline.execute()
        return True

    return bool(shared().ask(run))


def put_back(entries: Sequence[StreamEntry]) -> bool:
    """Add entries once more, to be looked at again later; whether that was possible."""
    again: list[Message] = [
        {"kind": entry.kind, "user": entry.user_id, "text": entry.text} for entry in entries
    ]
    return not again or _add(again)


def blocks() -> Iterator[list[StreamEntry]]:
    """What waits now, the oldest first; what comes meanwhile is left for the next time."""
    key = stream_key()
    newest = shared().ask(lambda server: server.xrevrange(key, count=1))
    if not newest:
        return
    [(last, _)] = cast("list[tuple[bytes, Fields]]", newest)
    start: bytes = b"-"
    while found := shared().ask(lambda server: server.xrange(key, start, last, BLOCK)):  # noqa: B023
        rows = cast("list[tuple[bytes, Fields]]", found)
        yield [_entry(pk, fields) for pk, fields in rows]
        start = b"(" + rows[-1][0]


def _entry(pk: bytes, fields: Fields) -> StreamEntry:
    return StreamEntry(pk, *(fields.get(name, b"") for name in (b"kind", b"user", b"text")))


def done(entries: Sequence[StreamEntry]) -> None:
    """Take them out of the stream."""
    key, ids = stream_key(), [entry.id for entry in entries]
    if ids:
        shared().ask(lambda server: server.xdel(key, *ids))


def of_viewer(user_id: int) -> Iterator[StreamEntry]:
    """All that waits of a viewer; it walks through the whole stream, for what is done rarely."""
    wanted = str(user_id).encode()
    for block in blocks():
        yield from (entry for entry in block if entry.user_id == wanted)


def forget_viewer(user_id: int) -> None:
    done(list(of_viewer(user_id)))


def stream_key() -> str:
    return shared().make_and_validate_key(STREAM)


def forget_held() -> None:
    """Of this process alone."""
    _held.clear()


@dataclass(frozen=True)
class ShownItem:
    """One film in a list, as in `Impression`."""

    position: int
    movie_id: int
    algorithm: str
    source: str
    is_fallback: bool
    experiment_id: int | None = None
    team: str = ""


def note_shown(
    *,
    user_id: int,
    list_id: str,
    scope: str,
    release_id: int | None,
    shown_at: datetime,
    items: Sequence[ShownItem],
) -> None:
    """Take note of a batch, or a part of it. Of what is noted twice the first counts."""
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "scope": scope,
        "release_id": release_id,
        "shown_at": shown_at,
        # Without names, which would be half of it; `storing.py` knows the order.
        "items": [
            [
                shown.position,
                shown.movie_id,
                shown.algorithm,
                shown.source,
                shown.is_fallback,
                shown.experiment_id,
                shown.team,
            ]
            for shown in items
        ],
    }
    send("shown", user_id=user_id, entry=entry)


def films_key(user_id: int, list_id: str) -> str:
    """Where the cache has the films of a list: what a click is looked up in before its list is
    stored. Begins as all that is cached for a viewer: `lists.keeping.keys_of`.
    """
    return f"recommendations:{user_id}:films:{list_id}"


def note_click(*, user_id: int, list_id: str, movie_id: int, clicked_at: datetime) -> None:
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "movie_id": movie_id,
        "clicked_at": clicked_at,
    }
    send("clicked", user_id=user_id, entry=entry)
