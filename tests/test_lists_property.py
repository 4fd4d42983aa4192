"""Whatever viewers, staff and the clock do, no list shows what it must not."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.db.models import Q
from django.utils import timezone

from movies.days import cinema_day, start_of_cinema_day
from movies.models import Movie, Screening
from recommendations.lists import item_features
from tests.audience import body, ids
from tests.builders import Client
from tests.walking import Walk
from users.models import User

if TYPE_CHECKING:
    from pytest_django import DjangoCaptureOnCommitCallbacks
    from pytest_django.fixtures import Settings

Listed = dict[str, Any]
#: Before the clocks are changed, in spring, on a Saturday: midnight is passed in any walk.
BEGINS = datetime.fromisoformat("2026-03-28T19:30:00+00:00")


class Lists:
    """Lists that viewers were given, compared with the database."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        #: The films of each list, by place.
        self.places: dict[str, dict[int, int]] = {}
        #: The last list of each viewer.
        self.asked: dict[int, Listed] = {}

    def look(self, number: int) -> None:
        """A list as somebody may ask for it, and all of its batches."""
        luck, viewer = self.walk.luck, self.walk.viewers[number]
        asked = self._question(number)
        self.asked[number] = asked
        self.walk.said.append(f"look (viewer {number}) {asked}")
        first = body(viewer.get("/recommendations", **asked))
        batches = [first, *self._rest(viewer, first, at_most=2 if asked["limit"] == 1 else 40)]
        for listed in batches:
            self._check(viewer, listed, asked)
        shown = [pk for listed in batches for pk in ids(listed)]
        self.walk.shown = shown[:5]
        assert len(shown) == len(set(shown)) <= 40, shown
        if asked["refresh"]:
            self._check_all_of_new(viewer, batches, asked)
        if first["items"] and luck.random() < 0.5:
            clicked = {"movie_id": luck.choice(ids(first))}
            answer = viewer.post(f"/recommendations/{first['list_id']}/clicks", clicked)
            assert answer.status_code == 204, answer.content

    def _question(self, number: int) -> Listed:
        """The same once more, or another one."""
        luck = self.walk.luck
        if number in self.asked and luck.random() < 0.5:
            return {**self.asked[number], "refresh": False}
        return {
            "scope": luck.choice(["catalogue", "programme"]),
            "days": luck.choice([1, 3, 7, 7, 7, 30]),
            "algorithm": luck.choice(["hybrid"] * 5 + ["als", "popularity", "content"]),
            "limit": luck.choice([1, 8, 20, 20, 40]),
            "refresh": luck.random() < 0.6,
            "exclude": luck.sample(self.walk.shown, len(self.walk.shown) // 2),
            "calibrated": luck.random() < 0.2,
        }

    def look_on(self, number: int) -> None:
        """Fetch a further batch of the last list, whatever has happened since."""
        viewer, batch = self.walk.viewers[number], self.walk.luck.randint(1, 4)
        self.walk.said.append(f"look on (viewer {number}) batch {batch}")
        answer = viewer.get("/recommendations/next", batch=batch)
        if answer.status_code != 404:
            self._check(viewer, body(answer), {"limit": 40})

    def _rest(self, viewer: Client, first: Listed, at_most: int) -> list[Listed]:
        found = []
        for batch in range(2, 2 + at_most):
            answer = viewer.get("/recommendations/next", batch=batch)
            if answer.status_code == 404:
                break
            assert body(answer)["list_id"] == first["list_id"]
            found.append(body(answer))
        return found

    # --- what must be so of any list

    def _check(self, viewer: Client, listed: Listed, asked: Listed) -> None:
        shown = ids(listed)
        assert not set(shown) & done(viewer.user), "the viewer has had to do with it"
        assert set(shown) <= published(), "it is not published"
        assert not set(shown) & set(asked.get("exclude", [])), "the viewer excluded it"
        if listed["scope"] == "programme":
            days = asked.get("days", 30)
            assert set(shown) <= showing(days), f"it has no screening in {days} days"
        assert len(shown) <= asked["limit"]
        ranks = [item["rank"] for item in listed["items"]]
        assert ranks == sorted(set(ranks))
        assert all(1 <= rank <= 40 for rank in ranks)
        self._check_places(listed)
        agreed = User.objects.filter(preferences__match_visible=True).exclude(pk=viewer.user.pk)
        may_be_seen = set(agreed.values_list("pk", flat=True))
        for item in listed["items"]:
            self._check_item(item, may_be_seen)
        now = timezone.now()
        assert moment(listed["generated_at"]) <= now < moment(listed["expires_at"])
        assert moment(listed["expires_at"]) - now <= timedelta(hours=25)

    def _check_places(self, listed: Listed) -> None:
        """Impressions and clicks go by list and place: what stands there is always the same."""
        known = self.places.setdefault(listed["list_id"], {})
        for item in listed["items"]:
            assert known.setdefault(item["rank"], item["movie"]["id"]) == item["movie"]["id"]
        assert len(set(known.values())) == len(known)

    def _check_item(self, item: Listed, may_be_seen: set[int]) -> None:
        assert item["source"]
        assert len(item["reasons"]) <= 2, item  # none is better than one that is not true
        for reason in item["reasons"]:
            assert reason.keys() == {"kind", "text", "movie_id"}
            assert reason["kind"]
            assert reason["text"]
            assert reason["movie_id"] != item["movie"]["id"]
        for match in item["matched_users"]:
            assert match["id"] in may_be_seen, "who did not agree is shown"
            assert 0.8 <= match["similarity"] <= 1
        for match in item["potential_matches"]:
            assert match["user_id"] in may_be_seen, "who did not agree is shown"
            assert match["condition"]
            assert 0 < match["confidence"] <= 1

    # --- and of one that was made a moment ago

    def _check_all_of_new(self, viewer: Client, batches: list[Listed], asked: Listed) -> None:
        items = [item for listed in batches for item in listed["items"]]
        may = published() - done(viewer.user) - set(asked["exclude"])
        if asked["scope"] == "programme":
            may &= showing(asked["days"])
        if asked["limit"] > 1:  # or not all of it was asked for
            assert len(items) == min(40, len(may))
            self._check_series(items)
        said = {reason["movie_id"] for item in items for reason in item["reasons"]} - {None}
        assert said <= done(viewer.user), "a reason names a film that the viewer never named"

    def _check_series(self, items: list[Listed]) -> None:
        """Two of one series are among the first five if staff pinned both, or no other is left."""
        of = {item["movie"]["id"]: self.walk.series.get(item["movie"]["id"]) for item in items}
        first = items[:5]
        taken = {of[pk] for pk in (item["movie"]["id"] for item in first)} - {None}
        others = [
            item
            for item in items[5:]
            if item["source"] != "pin" and of[item["movie"]["id"]] not in taken
        ]
        for one, other in combinations(first, 2):
            same = of[one["movie"]["id"]]
            if same is not None and same == of[other["movie"]["id"]]:
                assert {one["source"], other["source"]} == {"pin"} or not others


def done(user: User) -> set[int]:
    """All that the viewer rated, said something of, loves, or has watched."""
    about = Q(interactions__user=user) | Q(favourites__user=user) | Q(viewings__user=user)
    return set(Movie.objects.filter(about).values_list("pk", flat=True))


def published() -> set[int]:
    return set(Movie.objects.filter(withdrawn_at=None).values_list("pk", flat=True))


def showing(days: int) -> set[int]:
    now = timezone.now()
    to_come = Screening.objects.filter(
        starts_at__gt=now,
        starts_at__lt=start_of_cinema_day(cinema_day(now) + timedelta(days=days)),
        state__in=["scheduled", "sold-out"],
    )
    return set(to_come.values_list("movie_id", flat=True))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh_and_alone")
@pytest.mark.parametrize("seed", range(3))
def test_no_list_shows_a_forbidden_film(
    seed: int,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.DIVERSITY, settings.FRESHNESS, settings.EXPLORATION_SHARE = 0.3, 0.3, 0.1
    settings.MATCH_SHRINKAGE = 1  # few films are shared here
    monkeypatch.setattr(item_features, "MAX_AGE_S", -1)  # what is renamed is told apart at once
    with time_machine.travel(BEGINS, tick=False) as clock:
        walk = Walk(seed, clock, django_capture_on_commit_callbacks)
        lists = Lists(walk)
        try:
            for _ in walk.steps():
                viewer = walk.luck.randrange(len(walk.viewers))
                walk.luck.choice([lists.look, lists.look, lists.look_on])(viewer)
        except BaseException as error:
            error.add_note("\n".join([f"seed {seed}:", *walk.said]))
            raise
