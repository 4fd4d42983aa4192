"""What films are made of: from the catalogue to the features that algorithms read."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from movies.languages import primary_language
from movies.models import Genre, Movie
from movies.search.text import IS_UNSPACED, MAX_WORD_LENGTH, RUN, fold, lexemes_of
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.licence_filter import UNKNOWN_PEOPLE, feature_columns

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
    named, told = FeatureBuilder(), FeatureBuilder()
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
    people = (person for person in protagonists or () if person not in UNKNOWN_PEOPLE)
    for kind, texts in (("person", people), ("director", directors), ("keyword", keywords)):
        yield from (f"{kind}:{name}" for text in texts or () if (name := _spelling(text)))
    if release_year:
        yield f"decade:{release_year // 10 * 10}"
    if language:
        yield f"language:{primary_language(language)}"


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


#: A feature of one item alone says nothing of any other.
LEAST_ITEMS = 2
#: Beyond so many features those that one item alone has had so far are forgotten, and counted anew
#: should they come again: Manku and Motwani (2002), "Approximate Frequency Counts over Data
#: Streams".
ROOM = 1_000_000


class FeatureBuilder:
    """Counts, of six bytes each.

    Attributes:
        n_items: How many items have any.
    """

    def __init__(self, *, room: int = ROOM) -> None:
        self.n_items = 0
        self._least_room = self._room = room
        self._columns = _numbered(())
        #: Of each entry its column and count; of each item its row and where its entries end.
        self._entries, self._counts = array("i"), array("H")
        self._rows, self._ends = array("i"), array("q")

    def add(self, row: int, counts: Mapping[str, int]) -> None:
        """The features of one more item; its row lies behind those before. Counts go to 65,535."""
        if not counts:
            return
        self.n_items += 1
        self._entries.extend(map(self._columns.__getitem__, counts))
        self._counts.extend(counts.values())
        self._rows.append(row)
        self._ends.append(len(self._entries))
        if len(self._columns) > self._room:
            self._forget_rare()

    def _forget_rare(self) -> None:
        is_shared = self._items_of_each() >= LEAST_ITEMS
        columns = np.where(is_shared, np.cumsum(is_shared) - 1, -1).astype(np.int32)
        entries, counts, ends = self._renumbered(columns)
        self._columns = _numbered(name for name, n in self._columns.items() if is_shared[n])
        self._entries, self._counts = array("i", entries.tobytes()), array("H", counts.tobytes())
        self._ends = array("q", ends.tobytes())
        # Where most are shared there is little to forget, and much to go through for it.
        self._room = max(self._least_room, 2 * len(self._columns))

    def shared(
        self, n_items: int, *, by_at_most: int | None = None, features: int | None = None
    ) -> tuple[list[str], csr_matrix]:
        """What several items have.

        Args:
            n_items: The rows of the matrix.
            by_at_most: Left out is what more items have.
            features: So many, those of the most items.

        Returns:
            The names in ascending order, and (n_items, n_features) float32 counts.
        """
        items_of = self._items_of_each()
        is_wanted = items_of >= LEAST_ITEMS
        if by_at_most is not None:
            is_wanted &= items_of <= by_at_most
        names = sorted(name for name, column in self._columns.items() if is_wanted[column])
        if features is not None and len(names) > features:
            names.sort(key=lambda name: -items_of[self._columns[name]])
            names = sorted(names[:features])
        return names, self._matrix(names, n_items)

    def _matrix(self, names: list[str], n_items: int) -> csr_matrix:
        columns = np.full(len(self._columns), -1, dtype=np.int32)
        places = np.fromiter((self._columns[name] for name in names), dtype=np.intp)
        columns[places] = np.arange(len(names))
        entries, counts, ends = self._renumbered(columns)
        starts = np.zeros(n_items + 1, dtype=np.int64)
        starts[np.array(self._rows, dtype=np.intp) + 1] = np.diff(ends, prepend=0)
        shape = n_items, len(names)
        matrix = csr_matrix((counts.astype(np.float32), entries, np.cumsum(starts)), shape=shape)
        matrix.sort_indices()
        return matrix

    def _renumbered(
        self, columns: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.uint16], NDArray[np.int64]]:
        """Entries, counts and ends with these columns for the present ones, without those of -1."""
        entries = columns[np.frombuffer(self._entries, dtype=np.int32)]
        is_kept = entries >= 0
        kept_before = np.append(0, np.cumsum(is_kept, dtype=np.int32))
        ends = kept_before[np.array(self._ends, dtype=np.int64)].astype(np.int64)
        return entries[is_kept], np.frombuffer(self._counts, dtype=np.uint16)[is_kept], ends

    def _items_of_each(self) -> NDArray[np.intp]:
        entries = np.frombuffer(self._entries, dtype=np.int32)
        return np.bincount(entries, minlength=len(self._columns))


def _numbered(names: Iterable[str]) -> defaultdict[str, int]:
    """Numbers from 0 for the names, and the next one for each name that is asked for."""
    columns: defaultdict[str, int] = defaultdict()
    columns.update((name, number) for number, name in enumerate(names))
    columns.default_factory = columns.__len__
    return columns
