"""The films of a viewer's history by name, for reasons."""

from __future__ import annotations

from collections.abc import Iterable

from movies.catalogue import Snapshot
from recommendations.lists.opinions import Past
from recommendations.lists.reasons import Reason
from recommendations.loading import LoadedRelease
from recommendations.weighing import Evidence, weight_table


class Names:
    """Of entries of the history of one viewer, (1, n_items) each."""

    def __init__(
        self, past: Past, release: LoadedRelease, snapshot: Snapshot, entries: Iterable[int]
    ) -> None:
        self._past = past
        ids = release.items.ids[past.weights.indices]
        movie_ids = {entry: int(ids[entry]) for entry in entries}
        cards = snapshot.cards(movie_ids.values())
        #: What is not published any more is not named.
        self.movie_ids = {entry: pk for entry, pk in movie_ids.items() if pk in cards}
        self._names = {entry: cards[pk].name for entry, pk in self.movie_ids.items()}

    def because(self, entry: int, shared: str = "") -> Reason:
        """Who has seen a movie and said no more need not have liked it."""
        name, kind = self._names[entry], int(self._past.kinds.data[entry])
        if kind == Evidence.CHECK_IN:
            called, text = "watched", f"Because you watched {name} here"
        elif kind == Evidence.FAVOURITE:
            called, text = "favourite", f"Because {name} is a favourite of yours"
        elif self._past.weights.data[entry] > weight_table()[Evidence.SEEN, 0]:
            called, text = "liked", f"Because you liked {name}"
        else:
            called, text = "seen", f"Because you saw {name}"
        return Reason(called, f"{text}: {shared}" if shared else text, self.movie_ids[entry])

    def like(self, entry: int, shared: str) -> Reason:
        """That it has something of a film is so whatever has brought it here."""
        text = f"{shared[0].upper()}{shared[1:]}, like {self._names[entry]}"
        return Reason("shared", text, self.movie_ids[entry])
