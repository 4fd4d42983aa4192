"""Recommendations in GraphQL: the list of the REST API, in a fixed number of queries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.matches.services import match_all
from recommendations.tasks import store_impressions
from tests.audience import ids, listed
from tests.builders import Client, at, make_movie, make_screening
from tests.matching import like, make_films, make_viewer
from tests.showing import shown, stored
from tests.tastes import publish_release
from tests.test_graphql import ask, refusal

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

EVERYTHING = """
query($scope: RecommendationScope! = CATALOGUE, $limit: Int! = 20) {
  recommendations(scope: $scope, limit: $limit) {
    listId scope algorithm release generatedAt expiresAt
    items {
      rank score source
      movie {
        pk name similarityScore genres { slug }
        screenings(first: 3) { totalCount edges { node { hall } } }
      }
      reasons { kind text movieId }
      matchedUsers { id name similarity }
      potentialMatches { userId condition confidence }
    }
  }
}
"""


def show_tomorrow(movie: Movie) -> None:
    make_screening(movie, starts_at=at(timezone.localdate() + timedelta(days=1), 20))


@pytest.fixture
def client(settings: Settings) -> Client:
    """A viewer who has a match and a potential one: each likes one film more."""
    settings.MATCH_SHRINKAGE = 1  # four films suffice
    films = make_films(8)
    viewer, match, near = make_viewer("Viewer"), make_viewer("Match"), make_viewer("Near")
    like(viewer, films[:4])
    like(match, films[:5])
    like(near, [*films[:3], films[5]])
    match_all()
    publish_release()
    return Client(viewer)


def test_a_list_is_shown_as_in_the_rest_api(client: Client) -> None:
    found = ask(client, EVERYTHING)["recommendations"]
    rest = listed(client)
    assert found["listId"] == rest["list_id"]
    assert (found["scope"], found["algorithm"]) == ("CATALOGUE", rest["algorithm"])
    assert found["release"] == rest["release"]
    for ours, theirs in (("generatedAt", "generated_at"), ("expiresAt", "expires_at")):
        assert datetime.fromisoformat(found[ours]) == datetime.fromisoformat(rest[theirs])
    for item, row in zip(found["items"], rest["items"], strict=True):
        assert {key: item[key] for key in ("rank", "score", "source")} == {
            key: row[key] for key in ("rank", "score", "source")
        }
        assert (item["movie"]["pk"], item["movie"]["name"]) == (
            row["movie"]["id"], row["movie"]["name"],
        )  # fmt: skip
        assert item["movie"]["similarityScore"] == row["movie"].get("similarity_score")
        assert item["reasons"] == [
            {"kind": why["kind"], "text": why["text"], "movieId": why["movie_id"]}
            for why in row["reasons"]
        ]
        assert item["matchedUsers"] == row["matched_users"]
        assert item["potentialMatches"] == [
            {"userId": m["user_id"], "condition": m["condition"], "confidence": m["confidence"]}
            for m in row["potential_matches"]
        ]
    assert any(item["matchedUsers"] for item in found["items"])
    assert any(item["potentialMatches"] for item in found["items"])


def test_a_list_in_the_answer_counts_once_as_shown(viewer: Client) -> None:
    make_films(4)
    ask(viewer, EVERYTHING, limit=3)
    ask(viewer, EVERYTHING, limit=3)
    store_impressions()
    assert stored() == shown(listed(viewer, limit=3))


def test_the_programme_holds_what_has_a_screening_to_come(viewer: Client) -> None:
    film, _ = make_films(2)
    show_tomorrow(film)
    found = ask(viewer, EVERYTHING, scope="PROGRAMME")["recommendations"]
    assert [item["movie"]["pk"] for item in found["items"]] == [film.pk]


def test_without_a_sign_in_the_rest_of_the_query_is_answered(anonymous: Client) -> None:
    query = "{ recommendations { listId } genres { totalCount } }"
    answer = anonymous.post("/graphql", {"query": query}).json()
    assert answer["data"] == {"recommendations": None, "genres": {"totalCount": 0}}
    assert "Sign in" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("limit: 0", "limit"),
        ("limit: 41", "limit"),
        ("limit: 2000000000", "values"),
        ("limit: 99999999999", "32-bit"),
        ("days: 93", "days"),
        ('algorithm: "magic"', "expected one of"),
        ("scope: SHOP", "SHOP"),
        ("refresh: true", "refresh"),
    ],
)
def test_a_bad_argument_is_named(viewer: Client, arguments: str, says: str) -> None:
    assert says in refusal(viewer, "{ recommendations(%s) { items { rank } } }" % arguments)


def test_the_limit_counts_as_cost_and_so_does_each_list(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema.graphql.limits.MAX_COST", 100)
    query = "query($n: Int!) { recommendations(limit: $n) { items { rank score movie { pk } } } }"
    assert ask(viewer, query, n=10)
    assert "values" in refusal(viewer, query, n=40)
    assert "values" in refusal(viewer, "{ recommendations { items { reasons { text } } } }")
    lists = " ".join(f"list{n}: recommendations(days: {n + 1}) {{ listId }}" for n in range(5))
    monkeypatch.setattr("cinema.graphql.limits.MAX_COST", 1000)
    assert "lists of recommendations" in refusal(viewer, "{ %s }" % lists)


def test_a_film_withdrawn_since_the_list_was_read_is_null(
    viewer: Client, settings: Settings
) -> None:
    stays, goes = make_films(2)
    assert len(ids(listed(viewer))) == 2
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    Movie.objects.filter(pk=goes.pk).update(withdrawn_at=timezone.now())
    items = ask(viewer, "{ recommendations { items { movie { pk } } } }")["recommendations"][
        "items"
    ]
    assert {item["movie"] and item["movie"]["pk"] for item in items} == {stays.pk, None}


@pytest.mark.parametrize("rows", [1, 12])
def test_queries_do_not_grow_with_the_list(
    client: Client,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
    rows: int,
) -> None:
    for number in range(12):
        show_tomorrow(make_movie(genres=["drama", f"genre {number}"]))
    listed(client)  # release and catalogue are looked at, and count no more below
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 60
    with django_assert_num_queries(8):
        found = ask(client, EVERYTHING, limit=rows)["recommendations"]
    assert len(found["items"]) == rows
