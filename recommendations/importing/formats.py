"""The files that film services let their users take home, told apart by their columns.

`docs/accounts.md` names the sources of the column names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

SERVICES = "Letterboxd, IMDb, Trakt, SIMKL, TMDb, Movary or MovieLens"


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
        at: The column with the date; an empty cell, or no column, is a statement without a date.
        value: How the film is rated; an empty cell: not at all.
        half_stars: What one is worth of which the value counts.
        rounds: Whether the service rates in finer steps than half stars.
        statuses: The row says it only with one of these words in the format's `status` column.
    """

    deed: Deed
    at: str = ""
    value: str = ""
    half_stars: int = 0
    rounds: bool = False
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Format:
    """One kind of file. Columns are named as `column` makes them.

    Attributes:
        needs: Columns that the file must have.
        any_of: Of each of these sets the file must have a column.
        without: Columns by which the file is another service's.
        words: One of them must be in the file's name, where others have the same columns. A format
            without words is the one that the columns mean if the name says nothing.
        status: The column that decides between readings.
        title_has_year: As in “Toy Story (1995)”.
        checks_scale: A rating above the scale shows that the whole file is another service's.
        facts: Columns that are about the film in this format, and the viewer's own in others.
        is_any_list: The service's other lists have the same columns as its watchlist.
    """

    name: str
    needs: frozenset[str]
    readings: tuple[Reading, ...]
    title: str = "title"
    any_of: tuple[frozenset[str], ...] = ()
    without: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    status: str = ""
    title_has_year: bool = False
    checks_scale: bool = False
    facts: frozenset[str] = frozenset()
    is_any_list: bool = False

    @property
    def service(self) -> str:
        return self.name.partition("-")[0]

    @property
    def used(self) -> frozenset[str]:
        """The columns that are read, or about the film."""
        of_readings = {name for each in self.readings for name in (each.at, each.value)}
        return frozenset({self.title, self.status, *of_readings} | IDENTIFYING | self.facts)

    @property
    def statuses(self) -> frozenset[str]:
        """The words in the `status` column that say something, and the empty one."""
        return frozenset({""}).union(*(each.statuses for each in self.readings))

    def fits(self, columns: Collection[str]) -> bool:
        return (
            self.needs.issubset(columns)
            and self.without.isdisjoint(columns)
            and not any(names.isdisjoint(columns) for names in self.any_of)
        )


#: Columns that tell which film is meant, in every format.
IDENTIFYING = frozenset({
    "originaltitle", "year", "releasedate", "tmdbid", "tmdb", "imdbid", "imdb", "const", "type",
    "titletype",
})  # fmt: skip
#: Columns about the film, the account or the file. What else has content, and is not read, is the
#: viewer's own, and the report names it.
FACTS = frozenset({
    "action", "addedtowatchlistat", "animetype", "averagerating", "created", "directors",
    "episodeid", "genres", "id", "imdbrating", "lastupdatedat", "letterboxduri", "malid",
    "modified", "movieid", "notairedepisodescount", "numvotes", "poster", "position", "rank",
    "released", "resetat", "runtime", "runtimemins", "simklid", "slug", "totalepisodescount",
    "traktid", "traktrating", "tvdb", "tvdbid", "url", "watchedepisodescount",
})  # fmt: skip
#: Columns that Letterboxd's own form for imports does not have, and other services' files do.
OF_OTHERS = frozenset({
    "addedat", "averagerating", "collectedat", "const", "daterated", "lastwatchedat", "listedat",
    "movieid", "position", "ratedat", "simklid", "status", "traktid", "type", "userrating",
    "watchedat", "watchlist", "yourrating",
})  # fmt: skip
WATCHED_WORDS = frozenset({"watched"})
WATCHLIST_WORDS = frozenset({"watchlist"})
#: Letterboxd calls the file `likes/films.csv`.
FILMS = "films"
LIKES_WORDS = frozenset({"likes", "liked"})
FAVOURITES_WORDS = frozenset({"favorites", "favourites", "likes", "liked"})


def _columns(*names: str) -> frozenset[str]:
    return frozenset(names)


