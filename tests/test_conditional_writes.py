"""`If-Match`: two members of staff who edit one film do not undo each other unawares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from movies import scheduled_updates
from tests.builders import Client, interact, make_movie, make_user


def read(client: Client, movie_id: int) -> str:
    """The ETag that a reader gets."""
    return str(client.get(f"/movies/{movie_id}")["ETag"])


def change(client: Client, movie_id: int, if_match: str | None, **fields: object) -> int:
    headers = {} if if_match is None else {"If-Match": if_match}
    answer = client.send("PATCH", f"/movies/{movie_id}", fields, headers=headers)
    return answer.status_code


def test_a_write_with_the_current_etag_succeeds(staff: Client) -> None:
    movie = make_movie()
    assert change(staff, movie.pk, read(staff, movie.pk), overview="One") == 200
    assert change(staff, movie.pk, read(staff, movie.pk), overview="Two") == 200


def test_a_write_with_an_old_etag_writes_nothing(staff: Client) -> None:
    movie = make_movie()
    before = read(staff, movie.pk)
    assert change(staff, movie.pk, before, overview="First") == 200
    assert change(staff, movie.pk, before, overview="Second") == 412
    movie.refresh_from_db()
    assert movie.overview == "First"
    refused = staff.send("DELETE", f"/movies/{movie.pk}", headers={"If-Match": before})
    assert refused.status_code == 412
    assert refused["Content-Type"] == "application/problem+json"


def test_without_the_header_the_last_write_wins(staff: Client) -> None:
    movie = make_movie()
    assert change(staff, movie.pk, None, overview="First") == 200
    assert change(staff, movie.pk, None, overview="Second") == 200


def test_the_answer_to_a_write_names_the_next_edit(staff: Client) -> None:
    movie = make_movie()
    answer = staff.patch(f"/movies/{movie.pk}", {"overview": "First"})
    assert change(staff, movie.pk, answer["ETag"], overview="Second") == 200
    created = staff.post(
        "/movies", {"name": "New", "protagonists": ["A"], "start_date": "2026-12-03"}
    )
    assert change(staff, created.json()["id"], created["ETag"], overview="Third") == 200


def test_updates_by_the_clock_and_by_viewers_are_no_edits(staff: Client) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=9))
    before = read(staff, movie.pk)
    scheduled_updates.tick_ranking()
    interact(make_user(), movie, "rating", half_stars=9)
    after = read(staff, movie.pk)
    assert after != before, "or a reader would keep the old ranking by If-None-Match"
    assert change(staff, movie.pk, before, overview="Still mine to edit") == 200


@pytest.mark.parametrize("weakened", ["W/{}", '"other", {}', '{} , "other"', "*"])
def test_forms_of_the_header_that_match(staff: Client, weakened: str) -> None:
    movie = make_movie()
    header = weakened.format(read(staff, movie.pk))
    assert change(staff, movie.pk, header, overview="Written") == 200


@pytest.mark.parametrize("header", ['"0-0"', '"', "", "not quoted", '""', "\\", "W/*", '"' * 999])
def test_forms_of_the_header_that_do_not_match(staff: Client, header: str) -> None:
    movie = make_movie()
    assert change(staff, movie.pk, header, overview="Lost") == 412


@pytest.mark.django_db(transaction=True)
def test_exactly_one_of_many_simultaneous_writes_succeeds(staff: Client) -> None:
    movie = make_movie()
    before = read(staff, movie.pk)

    def write(number: int) -> int:
        try:
            return change(staff, movie.pk, before, overview=f"Number {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(write, range(8)))
    assert sorted(statuses) == [200] + [412] * 7


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "A", "name": "B", "protagonists": ["C"], "start_date": "2026-12-03"}',
        b'{"name": "A", "protagonists": ["C"], "start_date": "2026-12-03", "x": {"y": 1, "y": 2}}',
        b"[" * 100_000,
        b'{"name": ' * 5000,
        b'{"name": NaN}',
        b'{"name": ' + b"9" * 10_000 + b"}",
        b'\xef\xbb\xbf{"name": "A"}',
        b'{"name": "\\ud800"}',
        b"\x00",
        b"",
    ],
    ids=["twice", "twice within", "deep", "deeper", "NaN", "huge number", "BOM", "surrogate",
         "NUL", "empty"],
)  # fmt: skip
def test_a_body_that_cannot_be_trusted_is_refused(staff: Client, body: bytes) -> None:
    answer = staff.send("POST", "/movies", body)
    assert answer.status_code == 422, answer.content
    assert answer.json()["errors"][0]["field"].startswith("body")


def test_a_body_beyond_the_limit_is_refused(staff: Client) -> None:
    answer = staff.send("POST", "/movies", b'{"name": "' + b"x" * 5 * 1024 * 1024 + b'"}')
    assert answer.status_code == 413
