from __future__ import annotations

from uuid import UUID

from django.utils import timezone

from cinema.cache import shared
from recommendations.errors import NotRecommended
from recommendations.impressions.showing import films_key, note_click
from recommendations.models import Impression
from users.models import User


def record_click(*, user: User, list_id: UUID, movie_id: int) -> None:
    """Take note that the viewer opened a film of a list; of several times the first counts.

    Raises:
        NotRecommended: The viewer was given no such list, or the film is not in it.
    """
    if not _may_be_in(user, str(list_id), movie_id):
        raise NotRecommended(list_id, movie_id)
    note_click(user_id=user.pk, list_id=str(list_id), movie_id=movie_id, clicked_at=timezone.now())


def _may_be_in(user: User, list_id: str, movie_id: int) -> bool:
    """Whether the film is in the viewer's list. While the cache is away and the list is not stored
    yet nobody knows: then too, as the click counts only where there is an impression of it.
    """
    key = films_key(user.pk, list_id)
    found = shared().find([key])
    if found and isinstance(films := found[key], list):
        return movie_id in films
    shown = Impression.objects.filter(list_id=list_id, user=user)
    return shown.filter(movie_id=movie_id).exists() or (found is None and not shown.exists())