def _by_name(
    stem: str,
    needs: frozenset[str],
    at: str = "",
    likes_words: frozenset[str] = LIKES_WORDS,
    **more: frozenset[str] | str,
) -> tuple[Format, ...]:
    """Three formats with the same columns, told apart by the file's name."""
    return tuple(
        Format(f"{stem}-{name}", needs, (Reading(deed, at),), words=words, **more)  # type: ignore[arg-type]
        for name, deed, words in (
            ("watched", Deed.SEEN, WATCHED_WORDS),
            ("watchlist", Deed.LISTED, WATCHLIST_WORDS),
            ("likes", Deed.LIKED, likes_words),
        )
    )


LETTERBOXD = _columns("date", "name", "letterboxduri")
#: Its rating is the one of that day; `ratings.csv` has the one that counts.
DIARY_READINGS = (
    Reading(Deed.WATCHED, "watcheddate"),
    Reading(Deed.RATED, "date", "rating", half_stars=2),
)
LETTERBOXD_RATINGS = Format(
    "letterboxd-ratings",
    LETTERBOXD | {"rating"},
    (Reading(Deed.RATED, "date", "rating", half_stars=2),),
    title="name",
    without=_columns("watcheddate"),
)
LETTERBOXD_DIARY = Format(
    "letterboxd-diary", LETTERBOXD | {"watcheddate"}, DIARY_READINGS, title="name"
)
#: The entries of the diary that have a text.
LETTERBOXD_REVIEWS = Format(
    "letterboxd-reviews", LETTERBOXD_DIARY.needs | {"review"}, DIARY_READINGS, title="name"
)
LETTERBOXD_FORMATS = (
    LETTERBOXD_DIARY,
    LETTERBOXD_REVIEWS,
    LETTERBOXD_RATINGS,
    *_by_name("letterboxd", LETTERBOXD, "date", LIKES_WORDS | {FILMS}, title="name"),
    # What Letterboxd takes in, and what tools make of other services' data for it.
    Format(
        "letterboxd-import",
        frozenset(),
        (
            Reading(Deed.WATCHED, "watcheddate"),
            Reading(Deed.RATED, "watcheddate", "rating10", half_stars=1),
            Reading(Deed.RATED, "watcheddate", "rating", half_stars=2),
        ),
        any_of=(_columns("title", "tmdbid"), _columns("watcheddate", "rating10", "rating")),
        without=OF_OTHERS,
        checks_scale=True,
    ),
    *_by_name(
        "letterboxd-import",
        _columns("title", "year"),
        without=OF_OTHERS | {"watcheddate", "rating10", "rating"},
    ),
)

IMDB_LIST = _columns("position", "const", "created", "title")
IMDB_RATED = Reading(Deed.RATED, "daterated", "yourrating", half_stars=1)
IMDB_FORMATS = (
    Format(
        "imdb-list",
        IMDB_LIST,
        (Reading(Deed.LISTED, "created"), IMDB_RATED),
        is_any_list=True,
    ),
    # Since 2024 the list of one's ratings has the columns of any other list.
    Format("imdb-ratings", IMDB_LIST, (IMDB_RATED,), words=_columns("ratings")),
    Format(
        "imdb-ratings",
        _columns("const", "yourrating", "daterated", "title"),
        (IMDB_RATED,),
        without=_columns("position"),
    ),
)

TRAKT_LIST = _columns("listedat", "title")
TRAKT_FORMATS = (
    Format(
        "trakt-ratings",
        _columns("ratedat", "rating", "title"),
        (Reading(Deed.RATED, "ratedat", "rating", half_stars=1),),
    ),
    Format(
        "trakt-history",
        _columns("watchedat", "title", "type"),
        (Reading(Deed.WATCHED, "watchedat"),),
    ),
    Format(
        "trakt-watched",
        _columns("lastwatchedat", "title"),
        (Reading(Deed.WATCHED, "lastwatchedat"),),
        without=_columns("simklid", "status", "userrating"),
    ),
    Format("trakt-watchlist", TRAKT_LIST, (Reading(Deed.LISTED, "listedat"),), is_any_list=True),
    Format(
        "trakt-favourites", TRAKT_LIST, (Reading(Deed.LIKED, "listedat"),), words=FAVOURITES_WORDS
    ),
)

