"""Content similarity of films, by people, keywords and genres, computed in the request."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, combinations
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet

from movies.languages import primary_language
from movies.models import Movie, MovieSearch
from movies.search import queries
from movies.search.queries import matches_query
from movies.selectors import ORDERS
from recommendations.selectors import UNKNOWN_PEOPLE, is_licensed, licensed_films

CONTENT = "content"

#: The squared weight of a shared feature by kind: one person counts as much as four genres.
KIND_WEIGHTS = {"person": 4.0, "keyword": 2.0, "genre": 1.0}
#: The fields of `Movie.tmdb_fields` and their columns, by kind.
FIELDS = {
    "person": {"protagonists": "protagonists", "directors": "directors"},
    "keyword": {"keywords": "keywords"},
    "genre": {"genres": "genre_ids"},
}
COLUMNS = ("protagonists", "directors", "keywords", "genre_ids", "tmdb_fields")
#: Films that are found by a name. Without a limit Postgres took rare names for frequent ones, and
#: scanned all films in the order of their ratings instead of using the index.
MAX_FOUND = 1000
#: Films that are compared for each of: people, keywords, all genres, all genres but one, any genre.
CANDIDATES = 200
#: People, keywords or genres of a film that are looked up.
LOOKED_FOR = 20
#: Names in a reason.
MAX_NAMED = 3
WORDS = {"person": "Also with", "keyword": "Also about", "genre": "Same genre:"}

#: Names by kind, and ids of genres, in the film's own order.
Content = Mapping[str, Sequence[str | int]]


def films_alike_by_content(movie: Movie, *, besides: Collection[int]) -> list[tuple[int, float]]:
    """Find the ids of similar published films with their similarity, above 0 to 1, the best first.

    The similarity is the cosine of the weighted features. Films with more ratings win ties.
    """
    own = content_of(movie)
    found = {*_sharing_names(own), *_sharing_genres(own)} - {movie.pk, *besides}
    rows = Movie.objects.filter(pk__in=found).values_list("pk", "rating_count", *COLUMNS)
    alike = [(_cosine(own, _licensed_content(*columns)), count, pk) for pk, count, *columns in rows]
    alike.sort(key=lambda row: (-row[0], -row[1], row[2]))
    return [(pk, cosine) for cosine, _, pk in alike if cosine]


def content_of(movie: Movie) -> Content:
    return _licensed_content(*(getattr(movie, column) for column in COLUMNS))


def content_reasons(movie: Movie, film: Movie) -> list[Reason]:
    """Reasons from shared features, the strongest kind first."""
    own, others = content_of(movie), content_of(film)
    shared = {kind: [one for one in others[kind] if one in own[kind]] for kind in KIND_WEIGHTS}
    shared["genre"] = [genre.name for genre in film.genres.all() if genre.pk in shared["genre"]]
    return [
        Reason(kind, f"{WORDS[kind]} {join_words([str(name) for name in names[:MAX_NAMED]])}")
        for kind, names in shared.items()
        if names
    ]


def weak_content_reasons(movie: Movie, film: Movie) -> list[Reason]:
    """The reason for films of similar content without a shared person, keyword or genre."""
    if _shares(movie, film, "release_year", lambda year: year // 10) and film.release_year:
        return [Reason("decade", f"Also of the {film.release_year // 10 * 10}s")]
    if _shares(movie, film, "original_language", primary_language):
        return [Reason("language", "In the same language")]
    return [Reason("story", "Told of in similar words")]


def _shares(movie: Movie, film: Movie, field: str, of: Callable[[Any], object]) -> bool:
    values = [getattr(one, field) for one in (movie, film) if is_licensed(field, one.tmdb_fields)]
    return len(values) == 2 and all(values) and of(values[0]) == of(values[1])


def _licensed_content(*columns: list[Any]) -> Content:
    """The content that models may read, from the values of COLUMNS."""
    of = dict(zip(COLUMNS, columns, strict=True))
    found = {
        kind: chain.from_iterable(
            of[column] for field, column in fields.items() if is_licensed(field, of["tmdb_fields"])
        )
        for kind, fields in FIELDS.items()
    }
    return {
        kind: [one for one in dict.fromkeys(some) if one not in UNKNOWN_PEOPLE]
        for kind, some in found.items()
    }


def _sharing_names(own: Content) -> Iterator[int]:
    """Ids of films that share a name, by the search index, which ignores spelling differences."""
    for kind, query in (
        ("person", queries.person_query(*map(str, own["person"][:LOOKED_FOR]))),
        ("keyword", queries.keyword_query(*map(str, own["keyword"][:LOOKED_FOR]))),
    ):
        if query:
            found = MovieSearch.objects.filter(matches_query(query)).values("pk")[:MAX_FOUND]
            yield from _best(kind, Q(pk__in=found))


def _sharing_genres(own: Content) -> Iterator[int]:
    """Ids of films that share all genres, all but one, and any: too many share any genre."""
    genres = own["genre"][:LOOKED_FOR]
    for size in {len(genres), len(genres) - 1, 1} if genres else ():
        if size:
            each = (Q(genre_ids__contains=some) for some in combinations(genres, size))
            yield from _best("genre", reduce(or_, each))


def _best(kind: str, condition: Q) -> QuerySet[Movie, int]:
    """Ids of the best rated films that meet the condition and have content of the kind to read."""
    has_any = reduce(
        or_, (licensed_films(field) & ~Q(**{column: []}) for field, column in FIELDS[kind].items())
    )
    films = Movie.objects.published().filter(condition, has_any).order_by(*ORDERS["-rating"])
    return films.values_list("pk", flat=True)[:CANDIDATES]


def _cosine(one: Content, other: Content) -> float:
    shared = sum(KIND_WEIGHTS[kind] * len({*one[kind]} & {*other[kind]}) for kind in KIND_WEIGHTS)
    return shared / math.sqrt(_size(one) * _size(other)) if shared else 0.0


def _size(of: Content) -> float:
    return sum(KIND_WEIGHTS[kind] * len({*of[kind]}) for kind in KIND_WEIGHTS)


@dataclass(frozen=True)
class Reason:
    kind: str
    text: str
    movie_id: int | None = None


def join_words(names: Sequence[str]) -> str:
    """Such as "Drama, Music and War"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
