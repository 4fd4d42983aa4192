"""The films of `manage.py import_movielens`: their titles, and which the catalogue has already."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from movies.importing.matching import FilmMatcher, parse_title
from movies.models import Genre, Movie
from recommendations.models import Interaction
from recommendations.movielens import services
from tests.builders import Client, make_movie
from tests.movielens import every_row, run, write_csv

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "name", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("American in Paris, An (1951) ", "An American in Paris", 1951),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("Misérables, Les (1995)", "Les Misérables", 1995),
        ("Cry, the Beloved Country (1995)", "Cry, the Beloved Country", 1995),
        ("Steal Big, Steal Little (1995)", "Steal Big, Steal Little", 1995),
        ("Postman, The (Postino, Il) (1994)", "The Postman (Il Postino)", 1994),
        (
            "Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)",
            "The Good, the Bad and the Ugly (Il Buono, il brutto, il cattivo)",
            1966,
        ),
        ("Seven (a.k.a. Boot, Das) (1995)", "Seven (a.k.a. Das Boot)", 1995),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("Fargo (2014- )", "Fargo", 2014),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("1984", "1984", None),
        ("Babylon 5", "Babylon 5", None),
        ("Odyssey (9999)", "Odyssey (9999)", None),
        ("(1995)", "", 1995),
        ("The", "The", None),
    ],
)
def test_titles_give_a_name_and_a_year(text: str, name: str, year: int | None) -> None:
    title = parse_title(text)
    assert (title.name, title.release_year) == (name, year)


def test_a_new_film_runs_since_the_first_day_of_its_year(tmp_path: Path, anonymous: Client) -> None:
    run(write_csv(tmp_path, links=("2,0133093,603",)))
    movie = Movie.objects.get(name="The Matrix")
    answer = anonymous.get(f"/movies/{movie.pk}").json()
    expected = {
        "name": "The Matrix",
        "slug": "the-matrix",
        "protagonists": ["Unknown"],
        "genres": [{"slug": "sci-fi", "name": "Sci-Fi"}],
        "start_date": "1999-01-01",
        "end_date": None,
        "status": "running",
        "release_year": 1999,
        "tmdb_id": 603,
        "rating_count": 2,
        "rating_average": 2.75,
    }
    assert answer.items() >= expected.items()


def test_a_film_without_year_or_genres_has_neither(tmp_path: Path) -> None:
    run(write_csv(tmp_path, movies=("9,Babylon 5,(no genres listed)",)))
    movie = Movie.objects.get()
    assert (movie.release_year, movie.start_date) == (None, date(1970, 1, 1))
    assert not Genre.objects.exists()


def test_a_film_of_next_year_is_coming_up(tmp_path: Path) -> None:
    run(write_csv(tmp_path, movies=(f"9,Soon ({timezone.localdate().year + 1}),Drama",)))
    assert Movie.objects.get().status == Movie.Status.COMING_UP


def test_a_second_film_of_one_name_and_year_gets_a_numbered_slug(tmp_path: Path) -> None:
    movies = ("1,Emma (1996),Drama", "2,EMMA (1996),Drama", "3,Emma (1996),", "4,Emma (2020),")
    folder = write_csv(tmp_path, "1,1,1,5", "1,2,2,5", "1,3,3,5", "1,4,4,5", movies=movies)
    run(folder)
    found = Movie.objects.order_by("pk").values_list("name", "release_year", "slug")
    assert list(found) == [
        ("Emma", 1996, "emma"),
        ("EMMA (2)", 1996, "emma-2"),
        ("Emma (3)", 1996, "emma-3"),
        ("Emma", 2020, "emma-2020"),
    ]
    before = every_row()
    assert "Films: 0 created, 4 known." in run(folder)[0]
    assert every_row() == before
    stars = Interaction.objects.order_by("movie_id").values_list("half_stars", flat=True)
    assert list(stars) == [2, 4, 6, 8]


def test_the_first_film_gets_a_shared_tmdb_id(tmp_path: Path) -> None:
    folder = write_csv(tmp_path, links=("1,0,862", "2,0,862", "3,0,"))
    run(folder)
    ids = dict(Movie.objects.values_list("name", "tmdb_id"))
    assert ids == {"Toy Story": 862, "The Matrix": None, "Misérables": None}
    assert "Films: 0 created, 3 known." in run(folder)[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "THE MATRIX", "release_year": 1999},
        {"name": "the matrix", "release_year": None, "start_date": date(1999, 1, 1)},
        {"name": "Matrix", "release_year": 2000, "tmdb_id": 603},
    ],
    ids=["name and year", "name and start", "TMDb id"],
)
def test_a_film_that_the_catalogue_has_is_used_as_it_is(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    movie = make_movie(**fields)
    before = Movie.objects.filter(pk=movie.pk).values("name", "protagonists", "tmdb_id").get()
    out, _ = run(write_csv(tmp_path, links=("2,0133093,603",)))
    assert "Films: 2 created, 1 known." in out
    assert Interaction.objects.filter(movie=movie).count() == 2
    assert Movie.objects.filter(pk=movie.pk).values(*before).get() == before


@pytest.mark.parametrize("name", ["The Postman", "il postino"])
def test_a_film_is_known_by_each_of_the_names_in_its_title(tmp_path: Path, name: str) -> None:
    movie = make_movie(name=name, release_year=1994)
    run(write_csv(tmp_path, "1,4,5,5", movies=('4,"Postman, The (Postino, Il) (1994)",',)))
    assert list(Movie.objects.all()) == [movie]
    assert Interaction.objects.get().movie == movie


def test_a_film_with_the_exact_name_comes_before_one_with_an_equal_alias(tmp_path: Path) -> None:
    movie = make_movie(name="Il Postino", release_year=1994)
    movies = ('4,"Postman, The (Postino, Il) (1994)",', '5,"Postino, Il (1994)",')
    run(write_csv(tmp_path, "1,5,5,5", movies=movies))
    assert Movie.objects.count() == 2
    assert Interaction.objects.get().movie == movie


def test_a_remake_of_another_year_is_another_film(tmp_path: Path) -> None:
    make_movie(name="The Matrix", release_year=2031)
    assert "Films: 3 created" in run(write_csv(tmp_path))[0]


def test_a_withdrawn_film_stays_withdrawn(tmp_path: Path) -> None:
    folder = write_csv(tmp_path)
    run(folder)
    Movie.objects.filter(name="The Matrix").update(withdrawn_at=timezone.now())
    assert "Films: 0 created, 3 known." in run(folder)[0]


def test_a_film_posted_meanwhile_is_found_at_the_second_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    class MatcherInARace(FilmMatcher):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            attempts.append(self)
            if len(attempts) == 1:
                make_movie(name="The Matrix", start_date=date(1999, 1, 1))

    monkeypatch.setattr(services, "FilmMatcher", MatcherInARace)
    run(write_csv(tmp_path))
    assert len(attempts) == 2
    assert Movie.objects.count() == 3
