"""`manage.py import_movielens` makes keywords of tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from movies.models import Movie
from recommendations.movielens import services
from tests.builders import Client, make_movie
from tests.movielens import every_row, run, write_csv, write_lines

pytestmark = pytest.mark.django_db


def write_tags(folder: Path, *lines: str | bytes) -> Path:
    write_csv(folder)
    write_lines(folder / "tags.csv", "userId,movieId,tag,timestamp", *lines)
    return folder


def keywords_of(name: str = "Toy Story") -> list[str]:
    return Movie.objects.get(name=name).keywords


def test_the_tags_of_the_most_viewers_come_first(tmp_path: Path) -> None:
    out, err = run(
        write_tags(
            tmp_path,
            "1,1,toys,5",
            "2,1,Pixar,5",
            "3,1,pixar,5",
            "4,1,pixar,5",
            "5,1,funny,5",
            "6,1,funny,5",
            "7,1,boring,5",
            "7,1,boring,6",
            "7,1,boring,7",
            '1,2,"bullet time, slow motion",5',
        )
    )
    assert err == ""
    assert "Films: 3 created, 0 known. Keywords from tags: 2 films. Viewers: " in out
    assert keywords_of() == ["pixar", "funny", "boring", "toys"]
    assert keywords_of("The Matrix") == ["bullet time, slow motion"]
    assert keywords_of("Misérables") == []


def test_one_tag_in_several_spellings_is_one_in_the_most_frequent(tmp_path: Path) -> None:
    run(
        write_tags(
            tmp_path,
            *("1,1,Sci-Fi,5", "2,1,sci-fi,5", "3,1,sci-fi,5", "4,1,SCI FI,5"),
            *("1,1,Amélie,5", "2,1,amelie,5", "3,1,!!!,5", "4,1,…,5"),
        )
    )
    assert keywords_of() == ["sci-fi", "Amélie", "!!!", "…"]


def test_keywords_of_a_film_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_KEYWORDS", 2)
    run(
        write_tags(
            tmp_path, *(f"{viewer},1,tag {tag},5" for tag in range(4) for viewer in range(tag))
        )
    )
    assert keywords_of() == ["tag 3", "tag 2"]


def test_tags_of_ml_10m_are_read(tmp_path: Path) -> None:
    write_lines(tmp_path / "movies.dat", "1::Toy Story (1995)::Comedy")
    write_lines(tmp_path / "ratings.dat", "1::1::4::964982703")
    write_lines(tmp_path / "tags.dat", "15::1::Amélie, toys::1215184630")
    assert "Keywords from tags: 1 film. " in run(tmp_path)[0]
    assert keywords_of() == ["Amélie, toys"]


def test_a_film_that_has_keywords_keeps_them(tmp_path: Path) -> None:
    make_movie(name="Toy Story", release_year=1995, keywords=["of the staff"])
    make_movie(name="The Matrix", release_year=1999)
    assert "Keywords from tags: 1 film. " in run(write_tags(tmp_path, "1,1,a,5", "1,2,b,5"))[0]
    assert keywords_of() == ["of the staff"]
    assert keywords_of("The Matrix") == ["b"]


def test_a_tag_too_long_for_a_keyword_is_counted_and_skipped(tmp_path: Path) -> None:
    out, err = run(write_tags(tmp_path, "1,1," + "x" * 81 + ",5", "1,1," + "y" * 80 + ",5"))
    assert err == ""
    assert "Lines refused: 0." in out
    assert keywords_of() == ["y" * 80]
    assert "Tags too long for a keyword: 1." in out


def test_a_repeated_import_of_tags_changes_nothing(tmp_path: Path) -> None:
    folder = write_tags(tmp_path, "1,1,toys,5")
    run(folder)
    before = every_row()
    assert "Keywords from tags" not in run(folder)[0]
    write_tags(tmp_path, "1,1,toys,5", "2,1,pixar,5")
    run(folder)
    assert every_row() == before


def test_films_are_found_by_them_at_once(anonymous: Client, tmp_path: Path) -> None:
    make_movie(name="Toy Story", release_year=1995)
    run(write_tags(tmp_path, "1,1,pixar,5"))
    found = anonymous.get("/movies", q="pixar").json()["data"]
    assert [film["name"] for film in found] == ["Toy Story"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,1,toys", "3 fields instead of 4"),
        ("1,1,toys,5,6", "5 fields instead of 4"),
        ('1,1,"toys,5', "not comma-separated values: unexpected end of data"),
        ("one,1,toys,5", "userId 'one' is not a whole number"),
        ("99999999999,1,toys,5", "userId '99999999999' is out of range"),
        ("1,1.5,toys,5", "movieId '1.5' is not a whole number"),
        ("1,99,toys,5", "unknown movie 99"),
        ("1,1,toys,now", "timestamp 'now' is not a whole number"),
        ("1,1,,5", "tag '' cannot be used"),
        ("1,1,\u200b\x07,5", "tag '\\u200b\\x07' cannot be used"),
        (b"1,1,t\xffys,5", "invalid UTF-8 at byte 6"),
    ],
)
def test_a_broken_tag_is_named_and_the_rest_goes_in(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    out, err = run(write_tags(tmp_path, "1,1,first,5", line, "1,1,last,5"))
    assert err.startswith(f"tags.csv:3: {reason}")
    assert err.count("\n") == 1
    assert "Lines refused: 1." in out
    assert keywords_of() == ["first", "last"]


@pytest.mark.parametrize("tag", ["a\tb", "\\N", "\\", "{a,b}", '"', "NULL", "a\x00b", "'; DROP"])
def test_a_hostile_tag_does_no_harm(tmp_path: Path, tag: str) -> None:
    quoted = tag.replace('"', '""')
    _, err = run(write_tags(tmp_path, f'1,1,"{quoted}",5', "1,1,zz,5"))
    assert err == ""
    [first, last] = keywords_of()
    assert last == "zz" or first == "zz"
    assert tag.replace("\t", " ").replace("\x00", "") in (first, last)


def test_another_header_is_refused(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    write_lines(folder / "tags.csv", "userId,tag", "1,x")
    with pytest.raises(CommandError, match=r"tags\.csv begins with 'userId,tag'"):
        run(folder)
