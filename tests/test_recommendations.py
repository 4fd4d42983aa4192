"""Lists through HTTP: what stands in them, why, and for how long."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
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

from cinema.cache import ForgivingRedisCache
from movies.models import Movie, Screening
from recommendations import loading
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.models import Interaction, Release
from recommendations.releases import activate_release, release_directory
from recommendations.schemas import ReasonOut, RecommendationListOut, RecommendationOut
from tests.audience import make_audience, train_release
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from tests.concurrency import and_disconnect

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

Listed = dict[str, Any]


@pytest.fixture(autouse=True)
def _fresh_and_alone(settings: Settings, tmp_path: Path) -> None:
    """Releases of this test alone, and no waiting for what has changed."""
    settings.CINEMA_HOME = tmp_path
    settings.RELEASE_CHECK_INTERVAL_S = 0
    settings.CATALOGUE_CHECK_INTERVAL_S = 0


def body(answer: Response) -> Listed:
    assert answer.status_code == 200, answer.content
    listed: Listed = answer.json()
    return listed


def listed(client: Client, **query: Any) -> Listed:
    return body(client.get("/recommendations", **query))


def ids(listed: Listed) -> list[int]:
    return [item["movie"]["id"] for item in listed["items"]]


def sources(listed: Listed) -> list[str]:
    """Each source once, in the order of the list."""
    return list(dict.fromkeys(item["source"] for item in listed["items"]))


def say(client: Client, movie: Movie, kind: str) -> Response:
    return client.post("/interactions", {"movie_id": movie.pk, "kind": kind})


def rate(client: Client, movie: Movie, stars: float) -> Response:
    return client.put(f"/movies/{movie.pk}/rating", {"stars": stars})


def withdraw(movie: Movie) -> None:
    movie.withdrawn_at = timezone.now()
    movie.save(update_fields=["withdrawn_at"])


# --- what puts a movie in the list


def test_without_a_release_the_programme_stands_in_by_date(viewer: Client) -> None:
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


def test_a_new_viewer_is_shown_what_is_popular(viewer: Client) -> None:
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


def test_what_is_not_liked_is_not_called_liked(viewer: Client) -> None:
    movie = make_movie()
    interact(make_user(), movie, "dislike")
    train_release()
    [item] = listed(viewer)["items"]
    assert "like it" not in str(item["reasons"])


def test_a_viewer_with_tastes_is_shown_more_of_them_with_reasons(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    mine = audience.movies[1]
    liked = {movie.pk: movie.name for movie in mine[:3]}
    for movie in mine[:3]:
        rate(viewer, movie, 5)
    answer = listed(viewer)
    own_camp = answer["items"][: len(mine) - len(liked)]
    assert {audience.camp_of(item["movie"]["id"]) for item in own_camp} == {1}
    for item in own_camp:
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
def test_who_likes_nothing_is_shown_what_is_popular(viewer: Client, kind: str) -> None:
    audience = make_audience()
    train_release()
    say(viewer, audience.movies[0][0], kind)
    assert sources(listed(viewer)) == ["popularity"]


def test_what_was_merely_seen_is_a_reason_but_not_called_liked(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    seen = audience.movies[0][0]
    say(viewer, seen, "seen")
    top = listed(viewer)["items"][0]
    assert top["source"] == "als"
    assert top["reasons"] == [
        {"kind": "seen", "text": f"Because you saw {seen.name}", "movie_id": seen.pk}
    ]


def test_a_movie_that_is_newer_than_the_release_comes_at_the_end(viewer: Client) -> None:
    make_audience()
    train_release()
    new = make_movie(start_date=timezone.localdate())
    last = listed(viewer, limit=40)["items"][-1]
    assert (last["movie"]["id"], last["source"]) == (new.pk, "programme")


def test_scores_fall_and_ranks_rise(viewer: Client) -> None:
    audience = make_audience()
    train_release()
    rate(viewer, audience.movies[0][0], 5)
    items = listed(viewer, limit=40)["items"]
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    scores = [item["score"] for item in items if item["source"] == "als"]
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
    lifetime = datetime.fromisoformat(answer["expires_at"]) - datetime.fromisoformat(
        answer["generated_at"]
    )
    assert lifetime == timedelta(hours=6)


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
    assert item["source"] == "als"


# --- what is never in the list


def allowed(client: Client, *, scope: str, days: int) -> set[int]:
    """The movies that the viewer may be shown, by the rows of the database."""
    acted_on = Interaction.objects.filter(user=client.user).values("movie_id")
    movies = Movie.objects.filter(withdrawn_at=None).exclude(pk__in=acted_on)
    if scope == "programme":
        now = timezone.now()
        to_come = Screening.objects.filter(
            starts_at__gt=now,
            starts_at__lte=now + timedelta(days=days),
            state__in=["scheduled", "sold-out"],
        )
        movies = movies.filter(pk__in=to_come.values("movie_id"))
    return set(movies.values_list("pk", flat=True))


class Chance:
    """A viewer and a staff who do whatever they please."""

    def __init__(self, seed: int, viewer: Client, movies: list[Movie]) -> None:
        self.luck = random.Random(seed)
        self.viewer = viewer
        self.movies = movies
        self.screenings: list[Screening] = []

    def step(self) -> None:
        act, show = self.act, self.show
        steps = [act, act, act, self.take_back, self.publish_or_withdraw, self.post]
        self.luck.choice([*steps, show, show, self.change_screening])()

    def act(self) -> None:
        movie = self.luck.choice(self.movies)
        kind = self.luck.choice(["like", "superlike", "dislike", "seen", "hide", "rating"])
        if kind == "rating":
            rate(self.viewer, movie, self.luck.randint(1, 10) / 2)
        else:
            say(self.viewer, movie, kind)

    def take_back(self) -> None:
        if mine := list(Interaction.objects.filter(user=self.viewer.user)):
            self.viewer.delete(f"/interactions/{self.luck.choice(mine).pk}")

    def publish_or_withdraw(self) -> None:
        movie = self.luck.choice(self.movies)
        movie.withdrawn_at = None if movie.withdrawn_at else timezone.now()
        movie.save(update_fields=["withdrawn_at"])

    def post(self) -> None:
        self.movies.append(make_movie())

    def show(self) -> None:
        published = [movie for movie in self.movies if movie.withdrawn_at is None]
        moment = timezone.now() + timedelta(hours=self.luck.randint(-48, 24 * 20))
        self.screenings.append(make_screening(self.luck.choice(published), starts_at=moment))

    def change_screening(self) -> None:
        if self.screenings:
            screening = self.luck.choice(self.screenings)
            screening.state = self.luck.choice(Screening.State.values)
            screening.save()

    def question(self) -> dict[str, Any]:
        return {
            "scope": self.luck.choice(["catalogue", "programme"]),
            "days": self.luck.choice([1, 7, 14]),
            "algorithm": self.luck.choice(["hybrid", "als", "popularity"]),
            "limit": self.luck.choice([7, 20, 40]),
        }


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acted_on_withdrawn_or_not_showing_is_ever_listed(seed: int) -> None:
    """After each step, by whomever, the list is right, and what comes next too."""
    audience = make_audience(viewers_each=8, movies_each=16, seed=seed)
    train_release()
    viewer = Client(audience.viewers[0][0] if seed else make_user())
    chance = Chance(seed, viewer, audience.all_movies)
    for _ in range(40):
        chance.step()
        question = chance.question()
        may_be_shown = allowed(viewer, scope=question["scope"], days=question["days"])
        shown = ids(listed(viewer, **question))
        assert len(shown) == len(set(shown)) == min(question["limit"], len(may_be_shown))
        assert set(shown) <= may_be_shown
        chance.step()
        rest = viewer.get("/recommendations/next")
        assert rest.status_code in (200, 404)
        following = set(ids(rest.json())) if rest.status_code == 200 else set()
        assert not following & set(shown)
        assert following <= allowed(viewer, scope=question["scope"], days=question["days"])


def test_the_programme_is_what_still_comes_within_the_days(viewer: Client) -> None:
    today = timezone.localdate()
    soon, later, over, cancelled, hidden, sold_out = (make_movie() for _ in range(6))
    make_screening(soon, starts_at=timezone.now() + timedelta(hours=5))
    make_screening(later, starts_at=at(today + timedelta(days=5), 20))
    make_screening(over, starts_at=timezone.now() - timedelta(minutes=5))
    tomorrow = timezone.now() + timedelta(hours=10)
    make_screening(cancelled, state="cancelled", starts_at=tomorrow)
    make_screening(hidden, state="hidden", starts_at=tomorrow)
    make_screening(sold_out, state="sold-out", starts_at=tomorrow)
    week = listed(viewer, scope="programme")
    assert ids(week) == [soon.pk, sold_out.pk, later.pk]
    assert (week["scope"], sources(week)) == ("programme", ["programme"])
    assert week["items"][0]["reasons"][0]["kind"] == "showing"
    assert ids(listed(viewer, scope="programme", days=2)) == [soon.pk, sold_out.pk]
    assert len(ids(listed(viewer))) == 6


def test_the_programme_is_ranked_by_taste(viewer: Client) -> None:
    audience = make_audience()
    for camp in (0, 1, 2):
        for movie in audience.movies[camp][4:6]:
            make_screening(movie)
    train_release()
    rate(viewer, audience.movies[2][0], 5)
    answer = listed(viewer, scope="programme")
    assert len(answer["items"]) == 6
    assert [audience.camp_of(pk) for pk in ids(answer)[:2]] == [2, 2]
    assert sources(answer) == ["als"]


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
    found = {name: listed(viewer, algorithm=name) for name in ("hybrid", "als", "popularity")}
    assert {name: answer["algorithm"] for name, answer in found.items()} == {
        name: name for name in found
    }
    assert sources(found["als"]) == ["als"]
    assert sources(found["popularity"]) == ["popularity"]
    assert ids(found["hybrid"]) == ids(found["als"]) != ids(found["popularity"])


def test_algorithms_are_described_with_what_was_measured(anonymous: Client) -> None:
    make_audience()
    before = {row["name"]: row for row in anonymous.get("/recommendations/algorithms").json()}
    assert before.keys() == {"hybrid", *ALGORITHMS}
    assert {row["quality"] for row in before.values()} == {None}
    assert [name for name, row in before.items() if row["available"]] == ["hybrid"]
    release = train_release()
    after = {row["name"]: row for row in anonymous.get("/recommendations/algorithms").json()}
    assert all(row["available"] and row["description"] for row in after.values())
    assert after["als"]["quality"] == release.metrics["als"]
    assert after["popularity"]["quality"] == release.metrics["popularity"]
    assert after["hybrid"]["quality"] == release.metrics["als"]


# --- the cached list and its batches


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


def test_refresh_makes_a_new_list(viewer: Client) -> None:
    make_movie()
    first = listed(viewer)
    second = listed(viewer, refresh=True)
    assert second["list_id"] != first["list_id"]
    assert listed(viewer)["list_id"] == second["list_id"]


def test_each_question_has_a_list_of_its_own(viewer: Client) -> None:
    make_screening()
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


def test_what_is_withdrawn_leaves_the_cached_list(viewer: Client) -> None:
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


def test_there_is_no_next_of_nothing_nor_of_a_whole_list(viewer: Client) -> None:
    for _ in range(45):
        make_movie()
    assert viewer.get("/recommendations/next").status_code == 404
    listed(viewer, limit=40)
    assert viewer.get("/recommendations/next").status_code == 404


def test_next_is_of_the_list_that_was_given_last(viewer: Client) -> None:
    for _ in range(5):
        make_screening()
    for _ in range(5):
        make_movie()
    listed(viewer, limit=2)
    programme = listed(viewer, limit=2, scope="programme")
    assert body(viewer.get("/recommendations/next"))["list_id"] == programme["list_id"]
    catalogue = listed(viewer, limit=2)
    assert body(viewer.get("/recommendations/next"))["list_id"] == catalogue["list_id"]


def test_next_leaves_out_what_was_acted_on_since(viewer: Client) -> None:
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
    """As another version of this program may have left it there."""
    make_movie()
    first = listed(viewer)
    [key] = [key for key in cached_keys() if key.endswith(":hybrid:0")]
    leftovers: list[object] = [{"list_id": "old"}, {"items": [{}]}, {"items": 4}, [], "list", 5]
    for left in leftovers:
        cache.set(key, left)
        assert viewer.get("/recommendations/next").status_code == 404
        assert ids(listed(viewer)) == ids(first)


def cached_keys() -> list[str]:
    with Redis.from_url(django_settings.REDIS_URL, decode_responses=True) as client:
        return [str(key).removeprefix("cinema:1:") for key in client.keys("cinema:1:*")]


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
    assert sources(first)[0] == "als"
    assert ids(first) == ids(second)
    assert first["list_id"] != second["list_id"]
    assert viewer.get("/recommendations/next").status_code == 404


# --- releases


def damage(release: Release) -> None:
    with (release_directory(release) / "als.item_factors.npy").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 0xFF]))


def delete(release: Release) -> None:
    release_directory(release).rename(release_directory(release).with_name("gone"))


def of_another_format(release: Release) -> None:
    manifest = release_directory(release) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))


def of_an_unknown_algorithm(release: Release) -> None:
    manifest = release_directory(release) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"popularity",', '"popularity", "oracle",'))


@pytest.mark.parametrize("spoil", [damage, delete, of_another_format, of_an_unknown_algorithm])
def test_a_release_that_cannot_be_used_is_refused_and_the_standing_one_serves_on(
    viewer: Client, caplog: pytest.LogCaptureFixture, spoil: Callable[[Release], None]
) -> None:
    make_audience(n_camps=2)
    standing = train_release()
    assert listed(viewer)["release"] == standing.pk
    spoiled = train_release(force=True)
    spoil(spoiled)
    answer = listed(viewer, refresh=True)
    assert answer["release"] == standing.pk
    assert sources(answer) == ["popularity"]
    assert f"{spoiled} is refused" in caplog.text
    # A process that starts now serves the newest one that it can use.
    loading.forget_release()
    answer = listed(viewer)
    assert (answer["release"], sources(answer)) == (standing.pk, ["popularity"])
    # Without any, it falls back to the programme.
    Release.objects.filter(is_current=False).update(directory="")
    loading.forget_release()
    answer = listed(viewer, refresh=True)
    assert (answer["release"], sources(answer)) == (None, ["programme"])
    Release.objects.filter(pk=standing.pk).update(directory=standing.directory)
    activate_release(release_id=standing.pk)
    assert listed(viewer)["release"] == standing.pk


def test_a_new_release_is_seen_within_the_interval(viewer: Client, settings: Settings) -> None:
    make_audience(n_camps=2)
    old = train_release()
    assert listed(viewer)["release"] == old.pk
    new = train_release(force=True)
    settings.RELEASE_CHECK_INTERVAL_S = 60
    assert listed(viewer, refresh=True)["release"] == old.pk
    settings.RELEASE_CHECK_INTERVAL_S = 0.1
    time.sleep(0.1)
    assert listed(viewer)["release"] == new.pk


@pytest.mark.django_db(transaction=True)
def test_no_request_fails_while_releases_come_and_go(settings: Settings) -> None:
    settings.RELEASES_KEPT = 1
    audience = make_audience(n_camps=2, viewers_each=6)
    train_release()
    finished = Event()

    def keep_asking(client: Client) -> set[tuple[int, int | None]]:
        answers = set()
        while not finished.is_set():
            answer = client.get("/recommendations", refresh=True)
            answers.add((answer.status_code, answer.json().get("release")))
        return answers

    clients = [Client(camp[0]) for camp in audience.viewers]
    with ThreadPoolExecutor(len(clients)) as pool:
        asking = [pool.submit(and_disconnect, lambda c=c: keep_asking(c)) for c in clients]
        published = [train_release(force=True).pk for _ in range(4)]
        finished.set()
    seen = set().union(*(answer.result() for answer in asking))
    assert {status for status, _ in seen} == {200}
    assert {release for _, release in seen} & set(published)
    assert None not in {release for _, release in seen}


# --- cost


def test_a_cached_list_costs_at_most_three_queries(
    viewer: Client, settings: Settings, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 60
    make_audience(n_camps=2)
    train_release()
    listed(viewer)
    with django_assert_max_num_queries(1):  # who asks
        listed(viewer)
    settings.RELEASE_CHECK_INTERVAL_S = settings.CATALOGUE_CHECK_INTERVAL_S = 0
    with django_assert_max_num_queries(3):  # and whether release and catalogue still stand
        listed(viewer)


def test_a_new_list_costs_two_queries_however_much_there_is(settings: Settings) -> None:
    """Who asks, and what that viewer has done. All else is in the process's memory."""
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
    assert costs == [2] * len(costs)
