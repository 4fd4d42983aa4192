"""Which part of a model put a film into a list, and what that part says."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.engine.algorithms import ALGORITHMS
from tests.audience import listed, make_audience, rate, set_options, sources, train_release
from tests.builders import Client, interact, make_movie, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def texts(client: Client, movie: Movie, **query: object) -> list[str]:
    items = listed(client, limit=40, **query)["items"]
    [item] = [item for item in items if item["movie"]["id"] == movie.pk]
    return [reason["text"] for reason in item["reasons"]]


def test_the_hybrid_says_of_each_film_which_part_did_most(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    for movie in audience.movies[0][:3]:
        rate(viewer, movie, 5)
    items = listed(viewer, limit=40)["items"]
    parts = {item["source"] for item in items}
    assert parts <= {"als", "ease", "content", "popularity"}
    assert {"als", "popularity"} <= parts
    liked = {movie.pk for movie in audience.movies[0][:3]}
    for item in items:
        for reason in item["reasons"]:
            if item["source"] == "popularity":
                assert reason["text"] in {"Many viewers here like it", "Liked here"}
            elif reason["kind"] in {"liked", "shared"}:
                assert reason["movie_id"] in liked
            else:
                assert reason["kind"] in {"taste", "popular"}
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)


def test_all_weight_on_one_part_leaves_that_alone(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_options(monkeypatch, "hybrid", weights={"als": 1.0, "content": 0.0, "popularity": 0.0})
    audience = make_audience()
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    assert sources(listed(viewer)) == ["als"]
    by_als = listed(viewer, algorithm="als")["items"]
    assert [item["movie"]["id"] for item in listed(viewer)["items"]] == [
        item["movie"]["id"] for item in by_als
    ]


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"protagonists": ["Anna Karina", "Sami Frey"]}, "also with Anna Karina and Sami Frey"),
        ({"directors": ["Agnès Varda"], "protagonists": ["A. K."]}, "also by Agnès Varda"),
        ({"keywords": ["paris"]}, "also about paris"),
        ({"genres": ["drama", "music"]}, "also Drama and Music"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_content_names_the_film_that_is_most_alike_and_what_the_two_share(
    viewer: Client, shared: dict[str, list[str]], words: str
) -> None:
    liked, film, other, another = (
        make_movie(protagonists=[f"Somebody {n}"], release_year=1900 + 20 * n) for n in range(4)
    )
    genres = shared.pop("genres", [])
    for movie in (liked, film):
        Movie.objects.filter(pk=movie.pk).update(**shared)
        movie.genres.set(make_movie(genres=genres).genres.all() if genres else [])
    for movie in (liked, other, another):
        interact(make_user(), movie)
    train_release()
    rate(viewer, other, 3)
    rate(viewer, liked, 5)
    assert texts(viewer, film, algorithm="content") == [f"Because you liked {liked.name}: {words}"]


def test_what_tmdb_filled_in_is_not_named(viewer: Client) -> None:
    liked, film = (
        make_movie(protagonists=["Anna Karina"], genres=["drama"], release_year=1964)
        for _ in range(2)
    )
    Movie.objects.filter(pk=film.pk).update(tmdb_fields=["protagonists"])
    interact(make_user(), liked)
    train_release()
    rate(viewer, liked, 5)
    assert texts(viewer, film, algorithm="content") == [
        f"Because you liked {liked.name}: also Drama"
    ]


def test_each_algorithm_says_why_truly_or_says_nothing(viewer: Client, settings: Settings) -> None:
    settings.TRAINING_ALGORITHMS = []
    audience = make_audience()
    left_out = train_release().left_out
    liked = audience.movies[0][0]
    rate(viewer, liked, 5)
    answers = {name: listed(viewer, algorithm=name) for name in ALGORITHMS.keys() - left_out.keys()}
    assert {name: answer["algorithm"] for name, answer in answers.items()} == {
        name: name for name in answers
    }
    assert {"als", "ease", "item_knn", "user_knn", "sequence", "hybrid"} <= answers.keys()
    for answer in answers.values():
        for item in answer["items"]:
            for reason in item["reasons"]:
                if reason["kind"] == "liked":
                    assert reason["movie_id"] == liked.pk
                elif reason["kind"] == "popular":
                    assert item["source"] == "popularity"
                else:
                    assert reason["text"] == "Fits what you have liked"
