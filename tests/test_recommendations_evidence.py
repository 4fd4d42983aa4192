"""The effect of favourites and check-ins on lists and trainings, and which verdict counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.dataset import Evidence, load_dataset, load_history
from recommendations.popular import most_popular
from tests.audience import ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, make_movie, make_screening, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def love(client: Client, movie: Movie) -> None:
    assert client.put(f"/users/me/favourites/{movie.pk}").status_code == 200


def check_in(client: Client, movie: Movie, *, hours_ago: float = 3) -> int:
    starts_at = timezone.now() - timedelta(hours=hours_ago)
    screening = make_screening(movie, starts_at=starts_at)
    payload = {"movie_id": movie.pk, "screening_id": screening.pk}
    answer = client.post("/users/me/history", payload)
    assert answer.status_code == 201, answer.content
    pk: int = answer.json()["id"]
    return pk


def weights(client: Client) -> dict[int, float]:
    history = load_history(client.user.pk)
    return dict(zip(history.movie_ids.tolist(), history.weights.tolist(), strict=True))


def learned(client: Client) -> dict[int, float]:
    """The interactions that a training reads of the viewer."""
    dataset = load_dataset()
    row = dataset.interactions[int(dataset.users.indices([client.user.pk])[0])]
    return dict(zip(dataset.items.ids[row.indices].tolist(), row.data.tolist(), strict=True))


def test_a_favourite_changes_the_next_list_at_once(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    assert sources(listed(viewer)) == ["popularity"]
    movie = audience.movies[1][0]
    love(viewer, movie)
    answer = listed(viewer, algorithm="als")
    top = answer["items"][0]
    assert (top["source"], audience.camp_of(top["movie"]["id"])) == ("als", 1)
    assert top["reasons"] == [
        {
            "kind": "favourite",
            "text": f"Because {movie.name} is a favourite of yours",
            "movie_id": movie.pk,
        }
    ]
    assert movie.pk not in ids(listed(viewer, limit=40))
    viewer.delete(f"/users/me/favourites/{movie.pk}")
    after = listed(viewer, limit=40)
    assert sources(after) == ["popularity"]
    assert movie.pk in ids(after)


def test_a_check_in_changes_the_next_list_at_once(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    movie = audience.movies[2][0]
    listed(viewer)
    pk = check_in(viewer, movie)
    assert audience.camp_of(ids(listed(viewer))[0]) == 2
    answer = listed(viewer, limit=40, algorithm="als")
    top = answer["items"][0]
    assert (top["source"], audience.camp_of(top["movie"]["id"])) == ("als", 2)
    assert top["reasons"] == [
        {
            "kind": "watched",
            "text": f"Because you watched {movie.name} here",
            "movie_id": movie.pk,
        }
    ]
    assert movie.pk not in ids(answer)
    assert viewer.delete(f"/users/me/history/{pk}").status_code == 204
    assert movie.pk in ids(listed(viewer, limit=40))


def test_the_next_batch_leaves_out_what_was_loved_since(viewer: Client) -> None:
    movies = {movie.pk: movie for movie in (make_movie() for _ in range(4))}
    listed(viewer, limit=2)
    rest = ids(viewer.get("/recommendations/next").json())
    love(viewer, movies[rest[0]])
    check_in(viewer, movies[rest[1]])
    assert viewer.get("/recommendations/next").status_code == 404


def test_watched_elsewhere_is_merely_seen(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    movie = audience.movies[0][0]
    viewer.post("/users/me/history", {"movie_id": movie.pk})
    top = listed(viewer, algorithm="als")["items"][0]
    assert top["reasons"][0]["text"] == f"Because you saw {movie.name}"


def test_a_check_in_has_the_largest_weight(viewer: Client, settings: Settings) -> None:
    films = [make_movie() for _ in range(4)]
    check_in(viewer, films[0])
    love(viewer, films[1])
    say(viewer, films[2], "superlike")
    rate(viewer, films[3], 5)
    assert (
        weights(viewer)
        == learned(viewer)
        == dict(zip([film.pk for film in films], [4, 3, 3, 3], strict=True))
    )
    table = settings.INTERACTION_WEIGHTS
    assert max(table, key=table.__getitem__) == Evidence.CHECK_IN.label


def test_training_learns_from_favourites_and_check_ins() -> None:
    """Viewers who have never rated anything: what they love and come for is enough."""
    films = [[make_movie() for _ in range(6)] for _ in range(2)]
    for camp in films:
        for number in range(12):
            client = Client(make_user())
            for place, movie in enumerate(camp):
                if place != number % 6:
                    love(client, movie) if place % 2 else check_in(
                        client, movie, hours_ago=24 * (number + 1) + 3 * place
                    )
    train_release()
    newcomer = Client(make_user())
    check_in(newcomer, films[1][0], hours_ago=2000)
    top = listed(newcomer, algorithm="als")["items"][:5]
    assert {item["movie"]["id"] for item in top} == {movie.pk for movie in films[1][1:]}
    assert {item["source"] for item in top} == {"als"}


def test_a_later_verdict_replaces_a_check_in_and_a_favourite(viewer: Client) -> None:
    came, loved = make_movie(), make_movie()
    check_in(viewer, came)
    love(viewer, loved)
    for movie in (came, loved):
        rate(viewer, movie, 1)
    assert weights(viewer) == learned(viewer) == {came.pk: -2, loved.pk: -2}


def test_the_same_word_again_counts_after_a_favourite_in_between(viewer: Client) -> None:
    movie = make_movie()
    rate(viewer, movie, 1)
    love(viewer, movie)
    assert weights(viewer) == {movie.pk: 3}
    rate(viewer, movie, 1)
    assert weights(viewer) == {movie.pk: -2}


def test_a_viewing_does_not_replace_a_verdict(viewer: Client) -> None:
    movie = make_movie()
    rate(viewer, movie, 1)
    viewer.post("/users/me/history", {"movie_id": movie.pk, "watched_at": timezone.now()})
    assert weights(viewer) == {movie.pk: -2}


def test_a_film_watched_again_and_again_is_popular_with_one_viewer_only(viewer: Client) -> None:
    film, other = make_movie(), make_movie()
    for minutes in range(20):
        moment = timezone.now() - timedelta(minutes=minutes)
        viewer.post("/users/me/history", {"movie_id": film.pk, "watched_at": moment})
    for hours_ago in range(3, 30, 3):
        check_in(viewer, film, hours_ago=hours_ago)
    for _ in range(2):
        check_in(Client(make_user()), other, hours_ago=2)
        Client(make_user()).post("/users/me/history", {"movie_id": other.pk})
    assert most_popular() == [other.pk, film.pk]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, count(*) FROM recommendations_evidence WHERE movie_id = %s "
            "GROUP BY kind ORDER BY kind",
            [film.pk],
        )
        assert cursor.fetchall() == [(Evidence.SEEN, 1), (Evidence.CHECK_IN, 1)]
