"""What two films have in common, in a few words and from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from movies.catalogue import Snapshot
from movies.models import Movie
from recommendations.lists.reasons import in_words
from recommendations.usable import NOBODY, is_usable

#: By field how it is put; what says most goes first.
WORDS = {
    "directors": "also by",
    "protagonists": "also with",
    "keywords": "also about",
    "genres": "also",
}
#: So many are named.
NAMED = 2

#: By field the names, in the film's own order.
Makings = Mapping[str, Sequence[str]]


def in_common(pairs: Iterable[tuple[int, int]], snapshot: Snapshot) -> dict[tuple[int, int], str]:
    """By the ids of two films what they share, as "also with Anna Karina"; empty for nothing."""
    wanted = set(pairs)
    makings = _makings(snapshot)
    if missing := {pk for pair in wanted for pk in pair} - makings.keys():
        films = Movie.objects.filter(pk__in=missing).prefetch_related("genres")
        makings.update((film.pk, _of(film)) for film in films)
    return {(one, two): _shared(makings.get(one, {}), makings.get(two, {})) for one, two in wanted}


@lru_cache(maxsize=2)
def _makings(snapshot: Snapshot) -> dict[int, Makings]:
    """Of the films that were asked for while the snapshot stands."""
    return {}


def _of(film: Movie) -> Makings:
    """What TMDb filled in is left out, unless the settings allow it: their terms."""
    makings: Makings = {
        "directors": film.directors,
        "protagonists": [person for person in film.protagonists if person not in NOBODY],
        "keywords": film.keywords,
        "genres": [genre.name for genre in film.genres.all()],
    }
    return {field: of for field, of in makings.items() if is_usable(field, film.tmdb_fields)}


def _shared(one: Makings, two: Makings) -> str:
    for field, words in WORDS.items():
        if names := [name for name in one.get(field, ()) if name in two.get(field, ())]:
            return f"{words} {in_words(names[:NAMED])}"
    return ""
