"""Ratings and other interactions through HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from movies.models import Movie
from recommendations.dataset import load_history
from recommendations.models import Interaction
from tests.audience import rate, say
from tests.builders import Client, interact, make_movie, make_user

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db

Kind = Interaction.Kind

#: From the contract: "superlike +3, like +2, stars 5/4/3/2/1 = +3/+2/+1/-1/-2 (halves in
#: between), dislike -2, seen +0.5, hide -3". Half a star goes on as from two stars to one.
WEIGHTS = {
    ("superlike", None): 3,
    ("like", None): 2,
    ("dislike", None): -2,
    ("seen", None): 0.5,
    ("hide", None): -3,
    ("rating", 5): 3,
    ("rating", 4.5): 2.5,
    ("rating", 4): 2,
    ("rating", 3.5): 1.5,
    ("rating", 3): 1,
    ("rating", 2.5): 0,
    ("rating", 2): -1,
    ("rating", 1.5): -1.5,
    ("rating", 1): -2,
    ("rating", 0.5): -2.5,
}

BAD_STARS = [b"0", b"5.5", b"3.3", b"-1", b"1e400", b'"4"', b"null", b"NaN", b"true", b"[4]", b"{}"]


def shown(client: Client, movie: Movie) -> tuple[int, float | None]:
    """The movie's ratings in the catalogue."""
    body = client.get(f"/movies/{movie.pk}").json()
    return body["rating_count"], body["rating_average"]


def refused_fields(answer: Response) -> list[str]:
    assert answer.status_code == 422, answer.content
    return [error["field"] for error in answer.json()["errors"]]


# --- rating


