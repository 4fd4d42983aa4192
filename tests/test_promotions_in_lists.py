"""Films that staff have pinned or moved up stand in viewers' lists while that is in force."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from movies import catalogue
from movies.models import Movie
from recommendations.lists import campaigns
from recommendations.lists.campaigns import with_pinned
from recommendations.lists.scores import Scope
from recommendations.models import Promotion
from tests.audience import ids, listed, make_audience, rate, say, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from tests.promoting import PATH, ahead, make_promotion, pinned, promoted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def films(db: None) -> list[Movie]:
    """Films in the order of an unknown viewer's list, which is by date."""
    today = timezone.localdate()
    return [make_movie(start_date=today - timedelta(days=day)) for day in range(1, 13)]


@pytest.fixture
def last(films: list[Movie]) -> Movie:
    return films[-1]


def test_a_pinned_film_stands_at_its_place_with_its_reason(viewer: Client, last: Movie) -> None:
    before = ids(listed(viewer))
    make_promotion(last, place=3)
    answer = listed(viewer, refresh=True)
    assert ids(answer) == [*before[:2], last.pk, *before[2:-1]]
    item = answer["items"][2]
    assert (item["rank"], item["source"]) == (3, "pin")
    assert item["reasons"][0] == {
        "kind": "staff", "text": "The cinema recommends it", "movie_id": None
    }  # fmt: skip


def test_several_pins_stand_in_their_order(viewer: Client, films: list[Movie]) -> None:
    wanted = {1: films[11].pk, 2: films[4].pk, 5: films[0].pk, 10: films[7].pk}
    for place, movie_id in reversed(wanted.items()):
        make_promotion(Movie.objects.get(pk=movie_id), place=place)
    assert pinned(viewer) == wanted
    assert len(listed(viewer)["items"]) == len(films)


def test_a_place_beyond_the_end_is_the_last_one(viewer: Client) -> None:
    films = [make_movie(), make_movie(), make_movie()]
    make_promotion(films[0], place=10)
    make_promotion(films[1], place=7)
    assert pinned(viewer) == {2: films[1].pk, 3: films[0].pk}


def test_pins_hold_their_places_beside_models_and_new_films(
    viewer: Client,
) -> None:
    """Boosts also raise films that no release knows, and films from beyond the end of the list."""
    audience = make_audience(n_camps=4, movies_each=16)
    train_release()
    for movie in audience.movies[0][:3]:
        rate(viewer, movie, 5)
    unknown = [make_movie() for _ in range(3)]
    before = listed(viewer, limit=40)
    [explored] = [item["rank"] for item in before["items"][:10] if item["source"] == "exploration"]
    outside = next(movie for movie in audience.movies[3] if movie.pk not in ids(before))
    make_promotion(unknown[0], place=1)
    make_promotion(outside, place=explored)
    assert pinned(viewer) == {1: unknown[0].pk, explored: outside.pk}
    assert len(ids(listed(viewer, limit=40))) == 40
    others = [pk for pk in ids(listed(viewer, limit=40)) if pk not in (unknown[0].pk, outside.pk)]
    kept = [pk for pk in ids(before) if pk != unknown[0].pk]
    assert [pk for pk in others if pk in kept] == [pk for pk in kept if pk in others]
    assert not pinned(viewer, algorithm="als")
    assert not pinned(viewer, algorithm="popularity")


@pytest.mark.parametrize("kind", ["seen", "hide", "dislike", "like"])
def test_a_pin_hides_films_that_the_viewer_has_acted_on(
    viewer: Client, films: list[Movie], kind: str
) -> None:
    make_promotion(films[3], place=1)
    make_promotion(films[5], place=2)
    say(viewer, films[3], kind)
    assert pinned(viewer) == {2: films[5].pk}
    assert films[3].pk not in ids(listed(viewer))
    assert pinned(Client(make_user())) == {1: films[3].pk, 2: films[5].pk}


def test_a_withdrawn_film_is_pinned_nowhere(viewer: Client, last: Movie) -> None:
    make_promotion(last)
    Movie.objects.filter(pk=last.pk).update(withdrawn_at=timezone.now())
    assert not pinned(viewer)
    Movie.objects.filter(pk=last.pk).update(withdrawn_at=None)
    assert pinned(viewer) == {1: last.pk}


