"""The lifetime of a cached list, its batches, and its queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings
from redis import Redis

from cinema.cache import ForgivingRedisCache, shared
from movies.models import Movie
from recommendations.lists import list_cache, serving
from recommendations.lists.list_builder import build_items
from recommendations.models import Interaction
from recommendations.releases import activate_release
from tests.audience import body, ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from tests.settings import RUN
from tests.tastes import publish_popularity

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


# --- the cached list and its batches


def withdraw(movie: Movie) -> None:
    movie.withdrawn_at = timezone.now()
    movie.save(update_fields=["withdrawn_at"])


def test_the_list_stays_until_the_viewer_does_something(viewer: Client) -> None:
    audience = make_audience(n_camps=2)
    train_release()
    first = listed(viewer)
    assert listed(viewer) == first
    rate(Client(make_user()), audience.movies[0][0], 5)
    assert listed(viewer) == first
    rate(viewer, audience.movies[0][0], 5)
    second = listed(viewer)
    assert second["list_id"] != first["list_id"]
    assert listed(viewer) == second
    assert viewer.delete(f"/movies/{audience.movies[0][0].pk}/rating").status_code == 204
    third = listed(viewer)
    assert third["list_id"] not in (first["list_id"], second["list_id"])
    assert ids(third) == ids(first)


def test_whatever_a_viewer_does_counts_at_once(viewer: Client) -> None:
    films = [make_movie(genres=["drama"]) for _ in range(9)]
    said = say(viewer, films[0], "like").json()
    acts: list[Callable[[], Response]] = [
        lambda: say(viewer, films[1], "seen"),
        lambda: rate(viewer, films[2], 4),
        lambda: viewer.put(f"/users/me/favourites/{films[3].pk}"),
        lambda: viewer.post("/users/me/history", {"movie_id": films[4].pk}),
        lambda: viewer.put("/users/me/preferences", {"genres": ["drama"]}),
        lambda: viewer.delete(f"/interactions/{said['id']}"),
        lambda: viewer.delete(f"/movies/{films[2].pk}/rating"),
        lambda: viewer.delete(f"/users/me/favourites/{films[3].pk}"),
    ]
    given = [listed(viewer)]
    for act in acts:
        assert act().status_code < 300
        given.append(listed(viewer))
        assert listed(viewer) == given[-1]
    assert len({each["list_id"] for each in given}) == len(given)
    assert films[0].pk not in ids(given[0])
    assert not {film.pk for film in films[:5]} & set(ids(given[5]))
    assert set(ids(given[-1])) == {film.pk for film in films} - {films[1].pk, films[4].pk}


def test_a_list_made_before_the_last_interaction_is_not_cached_as_current(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The viewer acts once more while the request computes."""
    films = [make_movie() for _ in range(4)]

    def interrupted(*args: Any) -> Any:
        made = build_items(*args)
        say(Client(viewer.user), films[1], "like")
        return made

    monkeypatch.setattr(serving, "build_items", interrupted)
    first = listed(viewer)
    assert films[1].pk in ids(first)
    monkeypatch.undo()
    second = listed(viewer)
    assert second["list_id"] != first["list_id"]
    assert films[1].pk not in ids(second)


def test_the_last_response_is_reused_for_the_same_question_alone(viewer: Client) -> None:
    """It is used for the same question alone, while the list is the one that was given last."""
    for _ in range(6):
        make_screening()
    publish_popularity()
    questions: list[dict[str, Any]] = [
        {"limit": 2},
        {"limit": 3},
        {"limit": 3, "include_movie_details": False},
        {"limit": 3, "scope": "programme"},
        {"limit": 3, "scope": "programme", "days": 14},
        {"limit": 3, "algorithm": "popularity"},
    ]
    for question in [*questions, *reversed(questions)]:
        given = listed(viewer, **question)
        assert listed(viewer, **question) == given
        assert len(given["items"]) == question["limit"]
        assert given["scope"] == question.get("scope", "catalogue")
        assert given["algorithm"] == question.get("algorithm", "hybrid")
        has_movies = "include_movie_details" not in question
        assert all(("movie" in item) == has_movies for item in given["items"])
        assert body(viewer.get("/recommendations/next"))["list_id"] == given["list_id"]


def test_a_change_of_the_catalogue_shows_in_the_last_answer(viewer: Client) -> None:
    movie = make_movie(name="Before")
    first = listed(viewer)
    Movie.objects.filter(pk=movie.pk).update(name="After")
    [item] = listed(viewer)["items"]
    assert item["movie"]["name"] == "After"
    assert listed(viewer)["list_id"] == first["list_id"]


def test_every_cached_key_expires(viewer: Client) -> None:
    """But the stream of impressions, which are no cache, and which a task empties."""
    films = [make_movie() for _ in range(8)]
    listed(viewer, limit=4)
    body(viewer.get("/recommendations/next"))
    say(viewer, films[0], "like")
    listed(viewer, scope="programme")
    with Redis.from_url(django_settings.REDIS_URL, decode_responses=True) as server:
        keys = list(server.scan_iter(f"{RUN}:*recommendations:*"))
        without_end = [key for key in keys if server.ttl(key) < 0]
    assert len(keys) >= 7
    assert [key.rpartition(":")[2] for key in without_end] == ["impressions"]


