"""From Postgres to the matrix, held against plain Python that is slow and plainly right."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from movies.models import Movie
from recommendations import dataset
from recommendations.dataset import Dataset, load_dataset, load_history
from recommendations.models import Interaction
from tests.builders import Client, interact, make_movie, make_user
from users.models import User

pytestmark = pytest.mark.django_db

Kind = Interaction.Kind
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)

#: The weight and the time of each verdict, by user and movie id.
Known = dict[tuple[int, int], tuple[float, float]]


def weight(row: Interaction) -> float:
    """The weight by the contract."""
    table = settings.INTERACTION_WEIGHTS
    if row.kind != Kind.RATING:
        return float(table[row.get_kind_display()])
    stars = row.half_stars / 2
    if stars < 1:
        return float(table["1"] - (table["2"] - table["1"]) / 2)
    low, high = table[str(int(stars))], table[str(int(stars + 0.5))]
    return float((low + high) / 2)


def reference() -> Known:
    """The last verdict of each viewer on each movie; `seen` where there is none."""
    known: Known = {}
    rows = Interaction.objects.select_related("user", "movie").order_by("updated_at")
    for is_verdict in (False, True):
        for row in rows:
            if (row.kind != Kind.SEEN) is not is_verdict:
                continue
            if row.user.is_active and row.movie.withdrawn_at is None:
                known[row.user_id, row.movie_id] = weight(row), row.updated_at.timestamp()
    return known


def as_known(dataset: Dataset) -> Known:
    interactions, times = dataset.interactions.tocoo(), dataset.times.tocoo()
    np.testing.assert_array_equal(interactions.row, times.row)
    np.testing.assert_array_equal(interactions.col, times.col)
    return {
        (int(dataset.users.ids[user]), int(dataset.items.ids[item])): (float(w), float(seconds))
        for user, item, w, seconds in zip(
            interactions.row, interactions.col, interactions.data, times.data, strict=True
        )
    }


def with_gaps(make: Callable[[], User | Movie], count: int, luck: random.Random) -> list[int]:
    """The ids of so many rows, some of whose neighbours are deleted."""
    ids: list[int] = []
    while len(ids) < count:
        row = make()
        if luck.random() < 0.3:
            row.delete()
        else:
            ids.append(row.pk)
    return ids


def scatter(seed: int, *, n_users: int = 12, n_movies: int = 9, n_rows: int = 250) -> None:
    """Interactions of every kind at random, some by closed accounts, some with withdrawn movies."""
    luck = random.Random(seed)
    users = with_gaps(make_user, n_users, luck)
    movies = with_gaps(make_movie, n_movies, luck)
    rows: dict[tuple[int, int, int], Interaction] = {}
    for _ in range(n_rows):
        user, movie, kind = luck.choice(users), luck.choice(movies), luck.choice(list(Kind))
        rows[user, movie, kind] = Interaction(
            user_id=user,
            movie_id=movie,
            kind=kind,
            half_stars=luck.randint(1, 10) if kind is Kind.RATING else 0,
            updated_at=NOON + timedelta(microseconds=luck.randint(0, 4_000_000)),
        )
    shuffled = list(rows.values())
    luck.shuffle(shuffled)
    Interaction.objects.bulk_create(shuffled)
    User.objects.filter(pk__in=luck.sample(users, 2)).update(is_active=False)
    Movie.objects.filter(pk__in=luck.sample(movies, 2)).update(withdrawn_at=timezone.now())


@pytest.mark.parametrize("seed", range(4))
def test_the_matrix_is_what_plain_python_makes_of_the_rows(seed: int) -> None:
    scatter(seed)
    dataset = load_dataset()
    assert as_known(dataset) == reference()
    users = User.objects.filter(is_active=True).order_by("pk")
    movies = Movie.objects.filter(withdrawn_at=None).order_by("pk")
    assert dataset.users.ids.tolist() == list(users.values_list("pk", flat=True))
    assert dataset.items.ids.tolist() == list(movies.values_list("pk", flat=True))
    assert dataset.interactions.shape == (len(dataset.users), len(dataset.items))


def test_the_matrix_is_in_canonical_form_and_typed() -> None:
    scatter(seed=9)
    dataset = load_dataset()
    for matrix in (dataset.interactions, dataset.times):
        assert matrix.has_canonical_format
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert dataset.interactions.dtype == np.float32
    assert dataset.times.dtype == np.float64


@pytest.mark.parametrize("block_bytes", [1, 20, 51, 102, 119, 151, 1000])
def test_the_end_of_a_block_does_not_matter(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scatter(seed=5, n_users=4, n_movies=4, n_rows=20)
    monkeypatch.setattr(dataset, "BLOCK_BYTES", block_bytes)
    assert as_known(load_dataset()) == reference()


@pytest.mark.parametrize("seed", range(2))
def test_a_viewers_history_is_the_viewers_row(seed: int) -> None:
    scatter(seed)
    dataset = load_dataset()
    withdrawn = set(Movie.objects.exclude(withdrawn_at=None).values_list("pk", flat=True))
    assert len(dataset.users)
    for row, user in enumerate(dataset.users.ids.tolist()):
        movies, weights, seconds, *_ = load_history(user)
        assert movies.tolist() == sorted(set(movies.tolist()))
        history = {
            movie: (w, second)
            for movie, w, second in zip(
                movies.tolist(), weights.tolist(), seconds.tolist(), strict=True
            )
            if movie not in withdrawn  # the history is of the viewer, the matrix is to learn from
        }
        interactions, times = dataset.interactions[row], dataset.times[row]
        items = dataset.items.ids[interactions.indices].tolist()
        values = zip(interactions.data.tolist(), times.data.tolist(), strict=True)
        assert history == dict(zip(items, values, strict=True))


def test_an_empty_database_is_an_empty_matrix() -> None:
    dataset = load_dataset()
    assert dataset.interactions.shape == dataset.times.shape == (0, 0)
    movie, user = make_movie(), make_user()
    assert load_dataset().interactions.shape == (1, 1)
    assert load_dataset().interactions.nnz == 0
    assert [len(part) for part in load_history(user.pk)[:4]] == [0, 0, 0, 0]
    movie.delete()
    assert load_dataset().interactions.shape == (1, 0)


def test_interactions_with_withdrawn_movies_alone_give_an_empty_matrix() -> None:
    movie = make_movie()
    interact(make_user(), movie)
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert load_dataset().interactions.nnz == 0


def both_ways(user: User) -> list[float]:
    """The weights of a viewer's row, found to be the same in the matrix and in the history."""
    dataset = load_dataset()
    row = dataset.interactions[int(dataset.users.indices([user.pk])[0])]
    weights: list[float] = load_history(user.pk)[1].tolist()
    assert row.data.tolist() == weights
    return weights


