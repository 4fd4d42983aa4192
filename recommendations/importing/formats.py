"""The files that Letterboxd, IMDb and Trakt let their users take home, told by their columns.

Where the columns come from stands in `docs/accounts.md`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class Deed(StrEnum):
    """What a row says that the viewer did with the film."""

    RATED = "ratings"
    #: On a day, or at a moment.
    WATCHED = "viewings"
    #: Some time or other.
    SEEN = "seen"
    LIKED = "likes"
    LISTED = "watchlist"


@dataclass(frozen=True)
class Reading:
    """Which columns say it.

    Attributes:
        at: When.
        value: How the film is rated; an empty cell: not at all.
        half_stars: What one is worth of which the value counts.
    """

    deed: Deed
    at: str
    value: str = ""
    half_stars: int = 0
    #: Whether a row may leave it out.
    is_optional: bool = False


@dataclass(frozen=True)
class Format:
    """One kind of file. Columns are named as `column` makes them.

    Attributes:
        stems: How the file is called where the columns leave open which one it is.
    """

    name: str
    needs: frozenset[str]
    readings: tuple[Reading, ...]
    title: str = "title"
    stems: frozenset[str] = frozenset()


LETTERBOXD_RATINGS = Format(
    "letterboxd-ratings",
    frozenset({"date", "name", "letterboxduri", "rating"}),
    (Reading(Deed.RATED, "date", "rating", half_stars=2),),
    title="name",
)
#: Its rating is the one of that day; `ratings.csv` has the one that counts.
LETTERBOXD_DIARY = Format(
    "letterboxd-diary",
    frozenset({"date", "name", "letterboxduri", "watcheddate"}),
    (
        Reading(Deed.WATCHED, "watcheddate", is_optional=True),
        Reading(Deed.RATED, "date", "rating", half_stars=2),
    ),
    title="name",
)
LETTERBOXD_PLAIN = frozenset({"date", "name", "letterboxduri"})
#: Three files of one and the same header.
LETTERBOXD_WATCHED, LETTERBOXD_WATCHLIST, LETTERBOXD_LIKES = (
    Format(name, LETTERBOXD_PLAIN, (Reading(deed, "date"),), title="name", stems=frozenset(stems))
    for name, deed, stems in (
        ("letterboxd-watched", Deed.SEEN, {"watched"}),
        ("letterboxd-watchlist", Deed.LISTED, {"watchlist"}),
        ("letterboxd-likes", Deed.LIKED, {"likes", "films"}),
    )
)
#: In the order in which they are tried: a diary has all columns of the ratings, and these all of
#: what was watched.
FORMATS = (
    LETTERBOXD_DIARY,
    LETTERBOXD_RATINGS,
    LETTERBOXD_WATCHED,
    LETTERBOXD_WATCHLIST,
    LETTERBOXD_LIKES,
    # What Letterboxd takes in, and what tools make of other services' data for it.
    Format(
        "letterboxd-import",
        frozenset({"title", "watcheddate"}),
        (
            Reading(Deed.WATCHED, "watcheddate", is_optional=True),
            Reading(Deed.RATED, "watcheddate", "rating10", half_stars=1),
            Reading(Deed.RATED, "watcheddate", "rating", half_stars=2),
        ),
    ),
    Format(
        "imdb-list",
        frozenset({"position", "const", "created", "title"}),
        (
            Reading(Deed.LISTED, "created"),
            Reading(Deed.RATED, "daterated", "yourrating", half_stars=1),
        ),
    ),
    Format(
        "imdb-ratings",
        frozenset({"const", "yourrating", "daterated", "title"}),
        (Reading(Deed.RATED, "daterated", "yourrating", half_stars=1),),
    ),
    Format(
        "trakt-ratings",
        frozenset({"ratedat", "rating", "title"}),
        (Reading(Deed.RATED, "ratedat", "rating", half_stars=1),),
    ),
    Format(
        "trakt-history", frozenset({"watchedat", "title"}), (Reading(Deed.WATCHED, "watchedat"),)
    ),
    Format(
        "trakt-watched",
        frozenset({"lastwatchedat", "title"}),
        (Reading(Deed.WATCHED, "lastwatchedat"),),
    ),
    Format(
        "trakt-watchlist", frozenset({"listedat", "title"}), (Reading(Deed.LISTED, "listedat"),)
    ),
)  # fmt: skip


def column(text: str) -> str:
    """`Your Rating` and `your_rating` are yourrating."""
    return re.sub(r"[\W_]+", "", text).lower()


def formats_of(columns: Collection[str], stem: str) -> list[Format]:
    """What a file with this header can be; several only where neither header nor name decides.

    Args:
        stem: Of the file's name.
    """
    found = [each for each in FORMATS if each.needs.issubset(columns)]
    if not found or found[0].needs != LETTERBOXD_PLAIN:
        return found[:1]
    alike = [each for each in found if each.needs == LETTERBOXD_PLAIN]
    return [each for each in alike if stem in each.stems] or alike