def test_a_new_rating_and_a_changed_one_are_one_statement_each(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    movie = make_movie()
    for stars in (4, 4.5):
        with django_assert_num_queries(2):  # who rates, and the rating
            assert rate(viewer, movie, stars).status_code == 200


def test_a_rating_shows_in_the_catalogue_and_can_be_changed(viewer: Client) -> None:
    movie = make_movie()
    first = rate(viewer, movie, 4.5)
    assert first.status_code == 200
    body = first.json()
    assert (body["movie_id"], body["kind"], body["stars"]) == (movie.pk, "rating", 4.5)
    assert shown(viewer, movie) == (1, 4.5)

    changed = rate(viewer, movie, 2).json()
    assert (changed["id"], changed["stars"], changed["weight"]) == (body["id"], 2, -1)
    assert changed["created_at"] == body["created_at"]
    assert changed["updated_at"] > body["updated_at"]
    assert shown(viewer, movie) == (1, 2)


def test_the_same_rating_again_changes_nothing(viewer: Client) -> None:
    movie = make_movie()
    first = rate(viewer, movie, 3).json()
    version = viewer.user.taste_version
    assert rate(viewer, movie, 3).json() == first
    assert viewer.user.taste_version == version


def test_the_average_is_over_all_viewers(viewer: Client) -> None:
    movie = make_movie()
    for stars in (5, 3.5, 1):
        rate(Client(make_user()), movie, stars)
    count, average = shown(viewer, movie)
    assert (count, average) == (3, 3.17)  # 9.5 / 3


def test_a_rating_is_taken_back_once(viewer: Client) -> None:
    movie = make_movie()
    rate(viewer, movie, 4)
    assert viewer.delete(f"/movies/{movie.pk}/rating").status_code == 204
    assert shown(viewer, movie) == (0, None)
    assert viewer.delete(f"/movies/{movie.pk}/rating").status_code == 404


def test_taking_a_rating_back_leaves_the_rest_and_the_others(viewer: Client) -> None:
    movie, other = make_movie(), Client(make_user())
    for client in (viewer, other):
        rate(client, movie, 5)
        say(client, movie, "like")
    viewer.delete(f"/movies/{movie.pk}/rating")
    assert set(Interaction.objects.values_list("user_id", "kind")) == {
        (viewer.user.pk, Kind.LIKE),
        (other.user.pk, Kind.LIKE),
        (other.user.pk, Kind.RATING),
    }


@pytest.mark.parametrize("stars", BAD_STARS, ids=bytes.decode)
def test_stars_are_halves_from_a_half_to_five(viewer: Client, stars: bytes) -> None:
    movie = make_movie()
    answers = [
        viewer.send("PUT", f"/movies/{movie.pk}/rating", b'{"stars": %b}' % stars),
        viewer.send(
            "POST",
            "/interactions",
            b'{"movie_id": %d, "kind": "rating", "stars": %b}' % (movie.pk, stars),
        ),
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert not Interaction.objects.exists()


@pytest.mark.parametrize("half_stars", range(1, 11))
def test_every_half_star_can_be_given(viewer: Client, half_stars: int) -> None:
    answer = rate(viewer, make_movie(), half_stars / 2)
    assert (answer.status_code, answer.json()["stars"]) == (200, half_stars / 2)


@pytest.mark.parametrize("payload", [None, {}, [], 4, {"star": 4}, {"stars": 4, "movie_id": 1}])
def test_a_rating_needs_stars_and_nothing_else(viewer: Client, payload: Any) -> None:
    assert viewer.put(f"/movies/{make_movie().pk}/rating", payload).status_code == 422


def test_deleting_a_viewer_takes_the_ratings_along(viewer: Client) -> None:
    movie, other = make_movie(), make_user()
    rate(viewer, movie, 5)
    interact(other, movie, "rating", half_stars=2)
    interact(other, movie, "like")
    assert shown(viewer, movie) == (2, 3)
    other.delete()
    assert shown(viewer, movie) == (1, 5)


# --- interactions


@pytest.mark.parametrize(("kind", "stars"), WEIGHTS)
def test_each_kind_has_its_weight(viewer: Client, kind: str, stars: float | None) -> None:
    movie = make_movie()
    answer = say(viewer, movie, kind, stars)
    assert answer.status_code == 201
    body = answer.json()
    assert body["weight"] == WEIGHTS[kind, stars]
    assert (body["movie_id"], body["kind"], body["stars"]) == (movie.pk, kind, stars)
    assert body["new_matches"] == []
    assert answer["Location"] == f"/api/v1/interactions/{body['id']}"


@pytest.mark.parametrize(("kind", "stars"), [("like", None), ("seen", None), ("rating", 4.5)])
def test_the_same_again_is_200_and_changes_nothing(
    viewer: Client, kind: str, stars: float | None
) -> None:
    movie = make_movie()
    first = say(viewer, movie, kind, stars)
    version = viewer.user.taste_version
    again = say(viewer, movie, kind, stars)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert viewer.user.taste_version == version


def test_other_stars_replace_those_that_stand(viewer: Client) -> None:
    movie = make_movie()
    first = say(viewer, movie, "rating", 4)
    changed = say(viewer, movie, "rating", 1)
    assert changed.status_code == 200
    assert changed.json()["id"] == first.json()["id"]
    assert changed.json()["updated_at"] > first.json()["updated_at"]
    assert shown(viewer, movie) == (1, 1)


def test_a_rating_is_the_same_by_either_way(viewer: Client) -> None:
    movie = make_movie()
    put = rate(viewer, movie, 4).json()
    posted = say(viewer, movie, "rating", 4)
    assert (posted.status_code, posted.json()["id"]) == (200, put["id"])
    assert viewer.delete(f"/interactions/{put['id']}").status_code == 204
    assert viewer.delete(f"/movies/{movie.pk}/rating").status_code == 404


def test_kinds_stand_beside_each_other(viewer: Client) -> None:
    movie = make_movie()
    for kind in ("like", "seen", "hide"):
        assert say(viewer, movie, kind).status_code == 201
    assert Interaction.objects.count() == 3
    assert shown(viewer, movie) == (0, None)


def test_an_interaction_is_taken_back_once(viewer: Client) -> None:
    pk = say(viewer, make_movie(), "like").json()["id"]
    assert viewer.delete(f"/interactions/{pk}").status_code == 204
    assert viewer.delete(f"/interactions/{pk}").status_code == 404
    assert not Interaction.objects.exists()


def test_another_viewers_interaction_is_not_there(viewer: Client) -> None:
    row = interact(make_user(), make_movie())
    assert viewer.delete(f"/interactions/{row.pk}").status_code == 404
    assert Interaction.objects.filter(pk=row.pk).exists()


def test_a_movie_that_nobody_may_see_cannot_be_judged(viewer: Client) -> None:
    withdrawn = make_movie()
    Movie.objects.filter(pk=withdrawn.pk).update(withdrawn_at=timezone.now())
    for movie in (withdrawn, Movie(pk=999_999_999), Movie(pk=2**63 - 1)):
        assert rate(viewer, movie, 4).status_code == 404
        assert say(viewer, movie, "like").status_code == 404
        assert viewer.delete(f"/movies/{movie.pk}/rating").status_code == 404
    assert rate(viewer, Movie(pk=10**30), 4).status_code == 404
    assert viewer.delete(f"/interactions/{10**30}").status_code == 404
    assert not Interaction.objects.exists()


def test_a_rating_of_a_movie_withdrawn_since_can_be_taken_back(viewer: Client) -> None:
    movie = make_movie()
    rate(viewer, movie, 4)
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert viewer.delete(f"/movies/{movie.pk}/rating").status_code == 204


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "love"}, "body.kind"),
        ({"kind": "LIKE"}, "body.kind"),
        ({"kind": 2}, "body.kind"),
        ({"kind": None}, "body.kind"),
        ({"movie_id": "1"}, "body.movie_id"),
        ({"movie_id": 1.5}, "body.movie_id"),
        ({"movie_id": True}, "body.movie_id"),
        ({"movie_id": 0}, "body.movie_id"),
        ({"movie_id": 2**63}, "body.movie_id"),
        ({"movie_id": None}, "body.movie_id"),
        ({"weight": 100}, "body.weight"),
        ({"stars": 4}, "body"),
        ({"kind": "rating"}, "body"),
    ],
    ids=str,
)
def test_a_malformed_interaction_is_refused_by_its_field(
    viewer: Client, changes: dict[str, Any], field: str
) -> None:
    payload = {"movie_id": make_movie().pk, "kind": "like", **changes}
    assert refused_fields(viewer.post("/interactions", payload)) == [field]
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/movies/1/rating"),
        ("DELETE", "/movies/1/rating"),
        ("POST", "/interactions"),
        ("DELETE", "/interactions/1"),
    ],
)
def test_feedback_is_for_those_who_have_signed_in(
    anonymous: Client, method: str, path: str
) -> None:
    answer = anonymous.send(method, path, {"stars": 4})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_repeated_verdict_is_the_last_one(viewer: Client) -> None:
    movie = make_movie()
    for kind in ("like", "dislike", "like"):
        viewer.post("/interactions", {"movie_id": movie.pk, "kind": kind})
    _, weights, *_ = load_history(viewer.user.pk)
    assert weights.tolist() == [2]
    before = Interaction.objects.get(kind=Interaction.Kind.LIKE).updated_at
    viewer.post("/interactions", {"movie_id": movie.pk, "kind": "like"})
    assert Interaction.objects.get(kind=Interaction.Kind.LIKE).updated_at == before
