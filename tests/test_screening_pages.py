"""Pages of screenings over many years, which are read from the periods that they are in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from movies.models import Hall, Movie, Screening
from movies.screenings import pages
from tests.builders import Client, make_movie

pytestmark = pytest.mark.django_db

FIRST = datetime(1999, 3, 1, 20, tzinfo=UTC)
#: Days after the first screening: one in each of ten years, then a busy month, then few again.
DAYS = [*(365 * year for year in range(10)), *range(4000, 4030), *range(5000, 9000, 400)]


@pytest.fixture
def movie() -> Movie:
    movie = make_movie(genres=["noir"])
    hall = Hall.objects.create(name="Noctambules")
    starts = [FIRST + timedelta(days=day, hours=hour) for day in DAYS for hour in (0, 2)]
    Screening.objects.bulk_create(
        Screening(
            movie=movie,
            hall=hall,
            starts_at=start,
            ends_at=start + timedelta(hours=1),
            state="sold-out" if number % 3 == 0 else "scheduled",
        )
        for number, start in enumerate(starts)
    )
    return movie


def all_pages(client: Client, per_page: int, **query: Any) -> list[int]:
    found: list[int] = []
    page = 1
    while data := client.get("/screenings", per_page=per_page, page=page, **query).json()["data"]:
        found += [screening["id"] for screening in data]
        page += 1
    return found


def expected(**conditions: Any) -> list[int]:
    screenings = Screening.objects.filter(**conditions).order_by("starts_at", "id")
    return list(screenings.values_list("pk", flat=True))


@pytest.mark.parametrize("few_ids", [0, pages.FEW_IDS])
@pytest.mark.parametrize("per_page", [1, 7, 100])
def test_the_pages_together_are_the_list(
    movie: Movie,
    anonymous: Client,
    per_page: int,
    few_ids: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "FEW_IDS", few_ids)
    assert all_pages(anonymous, per_page) == expected()
    assert all_pages(anonymous, per_page, state="sold-out") == expected(state="sold-out")
    assert all_pages(anonymous, per_page, genre="noir") == expected()


def test_the_number_of_screenings_follows_each_write(movie: Movie, anonymous: Client) -> None:
    def shown() -> tuple[int, int]:
        answer = anonymous.get("/screenings", per_page=1, page=100).json()
        return answer["pagination"]["total"], answer["data"][0]["id"]

    assert shown() == (100, expected()[99])
    Screening.objects.get(pk=expected()[0]).delete()  # by another process
    assert anonymous.get("/screenings").json()["pagination"]["total"] == 99
    make_movie().screenings.create(
        hall=Hall.objects.get(), starts_at=FIRST, ends_at=FIRST + timedelta(hours=1)
    )
    assert shown() == (100, expected()[99])


def test_the_screenings_of_a_withdrawn_movie_are_not_listed(
    movie: Movie, anonymous: Client, staff: Client
) -> None:
    assert staff.delete(f"/movies/{movie.pk}?force=true").status_code == 204
    assert all_pages(anonymous, 20) == []
    assert all_pages(staff, 20) == []
