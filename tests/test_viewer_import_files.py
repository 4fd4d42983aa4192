"""POST /users/me/import: the files of each service, told by their columns, in whatever writing."""

from __future__ import annotations

import codecs
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recommendations.models import Interaction
from tests.builders import Client, make_movie
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
MOVIE = {"title": TITLE, "year": 1962, "ids": {"trakt": 1, "imdb": "tt0055852", "tmdb": 499}}


def imdb_row(**values: object) -> str:
    return cells(
        IMDB_RATINGS, **{"Title": TITLE, "Year": 1962, "Date_Rated": "2024-01-15"} | values
    )


def trakt_row(header: str, **values: object) -> str:
    return cells(header, **{"type": "movie", "title": TITLE, "year": 1962} | values)


FILES = {
    "letterboxd-ratings": (csv(RATINGS, f"{CLEO},4.5"), "ratings"),
    "letterboxd-diary": (csv(DIARY, f"{CLEO},,,,2024-02-29"), "viewings"),
    "letterboxd-import": (
        csv("Title,Year,imdbID,tmdbID,WatchedDate,Rating10", f"{TITLE},1962,,,2024-02-29,"),
        "viewings",
    ),
    "imdb-ratings": (csv(IMDB_RATINGS, imdb_row(Your_Rating=9)), "ratings"),
    "imdb-list": (
        csv(IMDB_LIST, cells(IMDB_LIST, Position=1, Created="2024-01-01", Title=TITLE, Year=1962)),
        "watchlist",
    ),
    "trakt-ratings": (
        csv(TRAKT_RATINGS, trakt_row(TRAKT_RATINGS, rated_at="2018-08-24T13:48:52Z", rating=9)),
        "ratings",
    ),
    "trakt-history": (
        csv(TRAKT_HISTORY, trakt_row(TRAKT_HISTORY, watched_at="2018-08-24T13:48:52.000Z")),
        "viewings",
    ),
    "trakt-watchlist": (
        csv(TRAKT_WATCHLIST, trakt_row(TRAKT_WATCHLIST, rank=1, listed_at="2018-08-24T13:48:52Z")),
        "watchlist",
    ),
}


@pytest.mark.parametrize(("format_", "file", "kind"), [(k, *v) for k, v in FILES.items()])
def test_a_file_is_told_by_its_columns_and_not_by_its_name(
    viewer: Client, format_: str, file: bytes, kind: str
) -> None:
    make_cleo()
    report = imported(viewer, file, filename="watchlist.exe")
    assert report["files"] == [{"name": "", "format": format_}]
    assert report["by_kind"] == {kind: {"created": 1, "updated": 0, "unchanged": 0}}


@pytest.mark.parametrize(
    ("name", "content", "format_"),
    [
        ("watched.csv", None, "letterboxd-watched"),
        ("WATCHLIST.CSV", None, "letterboxd-watchlist"),
        ("films.csv", None, "letterboxd-likes"),
        ("file", "likes", "letterboxd-likes"),
        ("watchlist.csv", "watched", "letterboxd-watched"),
    ],
)
def test_an_ambiguous_file_is_told_by_its_name_or_by_the_parameter(
    viewer: Client, name: str, content: str | None, format_: str
) -> None:
    query = {"content": content} if content else {}
    report = imported(viewer, csv(PLAIN, CLEO), filename=name, **query)
    assert report["files"] == [{"name": "", "format": format_}]


def test_an_unknown_content_is_asked_for(viewer: Client) -> None:
    assert "Say with `content`" in refusal(viewer, csv(PLAIN, CLEO), filename="export.csv")


@pytest.mark.parametrize(
    ("value", "half_stars"), [("1", 1), ("7", 7), ("10", 10), ("10.0", 10), ("8,0", 8)]
)
def test_ten_points_are_five_stars(viewer: Client, value: str, half_stars: int) -> None:
    make_cleo()
    imported(viewer, csv(IMDB_RATINGS, imdb_row(Your_Rating=value)))
    assert Interaction.objects.get().half_stars == half_stars


def test_a_rating_is_dated_as_in_the_file(viewer: Client) -> None:
    make_cleo()
    imported(viewer, FILES["trakt-ratings"][0])
    assert Interaction.objects.get().updated_at == datetime(2018, 8, 24, 13, 48, 52, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["tvSeries", "TV Mini Series", "tvEpisode", "videoGame"])
def test_series_and_games_of_imdb_are_no_films(viewer: Client, kind: str) -> None:
    make_cleo()
    report = imported(viewer, csv(IMDB_RATINGS, imdb_row(Your_Rating=9, Title_Type=kind)))
    assert (report["not_films"], report["matched"]) == (1, 0)


@pytest.mark.parametrize("kind", ["movie", "Movie", "TV Movie", "short", "video", "Film", ""])
def test_short_films_and_television_films_are_imported(viewer: Client, kind: str) -> None:
    make_cleo()
    report = imported(viewer, csv(IMDB_RATINGS, imdb_row(Your_Rating=9, Title_Type=kind)))
    assert report["matched"] == 1