def test_a_pin_in_the_programme_needs_a_future_screening(
    viewer: Client, films: list[Movie]
) -> None:
    shown = make_screening(films[6]).movie
    make_screening(films[5])
    make_promotion(films[2], place=1)
    make_promotion(shown, place=2)
    assert pinned(viewer, scope="programme") == {2: shown.pk}
    assert pinned(viewer) == {1: films[2].pk, 2: shown.pk}


def test_a_pin_is_for_the_lists_of_its_scope(viewer: Client, films: list[Movie]) -> None:
    for film in films[:3]:
        make_screening(film)
    make_promotion(films[1], place=1, scope="catalogue")
    make_promotion(films[2], place=1, scope="programme")
    assert pinned(viewer) == {1: films[1].pk}
    assert pinned(viewer, scope="programme") == {1: films[2].pk}


def test_a_promotion_counts_from_its_start_to_its_end_with_no_write(
    viewer: Client, last: Movie
) -> None:
    start = timezone.now() + timedelta(hours=1)
    make_promotion(last, starts_at=start, ends_at=start + timedelta(hours=1))

    def at(moment: datetime) -> dict[int, int]:
        with time_machine.travel(moment, tick=False):
            return pinned(Client(viewer.user), refresh=False)

    second = timedelta(seconds=1)
    assert not at(start - second)
    assert at(start) == {1: last.pk}
    assert at(start + timedelta(hours=1) - second) == {1: last.pk}
    assert not at(start + timedelta(hours=1))


def test_a_write_counts_at_once(staff: Client, viewer: Client, last: Movie) -> None:
    assert not pinned(viewer, refresh=False)
    path = f"{PATH}/{promoted(staff, last)['id']}"
    assert pinned(viewer, refresh=False) == {1: last.pk}
    staff.patch(path, {"place": 2})
    assert pinned(viewer, refresh=False) == {2: last.pk}
    staff.delete(path)
    assert not pinned(viewer, refresh=False)


def test_promotions_are_read_once_for_all_viewers(viewer: Client, last: Movie) -> None:
    make_promotion(last)
    pinned(viewer)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert pinned(Client(make_user()))
        assert pinned(viewer)
    assert not [query for query in queries if "recommendations_promotion" in query["sql"]]


# --- what is in force


def in_force(scope: Scope = "catalogue") -> str:
    return campaigns.promotions_key(catalogue.current().snapshot, scope, timezone.now())


def test_the_key_changes_with_the_promotions_in_force(films: list[Movie]) -> None:
    keys = [in_force()]
    pin = make_promotion(films[0], scope="catalogue")
    keys.append(in_force())
    assert in_force("programme") == ""
    Promotion.objects.filter(pk=pin.pk).update(place=2)
    keys.append(in_force())
    make_promotion(films[1], strength=0.1)
    keys.append(in_force())
    assert len(set(keys)) == len(keys)
    assert keys[0] == ""
    Promotion.objects.filter(pk=pin.pk).update(note="Another")
    make_promotion(films[2], starts_at=ahead(days=1))
    make_promotion(films[1], strength=0.05)
    assert in_force() == keys[-1]


def test_the_strongest_of_several_boosts_counts(films: list[Movie]) -> None:
    for strength in (0.2, 0.5, 0.1):
        make_promotion(films[0], strength=strength)
    make_promotion(films[1], strength=0.3, scope="programme")
    snapshot, now = catalogue.current().snapshot, timezone.now()
    assert campaigns.boosted_movies(snapshot, "catalogue", now) == {films[0].pk: 0.5}
    assert campaigns.boosted_movies(snapshot, "programme", now) == {
        films[0].pk: 0.5,
        films[1].pk: 0.3,
    }


@pytest.mark.parametrize(
    ("listed", "pins", "expected"),
    [
        ([], {0: 7}, []),
        ([1, 2, 3], {}, [1, 2, 3]),
        ([1, 2, 3], {0: 7}, [7, 1, 2]),
        ([1, 2, 3], {2: 1}, [2, 3, 1]),
        ([1, 2, 3], {9: 1, 4: 2}, [3, 2, 1]),
        ([1, 2, 3], {1: 3, 0: 2}, [2, 3, 1]),
        ([1, 2, 3], {0: 3, 1: 3}, [3, 1, 2]),
    ],
)
def test_pins_in_a_plain_list(listed: list[int], pins: dict[int, int], expected: list[int]) -> None:
    assert with_pinned(listed, pins) == expected
