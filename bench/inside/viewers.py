"""Viewers to ask as."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from django.contrib.auth.hashers import get_hasher, make_password
from django.db import connection

from recommendations.models import Impression, Interaction
from recommendations.tasks import store_impressions
from users.auth import token_user
from users.models import User
from users.sessions import open_session
from users.tokens import issue_access_token, read_access_token


def issue_tokens(*, at_most: int, seed: int = 1895) -> list[str]:
    """Access tokens of viewers drawn from those who have rated."""
    raters = Interaction.objects.order_by().values("user_id").distinct()
    ids = list(User.objects.filter(pk__in=raters, is_active=True).values_list("pk", flat=True))
    return _tokens(random.Random(seed).sample(sorted(ids), min(at_most, len(ids))))


def issue_tokens_to(*, count: int) -> list[str]:
    """Access tokens of so many viewers; who is missing joins, and has not done anything yet."""
    active = User.objects.filter(is_active=True).order_by("pk")
    missing = max(0, count - active.count())
    User.objects.bulk_create(User(email=f"crowd-{n}@example.org") for n in range(missing))
    return _tokens(list(active.values_list("pk", flat=True)[:count]))


def _tokens(ids: Sequence[int]) -> list[str]:
    return [issue_access_token(open_session(user=user)) for user in User.objects.filter(pk__in=ids)]


def count_stored() -> dict[str, int]:
    """Store all waiting impressions, and count impressions and clicks."""
    store_impressions()
    impressions = Impression.objects.all()
    clicks = impressions.exclude(clicked_at=None)
    return {"impressions": impressions.count(), "clicks": clicks.count()}


PASSWORD = "cleo from 5 to 7"  # noqa: S105 - of viewers who are made up


def open_accounts(*, viewers: int) -> dict[str, Any]:
    """The sign-ins and access tokens of viewers, and the parameters of their password's hash."""
    hashed = make_password(PASSWORD)  # one for all: to check it costs each as much
    users = User.objects.bulk_create(
        User(email=f"bench-{number}@example.org", password=hashed) for number in range(viewers)
    )
    parameters = get_hasher().safe_summary(hashed)
    return {
        "sign_ins": [{"email": user.email, "password": PASSWORD} for user in users],
        "tokens": [issue_access_token(open_session(user=user)) for user in users],
        "hash": ", ".join(
            f"{name} {parameters[name]}"
            for name in ("variety", "memory cost", "time cost", "parallelism")
        ),
    }


def verify_passwords(*, seconds: float, threads: int) -> float:
    """Bare checks of a hash a second, with so many threads: no sign-in can be faster."""
    hasher, hashed = get_hasher(), make_password(PASSWORD)
    ends_at = time.perf_counter() + seconds

    def verify() -> int:
        done = 0
        while time.perf_counter() < ends_at:
            assert hasher.verify(PASSWORD, hashed)
            done += 1
        return done

    began_at = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        checks = sum(pool.map(lambda _: verify(), range(threads)))
    return checks / (time.perf_counter() - began_at)


def check_tokens(*, rounds: int, checks: int = 2000) -> dict[str, list[float]]:
    """Median milliseconds of each round: signature and claims alone, and with the query."""
    user = User.objects.filter(sessions__isnull=False).earliest("pk")
    token = issue_access_token(open_session(user=user))
    assert token_user(token) == user
    connection.ensure_connection()
    cases = {
        "token": lambda: read_access_token(token),
        "token and session": lambda: token_user(token),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, check in cases.items():
            found[name].append(_median_ms_of(check, checks))
    return found


def _median_ms_of(check: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        began_at = time.perf_counter()
        assert check() is not None
        took.append(time.perf_counter() - began_at)
    return median(took) * 1000
