"""Lists for many viewers at once, such as for a letter to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from typing import NamedTuple

from movies import catalogue
from recommendations.data import load_histories
from recommendations.impressions.unopened import TimesShown, shown_unopened
from recommendations.lists.candidates import films_for
from recommendations.lists.choosing import Choice, Item, Question
from recommendations.lists.opinions import Models
from recommendations.loading import LoadedRelease, current_release
from users.models import User
from users.preferences.selectors import StatedPreferences, preferences_of

#: Viewers are asked for together; of a large catalogue fewer, so that their scores, of which the
#: models hold a few copies, stay within some 100 MB.
MOST_VIEWERS = 256
MOST_SCORES = 2_000_000
IDS_AT_ONCE = 10_000


class ViewerList(NamedTuple):
    user_id: int
    items: Sequence[Item]
    release_id: int | None


def lists_for(
    user_ids: Iterable[int], question: Question, *, limit: int, with_reasons: bool = False
) -> Iterator[ViewerList]:
    """The first `limit` items of the list that each would be given now, in the order of the ids.

    All are of one release and one version of the catalogue. They are not kept: whoever asks for
    the own list later gets one that knows what was said since.
    """
    release, snapshot = current_release(), catalogue.current().snapshot
    films = films_for(question.scope, question.days, snapshot, release)
    n_viewers = viewers_at_once(release)
    viewers = iter(user_ids)
    while block := list(islice(viewers, n_viewers)):
        models = Models(release, films, load_histories(block))
        stated = preferences_of(block)
        unopened = cache(partial(shown_unopened, block))
        for row, user_id in enumerate(block):
            get_stated = _always(stated.get(user_id, StatedPreferences()))
            get_unopened = partial(_of_viewer, unopened, user_id)
            choice = Choice(user_id, row, question, snapshot, models, get_stated, get_unopened)
            items = choice.items(limit=limit, with_reasons=with_reasons)
            yield ViewerList(user_id, items, release.id)


def viewers_at_once(release: LoadedRelease) -> int:
    return max(1, min(MOST_VIEWERS, MOST_SCORES // max(1, len(release.items))))


def _always(stated: StatedPreferences) -> Callable[[], StatedPreferences]:
    return lambda: stated


def _of_viewer(shown: Callable[[], TimesShown], user_id: int) -> Mapping[int, int]:
    return shown()[user_id]


def active_viewers() -> Iterator[int]:
    """Ids in ascending order, read bit by bit: whoever closes the account meanwhile is left out."""
    last = 0
    while True:
        others = User.objects.filter(is_active=True, pk__gt=last).order_by("pk")
        ids = list(others.values_list("pk", flat=True)[:IDS_AT_ONCE])
        yield from ids
        if len(ids) < IDS_AT_ONCE:
            return
        last = ids[-1]
