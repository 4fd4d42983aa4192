"""The search index follows each change of a film, by any writer and in any way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from cinema.development.demonstration import fill_demonstration
from movies import tasks
from movies.models import CatalogueVersion, Genre, Movie, MovieSearch, Screening
from movies.search.index import BATCH, index_stale_movies
from tests import movielens
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.catalogue import while_uncommitted

pytestmark = pytest.mark.django_db


def found(client: Client, **query: Any) -> list[str]:
    answer = client.get("/movies", **query)
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


def stale() -> int:
    return MovieSearch.objects.filter(is_stale=True).count()


def sql(statement: str, *parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def unwritten(number: int) -> Movie:
    return Movie(
        name=f"Film {number}",
        slug=f"film-{number}",
        protagonists=["Nobody"],
        start_date=date(2020, 1, 1),
        status=Movie.Status.RUNNING,
    )


# --- at once


def test_a_film_is_found_as_soon_as_it_is_written(staff: Client) -> None:
    movie = make_movie(name="Cléo", genres=["drama"], original_language="fr")
    path = f"/movies/{movie.pk}"
    assert found(staff, q="cleo", genre="drama", language="fr") == ["Cléo"]
    staff.patch(path, {"name": "Vagabond", "genres": ["war"], "original_language": "de"})
    assert found(staff, q="cleo") == []
    assert found(staff, q="vaga", genre="war", language="de") == ["Vagabond"]
    assert found(staff, q="vaga", genre="drama") == []
    staff.delete(path)
    assert found(staff, q="vaga") == []
    assert not MovieSearch.objects.exists()


def test_cached_searches_end_when_films_are_indexed(anonymous: Client) -> None:
    movie = make_movie(name="Cléo")
    assert found(anonymous, q="vagabond") == []
    sql("UPDATE movies_movie SET keywords = '{vagabond}'")
    assert found(anonymous, q="vagabond") == []
    tasks.index_for_search()
    assert found(anonymous, q="vagabond") == [movie.name]


def test_films_of_movielens_are_found_as_soon_as_they_are_there(
    anonymous: Client, tmp_path: Path
) -> None:
    movielens.run(movielens.write_csv(tmp_path))
    assert found(anonymous, q="matr", genre="sci-fi", year_from=1999) == ["The Matrix"]
    assert stale() == 0


def test_the_demonstration_is_found_as_soon_as_it_is_there(anonymous: Client) -> None:
    assert fill_demonstration()
    assert "Nosferatu" in found(anonymous, q="MURNAU")
    assert found(anonymous, q="matinee")
    assert stale() == 0


# --- by the task


def change_keywords(movie: Movie) -> None:
    Movie.objects.filter(pk=movie.pk).update(keywords=["nitrate"])


def change_protagonists(movie: Movie) -> None:
    sql("UPDATE movies_movie SET protagonists = '{Nitrate}' WHERE id = %s", movie.pk)


def change_directors(movie: Movie) -> None:
    Movie.objects.filter(pk=movie.pk).update(directors=["Nitrate"])


def change_series(movie: Movie) -> None:
    Movie.objects.filter(pk=movie.pk).update(series="Nitrate")


def change_overview(movie: Movie) -> None:
    movie.overview = "Of nitrate."
    movie.save(update_fields=["overview"])


def add_screening(movie: Movie) -> None:
    screening = make_screening(movie)
    Screening.objects.filter(pk=screening.pk).update(tags=["nitrate"])


def show_screening(movie: Movie) -> None:
    make_screening(movie, tags=["nitrate"], state="hidden")
    Screening.objects.update(state="scheduled")


def move_screening(movie: Movie) -> None:
    make_screening(make_movie(), tags=["nitrate"])
    Screening.objects.update(movie=movie)


@pytest.mark.parametrize(
    "change",
    [
        change_keywords,
        change_protagonists,
        change_directors,
        change_series,
        change_overview,
        add_screening,
        show_screening,
        move_screening,
    ],
)
def test_writes_past_the_services_are_found_after_the_task(
    anonymous: Client, change: Callable[[Movie], None]
) -> None:
    movie = make_movie(name="Cléo")
    change(movie)
    tasks.index_for_search()
    assert found(anonymous, q="nitrate") == ["Cléo"]
    assert stale() == 0


def delete_screenings() -> None:
    Screening.objects.all().delete()


def hide_screenings() -> None:
    Screening.objects.update(state="hidden")


def delete_screenings_by_hand() -> None:
    sql("DELETE FROM movies_screening")


@pytest.mark.parametrize(
    "take_away", [delete_screenings, hide_screenings, delete_screenings_by_hand]
)
def test_tags_are_lost_with_their_screenings(
    anonymous: Client, take_away: Callable[[], None]
) -> None:
    make_screening(make_movie(name="Cléo"), tags=["nitrate"])
    assert found(anonymous, q="nitrate") == ["Cléo"]
    take_away()
    tasks.index_for_search()
    assert found(anonymous, q="nitrate") == []


def test_changed_filters_are_indexed(anonymous: Client) -> None:
    movie = make_movie(name="Cléo", genres=["drama"])
    movie.genres.set([Genre.objects.create(slug="war", name="War")])
    sql(
        "UPDATE movies_movie SET status = 'finished', original_language = 'de', release_year = 1999"
    )
    # The film is at least not found by its old fields.
    for query in ({"genre": "drama"}, {"status": "running"}, {"year_to": 1970}, {"language": "fr"}):
        assert found(anonymous, q="cleo", **query) == []
    tasks.index_for_search()
    new = {"genre": "war", "status": "finished", "language": "de", "year_from": 1999}
    assert found(anonymous, q="cleo", **new) == ["Cléo"]


def test_films_inserted_in_bulk_are_indexed_batch_by_batch(anonymous: Client) -> None:
    Movie.objects.bulk_create([unwritten(number) for number in range(BATCH + 1)])
    assert found(anonymous, q="1000") == []
    assert index_stale_movies() == BATCH + 1
    assert found(anonymous, q="1000") == ["Film 1000"]


def test_without_stale_films_nothing_is_written() -> None:
    movie = make_movie(name="Cléo")
    make_screening(movie, tags=["35mm"])
    interact(make_user(), movie, "rating", half_stars=9)
    Movie.objects.update(ranking=70, name="Cléo")
    assert stale() == 0
    version = CatalogueVersion.objects.get().version
    tasks.index_for_search()
    assert CatalogueVersion.objects.get().version == version


# --- genres as an index has them


def genre_ids(movie: Movie) -> list[int]:
    return list(Movie.objects.values_list("genre_ids", flat=True).get(pk=movie.pk))


def test_the_ids_of_genres_follow_the_genres(anonymous: Client) -> None:
    movie = make_movie(genres=["drama", "war"])
    drama, war = (Genre.objects.get(slug=slug).pk for slug in ("drama", "war"))
    assert genre_ids(movie) == sorted([drama, war])
    movie.genres.remove(war)
    assert genre_ids(movie) == [drama]
    sql("UPDATE movies_movie_genres SET genre_id = %s", war)
    assert genre_ids(movie) == [war]
    other = make_movie()
    sql("UPDATE movies_movie_genres SET movie_id = %s", other.pk)
    assert (genre_ids(movie), genre_ids(other)) == ([], [war])
    Genre.objects.all().delete()
    assert genre_ids(other) == []
    assert found(anonymous, genre="war") == []


def test_a_film_deleted_by_sql_leaves_no_search_row() -> None:
    movie = make_movie(genres=["drama"])
    sql("DELETE FROM movies_movie_genres")
    sql("DELETE FROM movies_movie WHERE id = %s", movie.pk)
    assert not MovieSearch.objects.exists()


# --- several at once


@pytest.mark.django_db(transaction=True)
def test_a_film_that_is_being_written_is_left_for_the_next_time() -> None:
    movie = make_movie(name="Cléo")
    make_movie(name="Other")
    MovieSearch.objects.update(is_stale=True)
    counts = []

    def index() -> Any:
        counts.append(index_stale_movies())

    while_uncommitted(lambda: Movie.objects.filter(pk=movie.pk).update(name="Vagabond"), index)
    assert counts == [1]
    assert index_stale_movies() == 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT document::text FROM movies_moviesearch WHERE movie_id = %s", [movie.pk]
        )
        assert "vagabond" in cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_change_during_the_indexing_is_not_lost() -> None:
    """The writer waits, and then marks the film anew."""
    movie = make_movie(name="Cléo")
    MovieSearch.objects.update(is_stale=True)

    def write() -> Any:
        with transaction.atomic():
            Movie.objects.filter(pk=movie.pk).update(name="Vagabond")

    while_uncommitted(index_stale_movies, write)
    assert stale() == 1


@pytest.mark.django_db(transaction=True)
def test_genres_given_by_two_at_once_are_both_kept() -> None:
    movie = make_movie()
    one, other = (Genre.objects.create(slug=slug, name=slug) for slug in ("one", "other"))

    def add() -> Any:
        movie.genres.add(other)

    while_uncommitted(lambda: movie.genres.add(one), add)
    assert genre_ids(movie) == [one.pk, other.pk]
