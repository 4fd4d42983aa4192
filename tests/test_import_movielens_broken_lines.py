"""`manage.py import_movielens` names what it refuses, and the rest goes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from movies.models import Movie
from tests.movielens import MOVIES, RATINGS, run, write_csv

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,1,4.0", "3 fields instead of 4"),
        ("1,1,4.0,5,6", "5 fields instead of 4"),
        ("one,1,4.0,5", "userId 'one' is not a whole number"),
        ("1,1.5,4.0,5", "movieId '1.5' is not a whole number"),
        ("1,1,good,5", "rating 'good' is not a number"),
        ("1,1,4.0,now", "timestamp 'now' is not a whole number"),
        ("1,1,4.0,", "timestamp '' is not a whole number"),
        ("1,1,0,5", "rating '0' is not one of 0.5, 1, 1.5 ... 5"),
        ("1,1,5.5,5", "rating '5.5' is not one of"),
        ("1,1,-1,5", "rating '-1' is not one of"),
        ("1,1,3.7,5", "rating '3.7' is not one of"),
        ("1,1,nan,5", "rating 'nan' is not one of"),
        ("1,99,4.0,5", "unknown movie 99"),
        ("1,1,4.0,-5", "timestamp -5 is negative"),
        ("1,1,4.0,9999999999999", "timestamp 9999999999999 lies in the future"),
        ("1,1,4.0," + "9" * 30, "timestamp '" + "9" * 30 + "' is out of range"),
        ("-1,1,4.0,5", "userId -1 is negative"),
        ("99999999999,1,4.0,5", "userId '99999999999' is out of range"),
        (b"1,1,4.0,\xff5", "invalid UTF-8 at byte 9"),
        ("1,1,4.0," + "x" * 500, "timestamp '" + "x" * 40 + "…' is not"),
        ("1,1,4.0,5\x00", "timestamp '5\\x00' is not"),
    ],
)
def test_a_broken_rating_is_named_and_the_rest_goes_in(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    out, err = run(write_csv(tmp_path, RATINGS[0], line, *RATINGS[1:]))
    assert err.startswith(f"ratings.csv:3: {reason}")
    assert err.count("\n") == 1
    assert "Ratings: 3 created, 0 updated, 0 unchanged. Lines refused: 1." in out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("8,Heat (1995)", "2 fields instead of 3"),
        ("8,Heat, Dust (1983),Drama", "4 fields instead of 3"),
        ('8,"Heat (1995),Drama', "not comma-separated values: unexpected end of data"),
        ("x,Heat (1995),Drama", "movieId 'x' is not a whole number"),
        ("1,Heat (1995),Drama", "movie 1 stands there a second time"),
        ("8,(1995),Drama", "title '' cannot be used"),
        ("8," + "x" * 291 + ",Drama", "title '" + "x" * 40 + "…' cannot be used"),
        ("8,Heat (1995),Drama|" + "x" * 61, "genre '" + "x" * 40 + "…' cannot be used"),
        (b"8,H\xe9at (1995),Drama", "invalid UTF-8 at byte 4"),
    ],
)
def test_a_broken_film_is_named_and_its_ratings_are_refused(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    folder = write_csv(tmp_path, *RATINGS, "1,8,4,5", movies=(MOVIES[0], line, *MOVIES[1:]))
    out, err = run(folder)
    assert err.startswith(f"movies.csv:3: {reason}")
    assert err.endswith("\nratings.csv:5: unknown movie 8\n")
    assert "Films: 3 created" in out
    assert "Ratings: 3 created" in out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,0114709", "2 fields instead of 3"),
        ("1,0114709,x", "tmdbId 'x' is not a whole number"),
        ("1,0114709,9999999999", "tmdbId '9999999999' is out of range"),
        ("99,0114709,862", "unknown movie 99"),
    ],
)
def test_a_broken_link_is_named_and_leaves_the_film_without_an_id(
    tmp_path: Path, line: str, reason: str
) -> None:
    out, err = run(write_csv(tmp_path, links=(line, "2,0133093,603")))
    assert err == f"links.csv:2: {reason}\n"
    assert "Lines refused: 1." in out
    assert list(Movie.objects.exclude(tmdb_id=None).values_list("tmdb_id", flat=True)) == [603]


def test_the_first_twenty_broken_lines_are_named(
    tmp_path: Path,
) -> None:
    out, err = run(write_csv(tmp_path, *["broken"] * 1025, *RATINGS))
    lines = err.splitlines()
    assert lines[19] == "ratings.csv:21: 1 field instead of 4"
    assert lines[20:] == ["... and 1,005 more lines were refused"]
    assert "Ratings: 3 created" in out
    assert "Lines refused: 1,025." in out
