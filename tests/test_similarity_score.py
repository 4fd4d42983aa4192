"""The similarity score: what viewers of similar taste make of a film, told to the viewer alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import time_machine
from django.conf import settings as configured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations import loading, similarity
from recommendations.data import load_dataset
from recommendations.engine import artifacts
from recommendations.models import Interaction, Release
from recommendations.training import Trained, publish
from tests.audience import rate, train_release
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.concurrency import at_once
from users.models import User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

LISTS = ("/movies", "/movies/trending", "/movies/popular")


@dataclass(frozen=True)
class Camps:
    """Two camps of viewers: each loves one half of the films and hates the other."""

    films: list[Movie]
    viewers: list[User]

    def loved_by(self, viewer: int) -> list[Movie]:
        return self.films[viewer % 2 :: 2]

    def hated_by(self, viewer: int) -> list[Movie]:
        return self.films[(viewer + 1) % 2 :: 2]


def two_camps(*, n_viewers: int = 24, n_films: int = 16) -> Camps:
    """Each viewer has rated all films but two of each half, in the order of the films."""
    luck = random.Random(1)
    camps = Camps([make_movie() for _ in range(n_films)], [make_user() for _ in range(n_viewers)])
    rows = []
    for number, viewer in enumerate(camps.viewers):
        left_out = luck.sample(camps.loved_by(number), 2) + luck.sample(camps.hated_by(number), 2)
        for film in camps.films:
            if film not in left_out:
                half_stars = luck.randint(8, 10) if film in camps.loved_by(number) else 2
                rows.append(Interaction(user=viewer, movie=film, kind=1, half_stars=half_stars))
    Interaction.objects.bulk_create(rows)
    return camps


def publish_release() -> Release:
    """What a training publishes, of today's ratings; without recommenders, which take long."""
    release = Release(
        users=1, items=1, interactions=1, metrics={}, fingerprint="today", training_s=0
    )
    return publish(release, Trained({}, {}, {}), load_dataset())


@pytest.fixture
def camps() -> Camps:
    found = two_camps()
    publish_release()
    return found


@pytest.fixture
def fan(camps: Camps) -> Client:
    """New since the training, of the camp of viewer 0, with five films rated."""
    client = Client(make_user())
    rate_as_camp(client, camps, 5)
    return client


def rate_as_camp(client: Client, camps: Camps, count: int) -> None:
    """The first films: the even ones are loved."""
    for number, film in enumerate(camps.films[:count]):
        assert rate(client, film, 5 if number % 2 == 0 else 1).status_code == 200


