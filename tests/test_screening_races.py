"""Writers of screenings who meet: one wins, nobody waits for ever, and no answer is a 5xx."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client as Browser

from cinema.development.processes import wait_for
from movies.models import Hall, Movie, MovieSearch, Screening
from tests.admin_pages import page
from tests.batches import collisions, copy, fill, placed, put_on
from tests.builders import Client, make_movie
from tests.catalogue import while_uncommitted
from tests.concurrency import and_disconnect, at_once, somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(calls: Sequence[Callable[[], Any]]) -> list[int]:
    return sorted(answer.status_code for answer in at_once(calls))


def test_exactly_one_of_several_equal_copies_is_written(staff: Client) -> None:
    movie = make_movie()
    for hall in ("1", "2", "3"):
        put_on(movie, "2026-12-03 20:00", hall, tags=["35mm"])
    answers = at_once([partial(copy, staff)] * 4)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert all(len(collisions(one)) == 3 for one in answers if one.status_code == 409)
    assert Screening.objects.count() == 6


@pytest.mark.parametrize("hall_is_new", [True, False])
def test_exactly_one_of_several_patterns_in_one_hall_is_written(
    staff: Client, hall_is_new: bool
) -> None:
    if not hall_is_new:
        Hall.objects.create(name="HALL 1")
    movies = [make_movie() for _ in range(4)]
    week = {"to": "2026-12-09", "tags": ["35mm"]}
    assert statuses([partial(fill, staff, movie, **week) for movie in movies]) == [201, *[409] * 3]
    assert Screening.objects.count() == 7
    assert Screening.objects.values("movie_id").distinct().count() == 1


def test_one_of_a_simultaneous_copy_and_pattern_gets_the_hall(staff: Client) -> None:
    movie = make_movie()
    put_on(movie, "2026-12-03 18:00")
    pattern = partial(fill, staff, movie, **{"from": "2026-12-10", "to": "2026-12-10"})
    assert statuses([partial(copy, staff), pattern]) == [201, 409]
    assert Screening.objects.count() == 2


def test_copies_of_the_same_movies_in_opposite_order_do_not_deadlock(
    staff: Client,
) -> None:
    """Each marks all the movies as changed, and meets them in the other order."""
    movies = [make_movie() for _ in range(7)]
    for hall, in_order in {"1": movies, "2": movies[::-1]}.items():
        for number, movie in enumerate(in_order):
            put_on(movie, f"2026-12-03 {8 + 2 * number:02}:00", hall, tags=["35mm"])
    for day in range(10, 20):
        MovieSearch.objects.update(is_stale=False)
        to = f"2026-12-{day}"
        calls = [partial(copy, staff, to=to, hall=hall) for hall in ("1", "2")]
        assert statuses(calls) == [201, 201]


def test_everything_at_once_gets_an_answer_each(staff: Client) -> None:
    """Tags change and a film is withdrawn while its screenings are copied, moved and deleted."""
    for day in range(10, 16):
        movie, other = make_movie(), make_movie()
        halls = [f"{day} {letter}" for letter in "abcd"]
        a, b, c, _ = (put_on(movie, "2026-12-03 20:00", hall, tags=["35mm"]) for hall in halls)
        put_on(other, "2026-12-03 16:00", halls[0], tags=["35mm"])
        MovieSearch.objects.update(is_stale=False)
        calls = [
            partial(copy, staff, to=f"2026-12-{day}", movie_id=movie.pk),
            partial(staff.patch, f"/screenings/{a.pk}", {"tags": ["live"], "hall": halls[1]}),
            partial(staff.patch, f"/screenings/{b.pk}", {"movie_id": other.pk, "hall": "z"}),
            partial(staff.delete, f"/screenings/{c.pk}"),
            partial(staff.delete, f"/movies/{movie.pk}", force=True),
        ]
        assert set(statuses(calls)) <= {200, 201, 204, 404, 409}


def test_a_screening_written_without_the_locks_is_a_collision(staff: Client) -> None:
    """The admin saves a screening between the look at the hall and the write."""
    movie = make_movie()
    source = put_on(movie, "2026-12-03 20:00")
    put_on(movie, "2026-12-03 23:00")

    def save() -> None:
        late = Screening.objects.get(pk=source.pk)
        late.pk, late.uid = None, "7b1f9b0e-6f0c-4a51-9f6b-2f2f0a6d2c11"
        late.starts_at = late.starts_at.replace(day=10)
        late.ends_at = late.ends_at.replace(day=10)
        late.save(force_insert=True)

    [collision] = collisions(while_uncommitted(save, partial(copy, staff)))
    assert collision["standing"][0]["id"] == Screening.objects.latest("pk").pk
    Screening.objects.latest("pk").delete()
    answer = while_uncommitted(save, partial(copy, staff, on_collision="skip"))
    assert [one["starts_at"][5:16] for one in placed(answer)["created"]] == ["12-10T23:00"]


def test_a_change_of_a_screening_stays_in_a_hall_that_is_being_renamed(staff: Client) -> None:
    put_on(make_movie(), "2026-12-03 20:00", "Hall 1")
    screening = Screening.objects.get()
    assert staff.patch(f"/screenings/{screening.pk}", {"language": "fr"}).status_code == 200
    answer = while_uncommitted(
        lambda: Hall.objects.update(name="Saal 1"),
        partial(staff.patch, f"/screenings/{screening.pk}", {"state": "sold-out"}),
    )
    assert (answer.status_code, answer.json()["hall"]) == (200, "Saal 1")
    assert [hall.name for hall in Hall.objects.all()] == ["Saal 1"]


def test_a_copy_stays_in_a_hall_that_is_being_renamed(admin_client: Browser) -> None:
    put_on(make_movie(), "2026-12-03 20:00", "Hall 1")
    screening = Screening.objects.get()
    admin_client.get(page(Screening, ""))
    while_uncommitted(
        lambda: Hall.objects.update(name="Saal 1"),
        lambda: admin_client.post(
            page(Screening, ""),
            {"action": "copy_to_next_week", "_selected_action": [screening.pk]},
        ),
    )
    assert {one.hall.name for one in Screening.objects.all()} == {"Saal 1"}
    assert Screening.objects.count() == 2


def test_a_transaction_that_postgres_ends_to_free_another_is_made_anew(staff: Client) -> None:
    """Someone has the second film and asks for the first; the copy has it the other way round."""
    first, second = make_movie(), make_movie()
    put_on(first, "2026-12-03 16:00")
    put_on(second, "2026-12-03 20:00")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(and_disconnect(partial(copy, staff))))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # The copy, which waits for one second, is then the one that is ended.
            cursor.execute("SET LOCAL deadlock_timeout = '30s'")
            Movie.objects.select_for_update().get(pk=second.pk)
            thread.start()
            assert wait_for(somebody_waits, timeout_s=60)
            Movie.objects.select_for_update().get(pk=first.pk)
    except OperationalError:
        pass  # on a busy machine the copy looked before there was a deadlock
    finally:
        thread.join()
    assert [answer.status_code for answer in answers] == [201]
    assert Screening.objects.count() == 4
