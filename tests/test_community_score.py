"""The community score: a mean that few votes move little, kept by the database whoever writes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import orjson
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from cinema.audit.models import AuditEntry
from movies import scheduled_updates
from movies.models import CatalogueVersion, Movie, RatingPrior
from movies.scheduled_updates import renew_community_scores
from recommendations.models import Interaction
from tests.audience import rate
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.concurrency import and_disconnect, at_once
from tests.movielens import run, write_csv

pytestmark = pytest.mark.django_db
at_the_same_time = pytest.mark.django_db(transaction=True)

#: The score of a cinema without ratings, as the migration has it.
MEAN, WEIGHT = 3.5, 10


def rated(count: int, mean: float) -> Movie:
    """A film with so many ratings, as an import would write them."""
    movie = make_movie()
    Movie.objects.filter(pk=movie.pk).update(rating_count=count, rating_sum=count * mean)
    return movie


def score(movie: Movie) -> float | None:
    movie.refresh_from_db()
    return movie.community_score


def version() -> int:
    return CatalogueVersion.objects.get().version


def assert_kept(movies: Iterable[Movie]) -> None:
    """The stored score follows from the present ratings and the present prior."""
    prior = RatingPrior.objects.first() or RatingPrior(mean=MEAN, weight=WEIGHT)
    for movie in movies:
        halves = Interaction.objects.filter(movie=movie, kind=Interaction.Kind.RATING)
        stars = [half / 2 for half in halves.values_list("half_stars", flat=True)]
        total, count = sum(stars) + prior.weight * prior.mean, len(stars) + prior.weight
        assert score(movie) == (pytest.approx(total / count, abs=1e-9) if stars else None)


# --- the score


def test_a_film_that_nobody_has_rated_has_no_score(anonymous: Client) -> None:
    shown = anonymous.get(f"/movies/{make_movie().pk}").json()
    assert (shown["community_score"], shown["rating_count"]) == (None, 0)


def test_a_rating_counts_with_ten_of_the_mean(viewer: Client, anonymous: Client) -> None:
    movie = make_movie()
    rate(viewer, movie, 5)
    shown = anonymous.get(f"/movies/{movie.pk}").json()
    assert shown["community_score"] == round((5 + 10 * 3.5) / 11, 2)
    assert (shown["rating_average"], shown["rating_count"]) == (5, 1)
    rate(viewer, movie, 0.5)
    assert score(movie) == pytest.approx((0.5 + 35) / 11)
    viewer.delete(f"/movies/{movie.pk}/rating")
    assert score(movie) is None


def test_one_vote_of_five_stars_does_not_beat_200_of_4_6(anonymous: Client) -> None:
    unknown, loved, plain = rated(1, 5), rated(200, 4.6), rated(50, 3)
    unrated = make_movie()
    listed = anonymous.get("/movies", sort="-rating").json()["data"]
    assert [film["id"] for film in listed] == [loved.pk, unknown.pk, plain.pk, unrated.pk]
    assert [film["community_score"] for film in listed] == [4.55, 3.64, 3.08, None]


def test_the_score_stands_wherever_a_film_is_shown(viewer: Client, anonymous: Client) -> None:
    movie = rated(90, 4.5)
    make_screening(movie)
    for path in ("/movies", "/movies/trending", "/movies/popular"):
        assert anonymous.get(path).json()["data"][0]["community_score"] == 4.4
    [day] = [d for d in anonymous.get("/programme").json()["days"] if d["movies"]]
    assert day["movies"][0]["community_score"] == 4.4
    [item] = viewer.get("/recommendations").json()["items"]
    assert item["movie"]["community_score"] == 4.4
    query = "{ movies { edges { node { communityScore } } } }"
    answer = anonymous.post("/graphql", {"query": query}).json()
    assert answer["data"]["movies"]["edges"][0]["node"] == {"communityScore": 4.4}


def test_search_engines_get_the_plain_mean(anonymous: Client) -> None:
    movie = rated(90, 4.5)
    graph = anonymous.get(f"/movies/{movie.pk}/programme.jsonld").json()["@graph"]
    [film] = [node for node in graph if node["@type"] == "Movie"]
    assert film["aggregateRating"]["ratingValue"] == 4.5


def test_staff_cannot_write_it(staff: Client) -> None:
    movie = make_movie()
    assert staff.patch(f"/movies/{movie.pk}", {"community_score": 5}).status_code == 422


# --- kept by the database


def test_every_write_of_ratings_updates_the_score() -> None:
    movie = make_movie()
    row = interact(make_user(), movie, "rating", half_stars=9)
    assert_kept([movie])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommendations_interaction SET half_stars = 2")
        assert_kept([movie])
        cursor.execute("UPDATE movies_movie SET community_score = 5")
        assert_kept([movie])
    row.user.delete()
    assert_kept([movie])
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO movies_movie (name, slug, protagonists, overview, start_date,"
                       " status, status_is_manual, ranking, rating_count, rating_sum, created_at,"
                       " updated_at) SELECT 'Copied', 'copied', protagonists, '', start_date,"
                       " status, false, 0, 10, 45, now(), now() FROM movies_movie")  # fmt: skip
    assert score(Movie.objects.get(slug="copied")) == 4


def test_an_import_of_ratings_leaves_scores_by_their_own_mean(tmp_path: Path) -> None:
    run(write_csv(tmp_path))
    assert RatingPrior.objects.get().mean == pytest.approx((4 + 0.5 + 5) / 3)
    assert_kept(Movie.objects.all())


@at_the_same_time
def test_the_score_is_exact_after_ratings_of_20_viewers_at_once() -> None:
    movies = [make_movie() for _ in range(3)]
    for movie in movies:
        interact(make_user(), movie, "rating", half_stars=1)
    viewers = [Client(make_user()) for _ in range(20)]

    def to_and_fro(number: int) -> set[int]:
        luck, statuses = random.Random(number), set()
        for _ in range(8):
            movie = luck.choice(movies)
            if luck.random() < 0.7:
                answer = rate(viewers[number], movie, luck.randint(1, 10) / 2)
            else:
                answer = viewers[number].delete(f"/movies/{movie.pk}/rating")
            statuses.add(answer.status_code)
        return statuses

    with ThreadPoolExecutor(1) as pool:
        renewing = [pool.submit(and_disconnect, renew_community_scores) for _ in range(10)]
        statuses = set().union(*at_once([partial(to_and_fro, number) for number in range(20)]))
        for renewed in renewing:
            renewed.result(timeout=60)
    assert statuses <= {200, 204, 404}
    assert_kept(movies)
    renew_community_scores()
    assert_kept(movies)


@at_the_same_time
def test_a_rating_that_waits_for_a_renewal_goes_by_the_new_mean(viewer: Client) -> None:
    movie = rated(100, 2)
    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            Movie.objects.select_for_update().get(pk=movie.pk)
            rating = pool.submit(and_disconnect, partial(rate, viewer, movie, 5))
            assert not wait([rating], timeout=0.5).done
            pool.submit(and_disconnect, scheduled_updates._renew_prior).result(timeout=60)
            assert RatingPrior.objects.get().mean == 2
        assert rating.result(timeout=60).status_code == 200
    assert score(movie) == pytest.approx((205 + 20) / 111)


# --- and renewed


def test_the_scores_follow_the_mean_of_all_ratings() -> None:
    high, low = rated(30, 5), rated(10, 1)
    assert renew_community_scores() == 2
    assert RatingPrior.objects.get().mean == 4
    assert (score(high), score(low)) == (4.75, 2.5)
    assert renew_community_scores() == 0


def test_a_slightly_moved_mean_renews_no_score() -> None:
    movie = rated(1000, 4)
    renew_community_scores()
    before = version()
    Movie.objects.filter(pk=movie.pk).update(rating_count=1001, rating_sum=4005)
    assert renew_community_scores() == 0
    assert RatingPrior.objects.get().mean == 4
    assert version() == before


def test_another_weight_of_the_prior_counts_with_the_next_renewal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    high, low = rated(30, 5), rated(10, 1)
    renew_community_scores()
    monkeypatch.setattr("movies.scheduled_updates.RATING_PRIOR_COUNT", 0)
    assert renew_community_scores() == 2
    assert (score(high), score(low)) == (5, 1)


def test_a_renewal_in_batches_raises_the_version_once_and_marks_no_edit(
    monkeypatch: pytest.MonkeyPatch, staff: Client
) -> None:
    monkeypatch.setattr(scheduled_updates, "SCORES_PER_BATCH", 2)
    movies = [rated(10 + number, 1 + number / 2) for number in range(7)]
    path = f"/movies/{movies[0].pk}"
    etag, edited = staff.get(path)["ETag"], [movie.updated_at for movie in movies]
    before = version()
    with CaptureQueriesContext(connection) as queries:
        assert renew_community_scores() == 7
    assert sum("WITH outdated" in query["sql"] for query in queries) == 5
    assert version() == before + 1
    for movie in movies:
        movie.refresh_from_db()
    assert [movie.updated_at for movie in movies] == edited
    assert not AuditEntry.objects.filter(model="movie").exists()
    changed = staff.send("PATCH", path, {"overview": "New."}, headers={"If-Match": etag})
    assert changed.status_code == 200


def test_a_renewal_that_was_interrupted_is_finished_by_the_next() -> None:
    movies = [rated(30, 5), rated(10, 1)]
    scheduled_updates._renew_prior()
    assert [score(movie) for movie in movies] == [(150 + 35) / 40, (10 + 35) / 20]
    assert renew_community_scores() == 2
    assert [score(movie) for movie in movies] == [4.75, 2.5]


def test_renewed_scores_end_the_kept_answers(anonymous: Client) -> None:
    movie = rated(30, 5)
    rated(10, 1)
    paths = (f"/movies/{movie.pk}", "/movies?sort=-rating", "/programme")
    before = [orjson.loads(anonymous.get(path).content) for path in paths]
    assert before[0]["community_score"] == 4.62
    renew_community_scores()
    assert anonymous.get(paths[0]).json()["community_score"] == 4.75
    assert anonymous.get(paths[1]).json()["data"][0]["community_score"] == 4.75


def test_a_cinema_without_ratings_has_nothing_to_renew() -> None:
    make_movie()
    assert renew_community_scores() == 0
    assert not RatingPrior.objects.exists()
