"""POST /users/me/import: which film of the catalogue a row means."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from movies.models import Movie
from movies.services import delete_movie
from recommendations.models import Interaction
from tests.builders import Client, at, make_movie, make_screening
from tests.viewer_files import IMDB_RATINGS, RATINGS, cells, csv, imported, make_cleo

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def make_hamlet(year: int, **fields: Any) -> Movie:
    return make_movie(name="Hamlet", release_year=year, start_date=date(year, 5, 1), **fields)


def rows_of(report: dict[str, Any]) -> dict[str, int]:
    return {name: report[name] for name in ("matched", "ambiguous_count", "unknown_count")}


def outcome(viewer: Client, title: str, year: object, **more: object) -> str:
    """matched, ambiguous or unknown."""
    row = cells(
        IMDB_RATINGS, Your_Rating=8, Date_Rated="2024-01-01", Title=title, Year=year, **more
    )
    report = imported(viewer, csv(IMDB_RATINGS, row), dry_run="true")
    [found] = [name for name, number in rows_of(report).items() if number]
    return found.removesuffix("_count")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Cléo from 5 to 7", "CLEO FROM 5 TO 7"),
        ("Straße ohne Ende", "Strasse ohne Ende"),
        ("Müller’s Büro", "Mueller's Buero"),
        ("The Matrix", "Matrix, The"),
        ("L'Avventura", "L’avventura"),
        ("The Postman (Il Postino)", "Il Postino"),
        ("Spider-Man: Homecoming", "Spider Man Homecoming"),
        ("Thelma & Louise", "Thelma and Louise"),
        ("Gleaners and I", "The Gleaners and I"),
        ("千と千尋の神隠し", "千と千尋の神隠し"),
        ("…", "…"),
        ("8½", "8½"),
    ],
)
def test_titles_are_told_as_a_reader_would(viewer: Client, name: str, title: str) -> None:
    make_movie(name=name, release_year=1991)
    assert outcome(viewer, title, 1991) == "matched"


def test_the_year_may_be_one_off_where_there_is_no_other_film(viewer: Client) -> None:
    make_hamlet(1990)
    assert outcome(viewer, "Hamlet", 1991) == "matched"
    assert outcome(viewer, "Hamlet", 1989) == "matched"
    assert outcome(viewer, "Hamlet", 1992) == "unknown"


def test_the_films_of_both_years_around_are_ambiguous(viewer: Client) -> None:
    first, second = (make_hamlet(year) for year in (1990, 1992))
    row = f"2024-01-01,Hamlet,{1991},x,4"
    report = imported(viewer, csv(RATINGS, row))
    assert report["ambiguous"] == [
        {
            "file": "",
            "row": 2,
            "title": "Hamlet",
            "year": 1991,
            "candidates": [
                {"id": first.pk, "name": "Hamlet", "year": 1990},
                {"id": second.pk, "name": "Hamlet", "year": 1992},
            ],
        }
    ]
    assert not Interaction.objects.exists()
    assert outcome(viewer, "Hamlet", 1992) == "matched"


def test_without_a_year_a_title_must_be_the_only_one(viewer: Client) -> None:
    make_hamlet(1990)
    assert outcome(viewer, "Hamlet", "") == "matched"
    make_hamlet(1948)
    assert outcome(viewer, "Hamlet", "") == "ambiguous"


def test_the_exact_title_goes_before_the_one_without_its_article(viewer: Client) -> None:
    make_movie(name="The Thing", release_year=1982)
    thing = make_movie(name="Thing", release_year=1982)
    imported(viewer, csv(RATINGS, "2024-01-01,Thing,1982,x,4"))
    assert Interaction.objects.get().movie == thing


def test_a_film_without_a_release_year_is_of_the_year_it_began(viewer: Client) -> None:
    make_movie(name="Premiere", release_year=None, start_date=date(2024, 5, 1))
    assert outcome(viewer, "Premiere", 2024) == "matched"


def test_the_original_title_is_tried_second(viewer: Client) -> None:
    make_movie(name="Sans toit ni loi", release_year=1985)
    assert outcome(viewer, "Vagabond", 1985) == "unknown"
    assert outcome(viewer, "Vagabond", 1985, Original_Title="Sans toit ni loi") == "matched"


def test_the_tmdb_id_decides(viewer: Client) -> None:
    ours = make_movie(name="Another title", release_year=1900, tmdb_id=7)
    make_hamlet(1990, tmdb_id=8)
    header = "rated_at,type,title,year,tmdb_id,rating"
    for tmdb_id, expected in ((7, ours), (9, None)):
        # 9 is nobody's, and a film of another id is another film.
        file = csv(header, f"2024-01-01T10:00:00Z,movie,Hamlet,1990,{tmdb_id},8")
        report = imported(viewer, file)
        assert report["matched"] == (expected is not None)
    assert Interaction.objects.get().movie == ours


def test_withdrawn_films_are_unknown(viewer: Client) -> None:
    film = make_cleo()
    make_screening(film, starts_at=at(date(2024, 1, 1), 20))
    delete_movie(movie_id=film.pk, force=True)
    assert outcome(viewer, "Cléo from 5 to 7", 1962) == "unknown"


def test_a_row_that_is_no_film_is_counted_and_skipped(viewer: Client) -> None:
    row = cells(
        IMDB_RATINGS,
        Your_Rating=8,
        Date_Rated="2024-01-01",
        Title="Heimat",
        Year=1984,
        Title_Type="TV Mini Series",
    )
    report = imported(viewer, csv(IMDB_RATINGS, row))
    assert (report["rows"], report["not_films"], report["unknown_count"]) == (1, 1, 0)