def test_the_last_verdict_counts_and_seen_only_without_one() -> None:
    user, movie = make_user(), make_movie()
    interact(user, movie, "seen", updated_at=NOON + timedelta(days=9))
    assert both_ways(user) == [0.5]
    interact(user, movie, "dislike", updated_at=NOON + timedelta(days=1))
    assert both_ways(user) == [-2]
    interact(user, movie, "rating", half_stars=10, updated_at=NOON + timedelta(days=2))
    assert both_ways(user) == [3]
    interact(user, movie, "like", updated_at=NOON)
    assert both_ways(user) == [3]
    Interaction.objects.get(kind=Kind.RATING).delete()
    assert both_ways(user) == [-2]


@pytest.mark.parametrize("kinds", [("like", "dislike"), ("dislike", "like"), ("hide", "superlike")])
def test_the_later_of_two_verdicts_within_a_second_counts(
    viewer: Client, kinds: tuple[str, str]
) -> None:
    """A viewer who corrects a click is quick."""
    movie = make_movie()
    for kind in kinds:
        viewer.post("/interactions", {"movie_id": movie.pk, "kind": kind})
    assert both_ways(viewer.user) == [settings.INTERACTION_WEIGHTS[kinds[1]]]


def test_both_readers_choose_the_same_of_simultaneous_verdicts() -> None:
    user, movies = make_user(), [make_movie() for _ in range(30)]
    luck = random.Random(3)
    rows = [
        Interaction(user=user, movie=movie, kind=kind, updated_at=NOON)
        for movie in movies
        for kind in (Kind.LIKE, Kind.DISLIKE, Kind.HIDE)
    ]
    luck.shuffle(rows)
    Interaction.objects.bulk_create(rows)
    assert len(both_ways(user)) == len(movies)


def test_a_middling_rating_is_stored_with_a_weight_of_zero() -> None:
    """It says that the viewer knows the movie, and nothing else."""
    user = make_user()
    interact(user, make_movie(), "rating", half_stars=5)
    assert both_ways(user) == [0]


@pytest.mark.parametrize("year", [1961, 1999, 2000, 2107])
def test_times_are_unix_seconds_to_the_microsecond(year: int) -> None:
    moment = datetime(year, 3, 1, 4, 5, 6, 123_457, tzinfo=UTC)
    user = make_user()
    interact(user, make_movie(), updated_at=moment)
    assert load_dataset().times.data.tolist() == [moment.timestamp()]
    assert load_history(user.pk)[2].tolist() == [moment.timestamp()]


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_it_reads_one_snapshot() -> None:
    scatter(seed=1)
    assert as_known(load_dataset()) == reference()


def test_loading_takes_a_fixed_number_of_queries(
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    scatter(seed=2)
    # Users, movies, genres, what films are made of, count, COPY, and a savepoint around them.
    with django_assert_num_queries(8):
        load_dataset()
    user = User.objects.filter(is_active=True)[0]
    with django_assert_num_queries(1):
        load_history(user.pk)
