"""`GET /analytics/recommendations`: what is counted, of which day, and whose like it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies import services as movies
from tests.builders import Client, at, interact, make_movie, make_screening, make_user
from tests.catalogue import refused_fields
from tests.experimenting import make_experiment, make_release, show
from tests.viewing import ago
from users.models import Favourite, Viewing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

PATH = "/analytics/recommendations"
NOTHING = {
    "lists": 0,
    "viewers": 0,
    "impressions": 0,
    "clicks": 0,
    "click_rate": None,
    "likes_after": 0,
    "coverage": None,
    "fallback_share": None,
}


def told(staff: Client, **query: Any) -> dict[str, Any]:
    answer = staff.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def likes(staff: Client) -> int:
    found: int = told(staff)["total"]["likes_after"]
    return found


def test_shares_are_empty_without_impressions(staff: Client) -> None:
    today = timezone.localdate()
    assert told(staff) == {
        "from": (today - timedelta(days=27)).isoformat(),
        "to": today.isoformat(),
        "total": NOTHING,
        "algorithms": [],
        "days": [],
        "releases": [],
        "experiments": [],
    }
    make_movie()
    assert told(staff)["total"] == {**NOTHING, "coverage": 0}


def test_lists_are_counted_by_day_algorithm_and_release(staff: Client) -> None:
    films, one, other = [make_movie() for _ in range(8)], make_user(), make_user()
    old, new = make_release(), make_release(is_current=True, directory="new")
    before, today = (timezone.localdate(ago(days=days)) for days in (3, 1))
    show(one, films[:4], at=at(before, 23, 59), opened=films[:1], release=old)
    of_today: dict[str, Any] = {"at": at(today, 0), "release": new}
    show(one, films[:4], source="popularity", is_fallback=True, **of_today)
    show(other, films[2:6], opened=films[2:5], **of_today)
    show(other, films[:2], algorithm="als", **of_today)
    answer = told(staff)
    assert answer["total"] == {
        "lists": 4,
        "viewers": 2,
        "impressions": 14,
        "clicks": 4,
        "click_rate": 4 / 14,
        "likes_after": 0,
        "coverage": 6 / 8,
        "fallback_share": 4 / 14,
    }
    als = {
        **NOTHING,
        "algorithm": "als",
        "lists": 1,
        "viewers": 1,
        "impressions": 2,
        "click_rate": 0,
        "coverage": 2 / 8,
        "fallback_share": 0,
    }
    hybrid = {
        "algorithm": "hybrid",
        "lists": 3,
        "viewers": 2,
        "impressions": 12,
        "clicks": 4,
        "click_rate": 4 / 12,
        "likes_after": 0,
        "coverage": 6 / 8,
        "fallback_share": 4 / 12,
    }
    assert answer["algorithms"] == [als, hybrid]
    first = {
        **hybrid,
        "lists": 1,
        "viewers": 1,
        "impressions": 4,
        "clicks": 1,
        "click_rate": 1 / 4,
        "coverage": 4 / 8,
        "fallback_share": 0,
    }
    second = {
        **hybrid,
        "lists": 2,
        "impressions": 8,
        "clicks": 3,
        "click_rate": 3 / 8,
        "fallback_share": 4 / 8,
    }
    assert answer["days"] == [
        {"date": before.isoformat(), **first},
        {"date": today.isoformat(), **als},
        {"date": today.isoformat(), **second},
    ]
    assert [(each["id"], each["is_current"]) for each in answer["releases"]] == [
        (new.pk, True),
        (old.pk, False),
    ]
    assert [each["algorithms"] for each in answer["releases"]] == [[als, second], [first]]


def test_days_begin_and_end_by_the_cinemas_clock(
    staff: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this time zone the clock changes at midnight."""
    monkeypatch.setattr("recommendations.models.serving.IMPRESSIONS_KEPT_DAYS", 36_500)
    settings.TIME_ZONE = "Asia/Beirut"
    user, film = make_user(), make_movie()
    day = at(timezone.localdate().replace(month=3, day=29), 12).date().replace(year=2026)
    jumped = datetime.fromisoformat("2026-03-28T22:00:00+00:00")  # 00:00, which is 01:00 at once
    for moment in (jumped - timedelta(seconds=1), jumped, jumped + timedelta(hours=22, minutes=59)):
        show(user, [film], at=moment)
    show(user, [film], at=jumped + timedelta(hours=23))
    answer = told(staff, **{"from": day, "to": day})
    assert answer["total"]["impressions"] == 2
    assert [(each["date"], each["lists"]) for each in answer["days"]] == [("2026-03-29", 2)]
    answer = told(staff, **{"from": "2026-03-28", "to": "2026-03-30"})
    assert [each["lists"] for each in answer["days"]] == [1, 2, 1]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2025-10-31", "to": "2026-11-01"},
        {"from": "2199-01-01"},
    ],
)
def test_an_invalid_end_is_refused(staff: Client, query: dict[str, Any]) -> None:
    assert refused_fields(staff.get(PATH, **query)) == ["query.to"]


@pytest.mark.parametrize("day", ["yesterday", "1", "1500-01-01", "9999-12-31", "2026-02-30", ""])
def test_an_invalid_day_is_refused(staff: Client, day: str) -> None:
    assert refused_fields(staff.get(PATH, **{"from": day})) == ["query.from"]


def test_a_report_covers_at_most_a_year(staff: Client) -> None:
    answer = told(staff, **{"from": "2023-12-31", "to": "2024-12-30"})
    assert (answer["from"], answer["to"]) == ("2023-12-31", "2024-12-30")
    assert told(staff, to="2024-12-30")["from"] == "2024-12-03"
    for day in ("1870-01-01", "2200-12-31"):
        assert told(staff, **{"from": day, "to": day})["days"] == []


