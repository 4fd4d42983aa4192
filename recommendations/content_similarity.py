"""Films by what they are made of: the people in them, what they tell of, their genres."""

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
from recommendations.licence_filter import UNKNOWN_PEOPLE, is_licensed, licensed_films

CONTENT = "content"

#: By kind the weight of a making, squared: one person in common says as much as four genres.
KIND_WEIGHTS = {"person": 4.0, "keyword": 2.0, "genre": 1.0}
#: By kind the fields as `Movie.tmdb_fields` names them, each with its column.
FIELDS = {
    "person": {"protagonists": "protagonists", "directors": "directors"},
    "keyword": {"keywords": "keywords"},
    "genre": {"genres": "genre_ids"},
}
COLUMNS = ("protagonists", "directors", "keywords", "genre_ids", "tmdb_fields")
#: Of somebody's films, or a keyword's. The limit also keeps Postgres to the index of searches: it
#: took rare names for frequent ones, and went through all films in the order of their ratings.
MAX_FOUND = 1000
#: So many films are looked at that share people, keywords, all genres, all but one, or any.
CANDIDATES = 200
#: By so many of its people, keywords or genres a film finds others.
LOOKED_FOR = 20
#: So many are named in a reason.
MAX_NAMED = 3
WORDS = {"person": "Also with", "keyword": "Also about", "genre": "Same genre:"}

#: By kind names, or for genres ids; in the film's own order.
Content = Mapping[str, Sequence[str | int]]


def films_alike_by_content(movie: Movie, *, besides: Collection[int]) -> list[tuple[int, float]]:
    """Ids of published films and how much each is like the movie, above 0 to 1, the most first.

    The likeness is the cosine of the weighted makings. Of equals the one that more have rated
    comes first.
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
    """What the two have in common, in words; what says most comes first."""
    own, others = content_of(movie), content_of(film)
    shared = {kind: [one for one in others[kind] if one in own[kind]] for kind in KIND_WEIGHTS}
    shared["genre"] = [genre.name for genre in film.genres.all() if genre.pk in shared["genre"]]
    return [
        Reason(kind, f"{WORDS[kind]} {join_words([str(name) for name in names[:MAX_NAMED]])}")
        for kind, names in shared.items()
        if names
    ]


def weak_content_reasons(movie: Movie, film: Movie) -> list[Reason]:
    """Of two films that are alike by content, and share no maker, keyword or genre."""
    if _shares(movie, film, "release_year", lambda year: year // 10) and film.release_year:
        return [Reason("decade", f"Also of the {film.release_year // 10 * 10}s")]
    if _shares(movie, film, "original_language", primary_language):
        return [Reason("language", "In the same language")]
    return [Reason("story", "Told of in similar words")]


def _shares(movie: Movie, film: Movie, field: str, of: Callable[[Any], object]) -> bool:
    values = [getattr(one, field) for one in (movie, film) if is_licensed(field, one.tmdb_fields)]
    return len(values) == 2 and all(values) and of(values[0]) == of(values[1])


def _licensed_content(*columns: list[Any]) -> Content:
    """What a film may be compared by, of its COLUMNS."""
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
    """By the index of searches, which knows names less exactly than they are, and so finds more."""
    for kind, query in (
        ("person", queries.person_query(*map(str, own["person"][:LOOKED_FOR]))),
        ("keyword", queries.keyword_query(*map(str, own["keyword"][:LOOKED_FOR]))),
    ):
        if query:
            found = MovieSearch.objects.filter(matches_query(query)).values("pk")[:MAX_FOUND]
            yield from _best(kind, Q(pk__in=found))


def _sharing_genres(own: Content) -> Iterator[int]:
    """Those that share all, all but one, and any, as of the latter there can be too many."""
    genres = own["genre"][:LOOKED_FOR]
    for size in {len(genres), len(genres) - 1, 1} if genres else ():
        if size:
            each = (Q(genre_ids__contains=some) for some in combinations(genres, size))
            yield from _best("genre", reduce(or_, each))


def _best(kind: str, condition: Q) -> QuerySet[Movie, int]:
    """The ids of the best rated films that fulfil it, if what they have of the kind may be used."""
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
