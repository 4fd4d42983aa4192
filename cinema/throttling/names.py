"""Under which names it is counted in the cache: nobody can read off them whom they mean."""

from __future__ import annotations

import hashlib
import unicodedata

from django.conf import settings

from cinema.cache import shared


def hidden_name(kind: str, *who: str) -> str:
    """The key of a counter: a keyed hash, as addresses are few enough to try all.

    Args:
        who: An address, an account, or both.
    """
    key = hashlib.blake2b(settings.SECRET_KEY.encode(), person=b"cinema throttle").digest()
    told = hashlib.blake2b("\0".join(who).encode("utf-8", "replace"), key=key, digest_size=16)
    # The braces keep all of a counter on one server of a cluster.
    return shared().make_and_validate_key(f"throttling:{kind}:{{{told.hexdigest()}}}")


def account_of(email: str) -> str:
    """One name for all spellings of an e-mail address, whether or not an account has it."""
    return unicodedata.normalize("NFKC", email).strip().casefold()
