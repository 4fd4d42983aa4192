"""Under which names it is counted in the cache: nobody can read off them whom they mean."""

from __future__ import annotations

import hashlib
import unicodedata
from contextlib import suppress

from django.conf import settings
from email_validator import EmailNotValidError, validate_email

from cinema.cache import shared
from cinema.schemas import CONTROLS

#: Longer texts are no addresses.
MAX_SPELLING = 600


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
    """One name for all spellings that sign in to one account, whether or not it exists.

    It applies what a payload's `Line` and `users.addresses` apply before an account is looked up:
    a spelling that finds the account and counts as another name would evade the limits.
    """
    text = CONTROLS.sub("", email)[:MAX_SPELLING].strip()
    with suppress(EmailNotValidError):
        text = validate_email(text, check_deliverability=False).normalized
    return unicodedata.normalize("NFKC", text).strip().casefold()