def shown(client: Client, film: Movie) -> dict[str, Any]:
    answer = client.get(f"/movies/{film.pk}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def score(client: Client, film: Movie) -> int | None:
    return shown(client, film).get("similarity_score")


def scores(answer: Response) -> dict[int, int | None]:
    assert answer.status_code == 200, answer.content
    return {film["id"]: film.get("similarity_score") for film in answer.json()["data"]}


# --- the score


def test_a_viewer_is_told_what_viewers_of_similar_taste_make_of_a_film(
    camps: Camps, fan: Client
) -> None:
    loved, hated = score(fan, camps.films[14]), score(fan, camps.films[15])
    assert loved is not None
    assert hated is not None
    assert 0 <= hated < 45 < 55 < loved <= 100
    by_slug = fan.get(f"/movies/by-slug/{camps.films[14].slug}").json()
    assert by_slug["similarity_score"] == loved


def test_a_training_publishes_what_predicts() -> None:
    camps = two_camps()
    train_release()
    client = Client(camps.viewers[0])
    unseen = [
        film for film in camps.films if not film.interactions.filter(user=camps.viewers[0]).exists()
    ]
    found = {film.pk: score(client, film) for film in unseen}
    loved = [found[film.pk] for film in unseen if film in camps.loved_by(0)]
    hated = [found[film.pk] for film in unseen if film in camps.hated_by(0)]
    assert min(filter(None, loved)) > 55 > 45 > max(filter(None, hated))


def test_a_rating_counts_at_once_and_without_a_training(camps: Camps, fan: Client) -> None:
    before = score(fan, camps.films[14])
    for film in camps.films[:4]:
        rate(fan, film, 1 if film in camps.loved_by(0) else 5)
    after = score(fan, camps.films[14])
    assert before is not None
    assert after is not None
    assert after < before


def test_a_rating_counts_whatever_is_said_after_it(camps: Camps, fan: Client) -> None:
    before = score(fan, camps.films[14])
    for film in camps.films[:5]:
        interact(fan.user, film, "hide")
    assert score(fan, camps.films[14]) == before
    release = loading.current_release()
    publish_release()
    ratings = load_dataset().ratings
    assert release.predictor
    assert ratings.nnz == len(release.predictor.raters) + 5


def test_a_viewers_own_rating_of_yesterday_says_nothing(camps: Camps) -> None:
    """Who was there at the training and has taken all back is as who was never there."""
    client = Client(camps.viewers[0])
    stranger = Client(make_user())
    Interaction.objects.filter(user=client.user).delete()
    for one in (client, stranger):
        rate_as_camp(one, camps, 6)
    own = similarity.scores_for(client.user)([film.pk for film in camps.films])
    others = similarity.scores_for(stranger.user)([film.pk for film in camps.films])
    assert own.keys() == others.keys()
    release = loading.current_release()
    [row] = release.users.indices([client.user.pk])
    _, taste = similarity._tastes._by_viewer[client.user.pk]
    _, stranger_taste = similarity._tastes._by_viewer[stranger.user.pk]
    assert taste
    assert stranger_taste
    assert taste.likeness[row] == 0 < stranger_taste.likeness[row]


# --- too little to say


def test_there_is_none_for_a_viewer_of_four_ratings(camps: Camps) -> None:
    client = Client(make_user())
    rate_as_camp(client, camps, 4)
    assert "similarity_score" not in shown(client, camps.films[14])
    rate(client, camps.films[4], 5)
    assert "similarity_score" in shown(client, camps.films[14])


def test_there_is_none_of_a_film_that_two_neighbours_rated(camps: Camps, fan: Client) -> None:
    rare = make_movie()
    for number in (0, 2):
        interact(camps.viewers[number], rare, "rating", half_stars=9)
    publish_release()
    assert "similarity_score" not in shown(fan, rare)
    interact(camps.viewers[4], rare, "rating", half_stars=9)
    publish_release()
    assert shown(fan, rare)["similarity_score"] > 50


def test_there_is_none_of_a_film_newer_than_the_release(camps: Camps, fan: Client) -> None:
    assert "similarity_score" not in shown(fan, make_movie())


def test_there_is_none_without_a_release(viewer: Client) -> None:
    films = [make_movie() for _ in range(6)]
    for film in films:
        rate(viewer, film, 5)
    assert "similarity_score" not in shown(viewer, films[0])
    assert set(scores(viewer.get("/movies", similarity="true")).values()) == {None}


def test_a_release_from_before_there_were_scores_is_served_without(
    camps: Camps, fan: Client
) -> None:
    release = Release.objects.get(is_current=True)
    arrays, manifest = artifacts.load(release.path)
    artifacts.remove(release.path)
    facts = {key: manifest[key] for key in ("algorithms", "metrics")}
    artifacts.save(release.path, {"item_ids": np.array(arrays["item_ids"])}, facts)
    loading.forget_release()
    assert loading.current_release().id == release.pk
    assert "similarity_score" not in shown(fan, camps.films[14])
    assert fan.get("/recommendations").status_code == 200


# --- where it shows


@pytest.mark.parametrize("path", LISTS)
def test_lists_have_it_by_parameter(camps: Camps, fan: Client, path: str) -> None:
    plain = fan.get(path, per_page=50)
    assert set(scores(plain).values()) == {None}
    found = scores(fan.get(path, per_page=50, similarity="true"))
    assert found == {film.pk: score(fan, film) for film in camps.films}
    assert all(found.values())


@pytest.mark.parametrize("path", LISTS)
def test_a_list_takes_as_many_queries_for_one_film_as_for_many(
    camps: Camps, fan: Client, path: str
) -> None:
    fan.get(path, similarity="true")
    counts = []
    for per_page in (1, 16):
        with CaptureQueriesContext(connection) as queries:
            assert fan.get(path, per_page=per_page, similarity="true").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_recommendations_have_it(camps: Camps, fan: Client) -> None:
    items = fan.get("/recommendations", limit=5).json()["items"]
    items += fan.get("/recommendations/next", batch=2).json()["items"]
    assert len(items) == 10
    for item in items:
        film = Movie.objects.get(pk=item["movie"]["id"])
        assert item["movie"]["similarity_score"] == score(fan, film)


GRAPHQL = "{ movies(first: %d, sort: NAME) { edges { node { pk similarityScore } } } }"


def graphql(client: Client, first: int = 50) -> dict[int, int | None]:
    answer = client.post("/graphql", {"query": GRAPHQL % first})
    assert answer.status_code == 200, answer.content
    nodes = [edge["node"] for edge in answer.json()["data"]["movies"]["edges"]]
    return {node["pk"]: node["similarityScore"] for node in nodes}


def test_graphql_has_it(camps: Camps, fan: Client, anonymous: Client) -> None:
    assert graphql(fan) == {film.pk: score(fan, film) for film in camps.films}
    assert set(graphql(anonymous).values()) == {None}


@pytest.mark.parametrize("first", [1, 16])
def test_graphql_looks_a_viewer_up_once_however_many_films(
    camps: Camps, fan: Client, django_assert_num_queries: DjangoAssertNumQueries, first: int
) -> None:
    graphql(fan)
    similarity.forget_tastes()
    with django_assert_num_queries(4):  # viewer, films, release, ratings
        assert len(graphql(fan, first)) == first


def test_details_of_a_viewer_take_a_fixed_number_of_queries(
    camps: Camps, fan: Client, settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    shown(fan, camps.films[14])
    with django_assert_num_queries(3):  # film, genres, viewer
        shown(fan, camps.films[14])
    similarity.forget_tastes()
    with django_assert_num_queries(4):  # and the ratings
        shown(fan, camps.films[14])


# --- to nobody else


def test_nobody_else_gets_it(camps: Camps, fan: Client, anonymous: Client) -> None:
    film = camps.films[14]
    paths = [f"/movies/{film.pk}", f"/movies/by-slug/{film.slug}"]
    paths += [f"{path}?similarity=true" for path in LISTS]
    before = [anonymous.get(path) for path in paths]
    for path, public in zip(paths, before, strict=True):
        personal = fan.get(path)
        assert b'"similarity_score"' in personal.content
        assert personal["Cache-Control"] == "private, no-store"
        assert personal["Vary"] == "Authorization"
        assert b'"similarity_score"' not in public.content
        assert public["Cache-Control"] == "public, max-age=0, must-revalidate"
        again = anonymous.get(path)
        assert (again.content, again["ETag"]) == (public.content, public["ETag"])


@pytest.mark.parametrize("path", LISTS)
def test_an_anonymous_question_for_scores_is_the_plain_one(
    camps: Camps, anonymous: Client, settings: Settings, path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    plain = anonymous.get(path).content
    with django_assert_num_queries(0):
        assert anonymous.get(path, similarity="true").content == plain


def test_each_viewer_gets_the_own_one(camps: Camps, fan: Client) -> None:
    other = Client(make_user())
    for number, film in enumerate(camps.films[:6]):
        rate(other, film, 1 if number % 2 == 0 else 5)
    film = camps.films[14]
    for _ in range(2):
        own, others = score(fan, film), score(other, film)
        assert own is not None
        assert others is not None
        assert own > others


def test_with_a_token_that_counts_no_more_one_reads_as_anybody(camps: Camps, fan: Client) -> None:
    film = camps.films[14]
    ago_s = configured.ACCESS_TOKEN_LIFETIME_S + 60
    with time_machine.travel(timezone.now() - timedelta(seconds=ago_s), tick=False):
        expired = Client(fan.user)
    for headers in (expired.headers, {"Authorization": "Bearer no"}, {"Authorization": "x"}):
        answer = Client().send("GET", f"/movies/{film.pk}", headers=headers)
        assert answer.status_code == 200
        assert "similarity_score" not in answer.json()
        assert answer["Vary"] == "Authorization"


def test_a_bad_parameter_is_refused(anonymous: Client) -> None:
    for path in LISTS:
        assert anonymous.get(path, similarity="much").status_code == 422


# --- edits


def test_the_etag_of_a_personal_answer_holds_edits_back_and_answers_304(camps: Camps) -> None:
    staff = Client(make_user(is_staff=True))
    rate_as_camp(staff, camps, 5)
    path = f"/movies/{camps.films[14].pk}"
    read = staff.get(path)
    assert "similarity_score" in read.json()
    assert read["ETag"] != Client().get(path)["ETag"]
    again = staff.send("GET", path, headers={"If-None-Match": read["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    rate(staff, camps.films[5], 1)
    rate(Client(make_user()), camps.films[14], 1)  # changes the body, and is nobody's edit
    if_match = {"If-Match": read["ETag"]}
    assert staff.send("PATCH", path, {"overview": "One"}, headers=if_match).status_code == 200
    assert staff.send("PATCH", path, {"overview": "Two"}, headers=if_match).status_code == 412


# --- what is kept of it


def test_so_many_tastes_are_kept_and_no_more(
    camps: Camps, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(similarity, "KEPT_COUNT", 3)
    for viewer in camps.viewers[:5]:
        similarity.scores_for(viewer)
    assert list(similarity._tastes._by_viewer) == [v.pk for v in camps.viewers[2:5]]
    monkeypatch.setattr(similarity, "KEPT_BYTES", 2 * 4 * len(camps.viewers))
    similarity.scores_for(camps.viewers[0])
    assert list(similarity._tastes._by_viewer) == [camps.viewers[4].pk, camps.viewers[0].pk]
    assert similarity._tastes._bytes == 2 * 4 * len(camps.viewers)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_the_same(camps: Camps, fan: Client) -> None:
    similarity.forget_tastes()
    film = camps.films[14]
    found = at_once([partial(score, fan, film)] * 8)
    assert len(set(found)) == 1
    assert found[0] is not None
    assert len(similarity._tastes._by_viewer) == 1


def test_a_programme_is_the_same_for_all(camps: Camps, fan: Client, anonymous: Client) -> None:
    """It is pinned in memory for everybody, and has no personal side."""
    make_screening(camps.films[0])
    assert fan.get("/programme").content == anonymous.get("/programme").content
