"""The export files of film services, recognised by their columns.

`docs/accounts.md` names the sources of the column names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from recommendations.models import PendingImport

SERVICES = "Letterboxd, IMDb, Trakt, SIMKL, TMDb, Movary or MovieLens"


#: Viewings have a day or a moment; films that are only `SEEN` have none.
StatementKind = PendingImport.Kind


@dataclass(frozen=True)
class Reading:
    """The columns of one kind of statement.

    Attributes:
        at: The column of the date; without it, or with an empty cell, the statement has no date.
        value: The column of the rating; an empty cell is no rating.
        half_stars: The half stars of one unit of the rating.
        rounds: Whether the service rates in finer steps than half stars.
        statuses: The words of the format's `status` column with which the statement applies; empty
            for all.
    """

    kind: StatementKind
    at: str = ""
    value: str = ""
    half_stars: int = 0
    rounds: bool = False
    statuses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Format:
    """One kind of file. Columns are named as `column` normalises them.

    Attributes:
        needs: Columns that the file must have.
        any_of: Sets of columns; the file must have one of each.
        without: Columns that show the file to be another service's.
        words: Words of the file's name that choose among formats with the same columns; a format
            without words is the default.
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
        """The columns that are read, or are about the film."""
        of_readings = {name for each in self.readings for name in (each.at, each.value)}
        return frozenset({self.title, self.status, *of_readings} | IDENTIFYING | self.facts)

    @property
    def statuses(self) -> frozenset[str]:
        """The words of the `status` column that have a meaning, and the empty one."""
        return frozenset({""}).union(*(each.statuses for each in self.readings))

    def fits(self, columns: Collection[str]) -> bool:
        return (
            self.needs.issubset(columns)
            and self.without.isdisjoint(columns)
            and not any(names.isdisjoint(columns) for names in self.any_of)
        )


