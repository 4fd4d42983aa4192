"""The similarity score where it shows: to the viewer alone, in details, lists and GraphQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings as configured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations import similarity_scores
from tests.audience import rate
from tests.builders import Client, make_user
from tests.tastes import Camps, rate_as_camp, score, scores, shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

LISTS = ("/movies", "/movies/trending", "/movies/popular")


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


def test_recommendations_have_the_score(camps: Camps, fan: Client) -> None:
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


def test_graphql_has_the_score(camps: Camps, fan: Client, anonymous: Client) -> None:
    assert graphql(fan) == {film.pk: score(fan, film) for film in camps.films}
    assert set(graphql(anonymous).values()) == {None}


@pytest.mark.parametrize("first", [1, 16])
def test_graphql_looks_a_viewer_up_once_however_many_films(
    camps: Camps, fan: Client, django_assert_num_queries: DjangoAssertNumQueries, first: int
) -> None:
    graphql(fan)
    similarity_scores.forget_tastes()
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
    similarity_scores.forget_tastes()
    with django_assert_num_queries(4):  # and the ratings
        shown(fan, camps.films[14])


# --- to nobody else


def test_anonymous_answers_have_no_score(camps: Camps, fan: Client, anonymous: Client) -> None:
    film = camps.films[14]
    paths = [f"/movies/{film.pk}", f"/movies/by-slug/{film.slug}"]
    paths += [f"{path}?similarity=true" for path in LISTS]
    before = [anonymous.get(path) for path in paths]
    for path, public in zip(paths, before, strict=True):
        personal = fan.get(path)
        assert b'"similarity_score"' in personal.content
        assert personal["Cache-Control"] == "private, no-store"
        assert "Authorization" in personal["Vary"].split(", ")
        assert b'"similarity_score"' not in public.content
        assert public["Cache-Control"] == "public, max-age=0, must-revalidate"
        again = anonymous.get(path)
        assert (again.content, again["ETag"]) == (public.content, public["ETag"])


@pytest.mark.parametrize("path", LISTS)
def test_an_anonymous_request_for_scores_gets_the_plain_answer(
    camps: Camps, anonymous: Client, settings: Settings, path: str,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 3600
    plain = anonymous.get(path).content
    with django_assert_num_queries(0):
        assert anonymous.get(path, similarity="true").content == plain


def test_each_viewer_gets_the_own_score(camps: Camps, fan: Client) -> None:
    other = Client(make_user())
    for number, film in enumerate(camps.films[:6]):
        rate(other, film, 1 if number % 2 == 0 else 5)
    film = camps.films[14]
    for _ in range(2):
        own, others = score(fan, film), score(other, film)
        assert own is not None
        assert others is not None
        assert own > others


def test_an_expired_token_reads_like_an_anonymous_client(camps: Camps, fan: Client) -> None:
    film = camps.films[14]
    ago_s = configured.ACCESS_TOKEN_LIFETIME_S + 60
    with time_machine.travel(timezone.now() - timedelta(seconds=ago_s), tick=False):
        expired = Client(fan.user)
    for headers in (expired.headers, {"Authorization": "Bearer no"}, {"Authorization": "x"}):
        answer = Client().send("GET", f"/movies/{film.pk}", headers=headers)
        assert answer.status_code == 200
        assert "similarity_score" not in answer.json()
        assert "Authorization" in answer["Vary"].split(", ")


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
