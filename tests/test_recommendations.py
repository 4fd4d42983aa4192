"""Lists through HTTP: what puts a movie in, why, and what can be asked for."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from recommendations.engine.algorithms import ALGORITHMS
from recommendations.models import Release
from recommendations.schemas import ReasonOut, RecommendationListOut, RecommendationOut
from tests.audience import ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, interact, make_movie, make_user

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("fresh_and_alone"),
    pytest.mark.every_python,
]


# --- what puts a movie in the list


def test_without_a_release_the_list_is_the_programme_by_date(viewer: Client) -> None:
    today = timezone.localdate()
    movies = [make_movie(start_date=today - timedelta(days=days)) for days in (30, 10, 20)]
    answer = listed(viewer)
    assert ids(answer) == [movies[1].pk, movies[2].pk, movies[0].pk]
    assert sources(answer) == ["programme"]
    assert answer["release"] is None
    assert [item["reasons"][0]["kind"] for item in answer["items"]] == ["new"] * 3


def test_without_movies_the_list_is_empty(viewer: Client) -> None:
    assert listed(viewer)["items"] == []
    assert listed(viewer, scope="programme")["items"] == []


def test_a_new_viewer_gets_popular_films(viewer: Client) -> None:
    movies = [make_movie() for _ in range(4)]
    for place, movie in enumerate(movies[:3]):
        for _ in range(3 - place):
            interact(make_user(), movie)
    release = train_release()
    answer = listed(viewer)
    assert ids(answer) == [movie.pk for movie in movies]
    assert [item["source"] for item in answer["items"]] == ["popularity"] * 3 + ["programme"]
    assert answer["release"] == release.pk
    assert answer["items"][0]["reasons"] == [
        {"kind": "popular", "text": "Many viewers here like it", "movie_id": None}
    ]


def test_a_disliked_film_is_not_called_liked(viewer: Client) -> None:
    movie = make_movie()
    interact(make_user(), movie, "dislike")
    train_release()
    [item] = listed(viewer)["items"]
    assert "like it" not in str(item["reasons"])


def test_a_viewer_gets_films_of_the_own_taste_with_reasons(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    mine = audience.movies[1]
    liked = {movie.pk: movie.name for movie in mine[:3]}
    for movie in mine[:3]:
        rate(viewer, movie, 5)
    answer = listed(viewer)
    own_camp = answer["items"][: len(mine) - len(liked)]
    assert {audience.camp_of(item["movie"]["id"]) for item in own_camp} == {1}
    assert "als" in {item["source"] for item in own_camp} <= {"als", "content", "popularity"}
    for item in listed(viewer, algorithm="als")["items"][: len(own_camp)]:
        assert audience.camp_of(item["movie"]["id"]) == 1
        assert item["source"] == "als"
        assert 1 <= len(item["reasons"]) <= 2
        for reason in item["reasons"]:
            assert reason["kind"] == "liked"
            assert reason["text"] == f"Because you liked {liked[reason['movie_id']]}"


def test_the_last_click_already_counts(viewer: Client) -> None:
    """Between two trainings; and taking it back counts too."""
    audience = make_audience()
    train_release()
    tops = []
    for camp in range(3):
        answer = rate(viewer, audience.movies[camp][0], 5)
        tops.append(audience.camp_of(ids(listed(viewer))[0]))
        viewer.delete(f"/interactions/{answer.json()['id']}")
    assert tops == [0, 1, 2]
    assert sources(listed(viewer)) == ["popularity"]


@pytest.mark.parametrize("kind", ["dislike", "hide"])
def test_a_viewer_without_likes_gets_popular_films(viewer: Client, kind: str) -> None:
    audience = make_audience()
    train_release()
    say(viewer, audience.movies[0][0], kind)
    assert sources(listed(viewer)) == ["popularity"]


def test_a_seen_film_is_a_reason_but_not_called_liked(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    seen = audience.movies[0][0]
    say(viewer, seen, "seen")
    top = listed(viewer, algorithm="als")["items"][0]
    assert top["source"] == "als"
    assert top["reasons"] == [
        {"kind": "seen", "text": f"Because you saw {seen.name}", "movie_id": seen.pk}
    ]


def test_a_movie_that_is_newer_than_the_release_comes_at_the_end(viewer: Client) -> None:
    make_audience()
    train_release()
    new = make_movie(start_date=timezone.localdate())
    for algorithm in ("als", "popularity"):
        last = listed(viewer, limit=40, algorithm=algorithm)["items"][-1]
        assert (last["movie"]["id"], last["source"]) == (new.pk, "programme")


def test_scores_fall_and_ranks_rise(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    items = listed(viewer, limit=40)["items"]
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    scores = [item["score"] for item in items if item["source"] != "exploration"]
    assert scores == sorted(scores, reverse=True)


def test_a_list_is_as_documented_and_shows_movies_as_the_catalogue_does(viewer: Client) -> None:
    audience = make_audience(n_camps=2)
    train_release()
    rate(viewer, audience.movies[0][0], 4)
    answer = listed(viewer)
    assert answer.keys() == RecommendationListOut.model_fields.keys()
    for item in answer["items"]:
        assert item.keys() == RecommendationOut.model_fields.keys()
        for reason in item["reasons"]:
            assert reason.keys() == ReasonOut.model_fields.keys()
        assert item["movie"] == viewer.get(f"/movies/{item['movie']['id']}").json()
    made_at = datetime.fromisoformat(answer["generated_at"])
    ends_at = datetime.fromisoformat(answer["expires_at"])
    assert (ends_at.date() - made_at.date(), ends_at.time()) == (timedelta(days=1), time())


def test_lists_are_not_stored_on_the_way(viewer: Client) -> None:
    assert viewer.get("/recommendations")["Cache-Control"] == "private, no-store"


def test_posting_a_film_rating_and_training_changes_the_list(staff: Client) -> None:
    audience = make_audience()
    train_release()
    fans = [Client(user) for user in audience.viewers[2]]
    before = ids(listed(fans[0], limit=5))
    film = staff.post(
        "/movies", {"name": "Vagabond", "protagonists": ["S. B."], "start_date": "2025-12-04"}
    ).json()
    for fan in fans[1:]:
        fan.put(f"/movies/{film['id']}/rating", {"stars": 5})
    assert film["id"] not in ids(listed(fans[0], limit=5))
    release = train_release()
    after = listed(fans[0], limit=5)
    assert after["release"] == release.pk
    assert film["id"] in ids(after)
    assert ids(after) != before
    [item] = [item for item in after["items"] if item["movie"]["id"] == film["id"]]
    assert item["source"] in {"als", "popularity"}


# --- what can be asked for


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"algorithm": "astrology"}, "algorithm"),
        ({"algorithm": ""}, "algorithm"),
        ({"scope": "everything"}, "scope"),
        ({"limit": 0}, "limit"),
        ({"limit": 41}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"days": 0}, "days"),
        ({"days": 93}, "days"),
        ({"refresh": "perhaps"}, "refresh"),
    ],
    ids=str,
)
def test_a_bad_question_is_refused_by_its_field(
    viewer: Client, query: dict[str, Any], field: str
) -> None:
    answer = viewer.get("/recommendations", **query)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"query.{field}"]


@pytest.mark.parametrize("path", ["/recommendations", "/recommendations/next"])
def test_lists_are_for_those_who_have_signed_in(anonymous: Client, path: str) -> None:
    assert anonymous.get(path).status_code == 401


@pytest.mark.parametrize("limit", [1, 20, 40])
def test_limit_is_how_many_come(viewer: Client, limit: int) -> None:
    for _ in range(45):
        make_movie()
    assert len(listed(viewer, limit=limit)["items"]) == limit


def test_an_algorithm_can_be_asked_for(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    names = ("hybrid", "als", "popularity")
    found = {name: listed(viewer, algorithm=name, limit=40) for name in names}
    assert {name: answer["algorithm"] for name, answer in found.items()} == {
        name: name for name in found
    }
    assert sources(found["als"]) == ["als"]
    assert sources(found["popularity"]) == ["popularity"]
    assert set(ids(found["hybrid"])) == set(ids(found["als"]))
    assert ids(found["als"]) != ids(found["popularity"])


def test_algorithms_are_described_with_what_was_measured(anonymous: Client) -> None:
    make_audience()
    before = {row["name"]: row for row in anonymous.get("/recommendations/algorithms").json()}
    assert before.keys() == ALGORITHMS.keys()
    assert all(row["description"] for row in before.values())
    assert {(row["quality"], row["available"], row["left_out"]) for row in before.values()} == {
        (None, False, None)
    }
    release = train_release()
    after = {row["name"]: row for row in anonymous.get("/recommendations/algorithms").json()}
    for name in ("als", "popularity", "hybrid"):
        assert after[name]["available"]
        assert after[name]["left_out"] is None
        assert after[name]["quality"].items() <= release.metrics[name].items()
    assert after["als"]["quality"]["users"] > 0


def test_an_algorithm_missing_from_the_release_has_a_reason(
    viewer: Client, settings: Settings
) -> None:
    """The default is answered by its fallbacks, of which `source` tells."""
    settings.TRAINING_ALGORITHMS = ["als"]
    audience = make_audience()
    release = train_release()
    rate(viewer, audience.movies[0][0], 5)
    found = {row["name"]: row for row in viewer.get("/recommendations/algorithms").json()}
    assert {name for name, row in found.items() if row["available"]} == {"als", "popularity"}
    assert found["hybrid"]["left_out"] == release.left_out["hybrid"] != ""
    answer = listed(viewer, algorithm="hybrid")
    assert (answer["algorithm"], sources(answer)) == ("hybrid", ["als"])
    # Trained before there was such an algorithm: nothing is known of it.
    Release.objects.update(left_out={})
    found = {row["name"]: row for row in viewer.get("/recommendations/algorithms").json()}
    assert (found["hybrid"]["available"], found["hybrid"]["left_out"]) == (False, None)