def test_a_withdrawn_film_does_not_count_as_coverage(staff: Client) -> None:
    films = [make_movie() for _ in range(4)]
    show(make_user(), films[:2])
    interact(make_user(), films[0])
    movies.delete_movie(movie_id=films[0].pk, force=True)
    total = told(staff)["total"]
    assert (total["impressions"], total["coverage"]) == (2, 1 / 3)


def test_good_ratings_count_as_likes(staff: Client) -> None:
    """Each of another viewer."""
    film = make_movie()
    good: list[tuple[str, int]] = [("like", 0), ("superlike", 0), ("rating", 10), ("rating", 7)]
    bad: list[tuple[str, int]] = [("dislike", 0), ("hide", 0), ("seen", 0), ("rating", 2)]
    for kind, half_stars in (*good, *bad):
        user = make_user()
        show(user, [film])
        interact(user, film, kind, half_stars=half_stars)
    assert likes(staff) == len(good)
    lover, visitor, watcher = (make_user() for _ in range(3))
    for user in (lover, visitor, watcher):
        show(user, [film])
    Favourite.objects.create(user=lover, movie=film)
    screening, now = make_screening(film), timezone.now()
    Viewing.objects.create(
        user=visitor, movie=film, screening=screening, checked_in=True, watched_at=now
    )
    Viewing.objects.create(user=watcher, movie=film, watched_at=now)
    assert likes(staff) == len(good) + 2


def test_a_later_verdict_takes_a_like_back(staff: Client) -> None:
    user, film = make_user(), make_movie()
    show(user, [film])
    interact(user, film, "like", updated_at=ago(minutes=30))
    interact(user, film, "seen", updated_at=ago(minutes=10))
    assert likes(staff) == 1
    verdict = interact(user, film, "rating", half_stars=1, updated_at=ago(minutes=40))
    assert likes(staff) == 1
    verdict.updated_at = ago(minutes=20)
    verdict.save()
    assert likes(staff) == 0


def test_only_likes_within_a_week_after_the_list_count_for_it(staff: Client) -> None:
    film, shown_at = make_movie(), ago(days=10)
    for said_at, counts in (
        (shown_at - timedelta(seconds=1), 0),
        (shown_at, 0),
        (shown_at + timedelta(seconds=1), 1),
        (shown_at + timedelta(days=7), 2),
        (shown_at + timedelta(days=7, seconds=1), 2),
    ):
        user = make_user()
        show(user, [film], at=shown_at)
        interact(user, film, "like", updated_at=said_at)
        assert likes(staff) == counts
    interact(make_user(), film)
    assert likes(staff) == 2


def test_a_like_counts_for_the_last_list_with_the_film(staff: Client) -> None:
    user, films = make_user(), [make_movie() for _ in range(3)]
    show(user, films, at=ago(days=3), algorithm="als")
    show(user, films[:2], at=ago(days=2), algorithm="ease")
    interact(user, films[0], "like", updated_at=ago(days=1))
    interact(user, films[0], "superlike")
    interact(user, films[2], "rating", half_stars=9)
    show(user, films[:1], at=ago(hours=2), algorithm="slim")
    answer = told(staff)
    by_algorithm = {each["algorithm"]: each["likes_after"] for each in answer["algorithms"]}
    # The second word of the first film came after the third list.
    assert by_algorithm == {"als": 1, "ease": 0, "slim": 1}
    assert answer["total"]["likes_after"] == 2
    likes_by_day = [each["likes_after"] for each in answer["days"]]
    assert sorted(likes_by_day) == [0, 1, 1]


def test_a_like_after_the_period_counts_for_its_impression(staff: Client) -> None:
    user, film = make_user(), make_movie()
    show(user, [film], at=ago(days=3))
    interact(user, film)
    day = timezone.localdate(ago(days=3))
    assert told(staff, **{"from": day, "to": day})["total"]["likes_after"] == 1
    assert told(staff, **{"from": day + timedelta(days=1)})["total"]["likes_after"] == 0


def test_releases_come_with_what_was_measured(staff: Client) -> None:
    quality = {"users": 40, "k": 10, "ndcg": 0.31, "recall": 0.4, "hit_rate": 0.6, "coverage": 0.2}
    measured = make_release(metrics={"als": quality})
    forgotten = make_release(created_at=ago(days=300))
    shown = make_release(created_at=ago(days=200))
    show(make_user(), [make_movie()], release=shown)
    show(make_user(), [make_movie()], release=None)
    answer = told(staff)
    assert [each["id"] for each in answer["releases"]] == [shown.pk, measured.pk]
    assert answer["releases"][1]["quality"]["als"]["ndcg"] == 0.31
    assert answer["releases"][1]["algorithms"] == []
    assert forgotten.pk not in {each["id"] for each in answer["releases"]}
    assert answer["total"]["lists"] == 2


def test_a_few_queries_however_much_there_is(staff: Client, django_assert_num_queries: Any) -> None:
    def grow() -> None:
        for number in range(3):
            films, release = [make_movie() for _ in range(3)], make_release()
            user = make_user()
            show(user, films, at=ago(days=number), algorithm=f"a{number}", release=release)
            interact(user, films[0])

    grow()
    experiment = make_experiment()
    show(make_user(), [make_movie()], teams="a", experiment=experiment)
    told(staff)
    for _ in range(2):
        # The session, the transaction's two ends, its setting, the films, three of figures,
        # releases, experiments, their outcomes, and the current release.
        with django_assert_num_queries(12):
            told(staff)
        grow()