def test_the_latest_lists_of_a_viewer_are_cached(viewer: Client) -> None:
    make_screening()
    for days in range(1, list_cache.MAX_LISTS + 4):
        listed(viewer, scope="programme", days=days)
    keys = shared().keys_below(list_cache.keys_of(viewer.user.pk))
    kept = [int(key.rpartition(":")[2]) for key in keys if ":programme:" in key]
    assert sorted(kept) == list(range(4, list_cache.MAX_LISTS + 4))


def test_refresh_makes_a_new_list(viewer: Client) -> None:
    make_movie()
    first = listed(viewer)
    second = listed(viewer, refresh=True)
    assert second["list_id"] != first["list_id"]
    assert listed(viewer)["list_id"] == second["list_id"]


def test_each_question_has_a_list_of_its_own(viewer: Client) -> None:
    make_screening()
    publish_popularity()
    questions: list[dict[str, Any]] = [
        {},
        {"algorithm": "popularity"},
        {"scope": "programme"},
        {"scope": "programme", "days": 14},
    ]
    first = [listed(viewer, **question)["list_id"] for question in questions]
    assert len(set(first)) == len(questions)
    assert [listed(viewer, **question)["list_id"] for question in questions] == first


def test_a_new_release_makes_a_new_list(viewer: Client) -> None:
    make_audience(n_camps=2)
    old = train_release()
    first = listed(viewer)
    new = train_release(force=True)
    second = listed(viewer)
    assert (first["release"], second["release"]) == (old.pk, new.pk)
    assert first["list_id"] != second["list_id"]
    activate_release(release_id=old.pk)
    assert listed(viewer)["release"] == old.pk


def test_a_withdrawn_film_leaves_the_cached_list(viewer: Client) -> None:
    movies = [make_movie() for _ in range(3)]
    first = listed(viewer)
    withdraw(movies[1])
    again = listed(viewer)
    assert again["list_id"] == first["list_id"]
    assert set(ids(again)) == {movies[0].pk, movies[2].pk}


def test_batches_follow_each_other_to_the_end(viewer: Client) -> None:
    audience = make_audience(movies_each=16)
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    first = listed(viewer, limit=20)
    second = body(viewer.get("/recommendations/next"))
    assert (first["batch"], second["batch"]) == (1, 2)
    assert second["list_id"] == first["list_id"]
    assert [item["rank"] for item in first["items"]] == list(range(1, 21))
    assert [item["rank"] for item in second["items"]] == list(range(21, 41))
    assert len({*ids(first), *ids(second)}) == 40
    assert body(viewer.get("/recommendations/next", batch=1)) == first
    assert viewer.get("/recommendations/next", batch=3).status_code == 404
    for number in (0, 101, "two"):
        assert viewer.get("/recommendations/next", batch=number).status_code == 422


def test_batches_are_as_long_as_the_first(viewer: Client) -> None:
    for _ in range(45):
        make_movie()
    listed(viewer, limit=15)
    sizes = [len(body(viewer.get("/recommendations/next", batch=n))["items"]) for n in (1, 2, 3)]
    assert sizes == [15, 15, 10]
    assert viewer.get("/recommendations/next", batch=4).status_code == 404


def test_there_is_no_next_batch_of_nothing_or_of_a_complete_list(viewer: Client) -> None:
    for _ in range(45):
        make_movie()
    assert viewer.get("/recommendations/next").status_code == 404
    listed(viewer, limit=40)
    assert viewer.get("/recommendations/next").status_code == 404


def test_next_continues_the_list_that_was_given_last(viewer: Client) -> None:
    for _ in range(5):
        make_screening()
    for _ in range(5):
        make_movie()
    listed(viewer, limit=2)
    programme = listed(viewer, limit=2, scope="programme")
    assert body(viewer.get("/recommendations/next"))["list_id"] == programme["list_id"]
    catalogue = listed(viewer, limit=2)
    assert body(viewer.get("/recommendations/next"))["list_id"] == catalogue["list_id"]


def test_next_leaves_out_films_acted_on_since(viewer: Client) -> None:
    movies = {movie.pk: movie for movie in (make_movie() for _ in range(10))}
    listed(viewer, limit=4)
    rest = body(viewer.get("/recommendations/next"))
    say(viewer, movies[ids(rest)[1]], "hide")
    rate(viewer, movies[ids(rest)[2]], 4)
    after = body(viewer.get("/recommendations/next"))
    assert ids(after) == [ids(rest)[0], ids(rest)[3]]
    assert [item["rank"] for item in after["items"]] == [5, 8]
    withdraw(movies[ids(rest)[0]])
    assert ids(body(viewer.get("/recommendations/next"))) == [ids(rest)[3]]


