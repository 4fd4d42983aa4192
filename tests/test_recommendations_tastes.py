"""The effect of the genres of likes, and of dislikes, on the order of a list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from pytest_django.fixtures import Settings

from movies.models import Movie
from tests.audience import Listed, ids, listed, rate, say, train_release
from tests.builders import Client, interact, make_movie, make_user
from tests.test_recommendations_arranged import LONG_AGO, by_popularity, release_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone", "by_popularity")]

__all__ = ["by_popularity"]


def films_of(*genres: str) -> list[Movie]:
    """Films in the order of their popularity."""
    films = [make_movie(genres=[genre], start_date=LONG_AGO) for genre in genres]
    release_of(*films)
    return films


def genres_of(found: Listed) -> list[str]:
    return [item["movie"]["genres"][0]["slug"] for item in found["items"]]


# --- dislikes


@dataclass(frozen=True)
class Divided:
    """13 viewers like dramas and dislike one film, 8 like comedies and dislike another."""

    dramas: list[Movie]
    comedies: list[Movie]
    disliked_by_the_first: Movie
    disliked_by_the_others: Movie

    @property
    def by_popularity(self) -> list[int]:
        return [film.pk for film in (*self.dramas, *self.comedies)]


@pytest.fixture
def divided() -> Divided:
    def films(n: int, genre: str) -> list[Movie]:
        return [make_movie(genres=[genre], start_date=LONG_AGO) for _ in range(n)]

    dramas, comedies, (first, other) = films(5, "drama"), films(5, "comedy"), films(2, "war")
    for n_fans, liked, disliked in ((13, dramas, first), (8, comedies, other)):
        for number in range(n_fans):
            fan = make_user()
            for place, film in enumerate(liked):
                if number >= place:
                    interact(fan, film)
            interact(fan, disliked, "dislike")
    train_release()
    return Divided(dramas, comedies, first, other)


def test_a_viewer_with_dislikes_alone_has_another_list(viewer: Client, divided: Divided) -> None:
    """It begins with what viewers who dislike the same film like."""
    stranger = listed(viewer, limit=10)
    assert ids(stranger) == divided.by_popularity
    say(viewer, divided.disliked_by_the_others, "dislike")
    found = listed(viewer, limit=10)
    assert genres_of(found)[:4] == ["comedy"] * 4
    for films in (divided.dramas, divided.comedies):
        own = [film.pk for film in films]
        assert [pk for pk in ids(found) if pk in own] == own
    assert {item["source"] for item in found["items"]} == {"popularity"}


@pytest.mark.parametrize(
    ("kind", "stars"), [("dislike", None), ("hide", None), ("rating", 0.5), ("rating", 2)]
)
def test_every_kind_of_dislike_counts(
    viewer: Client, divided: Divided, kind: str, stars: float | None
) -> None:
    say(viewer, divided.disliked_by_the_others, kind, stars)
    assert genres_of(listed(viewer, limit=4)) == ["comedy"] * 4


def test_dislikes_alone_change_the_list(viewer: Client, divided: Divided) -> None:
    say(viewer, divided.disliked_by_the_first, "dislike")
    assert genres_of(listed(viewer, limit=5)) == ["drama"] * 5


def test_a_middling_rating_is_no_dislike(viewer: Client, divided: Divided) -> None:
    rate(viewer, divided.disliked_by_the_others, 2.5)
    assert ids(listed(viewer, limit=10)) == divided.by_popularity


def test_a_disliked_film_that_no_release_knows_changes_nothing(
    viewer: Client, divided: Divided
) -> None:
    say(viewer, make_movie(start_date=LONG_AGO), "dislike")
    assert ids(listed(viewer, limit=10)) == divided.by_popularity


def test_dislikes_are_left_to_the_models_after_the_first_like(
    viewer: Client, divided: Divided
) -> None:
    say(viewer, divided.disliked_by_the_others, "dislike")
    say(viewer, divided.comedies[0], "like")
    expected = [pk for pk in divided.by_popularity if pk != divided.comedies[0].pk]
    assert ids(listed(viewer, limit=9)) == expected


def test_an_algorithm_by_name_keeps_its_order(viewer: Client, divided: Divided) -> None:
    say(viewer, divided.disliked_by_the_others, "dislike")
    found = listed(viewer, limit=10, algorithm="popularity")
    assert ids(found) == divided.by_popularity


# --- calibrated genres


@pytest.mark.parametrize("algorithm", ["hybrid", "popularity"])
def test_a_calibrated_list_has_the_genres_of_the_likes(viewer: Client, algorithm: str) -> None:
    films = films_of(*["war", "comedy", "drama"] * 30)
    for film in (*films[2:11:3], films[1]):
        say(viewer, film, "like")
    say(viewer, films[0], "dislike")
    plain = Counter(genres_of(listed(viewer, limit=8, algorithm=algorithm)))
    found = Counter(genres_of(listed(viewer, limit=8, algorithm=algorithm, calibrated=True)))
    assert plain["drama"] < 3 <= found["drama"]
    assert found["war"] < plain["war"]
    assert found.total() == 8


def test_without_likes_calibration_changes_nothing(viewer: Client, settings: Settings) -> None:
    settings.DIVERSITY = 0.5
    films_of(*["war", "comedy", "drama"] * 4)
    assert ids(listed(viewer, calibrated=True)) == ids(listed(viewer))


def test_likes_of_films_that_are_gone_or_without_genres_do_not_count(viewer: Client) -> None:
    films = films_of(*["war", "comedy"] * 6)
    bare, gone = make_movie(start_date=LONG_AGO), make_movie(start_date=LONG_AGO, genres=["war"])
    say(viewer, films[-1], "like")
    before = ids(listed(viewer, calibrated=True, limit=10))
    say(viewer, bare, "like")
    say(viewer, gone, "like")
    Movie.objects.filter(pk=gone.pk).update(withdrawn_at=LONG_AGO.isoformat() + "T00:00Z")
    assert ids(listed(viewer, calibrated=True, limit=10)) == before