# --- the writing


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"]
)
def test_every_usual_encoding_is_read(viewer: Client, encoding: str) -> None:
    make_cleo()
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    file = marks.get(encoding, b"") + csv(RATINGS, f"{CLEO},4").decode().encode(encoding)
    assert imported(viewer, file)["matched"] == 1


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_every_separator_and_end_of_line_is_understood(
    viewer: Client, separator: str, end: str
) -> None:
    make_cleo()
    lines = [RATINGS, f"{CLEO},4.5"]
    file = end.join([line.replace(",", separator) for line in lines]).encode()
    assert imported(viewer, file)["matched"] == 1


def test_a_cell_may_have_commas_quotation_marks_and_lines(viewer: Client) -> None:
    make_movie(name='The "Good", the Bad\nand the Ugly', release_year=1966)
    row = '2024-01-01,"The ""Good"", the Bad\nand the Ugly",1966,x,4'
    assert imported(viewer, csv(RATINGS, row))["matched"] == 1


def test_lines_are_counted_as_an_editor_counts_them(viewer: Client) -> None:
    rows = ['2024-01-01,"Two\nlines",1966,x,4', "", "2024-01-01,Another,1966,x,4"]
    report = imported(viewer, csv(RATINGS, *rows))
    assert [row["row"] for row in report["unknown"]] == [2, 5]


def test_columns_may_stand_in_any_order_beside_others(viewer: Client) -> None:
    make_cleo()
    header = "rating,Letterboxd URI,Mood,YEAR,name,Date"
    assert imported(viewer, csv(header, f"4,x,good,1962,{TITLE},2024-01-01"))["matched"] == 1


# --- archives


def test_a_folder_around_the_files_does_not_matter(viewer: Client) -> None:
    make_cleo()
    file = zipped({"letterboxd-agnes/likes/films.csv": csv(PLAIN, CLEO)})
    assert imported(viewer, file)["by_kind"].keys() == {"likes"}


def test_deleted_files_and_other_lists_are_skipped(viewer: Client) -> None:
    make_cleo()
    others = ("deleted/diary.csv", "orphaned/diary.csv", "lists/favourites.csv", "__MACOSX/a.csv")
    file = zipped(dict.fromkeys(others, csv(RATINGS, f"{CLEO},4")) | {"watched.csv": csv(PLAIN)})
    report = imported(viewer, file)
    assert (report["rows"], [each["name"] for each in report["files"]]) == (0, ["watched.csv"])


def test_reviews_are_those_of_the_diary(viewer: Client) -> None:
    reviews = DIARY.replace("Tags", "Review,Tags")
    file = zipped(
        {"reviews.csv": csv(reviews, f"{CLEO},4,,Great!,,2024-02-29"), "a.csv": csv(DIARY)}
    )
    assert imported(viewer, file)["rows"] == 0


def test_the_ratings_of_an_archive_go_before_those_of_its_diary(viewer: Client) -> None:
    make_cleo()
    diary = csv(DIARY, f"2024-09-09,{TITLE},1962,x,1,Yes,,2024-09-09")
    imported(viewer, zipped({"diary.csv": diary, "ratings.csv": csv(RATINGS, f"{CLEO},4.5")}))
    assert Interaction.objects.get().half_stars == 9
    assert Viewing.objects.count() == 1


# --- Trakt's JSON


def listed(*items: dict[str, Any]) -> bytes:
    return json.dumps(items).encode()


def test_the_archive_of_trakt_has_lists_of_json(viewer: Client) -> None:
    film = make_movie(tmdb_id=499)
    at = "2018-08-24T13:48:52.000Z"
    show = {"type": "show", "rated_at": at, "rating": 8, "show": {"title": "Heimat"}}
    file = zipped(
        {
            "ratings-movies.json": listed(
                {"rated_at": at, "rating": 9, "type": "movie", "movie": MOVIE}
            ),
            "ratings-shows.json": listed(show),
            "watched-movies.json": listed({"plays": 1, "last_watched_at": at, "movie": MOVIE}),
            "watched-history-1.json": listed(
                {"id": 1, "watched_at": at, "action": "watch", "type": "movie", "movie": MOVIE}
            ),
            "lists-westerns.json": listed(
                {"rank": 1, "listed_at": at, "movie": MOVIE | {"ids": {}}}
            ),
            "lists-watchlist.json": listed({"rank": 1, "listed_at": at, "movie": MOVIE}),
            "user-profile.json": b'{"username": "agnes"}',
            "comments-movies.json": b"[]",
        }
    )
    report = imported(viewer, file)
    assert (report["matched"], report["not_films"]) == (4, 1)
    assert counts(report) == (3, 0, 1)
    assert Interaction.objects.get().half_stars == 9
    assert Viewing.objects.get().movie == film
    assert PlaylistEntry.objects.get().movie == film
