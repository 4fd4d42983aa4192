"""Impressions and clicks on their way to Postgres: a stream in Valkey.

A request adds an entry to it, and a task stores the entries every ten seconds. While Valkey is
away entries stay in this process, and are sent with the next ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast

import orjson
from redis.client import Pipeline
from redis.typing import EncodableT

from cinema.cache import shared

STREAM = "recommendations:impressions"
#: Entries of the stream, of about a kilobyte each. Beyond it the oldest are dropped.
MAX_WAITING = 50_000
#: Entries that a process holds while Valkey is away.
MAX_HELD = 1_000
#: With one request, so that held entries slow down no single one.
MAX_SENT = 100
BLOCK = 500

Kind = Literal["shown", "clicked"]
Fields = Mapping[bytes, bytes]
#: The type that redis-py takes; a dictionary's key type is invariant.
Message = dict[EncodableT, EncodableT]
Commands = Callable[[Pipeline], object]

_held: deque[Message] = deque(maxlen=MAX_HELD)


class StreamEntry(NamedTuple):
    """One batch that was shown, or one click.

    Attributes:
        text: JSON, as it was sent. Only Postgres parses and checks it.
    """

    id: bytes
    kind: bytes
    user_id: bytes
    text: bytes


def send(
    kind: Kind, *, user_id: int, entry: Mapping[str, object], beside: Commands | None = None
) -> list[Any] | None:
    """Add an entry, after those that could not be sent before.

    Args:
        beside: Adds commands that are sent in the same round trip.

    Returns:
        The results of the commands, the last one the id of the entry. None while Valkey is away:
        the entry is held.
    """
    message: Message = {"kind": kind.encode(), "user": user_id, "text": orjson.dumps(entry)}
    before = [*_taken()]
    results = _add([*before, message], beside)
    if results is None:
        _held.extendleft(reversed(before))
        _held.append(message)
    return results


def _taken() -> Iterator[Message]:
    """Take held entries one by one, as other threads take some at the same time."""
    for _ in range(MAX_SENT):
        try:
            yield _held.popleft()
        except IndexError:
            return


def _add(entries: Sequence[Message], beside: Commands | None = None) -> list[Any] | None:
    key = stream_key()

    def add(pipeline: Pipeline) -> None:
        if beside:
            beside(pipeline)
        for entry in entries:
            pipeline.xadd(key, entry, maxlen=MAX_WAITING, approximate=True)

    return shared().send(add)


def put_back(entries: Sequence[StreamEntry]) -> bool:
    """Add entries again, for a later attempt; returns whether that was possible."""
    again: list[Message] = [
        {"kind": entry.kind, "user": entry.user_id, "text": entry.text} for entry in entries
    ]
    return not again or _add(again) is not None


def blocks() -> Iterator[list[StreamEntry]]:
    """All present entries, the oldest first; later ones wait for the next call."""
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


def can_be_read() -> bool:
    """Whether Valkey answers. For a second after a failure this process takes it for away."""
    return shared().ask(lambda server: server.exists(stream_key())) is not None


def _entry(pk: bytes, fields: Fields) -> StreamEntry:
    return StreamEntry(pk, *(fields.get(name, b"") for name in (b"kind", b"user", b"text")))


def done(entries: Sequence[StreamEntry]) -> None:
    """Remove the entries from the stream."""
    key, ids = stream_key(), [entry.id for entry in entries]
    if ids:
        shared().ask(lambda server: server.xdel(key, *ids))


def of_viewer(user_id: int) -> Iterator[StreamEntry]:
    """A viewer's entries; this reads the whole stream, so it is for rare use."""
    wanted = str(user_id).encode()
    for block in blocks():
        yield from (entry for entry in block if entry.user_id == wanted)


def forget_viewer(user_id: int) -> None:
    done(list(of_viewer(user_id)))


def stream_key() -> str:
    return shared().make_and_validate_key(STREAM)


def forget_held() -> None:
    """Drop the entries of this process, for tests."""
    _held.clear()


class ShownItem(NamedTuple):
    """One movie of a list, as in `Impression`."""

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
    beside: Commands | None = None,
) -> None:
    """Send the impressions of a batch, or a part of it; of a repeated one the first counts."""
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "scope": scope,
        "release_id": release_id,
        "shown_at": shown_at,
        # The names would be half of the entry; `storage.py` knows the order.
        "items": [tuple(item) for item in items],
    }
    send("shown", user_id=user_id, entry=entry, beside=beside)


def films_key(user_id: int, list_id: str) -> str:
    """The key of a list's movies, which a click is checked by before the impressions are stored.

    It has the prefix of all keys of a viewer: `list_cache.keys_of`.
    """
    return f"recommendations:{user_id}:films:{list_id}"


class NotedClick(NamedTuple):
    """A click on its way to Postgres.

    Attributes:
        entry_id: None while Valkey is away.
        films: The ids of the list's movies, as JSON; None if they are not kept.
    """

    entry_id: bytes | None
    films: bytes | None


def note_click(*, user_id: int, list_id: str, movie_id: int, clicked_at: datetime) -> NotedClick:
    """Send a click, and read in the same round trip which movies the list has."""
    entry = {
        "list_id": list_id,
        "user_id": user_id,
        "movie_id": movie_id,
        "clicked_at": clicked_at,
    }
    films = shared().make_and_validate_key(films_key(user_id, list_id))
    results = send("clicked", user_id=user_id, entry=entry, beside=lambda given: given.get(films))
    return NotedClick(results[-1], results[0]) if results else NotedClick(None, None)


def withdraw_click(click: NotedClick) -> None:
    """Take back a click on a movie that the list does not have.

    One that is held stays: without an impression it counts for nothing.
    """
    if (entry_id := click.entry_id) is not None:
        shared().ask(lambda server: server.xdel(stream_key(), entry_id))
