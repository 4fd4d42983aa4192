"""The films that a new viewer is asked about."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pytest_django import DjangoAssertNumQueries

from movies import services as movies
from movies.models import Movie
from recommendations.engine.artifacts import MANIFEST
from recommendations.models import Release
from recommendations.releases import ONBOARDING
from tests.audience import Audience, make_audience, rate, say
from tests.builders import Client, interact, make_movie, make_user
from tests.tastes import publish_popularity

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def audience(db: None) -> Audience:
    audience = make_audience()
    publish_popularity()
    return audience


def asked(client: Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/recommendations/onboarding", **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[int]:
    return [row["movie_id"] for row in answer["data"]]


def sources(answer: dict[str, Any]) -> list[str]:
    return [row["source"] for row in answer["data"]]


def test_a_new_viewer_is_asked_about_five_films_by_the_release(
    viewer: Client, audience: Audience
) -> None:
    answer = asked(viewer)
    assert answer["release"] == Release.objects.get().pk
    assert sources(answer) == ["release"] * 5
    assert len(set(ids(answer))) == 5
    shown = answer["data"][0]["movie"]
    assert shown == viewer.get(f"/movies/{answer['data'][0]['movie_id']}").json() | {
        key: shown[key] for key in shown
    }


def test_answered_films_leave_the_list_and_others_follow(
    viewer: Client, audience: Audience
) -> None:
    order = ids(asked(viewer, limit=12))
    films = {movie.pk: movie for movie in audience.all_movies}
    rate(viewer, films[order[0]], 2.5)
    say(viewer, films[order[1]], "dislike")
    say(viewer, films[order[2]], "seen")
    assert viewer.put(f"/users/me/favourites/{order[3]}").status_code == 200
    assert viewer.post("/users/me/history", {"movie_id": order[4]}).status_code == 201
    assert ids(asked(viewer, limit=5)) == order[5:10]
    assert viewer.delete(f"/movies/{order[0]}/rating").status_code == 204
    assert ids(asked(viewer, limit=5)) == [order[0], *order[5:9]]


def test_an_answer_of_one_viewer_leaves_the_questions_of_others(
    viewer: Client, audience: Audience
) -> None:
    before = ids(asked(viewer))
    interact(make_user(), Movie.objects.get(pk=before[0]), "like")
    assert ids(asked(viewer)) == before


def test_a_withdrawn_film_is_not_asked_about(viewer: Client, audience: Audience) -> None:
    first, *others = ids(asked(viewer, limit=6))
    movies.delete_movie(movie_id=first, force=True)
    assert Movie.objects.get(pk=first).withdrawn_at is not None
    assert ids(asked(viewer, limit=5)) == others


def test_without_a_release_popular_films_come_first_and_then_the_ranking(viewer: Client) -> None:
    quiet, liked, loved, best = (make_movie() for _ in range(4))
    Movie.objects.filter(pk=best.pk).update(ranking=500)
    for _ in range(3):
        interact(make_user(), loved, "superlike")
    interact(make_user(), liked, "like")
    answer = asked(viewer)
    assert answer["release"] is None
    assert ids(answer) == [loved.pk, liked.pk, best.pk, quiet.pk]
    assert sources(answer) == ["popular", "popular", "ranking", "ranking"]


def test_a_film_newer_than_the_release_comes_behind_those_that_it_knows(
    viewer: Client, audience: Audience
) -> None:
    new = make_movie()
    for movie in audience.all_movies[5:]:
        interact(viewer.user, movie, "seen")
    answer = asked(viewer, limit=20)
    assert set(ids(answer)) == {movie.pk for movie in audience.all_movies[:5]} | {new.pk}
    assert (ids(answer)[-1], sources(answer)[-1]) == (new.pk, "ranking")


def test_a_release_from_before_there_was_an_order_falls_back(
    viewer: Client, audience: Audience
) -> None:
    manifest = Release.objects.get().path / MANIFEST
    facts = orjson.loads(manifest.read_bytes())
    del facts["sha256"][ONBOARDING]
    manifest.write_bytes(orjson.dumps(facts))
    answer = asked(viewer)
    assert answer["release"] == Release.objects.get().pk
    assert sources(answer) == ["popular"] * 5


def test_a_viewer_who_has_rated_every_film_gets_no_question(viewer: Client) -> None:
    assert asked(viewer)["data"] == []
    interact(viewer.user, make_movie(), "hide")
    assert asked(viewer) == {"release": None, "data": []}


@pytest.mark.parametrize("limit", ["0", "21", "-1", "five", "1.5", "", "9" * 30])
def test_the_limit_is_from_1_to_20(viewer: Client, limit: str) -> None:
    answer = viewer.get("/recommendations/onboarding", limit=limit)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.limit"


def test_the_number_of_questions_is_the_limit(viewer: Client, audience: Audience) -> None:
    assert [len(ids(asked(viewer, limit=limit))) for limit in (1, 20)] == [1, 20]
    assert ids(asked(viewer, limit=20))[:5] == ids(asked(viewer))


def test_onboarding_is_private_and_takes_few_queries(
    viewer: Client, audience: Audience, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    answer = viewer.get("/recommendations/onboarding")
    assert answer["Cache-Control"] == "private, no-store"
    assert viewer.send("HEAD", "/recommendations/onboarding").status_code == 200
    with django_assert_num_queries(4):  # the session, catalogue, release and history
        asked(viewer)
