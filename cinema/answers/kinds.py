"""What an answer is that is kept: of a kind, to a question, as things stood when it was made."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from cinema.http import Document

#: Larger ones are made anew each time: some hostile pages could otherwise fill the cache.
MAX_BYTES = 128 * 1024
#: At the least an old answer stays for so long after its lifetime, to be served while one request
#: makes it anew.
GRACE_S = 60


@dataclass(frozen=True)
class Kind:
    """Answers that are kept in the same way.

    Attributes:
        lifetime_s: How long one holds if nothing is written meanwhile.
        places: How many of them the cache holds at the most. Questions share a place by their
            checksum, and the last one has it: whatever is asked, memory is bounded.
        patience_s: How long a request waits for another one that is making its answer, before it
            makes its own.
        is_revocable: Whether single ones can be revoked, which costs a look at the cache where
            memory alone would do.
    """

    name: str
    lifetime_s: Callable[[], int]
    places: int
    patience_s: float = 2.0
    is_revocable: bool = False

    @property
    def kept_s(self) -> int:
        """Old ones are served while one is made anew, and while Postgres is away."""
        return self.lifetime_s() + max(self.lifetime_s(), GRACE_S)

    def place(self, question: str) -> str:
        return f"answers:{self.name}:{zlib.crc32(question.encode()) % self.places}"

    def token(self, question: str) -> str:
        """The key of what changes when the answer is revoked."""
        digest = hashlib.blake2b(question.encode(), digest_size=12).hexdigest()
        return f"answers:revoked:{self.name}:{digest}"


@dataclass(frozen=True)
class Entry:
    """An answer with what it was made from.

    Attributes:
        label: The state of the data, such as the catalogue's version. It was read before the
            data: what has changed since makes the entry useless, and never the other way round.
        token: As the question's stood at that time; None: the cache was away, nobody could say.
        made_at: Unix seconds.
    """

    question: str
    label: str
    token: str | None
    made_at: float
    document: Document

    def is_of(self, label: str, token: str | None) -> bool:
        return token is not None and (self.label, self.token) == (label, token)

    def is_young(self, kind: Kind) -> bool:
        # Negative after the clock was set back: the entry would stay young for too long.
        return 0 <= time.time() - self.made_at < kind.lifetime_s()

    @property
    def size_bytes(self) -> int:
        return self.document.size_bytes + len(self.question)

    def pack(self) -> bytes:
        document = self.document
        head = [
            self.question,
            self.label,
            self.token,
            self.made_at,
            document.content_type,
            document.etag,
        ]
        return orjson.dumps(head) + b"\n" + document.body

    @classmethod
    def unpack(cls, packed: object, question: str) -> Entry | None:
        """The entry, if it is one and answers this question."""
        if not isinstance(packed, bytes):
            return None
        head, _, body = packed.partition(b"\n")
        try:
            asked, label, token, made_at, content_type, etag = orjson.loads(head)
        except (ValueError, TypeError):  # as another version of this program left it there
            return None
        if asked != question:
            return None
        return cls(question, label, token, made_at, Document(body, content_type, etag))
