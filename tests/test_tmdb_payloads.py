"""Whatever TMDb sends, what comes of it is what the API itself would take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from movies.importing.schemas import ImportedMovie
from movies.tmdb.payloads import EMPTY, Details, FilmSummary, movie_fields
from tests.tmdb_payloads import CLEO, cleo

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


def broken(whole: Any) -> st.SearchStrategy[Any]:
    """The payload with any part, however deep, replaced by anything or left out."""
    if isinstance(whole, dict):
        parts = {key: broken(value) for key, value in whole.items()}
        kept = st.sets(st.sampled_from(sorted(parts)), min_size=len(parts) // 2)
        inside: st.SearchStrategy[Any] = st.tuples(st.fixed_dictionaries(parts), kept).map(
            lambda drawn: {key: value for key, value in drawn[0].items() if key in drawn[1]}
        )
    elif isinstance(whole, list) and whole:
        inside = st.lists(st.one_of(*map(broken, whole)), max_size=5)
    else:
        inside = st.just(whole)
    return st.one_of(inside, inside, inside, anything)


USED = {
    key: value
    for key, value in cleo().items()
    if key in Details.model_fields or key in ("id", "release_date")
}


@pytest.mark.django_db
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(payload=broken(USED))
def test_fields_of_a_broken_answer_are_right_or_empty(payload: Any) -> None:
    if not isinstance(payload, dict):
        return  # the client refuses it
    details = Details.model_validate({**payload, "id": CLEO})
    fields = movie_fields(details)
    assert fields.keys() == EMPTY.keys()
    stand_ins = {"name": fields["name"] or "X", "protagonists": fields["protagonists"] or ["X"]}
    ImportedMovie.model_validate({**fields, **stand_ins, "start_date": "2026-12-03"})


def test_stored_details_read_back_the_same() -> None:
    details = Details.model_validate(cleo())
    again = Details.model_validate(details.model_dump(mode="json"))
    assert again == details
    assert again.year == 1962


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("release_date", "", None),
        ("release_date", "0001-01-01", None),
        ("release_date", "not-a-date", None),
        ("release_date", "1895-12-28", 1895),
        ("original_language", "xx", "zxx"),
        ("original_language", "cn", "yue"),
        ("original_language", "<b>", None),
        ("poster_path", "/../../etc/passwd", None),
        ("poster_path", "https://evil.example/x.jpg", None),
        ("poster_path", "/x.jpg\n", None),
        ("poster_path", "/oelBStY4xpguaplRv15P3Za7Xsr.jpg", "/oelBStY4xpguaplRv15P3Za7Xsr.jpg"),
        ("title", "  A\u0000 B\n", "A B"),
        ("title", "x" * 301, None),
        ("title", "\u202e", None),
        ("overview", "a" * 20_000, "a" * 10_000),
        ("overview", "One.\r\n\r\nTwo.\u0007", "One.\n\nTwo."),
    ],
)
def test_single_fields_are_parsed(field: str, value: object, expected: object) -> None:
    film = FilmSummary.model_validate({"id": 1, field: value})
    assert getattr(film, "year" if field == "release_date" else field) == expected


@pytest.mark.parametrize("value", [0, -5, 6001, "long", None, 2**70, 1.5, [90]])
def test_an_impossible_runtime_is_unknown(value: object) -> None:
    assert Details.model_validate({"id": 1, "runtime": value}).runtime is None