def _columns(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: Columns that identify the film, in every format.
IDENTIFYING = _columns(
    "originaltitle year releasedate tmdbid tmdb imdbid imdb const type titletype"
)
#: Columns about the film, the account or the file. Any other column with content is the viewer's
#: own, and the report names it if it is not read.
FACTS = _columns(
    "action addedtowatchlistat animetype averagerating created directors episodeid genres id "
    "imdbrating lastupdatedat letterboxduri malid modified movieid notairedepisodescount numvotes "
    "poster position rank released resetat runtime runtimemins simklid slug totalepisodescount "
    "traktid traktrating tvdb tvdbid url watchedepisodescount"
)
#: Columns of other services' files that Letterboxd's import form does not have.
NOT_LETTERBOXD = (
    "addedat averagerating collectedat const daterated lastwatchedat listedat movieid position "
    "ratedat simklid status traktid type userrating watchedat watchlist yourrating"
)
#: Letterboxd calls its likes `likes/films.csv`.
FILMS = "films"
FAVOURITES = "favorites favourites likes liked"


def _rated(at: str, value: str, half_stars: int = 1, *, rounds: bool = False) -> Reading:
    return Reading(StatementKind.RATING, at, value, half_stars, rounds)


def _watched(at: str, statuses: str = "") -> Reading:
    return Reading(StatementKind.VIEWING, at, statuses=_columns(statuses))


def _listed(at: str = "", statuses: str = "") -> Reading:
    return Reading(StatementKind.WATCHLIST, at, statuses=_columns(statuses))


def _format(name: str, needs: str, *readings: Reading, **more: Any) -> Format:
    """Make a format; sets of columns and words are given as one text."""
    more |= {each: _columns(more[each]) for each in ("without", "words", "facts") if each in more}
    return Format(name, _columns(needs), readings, **more)


def _by_file_name(
    stem: str, needs: str, at: str = "", *, likes: str = "likes liked", **more: Any
) -> tuple[Format, ...]:
    """Make three formats with the same columns, which the name of the file tells apart."""
    return (
        _format(f"{stem}-watched", needs, Reading(StatementKind.SEEN, at), words="watched", **more),
        _format(f"{stem}-watchlist", needs, _listed(at), words="watchlist", **more),
        _format(f"{stem}-likes", needs, Reading(StatementKind.LIKE, at), words=likes, **more),
    )


LETTERBOXD = "date name letterboxduri"
#: The rating in a diary is the one of that day; `ratings.csv` has the one that counts.
DIARY = (_watched("watcheddate"), _rated("date", "rating", 2))
LETTERBOXD_RATINGS = _format(
    "letterboxd-ratings",
    f"{LETTERBOXD} rating",
    _rated("date", "rating", 2),
    title="name",
    without="watcheddate",
)
LETTERBOXD_DIARY = _format("letterboxd-diary", f"{LETTERBOXD} watcheddate", *DIARY, title="name")
#: The entries of the diary that have a text.
LETTERBOXD_REVIEWS = _format(
    "letterboxd-reviews", f"{LETTERBOXD} watcheddate review", *DIARY, title="name"
)

IMDB_LIST = "position const created title"
IMDB_RATED = _rated("daterated", "yourrating")
#: `rating` is TMDb's own average.
TMDB = "tmdbid imdbid type name releasedate yourrating daterated"
TMDB_FORM: dict[str, Any] = {"title": "name", "facts": "rating"}
TMDB_RATED = _rated("daterated", "yourrating", rounds=True)
MOVARY = "title year tmdbid imdbid"
NOT_MOVARY = "type traktid action simklid status"

FORMATS = (
    LETTERBOXD_DIARY,
    LETTERBOXD_REVIEWS,
    LETTERBOXD_RATINGS,
    *_by_file_name("letterboxd", LETTERBOXD, "date", likes=f"likes liked {FILMS}", title="name"),
    # Letterboxd's import form, into which tools convert the data of other services.
    _format(
        "letterboxd-import",
        "",
        _watched("watcheddate"),
        _rated("watcheddate", "rating10"),
        _rated("watcheddate", "rating", 2),
        any_of=(_columns("title tmdbid"), _columns("watcheddate rating10 rating")),
        without=NOT_LETTERBOXD,
        checks_scale=True,
    ),
    *_by_file_name(
        "letterboxd-import",
        "title year",
        without=f"{NOT_LETTERBOXD} watcheddate rating10 rating",
    ),
    _format("imdb-list", IMDB_LIST, _listed("created"), IMDB_RATED, is_any_list=True),
    # Since 2024 IMDb's list of ratings has the columns of any other list.
    _format("imdb-ratings", IMDB_LIST, IMDB_RATED, words="ratings"),
    _format("imdb-ratings", "const yourrating daterated title", IMDB_RATED, without="position"),
    _format("trakt-ratings", "ratedat rating title", _rated("ratedat", "rating")),
    _format("trakt-history", "watchedat title type", _watched("watchedat")),
    _format(
        "trakt-watched",
        "lastwatchedat title",
        _watched("lastwatchedat"),
        without="simklid status userrating",
    ),
    _format("trakt-watchlist", "listedat title", _listed("listedat"), is_any_list=True),
    _format(
        "trakt-favourites",
        "listedat title",
        Reading(StatementKind.LIKE, "listedat"),
        words=FAVOURITES,
    ),
    _format(
        "simkl-csv",
        "simklid title type watchlist",
        _rated("watcheddate", "rating"),
        _watched("watcheddate", "completed"),
        _listed(statuses="plantowatch"),
        status="watchlist",
    ),
    _format(
        "simkl-json",
        "title status",
        _rated("userratedat", "userrating"),
        _watched("lastwatchedat", "completed"),
        _listed("addedtowatchlistat", "plantowatch"),
        any_of=(_columns("simklid addedtowatchlistat userrating userratedat"),),
        without="watchlist",
        status="status",
    ),
    _format("tmdb-ratings", TMDB, TMDB_RATED, **TMDB_FORM),
    _format(
        "tmdb-watchlist", TMDB, _listed("daterated"), TMDB_RATED, words="watchlist", **TMDB_FORM
    ),
    _format(
        "tmdb-favourites",
        TMDB,
        Reading(StatementKind.LIKE, "daterated"),
        TMDB_RATED,
        words=FAVOURITES,
        **TMDB_FORM,
    ),
    _format("movary-history", f"{MOVARY} watchedat", _watched("watchedat"), without=NOT_MOVARY),
    _format("movary-ratings", f"{MOVARY} userrating", _rated("", "userrating"), without=NOT_MOVARY),
    _format("movary-watchlist", f"{MOVARY} addedat", _listed("addedat"), without=NOT_MOVARY),
    # The export of a member of movielens.org.
    _format(
        "movielens-ratings",
        "movieid imdbid tmdbid rating averagerating title",
        _rated("", "rating", 2),
        title_has_year=True,
        checks_scale=True,
    ),
)


def column(text: str) -> str:
    """Normalise `Your Rating` and `your_rating` to yourrating."""
    return re.sub(r"[\W_]+", "", text).lower()


def formats_of(columns: Collection[str], words: Collection[str]) -> Sequence[Format]:
    """Return the formats of a header; several only where neither header nor name decides.

    A format that needs all columns of another one, and more, goes before it.

    Args:
        words: The words of the file's name.
    """
    fitting = [each for each in FORMATS if each.fits(columns)]
    found = [each for each in fitting if not any(each.needs < other.needs for other in fitting)]
    named = [each for each in found if not each.words.isdisjoint(words)]
    if len(named) > 1:  # as by "my watched films.csv"
        named = [each for each in named if not each.words.isdisjoint(set(words) - {FILMS})]
    return named or [each for each in found if not each.words] or found