COMPLETED, PLANNED = frozenset({"completed"}), frozenset({"plantowatch"})
SIMKL_FORMATS = (
    Format(
        "simkl-csv",
        _columns("simklid", "title", "type", "watchlist"),
        (
            Reading(Deed.RATED, "watcheddate", "rating", half_stars=1),
            Reading(Deed.WATCHED, "watcheddate", statuses=COMPLETED),
            Reading(Deed.LISTED, statuses=PLANNED),
        ),
        status="watchlist",
    ),
    Format(
        "simkl-json",
        _columns("title", "status"),
        (
            Reading(Deed.RATED, "userratedat", "userrating", half_stars=1),
            Reading(Deed.WATCHED, "lastwatchedat", statuses=COMPLETED),
            Reading(Deed.LISTED, "addedtowatchlistat", statuses=PLANNED),
        ),
        any_of=(_columns("simklid", "addedtowatchlistat", "userrating", "userratedat"),),
        without=_columns("watchlist"),
        status="status",
    ),
)

TMDB = _columns("tmdbid", "imdbid", "type", "name", "releasedate", "yourrating", "daterated")
#: TMDb's own average.
TMDB_FACTS = _columns("rating")
TMDB_RATED = Reading(Deed.RATED, "daterated", "yourrating", half_stars=1, rounds=True)
TMDB_FORMATS = (
    Format("tmdb-ratings", TMDB, (TMDB_RATED,), title="name", facts=TMDB_FACTS),
    Format(
        "tmdb-watchlist",
        TMDB,
        (Reading(Deed.LISTED, "daterated"), TMDB_RATED),
        title="name",
        words=WATCHLIST_WORDS,
        facts=TMDB_FACTS,
    ),
    Format(
        "tmdb-favourites",
        TMDB,
        (Reading(Deed.LIKED, "daterated"), TMDB_RATED),
        title="name",
        words=FAVOURITES_WORDS,
        facts=TMDB_FACTS,
    ),
)

MOVARY = _columns("title", "year", "tmdbid", "imdbid")
OF_NO_MOVARY = _columns("type", "traktid", "action", "simklid", "status")
MOVARY_FORMATS = (
    Format(
        "movary-history",
        MOVARY | {"watchedat"},
        (Reading(Deed.WATCHED, "watchedat"),),
        without=OF_NO_MOVARY,
    ),
    Format(
        "movary-ratings",
        MOVARY | {"userrating"},
        (Reading(Deed.RATED, value="userrating", half_stars=1),),
        without=OF_NO_MOVARY,
    ),
    Format(
        "movary-watchlist",
        MOVARY | {"addedat"},
        (Reading(Deed.LISTED, "addedat"),),
        without=OF_NO_MOVARY,
    ),
)

FORMATS = (
    *LETTERBOXD_FORMATS,
    *IMDB_FORMATS,
    *TRAKT_FORMATS,
    *SIMKL_FORMATS,
    *TMDB_FORMATS,
    *MOVARY_FORMATS,
    # What a member of movielens.org exports.
    Format(
        "movielens-ratings",
        _columns("movieid", "imdbid", "tmdbid", "rating", "averagerating", "title"),
        (Reading(Deed.RATED, value="rating", half_stars=2),),
        title_has_year=True,
        checks_scale=True,
    ),
)


def column(text: str) -> str:
    """`Your Rating` and `your_rating` are yourrating."""
    return re.sub(r"[\W_]+", "", text).lower()


def formats_of(columns: Collection[str], words: Collection[str]) -> Sequence[Format]:
    """What a file with this header can be; several only where neither header nor name decides.

    Of two formats that fit, the one that needs more columns wins if it needs all of the other's.

    Args:
        words: Of the file's name.
    """
    fitting = [each for each in FORMATS if each.fits(columns)]
    found = [each for each in fitting if not any(each.needs < other.needs for other in fitting)]
    named = [each for each in found if not each.words.isdisjoint(words)]
    if len(named) > 1:  # as by "my watched films.csv"
        named = [each for each in named if not each.words.isdisjoint(set(words) - {FILMS})]
    return named or [each for each in found if not each.words] or found
