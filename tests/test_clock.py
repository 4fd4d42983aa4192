"""Tests are run at the moments that they name."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import timezone

from tests.builders import make_movie, make_screening, make_user
from tests.clock import MOMENTS, ZONE


@pytest.mark.any_moment
@pytest.mark.django_db
def test_the_builders_make_future_screenings(moment: datetime) -> None:
    assert 0 <= (timezone.now() - moment).total_seconds() < 60
    assert make_user().date_joined >= moment
    assert make_screening(make_movie()).starts_at > moment


def test_the_moments_are_of_every_weekday_and_both_ends_of_the_night() -> None:
    moments = [datetime.fromisoformat(text) for text in MOMENTS]
    assert {moment.weekday() for moment in moments} == set(range(7))
    assert {(5, 59), (23, 59)} <= {(moment.hour, moment.minute) for moment in moments}
    assert (2, 29) in {(moment.month, moment.day) for moment in moments}
    offsets = {moment.replace(tzinfo=ZONE).utcoffset() for moment in moments}
    assert len(offsets) == 2
