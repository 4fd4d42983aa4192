"""POST /users/me/import: whatever is not used of a file is named, with the reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recommendations.importing import uploads
from recommendations.models import Interaction
from tests.builders import Client, make_movie
from tests.viewer_files import (
    CLEO,
    DIARY,
    PLAIN,
    RATINGS,
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

AT = "2018-08-24T13:48:52.000Z"
MOVIE = {"title": "Cléo from 5 to 7", "year": 1962, "ids": {"trakt": 1, "slug": "c", "tmdb": 499}}
SHOW = {"title": "Heimat", "year": 1984, "ids": {"trakt": 2}}
REVIEWS = DIARY.replace("Tags", "Review,Tags")


def listed(*items: Any) -> bytes:
    return json.dumps(items).encode()


def skipped(report: dict[str, Any]) -> dict[str, str]:
    assert report["skipped_file_count"] == len(report["skipped_files"])
    return {each["name"]: each["reason"] for each in report["skipped_files"]}


# --- Trakt


def test_the_watchlist_of_trakt_lies_in_a_folder_of_lists(viewer: Client) -> None:
    make_movie(tmdb_id=499)
    watchlist = listed({"rank": 1, "listed_at": AT, "type": "movie", "movie": MOVIE})
    ratings = listed({"rated_at": AT, "rating": 9, "type": "movie", "movie": MOVIE})
    for path in (
        "agnes/lists/watchlist.json",
        "A/Lists/Watchlist (1).JSON",
        "lists-watchlist.json",
    ):
        PlaylistEntry.objects.all().delete()
        report = imported(viewer, zipped({path: watchlist}))
        assert list(report["by_kind"]) == ["watchlist"]
        assert PlaylistEntry.objects.count() == 1
    report = imported(
        viewer,
        zipped(
            {"agnes/ratings/ratings-movies.json": ratings, "agnes/lists/watchlist.json": watchlist}
        ),
    )
    assert report["by_kind"].keys() == {"ratings", "watchlist"}
    assert skipped(report) == {}


@pytest.mark.parametrize("first", [{"last_watched_at": None}, {}, {"plays": 1}])
def test_an_entry_without_a_match_leaves_the_others(viewer: Client, first: dict[str, Any]) -> None:
    film = make_movie(tmdb_id=499)
    unknown = {"title": "Vagabond", "year": 1985, "ids": {"tmdb": 44018}}
    other = make_movie(tmdb_id=44018)
    file = listed(first | {"movie": unknown}, {"plays": 2, "last_watched_at": AT, "movie": MOVIE})
    report = imported(viewer, file, filename="watched-movies.json")
    assert (report["matched"], report["refused_count"]) == (2, 0)
    assert Viewing.objects.get().movie == film
    assert Interaction.objects.get().movie == other  # seen, some day


def test_a_file_in_which_all_dates_are_null_is_read(viewer: Client) -> None:
    make_movie(tmdb_id=499)
    assert counts(imported(viewer, listed({"last_watched_at": None, "movie": MOVIE}))) == (1, 0, 0)


def test_trakts_unknown_time_is_no_day_in_1970(viewer: Client) -> None:
    make_movie(tmdb_id=499)
    item = {"watched_at": "1970-01-01T00:00:00.000Z", "action": "watch", "type": "movie"}
    assert counts(imported(viewer, listed(item | {"movie": MOVIE}))) == (1, 0, 0)
    assert not Viewing.objects.exists()


def test_each_file_of_an_archive_is_read_or_named(viewer: Client) -> None:
    make_movie(tmdb_id=499)
    item = {"rank": 1, "listed_at": AT, "type": "movie", "movie": MOVIE, "notes": "With Jacques"}
    report = imported(
        viewer,
        zipped(
            {
                "lists-watchlist.json": listed(item, item | {"type": "show", "show": SHOW}),
                "lists-westerns.json": listed(item),
                "lists-favorites.json": listed(item),
                "collection-movies.json": listed({"collected_at": AT, "movie": MOVIE}),
                "comments-movies.json": b"[]",
                "user-profile.json": b'{"username": "agnes"}',
                "empty.csv": b"",
                "picture.png": b"\x89PNG",
                "backup.zip": zipped({"a": b""}),
                "__MACOSX/._lists-watchlist.json": b"\0\5\x16\7",
                "folder/": b"",
            }
        ),
    )
    reasons = skipped(report)
    assert "Lists other than the watchlist" in reasons.pop("lists-westerns.json")
    assert "collected_at" in reasons.pop("collection-movies.json")
    assert reasons.pop("comments-movies.json") == "It has no entries."
    assert reasons.pop("user-profile.json") == "It has no entries."
    assert reasons.pop("empty.csv") == "It is empty."
    assert "neither a CSV nor a JSON" in reasons.pop("picture.png")
    assert "archive within the archive" in reasons.pop("backup.zip")
    assert "macOS" in reasons.pop("__MACOSX/._lists-watchlist.json")
    assert reasons == {}
    assert {each["format"] for each in report["files"]} == {"trakt-watchlist", "trakt-favourites"}
    [show] = report["passed_over"]
    assert (show["file"], show["row"], report["not_films"]) == ("lists-watchlist.json", 2, 1)
    assert {"file": "lists-watchlist.json", "columns": ["notes"]} in report["not_kept"]


# --- Letterboxd


def test_folders_of_letterboxd_are_skipped_and_named(viewer: Client) -> None:
    make_cleo()
    file = csv(RATINGS, f"{CLEO},4")
    paths = ["deleted/diary.csv", "x/orphaned/diary.csv", "lists/best.csv"]
    report = imported(viewer, zipped(dict.fromkeys(paths, file) | {"ratings.csv": csv(RATINGS)}))
    assert report["rows"] == 0
    assert "deleted there" in skipped(report)["deleted/diary.csv"]
    assert "no longer has" in skipped(report)["x/orphaned/diary.csv"]
    assert "Lists" in skipped(report)["lists/best.csv"]


def test_another_services_folder_may_be_called_like_one_of_letterboxd(viewer: Client) -> None:
    make_cleo()
    row = cells(TRAKT_WATCHLIST, listed_at=AT, type="movie", title="Cléo from 5 to 7", year=1962)
    file = zipped({"deleted/watchlist.csv": csv(TRAKT_WATCHLIST, row)})
    assert imported(viewer, file)["matched"] == 1


def test_reviews_without_a_diary_are_the_diary(viewer: Client) -> None:
    make_cleo()
    reviews = csv(REVIEWS, f"{CLEO},4,,Great!,,2024-02-29")
    report = imported(viewer, zipped({"reviews.csv": reviews, "profile.csv": b"Username\nagnes"}))
    assert report["by_kind"].keys() == {"ratings", "viewings"}
    assert report["not_kept"] == [{"file": "reviews.csv", "columns": ["Review"]}]
    with_diary = zipped({"reviews.csv": reviews, "diary.csv": csv(DIARY)})
    assert skipped(imported(viewer, with_diary)) == {
        "reviews.csv": "The diary has the same entries."
    }


def test_a_form_with_reviews_is_not_taken_for_the_reviews(viewer: Client) -> None:
    make_cleo()
    form = csv("Title,Year,Rating10,Review", "Cléo from 5 to 7,1962,9,Great!")
    report = imported(viewer, zipped({"import.csv": form, "diary.csv": csv(DIARY)}))
    assert report["matched"] == 1


def test_ratings_of_the_days_are_named_where_the_ratings_count(viewer: Client) -> None:
    make_cleo()
    diary, ratings = csv(DIARY, f"{CLEO},4,,,2024-02-29"), csv(RATINGS, f"{CLEO},3")
    report = imported(viewer, zipped({"diary.csv": diary, "ratings.csv": ratings}))
    assert report["not_kept"] == [{"file": "diary.csv", "columns": ["Rating"]}]


# --- files that are broken, beside others that are not


def test_a_broken_file_is_refused_whole_and_stops_no_other(viewer: Client) -> None:
    make_cleo()
    broken = csv(RATINGS, "2024-01-01,Vagabond,1985,x,4", '2024-01-01,"Open,1962,x,4')
    doubled = csv("Date,Name,Year,Letterboxd URI,Rating,rating", f"{CLEO},4,1")
    report = imported(
        viewer,
        zipped({"a.csv": broken, "b.csv": doubled, "ratings.csv": csv(RATINGS, f"{CLEO},4")}),
    )
    assert (report["matched"], report["unknown_count"]) == (1, 0)
    reasons = {row["file"]: row["reason"] for row in report["refused"]}
    assert "cannot be read beyond line 3" in reasons["a.csv"]
    assert "a column twice: rating" in reasons["b.csv"]


def test_an_archive_without_known_files_says_why(viewer: Client) -> None:
    why = refusal(viewer, zipped({"films.csv": b"Name,Age\nAgnes,80\n", "notes.pdf": b"%PDF"}))
    assert "'films.csv': The columns match no known file" in why
    assert "Name, Age" in why
    assert "'notes.pdf': It is neither" in why


def test_rows_are_counted_over_all_files(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_ROWS", 4)
    files = {f"{n}/watched.csv": csv(PLAIN, CLEO, CLEO) for n in range(3)}
    assert "more than 4 rows" in refusal(viewer, zipped(files))


def test_the_number_of_skipped_files_named_is_bounded(viewer: Client) -> None:
    files = {f"{n}.png": b"" for n in range(300)} | {"ratings.csv": csv(RATINGS)}
    report = imported(viewer, zipped(files))
    assert (report["skipped_file_count"], len(report["skipped_files"])) == (300, 200)


@pytest.mark.parametrize(
    "file", [b'[{"a": %s}]' % (b"[" * 900 + b"]" * 900), b'{"movies": {"a": [1]}, "shows": 3}']
)
def test_json_of_another_shape_is_refused(viewer: Client, file: bytes) -> None:
    assert "no known file of Letterboxd" in refusal(viewer, file)


def test_an_object_with_very_many_keys_is_refused(viewer: Client) -> None:
    many = listed({f"key{n}": 1 for n in range(50_000)})
    assert "keys" in refusal(viewer, many)
