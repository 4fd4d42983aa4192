"""Builds the item features of the algorithms from the catalogue."""

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
from recommendations.selectors import UNKNOWN_PEOPLE, feature_columns

#: Words in more than this share of the overviews, and in more than this number, are stop words.
STOP_SHARE, STOP_LEAST = 0.1, 20
#: The words in the most overviews are kept.
MAX_WORDS = 50_000
#: Rows that are fetched at once.
CHUNK = 2_000
#: A feature of a single item says nothing about other items.
MIN_ITEMS = 2
#: Beyond this number of features, those of a single item so far are dropped, and counted from 0 if
#: they occur again: Manku and Motwani (2002), "Approximate Frequency Counts over Data Streams".
ROOM = 1_000_000

WORD = re.compile(r"[^\W_]{2,}")


def load_features(items: IdMap) -> ItemFeatures:
    """Load the features that models may read, in two queries.

    `genre:drama`, `person:agnes varda`, `director:agnes varda`, `keyword:paris`, `decade:1960` and
    `language:fr` are 1; `word:singer` is the number of occurrences in the overview. Features of a
    single film are left out. Names are case-folded and ascending.
    """
    slugs = dict(Genre.objects.values_list("pk", "slug"))
    rows = {pk: row for row, pk in enumerate(items.ids.tolist())}
    named, worded = FeatureBuilder(), FeatureBuilder()
    films = Movie.objects.published().order_by("pk").values_list("pk", *feature_columns())
    for pk, *fields, overview in films.iterator(CHUNK):
        if (row := rows.get(pk)) is not None:  # None for a film that is newer than `items`
            named.add(row, dict.fromkeys(_names(slugs, *fields), 1))
            worded.add(row, Counter(_words(overview or "")))
    stop = max(STOP_LEAST, int(STOP_SHARE * worded.n_items))
    names, matrix = named.shared(len(items))
    words, counts = worded.shared(len(items), by_at_most=stop, features=MAX_WORDS)
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
    """The case-folded letters and digits, with single spaces in between."""
    return " ".join(RUN.findall(fold(text)))


def _words(text: str) -> Iterator[str]:
    """Words of two letters or more; pairs of letters in scripts without spaces."""
    folded = fold(text)
    if not IS_UNSPACED.search(folded):
        yield from (word[:MAX_WORD_LENGTH] for word in WORD.findall(folded))
        return
    for run in RUN.findall(folded):
        if len(run) > 1:
            yield from lexemes_of(run)


class FeatureBuilder:
    """Counts the features of items, added one by one, in bounded memory: six bytes for each count.

    Attributes:
        n_items: Number of items with features.
    """

    def __init__(self, *, room: int = ROOM) -> None:
        self.n_items = 0
        self._least_room = self._room = room
        self._columns = _numbered(())
        #: The column and count of each entry; the row of each item and the end of its entries.
        self._entries, self._counts = array("i"), array("H")
        self._rows, self._ends = array("i"), array("q")

    def add(self, row: int, counts: Mapping[str, int]) -> None:
        """Add an item; rows must ascend, and counts are at most 65,535."""
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
        is_shared = self._items_of_each() >= MIN_ITEMS
        columns = np.where(is_shared, np.cumsum(is_shared) - 1, -1).astype(np.int32)
        entries, counts, ends = self._renumbered(columns)
        self._columns = _numbered(name for name, n in self._columns.items() if is_shared[n])
        self._entries, self._counts = array("i", entries.tobytes()), array("H", counts.tobytes())
        self._ends = array("q", ends.tobytes())
        # If most features are shared, there is little to drop and much to search.
        self._room = max(self._least_room, 2 * len(self._columns))

    def shared(
        self, n_items: int, *, by_at_most: int | None = None, features: int | None = None
    ) -> tuple[list[str], csr_matrix]:
        """The features that at least MIN_ITEMS items have.

        Args:
            n_items: Number of rows of the matrix.
            by_at_most: Leave out features of more items.
            features: Keep at most this number of features, those of the most items.

        Returns:
            The ascending names, and (n_items, n_features) float32 counts.
        """
        items_of = self._items_of_each()
        is_wanted = items_of >= MIN_ITEMS
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
        """Map the columns of the entries; drop entries whose new column is -1."""
        entries = columns[np.frombuffer(self._entries, dtype=np.int32)]
        is_kept = entries >= 0
        kept_before = np.append(0, np.cumsum(is_kept, dtype=np.int32))
        ends = kept_before[np.array(self._ends, dtype=np.int64)].astype(np.int64)
        return entries[is_kept], np.frombuffer(self._counts, dtype=np.uint16)[is_kept], ends

    def _items_of_each(self) -> NDArray[np.intp]:
        entries = np.frombuffer(self._entries, dtype=np.int32)
        return np.bincount(entries, minlength=len(self._columns))


def _numbered(names: Iterable[str]) -> defaultdict[str, int]:
    """Number the names from 0; a new name that is looked up gets the next number."""
    columns: defaultdict[str, int] = defaultdict()
    columns.update((name, number) for number, name in enumerate(names))
    columns.default_factory = columns.__len__
    return columns
