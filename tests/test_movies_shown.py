"""How films are shown: made without validation, and the same as with it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from movies.models import Movie
from movies.schemas import MovieOut
from tests.builders import Client, interact, make_movie
from tests.uploads import uploaded_poster

pytestmark = pytest.mark.django_db


def test_a_film_is_shown_unvalidated_as_it_would_be_validated(media: Path, staff: Client) -> None:
    plain, full = make_movie(), make_movie(genres=["drama", "music"], end_date=date(2040, 1, 1))
    uploaded_poster(staff, full)
    interact(staff.user, full, "rating", half_stars=7)
    for pk in (plain.pk, full.pk):
        movie = Movie.objects.get(pk=pk)
        assert MovieOut.of(movie).model_dump_json() == MovieOut.from_orm(movie).model_dump_json()
