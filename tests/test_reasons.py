"""Reasons are true: each film that is named is taken out of the history, and the score falls."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies import catalogue
from movies.models import Genre, Movie
from recommendations import evaluation
from recommendations.content_similarity import Reason
from recommendations.dataset import load_history
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.hybrid import HybridRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.matrices import IdMap
from recommendations.engine.ranking.explanations import (
    Explainers,
    entries_to_test,
    score_parts,
    strongest_entries,
)
from recommendations.lists.reasons import (
    FITS,
    LIKED_HERE,
    POPULAR,
    STAFF,
    explain,
    reasons_by_preferences,
)
from recommendations.lists.scores import HistoryMatrices
from recommendations.lists.serving import with_matches
from recommendations.matches.services import match_all
from recommendations.releases import LoadedRelease
from tests.audience import Listed, listed, make_audience, rate, say, train_release
from tests.builders import Client, interact, make_movie, make_user
from tests.engine.camps import Sums, csr
from tests.matching import like, make_films, make_viewer
from tests.tastes import publish_release
from users.preferences import StatedPreferences

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

ML_LATEST_SMALL = Path(django_settings.BASE_DIR).parent / "shared" / "data" / "ml-latest-small"


def by_film(client: Client, algorithm: str) -> dict[int, Listed]:
    items = listed(client, limit=40, algorithm=algorithm, refresh=True)["items"]
    return {item["movie"]["id"]: item for item in items}


# --- through the API, one film after the other


def test_leaving_the_named_film_out_lowers_the_score(viewer: Client, settings: Settings) -> None:
    """user_knn cannot tell which films its scores come from."""
    settings.TRAINING_ALGORITHMS = ["als", "content", "hybrid", "user_knn"]
    audience = make_audience(movies_each=6, viewers_each=12)
    for number, movie in enumerate(audience.all_movies):
        Movie.objects.filter(pk=movie.pk).update(directors=[f"Director {number // 3}"])
    train_release()
    luck = random.Random(1)
    said: dict[int, tuple[Movie, str, int]] = {}
    for movie in luck.sample(audience.all_movies, 6):
        kind = luck.choice(["like", "superlike", "like", "seen", "dislike"])
        said[movie.pk] = (movie, kind, say(viewer, movie, kind).json()["id"])
    before = {name: by_film(viewer, name) for name in ("hybrid", "content", "user_knn")}
    named: dict[int, list[tuple[str, int]]] = {}
    for algorithm, items in before.items():
        for pk, item in items.items():
            for reason in item["reasons"]:
                if reason["kind"] in {"liked", "seen"}:
                    named.setdefault(reason["movie_id"], []).append((algorithm, pk))
    assert {algorithm for pairs in named.values() for algorithm, _ in pairs} == before.keys()
    for film, pairs in named.items():
        movie, kind, own = said[film]
        assert kind != "dislike"
        assert viewer.delete(f"/interactions/{own}").status_code == 204
        after = {name: by_film(viewer, name) for name in {name for name, _ in pairs}}
        for name, pk in pairs:
            was, now = before[name][pk], after[name].get(pk)
            assert now is None or now["score"] < was["score"], (name, film, pk)
        assert say(viewer, movie, kind).status_code == 201


def test_leaving_the_named_favourite_out_lowers_the_film(
    viewer: Client,
) -> None:
    audience = make_audience()
    train_release()
    loved = [audience.movies[0][0], audience.movies[0][1], audience.movies[1][0]]
    for movie in loved:
        assert viewer.put(f"/users/me/favourites/{movie.pk}").status_code == 200
    before = by_film(viewer, "hybrid")
    for movie in loved:
        named = [
            pk
            for pk, item in before.items()
            if movie.pk in {reason["movie_id"] for reason in item["reasons"]}
        ]
        assert named
        assert viewer.delete(f"/users/me/favourites/{movie.pk}").status_code == 204
        after = by_film(viewer, "hybrid")
        for pk in named:
            was, now = before[pk], after[pk]
            assert was["source"] == "favourites"
            assert now["source"] != "favourites" or now["score"] < was["score"]
        assert viewer.put(f"/users/me/favourites/{movie.pk}").status_code == 200


# --- where no single film has brought it


def reason_for(viewer: Client, film: Movie, model: Sums, popular: PopularityRecommender) -> Reason:
    snapshot = catalogue.current().snapshot
    ids = np.sort(np.array(list(Movie.objects.values_list("pk", flat=True)), dtype=np.int64))
    release = LoadedRelease(items=IdMap(ids), recommenders={"popularity": popular})
    past = HistoryMatrices.of([load_history(viewer.user.pk)], release)
    explainers = Explainers(model, score_parts(model, past.weights, past.times))
    item = np.searchsorted(ids, [film.pk])
    [reasons] = explain(explainers, item, [model.name], past.kinds, release, snapshot)
    [reason] = reasons or [Reason("none", "")]
    return reason


def test_other_reasons_follow_if_no_film_raises_the_score(
    viewer: Client,
) -> None:
    liked, sibling, stranger, another = (
        make_movie(protagonists=[name], runtime_minutes=90)
        for name in ("Anna Karina", "Anna Karina", "Sami Frey", "Claude Brasseur")
    )
    rate(viewer, liked, 5)
    rate(viewer, another, 5)
    adds = np.full((4, 4), -1, dtype=np.float32)  # each film of the history lowers each score
    adds[:, 2] = -0.1
    by_nobody, by_two, by_many = (
        PopularityRecommender().fit(csr([[0, 0, n > i, n > i] for i in range(3)]))
        for n in (0, 2, 3)
    )
    lowers = Sums(adds)
    found = reason_for(viewer, sibling, lowers, by_many)
    assert found == Reason("shared", f"Also with Anna Karina, like {liked.name}", liked.pk)
    assert reason_for(viewer, stranger, lowers, by_many) == FITS
    misfit = Sums(np.where(adds == np.float32(-0.1), -3, adds).astype(np.float32))
    assert reason_for(viewer, stranger, misfit, by_many) == POPULAR
    assert reason_for(viewer, stranger, misfit, by_two) == LIKED_HERE
    assert reason_for(viewer, stranger, misfit, by_nobody).kind == "none"


def test_a_reason_names_no_withdrawn_film(viewer: Client) -> None:
    first, second, film = (make_movie(protagonists=[f"Somebody {n}"]) for n in range(3))
    rate(viewer, first, 5)
    rate(viewer, second, 5)
    adds = np.zeros((3, 3), dtype=np.float32)
    adds[:2, 2] = 5, 1
    popular = PopularityRecommender().fit(csr(np.zeros((1, 3))))
    assert reason_for(viewer, film, Sums(adds), popular).movie_id == first.pk
    Movie.objects.filter(pk=first.pk).update(withdrawn_at=timezone.now())
    assert reason_for(viewer, film, Sums(adds), popular).movie_id == second.pk


def test_a_film_that_starts_in_these_months_is_new_and_an_old_one_is_not(viewer: Client) -> None:
    today = timezone.localdate()
    new, old = (make_movie(start_date=today - timedelta(days=days)) for days in (89, 91))

    def kinds() -> dict[int, list[str]]:
        items = listed(viewer, refresh=True)["items"]
        return {item["movie"]["id"]: [why["kind"] for why in item["reasons"]] for item in items}

    assert kinds() == {new.pk: ["new"], old.pk: []}
    interact(make_user(), make_movie())
    train_release()
    posted_since = make_movie(start_date=today - timedelta(days=400))
    found = kinds()
    assert found[posted_since.pk] == ["new"]


# --- what viewers of the same taste do


def test_matches_are_the_second_reason_of_at_most_two() -> None:
    one, several = (with_matches([], number)[0] for number in (1, 3))
    assert one == Reason("matches", "A viewer of your taste likes it")
    assert several == Reason("matches", "3 viewers of your taste like it")
    assert with_matches([STAFF, FITS], 3) == [STAFF, several]
    assert with_matches([STAFF], 1) == [STAFF, one]
    assert with_matches([STAFF, FITS], 0) == [STAFF, FITS]


@pytest.mark.django_db(transaction=True)  # visibility changes after the commit
def test_a_visible_match_is_a_reason_until_consent_ends(settings: Settings) -> None:
    settings.MATCH_SHRINKAGE = 1
    films = make_films(6)
    viewer, match = make_viewer("Agnès"), make_viewer("Jacques")
    like(viewer, films[:4])
    like(match, films[:5])
    interact(make_user(), films[5])
    match_all()
    publish_release()
    client = Client(viewer)

    def kinds() -> dict[int, list[str]]:
        items = listed(client)["items"]
        return {item["movie"]["id"]: [why["kind"] for why in item["reasons"]] for item in items}

    assert kinds() == {films[4].pk: ["new", "matches"], films[5].pk: ["new"]}
    answer = Client(match).put("/users/me/preferences", {"genres": [], "match_visible": False})
    assert answer.status_code == 200, answer.content
    assert kinds() == {films[4].pk: ["new"], films[5].pk: ["new"]}


# --- on real ratings


def test_reasons_hold_on_real_ratings() -> None:
    if not ML_LATEST_SMALL.exists():
        pytest.skip(f"ml-latest-small is not there: {ML_LATEST_SMALL}")
    data = evaluation.from_folder(ML_LATEST_SMALL, print)
    parts = (AlsRecommender(factors=32, iterations=4), ContentRecommender())
    fitted = [part.fit(data.interactions, data.items, data.times) for part in parts]
    hybrid = HybridRecommender().compose({part.name: part for part in fitted})
    checked = 0
    for user in (10, 99, 307):
        history, times = data.interactions[user], data.times[user]
        scores = hybrid.score(history, times)[0]
        unseen = np.setdiff1d(np.arange(len(scores)), history.indices)
        items = unseen[np.argsort(-scores[unseen])][:10]
        explainers = Explainers(hybrid, score_parts(hybrid, history, times))
        likely = explainers.candidate_entries("als", np.ones(history.nnz, dtype=bool), items)
        entries = np.array(entries_to_test(likely))
        falls = explainers.influences(entries, items)["als"].falls
        for item, row in zip(items, strongest_entries(falls, at_most=1), strict=True):
            for entry in entries[row]:
                without = history.copy()
                without.data[entry] = 0
                without.eliminate_zeros()
                assert hybrid.score(without)[0, item] < scores[item]
                assert fitted[0].score(without)[0, item] < fitted[0].score(history)[0, item]
                checked += 1
    assert checked >= 25


def test_a_film_that_is_withdrawn_while_the_list_is_made_has_no_reason() -> None:
    make_movie(genres=["Drama"])
    stated = StatedPreferences(genres=[Genre.objects.get()], languages=["fr"])
    assert reasons_by_preferences(stated, 10**9, catalogue.current().snapshot) == []
