"""Viewers to ask as."""

from __future__ import annotations

import random
from collections.abc import Sequence

from recommendations.models import Impression, Interaction
from recommendations.tasks import store_impressions
from users.models import User
from users.sessions import open_session
from users.tokens import issue_access_token


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
    """What was logged of lists, once all of it is in the table."""
    store_impressions()
    impressions = Impression.objects.all()
    clicks = impressions.exclude(clicked_at=None)
    return {"impressions": impressions.count(), "clicks": clicks.count()}
