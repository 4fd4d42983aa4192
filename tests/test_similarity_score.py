"""The similarity score: what viewers of similar taste make of a film, told to the viewer alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from cachetools import LRUCache
from pytest_django import DjangoAssertNumQueries

from recommendations import releases, similarity_scores
from recommendations.dataset import load_dataset
from recommendations.engine import artifacts
from recommendations.models import Interaction, Release
from tests.audience import rate, train_release
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.concurrency import at_once
from tests.tastes import Camps, publish_release, rate_as_camp, score, scores, shown, two_camps

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


# --- the score


def test_a_score_follows_viewers_of_similar_taste(camps: Camps, fan: Client) -> None:
    loved, hated = score(fan, camps.films[14]), score(fan, camps.films[15])
    assert loved is not None
    assert hated is not None
    assert 0 <= hated < 45 < 55 < loved <= 100
    by_slug = fan.get(f"/movies/by-slug/{camps.films[14].slug}").json()
    assert by_slug["similarity_score"] == loved


def test_a_training_publishes_a_rating_predictor() -> None:
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


def test_a_rating_counts_beside_later_verdicts(camps: Camps, fan: Client) -> None:
    before = score(fan, camps.films[14])
    for film in camps.films[:5]:
        interact(fan.user, film, "hide")
    assert score(fan, camps.films[14]) == before
    release = releases.loaded_release()
    publish_release()
    ratings = load_dataset().ratings
    assert release.predictor
    assert ratings.nnz == len(release.predictor.raters) + 5


def test_the_trained_ratings_of_the_viewer_do_not_count(camps: Camps) -> None:
    """A viewer who has since taken back everything counts like one who was never there."""
    client = Client(camps.viewers[0])
    stranger = Client(make_user())
    Interaction.objects.filter(user=client.user).delete()
    for one in (client, stranger):
        rate_as_camp(one, camps, 6)
    own = similarity_scores.scores_for(client.user)([film.pk for film in camps.films])
    others = similarity_scores.scores_for(stranger.user)([film.pk for film in camps.films])
    assert own.keys() == others.keys()
    release = releases.loaded_release()
    [row] = release.users.indices([client.user.pk])
    _, taste = similarity_scores._tastes[client.user.pk]
    _, stranger_taste = similarity_scores._tastes[stranger.user.pk]
    assert taste
    assert stranger_taste
    assert taste.likeness[row] == 0 < stranger_taste.likeness[row]


# --- too little to say


def test_a_viewer_of_four_ratings_has_no_score(camps: Camps) -> None:
    client = Client(make_user())
    rate_as_camp(client, camps, 4)
    assert "similarity_score" not in shown(client, camps.films[14])
    rate(client, camps.films[4], 5)
    assert "similarity_score" in shown(client, camps.films[14])


def test_a_film_rated_by_two_neighbours_has_no_score(camps: Camps, fan: Client) -> None:
    rare = make_movie()
    for number in (0, 2):
        interact(camps.viewers[number], rare, "rating", half_stars=9)
    publish_release()
    assert "similarity_score" not in shown(fan, rare)
    interact(camps.viewers[4], rare, "rating", half_stars=9)
    publish_release()
    assert shown(fan, rare)["similarity_score"] > 50


def test_a_film_newer_than_the_release_has_no_score(camps: Camps, fan: Client) -> None:
    assert "similarity_score" not in shown(fan, make_movie())


def test_without_a_release_there_is_no_score(viewer: Client) -> None:
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
    releases.forget_release()
    assert releases.loaded_release().id == release.pk
    assert "similarity_score" not in shown(fan, camps.films[14])
    assert fan.get("/recommendations").status_code == 200


# --- what is kept of it


def test_the_cache_of_tastes_is_bounded(
    camps: Camps, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def cache_of(size_bytes: int) -> LRUCache[int, Any]:
        cache: LRUCache[int, Any] = LRUCache(size_bytes, getsizeof=similarity_scores._size)
        monkeypatch.setattr(similarity_scores, "_tastes", cache)
        return cache

    three = cache_of(3 * similarity_scores.MIN_BYTES)
    for viewer in camps.viewers[:5]:
        similarity_scores.scores_for(viewer)
    assert list(three) == [v.pk for v in camps.viewers[2:5]]
    monkeypatch.setattr(similarity_scores, "MIN_BYTES", 0)
    two = cache_of(2 * 4 * len(camps.viewers))
    for viewer in (*camps.viewers[3:5], camps.viewers[0]):
        similarity_scores.scores_for(viewer)
    assert list(two) == [camps.viewers[4].pk, camps.viewers[0].pk]
    assert two.currsize == 2 * 4 * len(camps.viewers)


@pytest.mark.django_db(transaction=True)
def test_simultaneous_requests_get_the_same_score(camps: Camps, fan: Client) -> None:
    similarity_scores.forget_tastes()
    film = camps.films[14]
    found = at_once([partial(score, fan, film)] * 8)
    assert len(set(found)) == 1
    assert found[0] is not None
    assert len(similarity_scores._tastes) == 1


def test_a_programme_is_the_same_for_all(camps: Camps, fan: Client, anonymous: Client) -> None:
    """It is pinned in memory for everybody, and has no personal side."""
    make_screening(camps.films[0])
    assert fan.get("/programme").content == anonymous.get("/programme").content
