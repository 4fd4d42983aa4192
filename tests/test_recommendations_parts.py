"""Which part of a model put a film into a list, and what that part says."""

from __future__ import annotations

import numpy as np
import pytest
import time_machine
from pytest_django.fixtures import Settings
from scipy.sparse import csr_matrix

from movies.models import Movie
from recommendations.dataset import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.sequence import SequenceRecommender
from recommendations.engine.matrices import IdMap
from recommendations.lists.scores import Candidates, ReleaseScorer
from recommendations.releases import LoadedRelease
from tests.audience import listed, make_audience, rate, set_options, sources, train_release
from tests.builders import Client, interact, make_movie, make_user
from tests.engine.camps import csr

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
        reasons = item["reasons"]
        if item["source"] == "popularity":
            assert reasons[0]["text"] in {"Many viewers here like it", "Liked here"}
            reasons = reasons[1:]
            assert {reason["kind"] for reason in reasons} <= {"liked"}
        for reason in reasons:
            if reason["kind"] in {"liked", "shared"}:
                assert reason["movie_id"] in liked
            else:
                assert reason["kind"] in {"taste", "popular"}
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)


def test_after_the_first_rating_popular_films_also_have_its_film_as_a_reason(
    viewer: Client,
) -> None:
    audience = make_audience()
    train_release()
    liked = audience.movies[0][0]
    rate(viewer, liked, 5)
    items = listed(viewer, limit=40)["items"]
    popular = [item for item in items if item["source"] == "popularity"]
    assert len(popular) >= 5
    because = {"kind": "liked", "text": f"Because you liked {liked.name}", "movie_id": liked.pk}
    assert all(item["reasons"][0]["kind"] == "popular" for item in popular)
    assert [item["reasons"][1:] for item in popular[:5]] == [[because]] * 5


def test_the_whole_weight_on_one_part_gives_the_list_of_that_part(
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


def test_fields_from_tmdb_are_not_named_in_reasons(viewer: Client) -> None:
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


def test_each_algorithm_gives_true_reasons_or_none(viewer: Client, settings: Settings) -> None:
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


def test_sequence_reads_how_long_ago_the_last_film_was(viewer: Client) -> None:
    """After the first film, the second one follows within seconds, the third in half an hour."""
    movies = [make_movie() for _ in range(3)]
    ids = np.array([movie.pk for movie in movies])
    likes = csr([[1, 1, 0], [1, 0, 1]] * 20)
    times = csr_matrix(np.array([[100.0, 130, 0], [100, 0, 2000]] * 20))
    model = SequenceRecommender(regularization=5.0).fit(likes, times=times)
    release = LoadedRelease(items=IdMap(ids), recommenders={"sequence": model})
    rate(viewer, movies[0], 5)
    history = load_history(viewer.user.pk)
    best = []
    for later_s in (20, 2000):
        with time_machine.travel(history.seconds[0] + later_s):
            candidates = Candidates.of(ids.tolist(), release)
            found = ReleaseScorer(release, candidates, [history]).scores("sequence")
        assert found
        best.append(int(found.of_candidates(np.array([0]))[0, 1:].argmax()))
    assert best == [0, 1]
