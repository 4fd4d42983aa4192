"""POST /users/me/import: SIMKL, TMDb, Movary, MovieLens and Letterboxd's own form, and how one
service's file is told from another's.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from recommendations.importing.formats import FORMATS, column, formats_of
from recommendations.models import Interaction
from tests.builders import Client, at, interact, make_movie
from tests.viewer_files import (
    CLEO,
    DIARY,
    IMDB_LIST,
    IMDB_RATINGS,
    PLAIN,
    RATINGS,
    TRAKT_HISTORY,
    TRAKT_RATINGS,
    TRAKT_WATCHLIST,
    cells,
    counts,
    csv,
    imported,
    make_cleo,
    refusal,
    zipped,
)
from users.models import PlaylistEntry, Viewing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

TITLE = "Cléo from 5 to 7"
SIMKL = "SIMKL_ID,Title,Type,Year,Watchlist,LastEpWatched,WatchedDate,Rating,Memo,TVDB,TMDB,IMDB"
SIMKL_FORM = (
    "simkl_id,TVDB_ID,TMDB,IMDB_ID,MAL_ID,Type,Title,Year,LastEpWatched,Watchlist,WatchedDate,"
    "Rating,Memo"
)
TMDB = (
    "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,"
    "Date Rated"
)
MOVARY_HISTORY = "title,year,tmdbId,imdbId,watchedAt,comment,location"
MOVARY_RATINGS = "title,year,tmdbId,imdbId,userRating"
MOVARY_WATCHLIST = "title,year,tmdbId,imdbId,addedAt"
MOVIELENS = "movie_id,imdb_id,tmdb_id,rating,average_rating,title"
Kind = Interaction.Kind


def ratings() -> list[tuple[str, int]]:
    found = Interaction.objects.filter(kind=Kind.RATING).order_by("movie__name")
    return list(found.values_list("movie__name", "half_stars"))


def format_names(report: dict[str, Any]) -> list[str]:
    return [each["format"] for each in report["files"]]


# --- SIMKL


def test_a_backup_of_simkl_rates_out_of_ten(viewer: Client) -> None:
    make_cleo(), make_movie(name="Vagabond", release_year=1985, tmdb_id=44018)
    file = csv(
        SIMKL,
        f"9001,{TITLE},movie,1962,completed,,2024-01-04,3,Great,,,tt0055852",
        "9002,Sans toit ni loi,movie,1985,completed,,18-12-2023 21:50:41,9,,,44018,",
        "9003,Severance,tv,2022,watching,S02E03,2024-01-04,9,,371980,95396,tt11280740",
        "9004,Ajin,anime,2016,plantowatch,,,,,,,",
    )
    report = imported(viewer, file)
    assert format_names(report) == ["simkl-csv"]
    assert ratings() == [(TITLE, 3), ("Vagabond", 9)]
    days = list(Viewing.objects.order_by("pk").values_list("watched_at", flat=True))
    assert days == [at(date(2024, 1, 4), 12), at(date(2023, 12, 18), 21, 50).replace(second=41)]
    assert report["not_films"] == 2
    assert [row["row"] for row in report["passed_over"]] == [4, 5]
    assert "“Severance” is not a film" in report["passed_over"][0]["reason"]
    assert report["not_kept"] == [{"file": "", "columns": ["Memo"]}]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("plantowatch", "watchlist"),
        ("plan to watch", "watchlist"),
        ("completed", "viewings"),
        ("dropped", None),
        ("hold", None),
    ],
)
def test_the_list_of_simkl_says_what_was_done(
    viewer: Client, status: str, outcome: str | None
) -> None:
    make_cleo()
    row = cells(SIMKL, SIMKL_ID=1, Title=TITLE, Type="movie", Year=1962, Watchlist=status)
    report = imported(viewer, csv(SIMKL, row))
    assert list(report["by_kind"]) == ([outcome] if outcome else [])
    assert report["passed_over_count"] == (outcome is None)
    if outcome is None:
        assert status in report["passed_over"][0]["reason"]


def test_a_status_beside_a_rating_is_named(viewer: Client) -> None:
    make_cleo()
    row = cells(
        SIMKL, SIMKL_ID=1, Title=TITLE, Type="movie", Year=1962, Watchlist="dropped", Rating=2
    )
    report = imported(viewer, csv(SIMKL, row))
    assert ratings() == [(TITLE, 2)]
    assert report["not_kept"] == [{"file": "", "columns": ["Watchlist"]}]


def test_the_form_that_simkl_imports_is_read_too(viewer: Client) -> None:
    make_cleo()
    row = cells(SIMKL_FORM, simkl_id=5, Type="movie", Title=TITLE, Year=1962, Rating=7)
    assert imported(viewer, csv(SIMKL_FORM, row))["matched"] == 1
    assert ratings() == [(TITLE, 7)]


def simkl_entry(**fields: Any) -> dict[str, Any]:
    movie = {"title": TITLE, "year": 1962, "ids": {"simkl": 53, "imdb": "tt0055852", "tmdb": "499"}}
    return {"last_watched_at": None, "user_rating": None, "status": "completed"} | fields | {
        "movie": movie
    }  # fmt: skip


def test_the_json_of_simkl_has_films_series_and_anime(viewer: Client) -> None:
    film = make_movie(tmdb_id=499)
    show = {"title": "Severance", "year": 2022, "ids": {"simkl": 1}}
    document = {
        "shows": [{"status": "watching", "last_watched_at": None, "show": show, "seasons": [{}]}],
        "anime": [
            {"status": "completed", "anime_type": "tv", "show": show},
            {"status": "completed", "anime_type": "movie", "user_rating": 10, "show": show},
        ],
        "movies": [
            simkl_entry(status="plantowatch", added_to_watchlist_at="2022-03-01T00:00:00Z"),
            simkl_entry(
                last_watched_at="2024-05-01T12:00:00Z",
                user_rating=3,
                user_rated_at="2024-05-02T12:00:00Z",
                memo={"text": "With Jacques", "is_private": True},
            ),
        ],
    }
    report = imported(viewer, zipped({"SimklBackup.json": json.dumps(document).encode()}))
    assert format_names(report) == ["simkl-json"]
    rating = Interaction.objects.get(movie=film)
    assert (rating.half_stars, rating.updated_at) == (3, datetime(2024, 5, 2, 12, tzinfo=UTC))
    assert Viewing.objects.get().watched_at == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert PlaylistEntry.objects.get().movie == film
    assert (report["not_films"], report["unknown_count"]) == (2, 1)
    assert "memo" in report["not_kept"][0]["columns"]


# --- TMDb


def tmdb_row(**values: object) -> str:
    film = {"TMDb ID": 499, "Type": "movie", "Name": TITLE, "Release Date": "1962-04-11T00:00:00Z"}
    return cells(TMDB, **film | {"Rating": 7.8, "Date Rated": "2023-05-02T09:29:50Z"} | values)


@pytest.mark.parametrize(
    ("value", "half_stars"),
    [("8", 8), ("7.0", 7), ("8.5", 9), ("0.5", 1), ("10", 10), ("8,5", 9)],
)
def test_half_points_of_tmdb_are_rounded(viewer: Client, value: str, half_stars: int) -> None:
    make_cleo()
    report = imported(viewer, csv(TMDB, tmdb_row(**{"Your Rating": value})))
    assert format_names(report) == ["tmdb-ratings"]
    assert ratings() == [(TITLE, half_stars)]


def test_the_average_of_tmdb_is_no_rating(viewer: Client) -> None:
    make_cleo()
    report = imported(viewer, csv(TMDB, tmdb_row()))
    assert (report["refused_count"], report["not_kept"]) == (1, [])
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("watchlist (1).csv", "watchlist"),
        ("favorites.csv", "likes"),
        ("Copy of Favourites.CSV", "likes"),
    ],
)
def test_the_name_tells_lists_of_tmdb_apart(viewer: Client, name: str, kind: str) -> None:
    make_cleo()
    rows = tmdb_row(), tmdb_row(Type="tv", Name="Friends S1E1")
    report = imported(viewer, csv(TMDB, *rows), filename=name)
    assert list(report["by_kind"]) == [kind]
    assert report["not_films"] == 1


def test_a_release_date_is_a_year(viewer: Client) -> None:
    make_movie(name="Hamlet", release_year=1948, start_date=date(2020, 1, 1))
    make_movie(name="Hamlet", release_year=1990)
    row = tmdb_row(Name="Hamlet", **{"TMDb ID": "", "Release Date": "1990-12-18", "Your Rating": 8})
    assert imported(viewer, csv(TMDB, row))["matched"] == 1


# --- Movary


def test_movary_exports_three_files(viewer: Client) -> None:
    film = make_movie(tmdb_id=499)
    row = f'"{TITLE}",1962,499,tt0055852'
    report = imported(
        viewer,
        zipped(
            {
                "export-history-1-1700000000.csv": csv(
                    MOVARY_HISTORY, f"{row},2024-02-29,wonderful,Rex", f"{row},,,"
                ),
                "export-ratings-1-1700000000.csv": csv(MOVARY_RATINGS, f"{row},9"),
                "export-watchlist-1-1700000000.csv": csv(
                    MOVARY_WATCHLIST, f'{row},"2023-01-02 10:00:00"'
                ),
            }
        ),
    )
    assert format_names(report) == ["movary-history", "movary-ratings", "movary-watchlist"]
    assert ratings() == [(film.name, 9)]
    assert Viewing.objects.get().watched_at == at(date(2024, 2, 29), 12)
    assert PlaylistEntry.objects.count() == 1
    [not_kept] = report["not_kept"]
    assert not_kept["columns"] == ["comment", "location"]


def test_the_watchlist_of_movary_needs_no_name(viewer: Client) -> None:
    make_cleo()
    row = f"{TITLE},1962,499,tt0055852,2023-01-02 10:00:00"
    report = imported(viewer, zipped({"wl.csv": csv(MOVARY_WATCHLIST, row)}))
    assert list(report["by_kind"]) == ["watchlist"]


# --- MovieLens


def test_a_members_ratings_of_movielens_are_stars(viewer: Client) -> None:
    make_movie(name="Schindler's List", release_year=1993), make_movie(tmdb_id=603, name="Matrix")
    file = csv(
        MOVIELENS,
        "527,0108052,,4.5,4.23941,Schindler's List (1993)",
        '2571,0133093,603,3.0,4.1,"Matrix, The (1999)"',
    )
    assert format_names(imported(viewer, file)) == ["movielens-ratings"]
    assert ratings() == [("Matrix", 6), ("Schindler's List", 9)]


@pytest.mark.parametrize(
    "file",
    [
        csv(MOVIELENS, "47,114369,807,4,81.88,Se7en (1995)", "50,tt1,629,98,85.1,Usual (1995)"),
        csv("Title,Year,Rating", "Se7en,1995,4", "Heat,1995,8"),
        csv("Title,Year,Rating", "Se7en,1995,4", "Heat,1995,80"),
        csv("Title,Year,Rating", "Se7en,1995,4", "Heat,1995,100"),
    ],
)
def test_ratings_on_another_scale_refuse_the_file(viewer: Client, file: bytes) -> None:
    make_movie(name="Se7en", release_year=1995)
    assert "another scale" in refusal(viewer, file)
    report = imported(viewer, zipped({"a.csv": file, "ratings.csv": csv(RATINGS)}))
    assert (report["rows"], report["refused_count"]) == (1, 1)
    assert not Interaction.objects.exists()


# --- the form that Letterboxd takes in


@pytest.mark.parametrize(
    ("file", "half_stars"),
    [
        (csv("Title,Year,Rating10", f"{TITLE},1962,9"), 9),
        (csv("Title,Year,Rating", f"{TITLE},1962,4.5"), 9),
        (csv("Title,Year,Rating10,WatchedDate", f"{TITLE},1962,9,"), 9),
        (csv("tmdbID,Rating10", "499,9"), 9),
        (csv("imdbID,tmdbID,Title,Rating10", f"tt0055852,,{TITLE},9"), 9),
        (
            csv(
                "LetterboxdURI,tmdbID,imdbID,Title,Year,Directors,Rating,WatchedDate,Rewatch,Tags,Review",
                f'https://boxd.it/29Qc,,,{TITLE},1962,Agnès Varda,4.5,,,"a, b","<b>Great</b>"',
            ),
            9,
        ),
        ("sep=;\r\nTitle;Year;Rating\r\nCléo from 5 to 7;1962;4,5\r\n".encode("utf-8-sig"), 9),
    ],
)
def test_a_rating_needs_no_date(viewer: Client, file: bytes, half_stars: int) -> None:
    make_cleo(tmdb_id=499)
    report = imported(viewer, file)
    assert report["by_kind"] == {"ratings": {"created": 1, "updated": 0, "unchanged": 0}}
    assert ratings() == [(TITLE, half_stars)]
    assert counts(imported(viewer, file)) == (0, 0, 1)
    assert not Viewing.objects.exists()


def test_a_rating_without_a_date_never_replaces_one_here(viewer: Client) -> None:
    interact(viewer.user, make_cleo(), "rating", half_stars=2, updated_at=at(date(2001, 1, 1), 12))
    report = imported(viewer, csv("Title,Year,Rating10", f"{TITLE},1962,9"))
    assert ratings() == [(TITLE, 2)]
    assert counts(report) == (0, 0, 0)
    assert "does not date its own" in report["passed_over"][0]["reason"]


def test_a_film_seen_on_no_day_is_seen_and_not_in_the_history(viewer: Client) -> None:
    film = make_cleo()
    file = csv("Title,Year,WatchedDate", f"{TITLE},1962,")
    assert counts(imported(viewer, file)) == (1, 0, 0)
    seen = Interaction.objects.get()
    assert (seen.movie, seen.kind) == (film, Kind.SEEN)
    assert not Viewing.objects.exists()
    assert counts(imported(viewer, file)) == (0, 0, 1)


def test_a_date_and_a_rating_are_two_statements(viewer: Client) -> None:
    make_cleo()
    report = imported(viewer, csv("Title,Year,Rating10,WatchedDate", f"{TITLE},1962,9,29.02.2024"))
    assert counts(report) == (2, 0, 0)
    assert Viewing.objects.get().watched_at == at(date(2024, 2, 29), 12)


@pytest.mark.parametrize(
    ("name", "kind"), [("watchlist-2.csv", "watchlist"), ("Watched.csv", "viewings")]
)
def test_titles_alone_are_of_the_kind_that_the_file_name_says(
    viewer: Client, name: str, kind: str
) -> None:
    make_cleo()
    file = csv("Title,Year", f"{TITLE},1962")
    assert list(imported(viewer, file, filename=name)["by_kind"]) == [kind]


def test_titles_alone_under_any_other_name_are_refused(viewer: Client) -> None:
    why = refusal(viewer, csv("Title,Year", f"{TITLE},1962"), filename="films2.csv")
    assert "Say with `content`" in why
    assert "letterboxd-import-watched and letterboxd-import-watchlist" in why


# --- a header is one service's, or nobody's

HEADERS = {
    "letterboxd-diary": DIARY,
    "letterboxd-ratings": RATINGS,
    "letterboxd-reviews": DIARY.replace("Tags", "Review,Tags"),
    "imdb-list": IMDB_LIST,
    "imdb-ratings": IMDB_RATINGS,
    "trakt-ratings": TRAKT_RATINGS,
    "trakt-history": TRAKT_HISTORY,
    "trakt-watchlist": TRAKT_WATCHLIST,
    "simkl-csv": SIMKL,
    "tmdb-ratings": TMDB,
    "movary-history": MOVARY_HISTORY,
    "movary-ratings": MOVARY_RATINGS,
    "movary-watchlist": MOVARY_WATCHLIST,
    "movielens-ratings": MOVIELENS,
    "letterboxd-import": "Title,Year,Rating10",
}


FULL = {
    IMDB_RATINGS: {"Your_Rating": 9, "Date_Rated": "2024-01-01"},
    IMDB_LIST: {"Created": "2024-01-01", "Your_Rating": "", "Date_Rated": ""},
    TRAKT_RATINGS: {"rating": 9, "rated_at": "2024-01-01"},
    TMDB: {"Your_Rating": 9, "Date_Rated": "2024-01-01", "Release_Date": "1962-04-11"},
    MOVIELENS: {"rating": 4.5},
}


@pytest.mark.parametrize(("header", "said"), FULL.items())
def test_columns_of_film_facts_are_not_kept(
    viewer: Client, header: str, said: dict[str, object]
) -> None:
    """Everything that the viewer has said in these files is kept."""
    of_series = ("episode", "season")
    values = {name: "1" for name in header.split(",") if not name.lower().startswith(of_series)}
    values |= dict.fromkeys(("Title", "title", "Name"), TITLE) | {"Title Type": "movie"}
    values |= {"Type": "movie", "type": "movie", "Description": "", "Year": "1962", "year": "1962"}
    values |= {name.replace("_", " "): str(value) for name, value in said.items()}
    values |= {name: str(value) for name, value in said.items()}
    report = imported(viewer, csv(header, cells(header, **values)))
    assert (report["kept_for_later"], report["not_kept"]) == (1, [])


@pytest.mark.parametrize(("name", "header"), HEADERS.items())
def test_each_header_is_of_one_format(name: str, header: str) -> None:
    columns = [column(cell) for cell in header.split(",")]
    assert [each.name for each in formats_of(columns, set())] == [name]


def test_a_header_of_two_services_names_both(viewer: Client) -> None:
    headers = f"{TRAKT_RATINGS},{IMDB_RATINGS}".split(",")
    why = refusal(viewer, csv(",".join({column(name): name for name in headers}.values())))
    assert "imdb-ratings" in why
    assert "trakt-ratings" in why


@pytest.mark.parametrize(
    "header",
    [
        "Title,Year,Rating,Status",
        "title,year,rating,watchlist",
        "Title,Rating,Author,My Review,status",
        "movieId,title,rating",
    ],
)
def test_columns_of_an_unknown_service_are_told_and_not_guessed(
    viewer: Client, header: str
) -> None:
    why = refusal(viewer, csv(header, "a,1,b,c"), filename="ratings.csv")
    assert "no known file of Letterboxd" in why
    assert header.split(",")[1] in why


def test_every_format_can_be_told_from_the_others() -> None:
    for each in FORMATS:
        alike = [other for other in FORMATS if other.needs == each.needs and other is not each]
        for other in alike:
            by_columns = (each.without, each.any_of) != (other.without, other.any_of)
            assert by_columns or each.words != other.words, (each.name, other.name)


# --- names that browsers and systems change


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("watchlist (1).csv", "letterboxd-watchlist"),
        ("watchlist-2.csv", "letterboxd-watchlist"),
        ("Copy of watchlist.csv", "letterboxd-watchlist"),
        ("Kopie von Watchlist.CSV", "letterboxd-watchlist"),
        ("watchlist - Copie.csv", "letterboxd-watchlist"),
        ("letterboxd-agnes-2024-01-01-watchlist.csv", "letterboxd-watchlist"),
        ("watched copy 3.csv", "letterboxd-watched"),
        ("WATCHED.TXT", "letterboxd-watched"),
        ("films (1).csv", "letterboxd-likes"),
        ("letterboxdWatchlistExport2024.csv", "letterboxd-watchlist"),
        ("my watched films.csv", "letterboxd-watched"),
    ],
)
def test_a_format_is_recognised_by_the_words_of_the_name(
    viewer: Client, name: str, format_: str
) -> None:
    for file in (csv(PLAIN, CLEO), zipped({f"Agnes/Export (2)/{name}": csv(PLAIN, CLEO)})):
        report = imported(viewer, file, filename=name)
        assert format_names(report) == [format_]


def test_an_ambiguous_name_is_refused_with_both_formats(viewer: Client) -> None:
    why = refusal(viewer, csv(PLAIN, CLEO), filename="watched-and-watchlist.csv")
    assert "letterboxd-watched and letterboxd-watchlist" in why


def test_the_ratings_of_imdb_are_no_watchlist(viewer: Client) -> None:
    """The file has the columns of any list of IMDb."""
    make_cleo()
    row = cells(
        IMDB_LIST, Position=1, Const="tt0055852", Created="2024-01-01", Title=TITLE, Year=1962,
        Your_Rating=7, Date_Rated="2024-02-01",
    )  # fmt: skip
    report = imported(viewer, csv(IMDB_LIST, row), filename="ratings (2).csv")
    assert list(report["by_kind"]) == ["ratings"]
