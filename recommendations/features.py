"""What films are made of: from the catalogue to the features that algorithms read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from scipy.sparse import hstack

from movies.languages import primary
from movies.models import Genre, Movie
from movies.search.words import IS_UNSPACED, MAX_WORD_LENGTH, RUN, fold, lexemes_of
from recommendations.engine.ids import IdMap
from recommendations.engine.protocol import ItemFeatures
from recommendations.features_hash import feature_columns
from recommendations.gathering import Gathered
from recommendations.usable import NOBODY

#: A word of more than this share of the overviews says nothing, in whatever language. In a small
#: catalogue any word may be in most of them.
STOP_SHARE, STOP_LEAST = 0.1, 20
#: Of all words, those in the most overviews.
MAX_WORDS = 50_000
CHUNK = 2_000

WORD = re.compile(r"[^\W_]{2,}")


def load_features(items: IdMap) -> ItemFeatures:
    """What the films are made of, as far as it may be used, in two queries.

    `genre:drama`, `person:agnes varda`, `director:agnes varda`, `keyword:paris`, `decade:1960` and
    `language:fr` are 1; `word:singer` says how often the word stands in the overview. What one film
    alone has is left out. Names are folded, and in ascending order.
    """
    slugs = dict(Genre.objects.values_list("pk", "slug"))
    rows = {pk: row for row, pk in enumerate(items.ids.tolist())}
    named, told = Gathered(), Gathered()
    films = Movie.objects.published().order_by("pk").values_list("pk", *feature_columns())
    for pk, *fields, overview in films.iterator(CHUNK):
        if (row := rows.get(pk)) is not None:  # unless it came in since the ids were read
            named.add(row, dict.fromkeys(_names(slugs, *fields), 1))
            told.add(row, Counter(_words(overview or "")))
    stop = max(STOP_LEAST, int(STOP_SHARE * told.n_items))
    names, matrix = named.shared(len(items))
    words, counts = told.shared(len(items), by_at_most=stop, features=MAX_WORDS)
    both = hstack([matrix, counts], format="csr", dtype=np.float32)
    return ItemFeatures(both, (*names, *(f"word:{word}" for word in words)))


def _names(
    slugs: Mapping[int, str],
    genres: Iterable[int] | None,
    protagonists: Iterable[str] | None,
    directors: Iterable[str] | None,
    keywords: Iterable[str] | None,
    release_year: int | None,
    language: str | None,
) -> Iterator[str]:
    yield from (f"genre:{slugs[genre]}" for genre in genres or () if genre in slugs)
    people = (person for person in protagonists or () if person not in NOBODY)
    for kind, texts in (("person", people), ("director", directors), ("keyword", keywords)):
        yield from (f"{kind}:{name}" for text in texts or () if (name := _spelling(text)))
    if release_year:
        yield f"decade:{release_year // 10 * 10}"
    if language:
        yield f"language:{primary(language)}"


def _spelling(text: str) -> str:
    """Folded, with spaces for all that is neither letter nor digit; empty if all of it is that."""
    return " ".join(RUN.findall(fold(text)))


def _words(text: str) -> Iterator[str]:
    """Of two letters or more; where no spaces are set, any two neighbours."""
    folded = fold(text)
    if not IS_UNSPACED.search(folded):
        yield from (word[:MAX_WORD_LENGTH] for word in WORD.findall(folded))
        return
    for run in RUN.findall(folded):
        if len(run) > 1:
            yield from lexemes_of(run)
