"""What viewers see of lists that are made anew in the background, once they have acted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies.models import Movie
from recommendations.lists import list_builder, list_cache, renewal
from recommendations.tasks import renew_lists
from tests.audience import body, ids, listed, make_audience, rate, say, train_release
from tests.builders import Client, make_movie, make_screening
from tests.renewing import find, lose_patience

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone", "committing")]


@pytest.fixture
def films() -> list[Movie]:
    return [make_movie() for _ in range(12)]


def test_a_film_is_out_at_once_and_the_ranks_stay(viewer: Client, films: list[Movie]) -> None:
    first = listed(viewer, limit=5)
    acted_on = ids(first)[1]
    say(viewer, Movie.objects.get(pk=acted_on), "like")
    again = listed(viewer, limit=5)
    assert again["list_id"] == first["list_id"]
    assert ids(again) == [pk for pk in ids(first) if pk != acted_on]
    assert [item["rank"] for item in again["items"]] == [1, 3, 4, 5]


def test_the_task_makes_a_list_that_knows_the_last_word(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    before = listed(viewer, limit=4, algorithm="als")
    rate(viewer, audience.movies[2][0], 5)
    assert listed(viewer, limit=4, algorithm="als")["list_id"] == before["list_id"]
    renew_lists()
    after = listed(viewer, limit=4, algorithm="als")
    assert after["list_id"] != before["list_id"]
    assert audience.camp_of(ids(after)[0]) == 2
    assert listed(viewer, limit=4, algorithm="als") == after
    assert after["items"] == listed(viewer, limit=4, algorithm="als", refresh=True)["items"]


def test_all_lists_that_a_viewer_has_are_made_anew(viewer: Client, films: list[Movie]) -> None:
    for film in films[:3]:
        make_screening(film)
    questions: list[dict[str, Any]] = [
        {},
        {"algorithm": "popularity", "limit": 3},
        {"scope": "programme"},
        {"scope": "programme", "days": 14},
    ]
    first = [listed(viewer, **question)["list_id"] for question in questions]
    say(viewer, films[0], "seen")
    assert [listed(viewer, **question)["list_id"] for question in questions] == first
    renew_lists()
    made = [listed(viewer, **question) for question in questions]
    assert not {each["list_id"] for each in made} & set(first)
    assert all(films[0].pk not in ids(each) for each in made)
    assert len(made[1]["items"]) == 3
    with CaptureQueriesContext(connection) as queries:
        assert [listed(viewer, **question) for question in questions] == made
    assert not any("recommendations_evidence" in query["sql"] for query in queries)


def test_the_next_batch_is_of_the_list_that_was_given_until_the_viewer_asks_again(
    viewer: Client, films: list[Movie]
) -> None:
    first = listed(viewer, limit=4)
    rest = body(viewer.get("/recommendations/next"))
    say(viewer, Movie.objects.get(pk=ids(first)[0]), "like")
    renew_lists()
    assert body(viewer.get("/recommendations/next")) == rest
    renewed = listed(viewer, limit=4)
    assert renewed["list_id"] != first["list_id"]
    second = body(viewer.get("/recommendations/next"))
    assert second["list_id"] == renewed["list_id"]
    assert not set(ids(second)) & set(ids(renewed))


def test_a_dead_worker_is_not_seen(viewer: Client, films: list[Movie]) -> None:
    first = listed(viewer)
    say(viewer, films[0], "like")
    assert listed(viewer)["list_id"] == first["list_id"]
    lose_patience(viewer)
    second = listed(viewer)
    assert second["list_id"] != first["list_id"]
    assert [item["rank"] for item in second["items"]] == list(range(1, 12))
    say(viewer, films[1], "like")
    third = listed(viewer)
    assert third["list_id"] != second["list_id"]  # nobody waits twice for the same worker
    assert films[1].pk not in ids(third)


def test_who_has_acted_on_the_whole_batch_gets_a_new_list(
    viewer: Client, films: list[Movie]
) -> None:
    first = listed(viewer, limit=3)
    second = body(viewer.get("/recommendations/next"))
    by_id = {film.pk: film for film in films}
    for pk in ids(second)[:2]:
        say(viewer, by_id[pk], "seen")
    assert ids(listed(viewer, limit=3)) == ids(first)
    body(viewer.get("/recommendations/next"))
    say(viewer, by_id[ids(second)[2]], "seen")
    after = listed(viewer, limit=3)
    assert after["list_id"] != first["list_id"]
    assert not set(ids(after)) & set(ids(second))


def test_what_is_taken_back_counts_at_once(viewer: Client, films: list[Movie]) -> None:
    said = say(viewer, films[0], "like").json()
    first = listed(viewer)
    assert films[0].pk not in ids(first)
    assert viewer.delete(f"/interactions/{said['id']}").status_code == 204
    assert films[0].pk in ids(listed(viewer))
    rate(viewer, films[1], 4)
    viewer.delete(f"/movies/{films[1].pk}/rating")
    assert len(ids(listed(viewer))) == len(films)


def test_what_is_said_elsewhere_counts_at_once(viewer: Client, films: list[Movie]) -> None:
    """Nobody makes lists in the background for favourites, check-ins, preferences and imports."""
    first = listed(viewer)
    viewer.put(f"/users/me/favourites/{films[3].pk}")
    second = listed(viewer)
    assert second["list_id"] != first["list_id"]
    assert films[3].pk not in ids(second)


def test_refresh_makes_a_new_list_whatever_is_under_way(viewer: Client, films: list[Movie]) -> None:
    first = listed(viewer)
    say(viewer, films[0], "like")
    second = listed(viewer, refresh=True)
    assert second["list_id"] != first["list_id"]
    renew_lists()
    assert listed(viewer)["list_id"] == second["list_id"]


def test_a_list_made_from_less_than_the_last_word_is_no_new_one(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The viewer acts once more while the task computes."""
    first = listed(viewer)
    say(viewer, films[0], "like")
    lists_for = list_builder.build_lists

    def interrupted(*args: Any, **kwargs: Any) -> Iterator[list_builder.ViewerList]:
        made = list(lists_for(*args, **kwargs))
        say(viewer, films[1], "like")
        yield from made

    monkeypatch.setattr(renewal, "build_lists", interrupted)
    renewal._renew([viewer.user.pk])
    found = find(viewer)
    assert found.renewed is not None
    assert films[1].pk in [item.movie_id for item in found.renewed.items]
    third = listed(viewer)
    assert third["list_id"] not in (first["list_id"], found.renewed.list_id)
    assert not {films[0].pk, films[1].pk} & set(ids(third))


def test_while_the_worker_is_at_it_for_others_a_list_may_be_older(
    viewer: Client, films: list[Movie]
) -> None:
    first = listed(viewer)
    say(viewer, films[0], "like")
    lose_patience(viewer)
    cache.set(list_cache.WORKED_AT, time.time(), 60)
    kept = listed(viewer)
    assert kept["list_id"] == first["list_id"]
    assert films[0].pk not in ids(kept)
    cache.set(list_cache.WORKED_AT, time.time() - list_cache.PATIENCE_S, 60)
    assert listed(viewer)["list_id"] != first["list_id"]
