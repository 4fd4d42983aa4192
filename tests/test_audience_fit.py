"""`GET /analytics/audience-fit`, on camps of viewers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from cinema.response_cache import responses
from movies.models import Movie
from recommendations.analytics import audience_fit as asking
from recommendations.dataset import load_history
from recommendations.lists.scores import Candidates, ReleaseScorer
from recommendations.releases import loaded_release
from tests.audience import Audience, make_audience, rate, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

PATH = "/analytics/audience-fit"


def fit(staff: Client, **query: Any) -> dict[str, Any]:
    answer = staff.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def of(*movies: Movie) -> str:
    return ",".join(str(movie.pk) for movie in movies)


def exactly(count: int) -> dict[str, int]:
    return {"count": count, "low": count, "high": count}


@pytest.fixture
def audience(db: None) -> Audience:
    """72 viewers in three camps who each have most films of their own camp's eight behind them."""
    audience = make_audience()
    train_release()
    return audience


def suits(user: User, movies: list[Movie]) -> set[int]:
    """Worked out for one viewer, by sorting: what stands in the best 5% of what is left."""
    release, history = loaded_release(), load_history(user.pk)
    films = Candidates.of([movie.pk for movie in movies], release)
    said = ReleaseScorer(release, films, [history]).scores("hybrid")
    assert said
    [of_viewer] = said.of_candidates(np.array([0])).tolist()
    scores = dict(zip(films.ids.tolist(), of_viewer, strict=True))
    left = sorted(
        ((score, pk) for pk, score in scores.items() if pk not in set(history.movie_ids.tolist())),
        reverse=True,
    )
    places = -(-len(left) // 20)
    border = left[places][0] if len(left) > places else -np.inf
    return {pk for score, pk in left[:places] if score > border}


def test_figures_agree_with_those_worked_out_for_each_viewer(
    staff: Client, audience: Audience
) -> None:
    for movie in audience.movies[0][:4]:
        make_screening(movie)
    showing = {movie.pk for movie in audience.movies[0][:4]}
    viewers = [user for camp in audience.viewers for user in camp]
    suited = {user.pk: suits(user, audience.all_movies) for user in viewers}
    unreached = [pks for pks in suited.values() if not pks & showing]
    found = fit(staff, limit=100)
    assert found["reached"] == exactly(len(viewers) - len(unreached))
    assert found["unreached"] == exactly(len(unreached))
    assert 0 < len(unreached) < len(viewers)
    rows = {row["movie_id"]: row for row in found["data"]}
    assert rows.keys() == {movie.pk for movie in audience.all_movies} - showing
    for pk, row in rows.items():
        assert row["suited"] == exactly(sum(pk in pks for pks in suited.values()))
        assert row["added"] == exactly(sum(pk in pks for pks in unreached))
        assert not row["in_programme"]
    order = [(row["added"]["count"], row["suited"]["count"]) for row in found["data"]]
    assert order == sorted(order, reverse=True)
    assert fit(staff, limit=3)["data"] == found["data"][:3]
    assert fit(staff, limit=3)["total"] == 20
    shown = audience.movies[0][0]
    row = fit(staff, movie_ids=of(shown))["data"][0]
    assert row["in_programme"]
    assert row["added"] == exactly(0)
    assert row["suited"] == exactly(sum(shown.pk in pks for pks in suited.values()))
    fans = User.objects.filter(interactions__movie=shown).count()
    assert row["had"] == exactly(fans)
    assert row["had_share"] == pytest.approx(fans / 72)


def test_members_without_history_have_no_guesses(staff: Client, audience: Audience) -> None:
    make_user()
    make_user(is_active=False)
    unknown = make_movie()  # to the release
    rate(Client(make_user()), unknown, 5)
    found = fit(staff, movie_ids=of(unknown, audience.movies[0][0]))
    assert (found["release"], found["algorithm"]) == (loaded_release().id, "hybrid")
    assert found["members"] == 75  # with the one of the staff
    assert found["asked"] == 73
    assert found["known"] == exactly(72)
    assert found["unknown"] == exactly(3)
    assert [row["movie_id"] for row in found["data"]] == [audience.movies[0][0].pk, unknown.pk]
    row = found["data"][1]
    assert (row["suited"], row["added"], row["had"]) == (None, None, exactly(1))
    assert row["name"] == unknown.name


def test_a_sample_of_many_members_is_asked(
    staff: Client, audience: Audience, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(staff, limit=100)
    monkeypatch.setattr(asking, "SAMPLE", 40)
    responses.forget()
    make_movie()
    found = fit(staff, limit=100)
    assert (found["asked"], found["members"]) == (40, whole["members"])
    assert found["known"]["low"] < found["known"]["high"] == 72
    for name in ("reached", "unreached"):
        assert found[name]["low"] <= whole[name]["count"] <= found[name]["high"]
    exact = {row["movie_id"]: row["suited"]["count"] for row in whole["data"]}
    sampled = {r["movie_id"]: r["suited"] for r in found["data"] if r["suited"]}
    holding = [sampled[pk]["low"] <= exact[pk] <= sampled[pk]["high"] for pk in sampled]
    assert len(holding) == 24
    assert sum(holding) >= 22


def test_an_answer_is_kept_and_costs_as_many_queries_for_all_members(
    staff: Client, audience: Audience, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = fit(staff)
    with django_assert_num_queries(3):  # who asks, the release, the catalogue's version
        assert fit(staff) == first
    for _ in range(3):
        rate(Client(make_user()), audience.all_movies[0], 5)
    # The queries above, members with a history, a block of them, their number, and names of films.
    with django_assert_num_queries(7):
        fit(staff, days=8)
    movie = make_movie()
    assert fit(staff)["total"] == first["total"] + 1
    assert fit(staff, days=14)["days"] == 14
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert fit(staff)["total"] == first["total"]


def test_without_a_release_no_member_is_asked(staff: Client) -> None:
    movie = make_movie()
    rate(Client(make_user()), movie, 5)
    found = fit(staff, movie_ids=of(movie))
    assert (found["release"], found["algorithm"], found["data"]) == (None, None, [])
    assert (found["members"], found["asked"], found["total"]) == (2, 0, 0)
    assert found["known"] == found["reached"] == found["unreached"] == exactly(0)
    assert found["unknown"] == exactly(2)


def test_an_empty_cinema_has_no_audience_fit(staff: Client) -> None:
    assert fit(staff)["data"] == []


@pytest.mark.parametrize("ids", ["", "1,", "a", "-1", "1.5", "1, 2", "9" * 19, ",".join("1" * 101)])
def test_malformed_ids_are_refused(staff: Client, ids: str) -> None:
    answer = staff.get(PATH, movie_ids=ids)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.movie_ids"


@pytest.mark.parametrize("query", [{"days": 0}, {"days": 93}, {"limit": 0}, {"limit": 101}])
def test_limits_are_kept(staff: Client, query: dict[str, int]) -> None:
    assert staff.get(PATH, **query).status_code == 422


def test_a_film_that_is_not_published_is_not_found(staff: Client) -> None:
    movie = make_movie()
    assert staff.get(PATH, movie_ids=f"{movie.pk},{10**17}").status_code == 404
    Movie.objects.filter(pk=movie.pk).update(withdrawn_at=timezone.now())
    assert staff.get(PATH, movie_ids=of(movie)).status_code == 404
