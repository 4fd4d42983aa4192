"""Viewers to ask as."""

from __future__ import annotations

import random

from recommendations.models import Interaction
from users.models import User
from users.sessions.services import open_session
from users.sessions.tokens import issue_access_token


def issue_tokens(*, at_most: int, seed: int = 1895) -> list[str]:
    """Access tokens of viewers drawn from those who have rated."""
    raters = Interaction.objects.order_by().values("user_id").distinct()
    ids = list(User.objects.filter(pk__in=raters, is_active=True).values_list("pk", flat=True))
    drawn = random.Random(seed).sample(sorted(ids), min(at_most, len(ids)))
    return [
        issue_access_token(open_session(user=user)) for user in User.objects.filter(pk__in=drawn)
    ]
