from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from movies.models import Genre
from users.locking import again_if_deleted, lock_viewer
from users.models import Preferences, User
from users.preferences.errors import UnknownGenres
from users.preferences.selectors import StatedPreferences, get_preferences


@again_if_deleted
@transaction.atomic
def put_preferences(
    *, user: User, genres: Sequence[str], languages: Sequence[str], match_visible: bool
) -> StatedPreferences:
    """Replace all that the viewer has said; the same again writes nothing.

    Of several at once one comes last, and stands whole.

    Raises:
        UnknownGenres: Some of the slugs name no genre.
    """
    lock_viewer(user)
    wanted = _genres_of(genres)
    stated = StatedPreferences(tuple(wanted), tuple(languages), match_visible)
    if stated != get_preferences(user.pk):
        row, _ = Preferences.objects.update_or_create(
            user=user, defaults={"languages": list(languages), "match_visible": match_visible}
        )
        row.genres.set(wanted)
    return stated


def _genres_of(slugs: Sequence[str]) -> list[Genre]:
    found = list(Genre.objects.filter(slug__in=slugs).order_by("slug"))
    if unknown := sorted({*slugs} - {genre.slug for genre in found}):
        raise UnknownGenres(unknown)
    return found