def test_an_empty_batch_is_not_the_end_while_later_ones_have_films(viewer: Client) -> None:
    movies = {movie.pk: movie for movie in (make_movie() for _ in range(4))}
    listed(viewer, limit=1)
    second, third, fourth = (
        movies[ids(body(viewer.get("/recommendations/next", batch=number)))[0]]
        for number in (2, 3, 4)
    )
    rate(viewer, second, 2)
    emptied = body(viewer.get("/recommendations/next", batch=2))
    assert (emptied["batch"], emptied["items"]) == (2, [])
    assert ids(body(viewer.get("/recommendations/next", batch=3))) == [third.pk]
    withdraw(fourth)
    assert body(viewer.get("/recommendations/next", batch=2))["items"] == []
    say(viewer, third, "hide")
    for number in (2, 3, 4, 5):
        assert viewer.get("/recommendations/next", batch=number).status_code == 404


def test_no_viewer_is_shown_anothers_list() -> None:
    audience = make_audience(movies_each=16)
    train_release()
    first, second, stranger = (
        Client(audience.viewers[0][0]),
        Client(audience.viewers[1][0]),
        Client(make_user()),
    )
    lists = {client: listed(client, limit=10) for client in (first, second)}
    assert ids(lists[first]) != ids(lists[second])
    for client in (first, second):
        rest = body(client.get("/recommendations/next"))
        assert rest["list_id"] == lists[client]["list_id"]
        done = Interaction.objects.filter(user=client.user).values_list("movie_id", flat=True)
        assert not set(done) & {*ids(rest), *ids(lists[client])}
    assert stranger.get("/recommendations/next").status_code == 404


def test_a_list_in_the_cache_that_cannot_be_read_is_made_anew(viewer: Client) -> None:
    """Another version of this program may have left it there."""
    make_movie()
    first = listed(viewer)
    [key] = [key for key in cached_keys() if key.endswith(":hybrid:0")]
    leftovers: list[object] = [{"list_id": "old"}, {"items": [{}]}, {"items": 4}, [], "list", 5]
    for left in leftovers:
        for at in (key, key.replace("list:catalogue:hybrid:0", "response")):
            cache.set(at, left)
        assert viewer.get("/recommendations/next").status_code == 404
        assert ids(listed(viewer)) == ids(first)
        cache.set(key.replace("list:catalogue:hybrid:0", "given"), left)
        assert viewer.get("/recommendations/next").status_code == 404
        assert ids(listed(viewer)) == ids(first)


def cached_keys() -> list[str]:
    return shared().keys_below("")


def test_lists_need_no_cache_server(
    viewer: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    audience = make_audience(n_camps=2)
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    monkeypatch.setattr(ForgivingRedisCache, "_away_until", 0.0)
    dead = {**settings.CACHES["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}
    settings.CACHES = {"default": dead}
    first, second = listed(viewer), listed(viewer)
    assert "als" in sources(first)
    assert ids(first) == ids(second)
    assert first["list_id"] != second["list_id"]
    assert say(viewer, Movie.objects.get(pk=ids(second)[0]), "like").status_code == 201
    assert ids(second)[0] not in ids(listed(viewer))
    assert viewer.get("/recommendations/next").status_code == 404


# --- cost


def test_a_cached_list_costs_one_query_and_one_command(
    viewer: Client,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 60
    make_audience(n_camps=2)
    train_release()
    given = listed(viewer)
    asked: list[object] = []
    get_bytes = ForgivingRedisCache.get_bytes

    def counted(cache: ForgivingRedisCache, keys: Any) -> list[bytes]:
        asked.append(keys)
        return get_bytes(cache, keys)

    monkeypatch.setattr(ForgivingRedisCache, "get_bytes", counted)
    monkeypatch.setattr(list_cache, "store", lambda *args, **kwargs: asked.append("store"))
    monkeypatch.setattr(serving, "note_shown", lambda **kwargs: asked.append("note"))
    with django_assert_num_queries(1):  # who asks
        assert listed(viewer) == given
    assert len(asked) == 1
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 0
    with django_assert_num_queries(3):  # and whether release and catalogue still stand
        assert listed(viewer) == given


def test_a_new_list_costs_three_queries_for_any_amount_of_data(settings: Settings) -> None:
    """The queries read the viewer, the history and the matches. All else is in memory."""
    audience = make_audience(movies_each=16)
    for movie in audience.all_movies:
        make_screening(movie)
    train_release()
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 60
    few, many = Client(make_user()), Client(make_user())
    rate(few, audience.movies[0][0], 5)
    for movie in audience.all_movies[:20]:
        rate(many, movie, 5)

    def cost(client: Client, **query: Any) -> int:
        listed(client, **query)
        with CaptureQueriesContext(connection) as queries:
            listed(client, refresh=True, **query)
        return len(queries)

    costs = [
        cost(client, limit=limit, scope=scope)
        for client in (few, many)
        for limit in (1, 40)
        for scope in ("catalogue", "programme")
    ]
    assert costs == [3] * len(costs)
